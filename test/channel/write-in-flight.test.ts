/**
 * Goal: one dat write at a time, and nothing counts before every byte below it is written
 * (rule W1).
 * Method: the write of a large frame is held in flight while others append, also synchronously;
 * kills in its middle.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { choicesFromSeed, worst } from '../../src/testing/choices.js';
import {
  idsOf,
  Lab,
  LARGE,
  outcomeOf,
  payload,
  requireCode,
  thrown,
  type Outcome,
} from '../support/channel-kit.js';
import type { WatchedCall } from '../support/channel-watch.js';

const DAT = /\.dat$/;

interface InFlight {
  readonly lab: Lab;
  readonly channel: Channel;
  /** The append whose write is in flight. */
  readonly large: Outcome<number>;
  readonly write: WatchedCall | undefined;
}

/** Record 0 is synced, record 1 is large and its write is in flight. */
async function inFlight(sync: 'always' | 'never' = 'never'): Promise<InFlight> {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync });
  await lab.done(channel.append(payload(1), { durability: 'synced' }));
  const large = outcomeOf(channel.append(payload(2, LARGE)));
  await lab.runtime.settle();
  const write = lab.watch.datCalls().at(-1);
  expect(write).toMatchObject({ call: 'write', isAsync: true, ok: undefined });
  return { lab, channel, large, write };
}

test('W1: a record in a write in flight is not acknowledged, visible or counted', async () => {
  const { lab, channel, large } = await inFlight();
  expect([large.state, channel.nextSeq, channel.count]).toEqual(['pending', 1, 1]);
  expect(await lab.runtime.settle().then(() => channel.get(1))).toBeUndefined();
  await lab.drain();
  expect([large.state, channel.nextSeq, channel.count]).toEqual(['resolved', 2, 2]);
});

test('W1: appends behind a write in flight wait for it, and so do batches', async () => {
  const { lab, channel, large } = await inFlight();
  const behind = [outcomeOf(channel.append(payload(3))), outcomeOf(channel.append(payload(4)))];
  const batch = outcomeOf(channel.appendBatch([payload(5), payload(6)]));
  const { length } = lab.watch.datCalls();
  await lab.runtime.settle();
  expect(lab.watch.datCalls()).toHaveLength(length);
  expect([...behind, batch].map(({ state }) => state)).toEqual(['pending', 'pending', 'pending']);
  await lab.drain();
  expect([large.value, behind[0]?.value, behind[1]?.value]).toEqual([1, 2, 3]);
  expect(await idsOf(lab, channel)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(lab.watch.violations).toEqual([]);
});

test('W1: a synchronous append completes the write in flight, same bytes, same place', async () => {
  const { lab, channel, large, write } = await inFlight();
  const { length } = lab.watch.datCalls();
  expect(channel.appendSync(payload(3))).toBe(2);
  const [again, small, ...rest] = lab.watch.datCalls().slice(length);
  expect(rest).toEqual([]);
  expect(again).toMatchObject({ call: 'write', isAsync: false, position: write?.position });
  expect(Buffer.compare(again?.bytes ?? payload(0), write?.bytes ?? payload(1))).toBe(0);
  expect(small?.position).toBe((write?.position ?? 0) + (write?.bytes.byteLength ?? 0));
  // It did not wait: the asynchronous write is still out.
  expect(write?.ok).toBeUndefined();
  expect(channel.nextSeq).toBe(3);
  await lab.drain();
  expect([large.value, write?.ok]).toEqual([1, true]);
  expect(await idsOf(lab, channel)).toEqual([1, 2, 3]);
  expect(lab.watch.violations).toEqual([]);
});

test('W1: killed in the middle of the write, what was acknowledged is there', async () => {
  const { lab, channel } = await inFlight();
  channel.appendSync(payload(3));
  const waiting = outcomeOf(channel.append(payload(4)));
  await lab.runtime.settle();
  const expected = waiting.state === 'resolved' ? [1, 2, 3, 4] : [1, 2, 3];
  for (let seed = 0; seed < 8; seed += 1) {
    const next = lab.kill({ io: 'immediate' }, choicesFromSeed(seed));
    const ids = await idsOf(next, await next.open());
    expect(ids.slice(0, expected.length), `seed ${seed}`).toEqual(expected);
  }
});

test('W1: killed or cut in the middle of a write, the frame is whole or not there', async () => {
  const { lab } = await inFlight();
  for (let seed = 0; seed < 8; seed += 1) {
    for (const next of [lab.kill({ io: 'immediate' }, choicesFromSeed(seed)), cut(lab, seed)]) {
      const channel = await next.open();
      const ids = await idsOf(next, channel);
      expect([[1], [1, 2]], `seed ${seed}`).toContainEqual(ids);
      expect(await channel.append(payload(9))).toBe(ids.length);
    }
  }
});

function cut(lab: Lab, seed: number): Lab {
  return lab.cut(choicesFromSeed(seed), { io: 'immediate' });
}

test("W1: under 'always' appendSync syncs what it completed as well", async () => {
  const { lab, channel, large } = await inFlight('always');
  channel.appendSync(payload(3));
  expect(channel.durableSeq).toBe(3);
  const after = lab.cut(worst, { io: 'immediate' });
  expect(await idsOf(after, await after.open())).toEqual([1, 2, 3]);
  await lab.drain();
  expect(large.state).toBe('resolved');
});

test('W1: a large synchronous append is written once and before it returns', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  await lab.done(channel.append(payload(1), { durability: 'synced' }));
  const { length } = lab.watch.datCalls();
  expect(channel.appendSync(payload(2, LARGE))).toBe(1);
  const calls = lab.watch.datCalls().slice(length);
  expect(calls.map(({ call, isAsync }) => [call, isAsync])).toEqual([['write', false]]);
  expect(lab.runtime.heldIo).toBe(0);
});

/** What becomes of the completion by a synchronous append: a part is written, or nothing. */
const completions = [
  ['a part of it', 1000],
  ['nothing of it', 0],
] as const;

function failCompletion(lab: Lab, short: number): void {
  const effect = short === 0 ? { error: 'ENOSPC' } : { short, thenError: 'ENOSPC' };
  const nth = 1;
  lab.faults.inject({ operation: 'writeSync', path: DAT, nth, times: 1, effect });
}

test.each(completions)(
  'W1: when completing fails and writes %s, BUSY is thrown and nothing is written',
  async (_what, short) => {
    const { lab, channel, large, write } = await inFlight();
    failCompletion(lab, short);
    thrown(() => channel.appendSync(payload(3)), 'BUSY');
    const { length } = lab.watch.datCalls();
    thrown(() => channel.appendSync(payload(4)), 'BUSY');
    thrown(() => channel.appendBatchSync([payload(4), payload(5)]), 'BUSY');
    expect(lab.watch.datCalls()).toHaveLength(length);
    expect(write?.ok).toBeUndefined();
    await lab.runtime.settle();
    // Its bytes are still on the way to the file: nobody can say that they are absent.
    expect(requireCode(large.error, 'IO').outcome).toBe('unknown');
    expect(channel.nextSeq).toBe(1);
  },
);

test.each(completions)(
  'W2: when completing fails and writes %s, nothing is cut or written before the write returns',
  async (_what, short) => {
    const { lab, channel, write } = await inFlight();
    failCompletion(lab, short);
    thrown(() => channel.appendSync(payload(3)), 'BUSY');
    const waiting = outcomeOf(channel.append(payload(4)));
    await lab.runtime.settle();
    expect(lab.watch.violations).toEqual([]);
    expect(waiting.state).toBe('pending');
    await lab.drain();
    expect([write?.ok, waiting.value]).toEqual([true, 1]);
    expect(channel.appendSync(payload(5))).toBe(2);
    expect(await idsOf(lab, channel)).toEqual([1, 4, 5]);
    expect(lab.watch.violations).toEqual([]);
    const next = lab.kill({ io: 'immediate' });
    expect(await idsOf(next, await next.open())).toEqual([1, 4, 5]);
  },
);

test.each(completions)(
  'W2: when completing fails and writes %s, the frame does not come back after a clean close',
  async (_what, short) => {
    const { lab, channel } = await inFlight();
    failCompletion(lab, short);
    thrown(() => channel.appendSync(payload(3)), 'BUSY');
    await lab.drain();
    await lab.done(channel.close());
    const next = lab.kill({ io: 'immediate' });
    const again = await next.open();
    expect(await idsOf(next, again)).toEqual([1]);
    expect(again.nextSeq).toBe(1);
  },
);

test.each(completions)(
  'W1: a large synchronous append that writes %s does not say that it was BUSY',
  async (_what, short) => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await lab.open({ sync: 'never' });
    await lab.done(channel.append(payload(1), { durability: 'synced' }));
    failCompletion(lab, short);
    const error = thrown(() => channel.appendSync(payload(2, LARGE)), 'IO');
    expect(error).toMatchObject({ systemCode: 'ENOSPC' });
    await lab.drain();
    expect(channel.appendSync(payload(3))).toBe(1);
    await lab.drain();
    expect(await idsOf(lab, channel)).toEqual([1, 3]);
    expect(lab.watch.violations).toEqual([]);
  },
);
