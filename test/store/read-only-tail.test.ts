/**
 * Goal: tails of a store that was opened with readOnly get what another process writes, learn that
 * the channel is gone, and cost next to nothing while nothing comes.
 * Method: a writer and a reader on one disk in memory; the clock of the reader is moved by hand,
 * and its operations are counted.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { SyncPolicy } from '../../src/channel/options.js';
import type { Redex } from '../../src/store/redex.js';
import { outcomeOf, payload, rejection } from '../support/channel-kit.js';
import { idsIn, pathOf, ReadOnlyLab, seqOf } from '../support/read-only-lab.js';

let lab: ReadOnlyLab;

beforeEach(() => {
  lab = new ReadOnlyLab();
});

afterEach(() => lab.expectOnlyReads());

/** A channel with one record that is written, and the same channel as the reader has it. */
async function pair(
  sync: SyncPolicy = 'never',
): Promise<{ written: Channel; redex: Redex; channel: Channel }> {
  const writer = await lab.write({ sync });
  const written = await writer.channel('a');
  await written.append(payload(0));
  const redex = await lab.look();
  return { written, redex, channel: await redex.channel('a') };
}

test.each<SyncPolicy>(['never', 'always'])(
  'tails get what there is and comes, %s',
  async (sync) => {
    const { written, channel } = await pair(sync);
    const tail = channel.tail();
    expect(seqOf(await tail.next())).toBe(0);
    const next = outcomeOf(tail.next());
    await lab.runtime.elapse(1000);
    expect(next.state).toBe('pending');
    await written.append(payload(1));
    await lab.runtime.elapse(200);
    expect(seqOf(next.value)).toBe(1);
  },
);

test("from 'end' they give what comes after the call", async () => {
  const { written, channel } = await pair();
  // On disk before the call, though nobody has looked at it.
  await written.append(payload(1));
  const tail = channel.tail({ from: 'end' });
  await lab.runtime.settle();
  await written.append(payload(2));
  // Another look, before the first record is asked for.
  expect((await channel.stats()).nextSeq).toBe(3);
  expect(seqOf(await tail.next())).toBe(2);
});

test('they end when the channel is closed, and when the store is', async () => {
  const { redex, channel } = await pair();
  const first = outcomeOf(channel.tail({ from: 'end' }).next());
  await lab.runtime.settle();
  await channel.close();
  await lab.runtime.settle();
  expect(first.value?.done).toBe(true);
  const again = await redex.channel('a');
  const second = outcomeOf(again.tailBatches({ from: 'end' }).next());
  await lab.runtime.settle();
  await redex.close();
  await lab.runtime.settle();
  expect(second.value?.done).toBe(true);
  expect([lab.delays, lab.reads.openPaths]).toEqual([[], []]);
  await rejection(redex.channel('a'), 'CLOSED');
});

test.each([false, true])(
  'those that wait are told that the channel is gone; created again: %s',
  async (isMadeAgain) => {
    await lab.make('a', 1, 2);
    const redex = await lab.look();
    const channel = await redex.channel('a');
    const tails = [channel.tail({ from: 'end' }), channel.tail({ from: 50 })];
    const steps = tails.map((tail) => outcomeOf(tail.next()));
    await lab.runtime.settle();
    await lab.delete('a');
    if (isMadeAgain) await lab.make('a', 3, 4, 5);
    await lab.runtime.elapse(200);
    for (const { error } of steps) expect(error).toMatchObject({ code: 'NOT_FOUND' });
    for (const tail of tails) expect((await tail.next()).done).toBe(true);
    expect(lab.delays).toEqual([]);
    if (isMadeAgain) expect(await idsIn((await redex.channel('a')).read())).toEqual([3, 4, 5]);
    await redex.close();
  },
);

test('there is a timer only while one of them waits', async () => {
  const { written, channel } = await pair();
  await channel.stats();
  await channel.get(0);
  expect(lab.delays).toEqual([]);
  /** Nobody asks for more: at most one timer runs out, without a look. */
  const expectQuiet = async (): Promise<void> => {
    const { total } = lab.reads.calls;
    expect(lab.delays.length).toBeLessThanOrEqual(1);
    await lab.runtime.elapse(lab.delays[0] ?? 0);
    expect([lab.delays, lab.reads.calls.total]).toEqual([[], total]);
  };
  const tail = channel.tail();
  expect(seqOf(await tail.next())).toBe(0);
  await expectQuiet();
  const steps = [outcomeOf(tail.next()), outcomeOf(channel.tail({ from: 'end' }).next())];
  await lab.runtime.settle();
  expect(lab.delays).toEqual([10]);
  await written.append(payload(1));
  await lab.runtime.elapse(10);
  expect(steps.map(({ value }) => seqOf(value))).toEqual([1, 1]);
  await expectQuiet();
  const waiting = outcomeOf(tail.next());
  await lab.runtime.settle();
  expect(lab.delays).toEqual([10]);
  await tail.return?.();
  await lab.runtime.elapse(10);
  expect([waiting.value?.done, lab.delays]).toEqual([true, []]);
});

test('they look less and less often while nothing comes, at least every 200 ms', async () => {
  const { written, channel } = await pair();
  const tail = channel.tail({ from: 'end' });
  let step = outcomeOf(tail.next());
  await lab.runtime.settle();
  const delays = async (count: number): Promise<number[]> => {
    const found: number[] = [];
    while (found.length < count) {
      const [delay = 0] = lab.delays;
      found.push(delay);
      await lab.runtime.elapse(delay);
    }
    return found;
  };
  expect(await delays(7)).toEqual([10, 20, 40, 80, 160, 200, 200]);
  await written.append(payload(1));
  await lab.runtime.elapse(200);
  expect(seqOf(step.value)).toBe(1);
  step = outcomeOf(tail.next());
  await lab.runtime.settle();
  expect(await delays(4)).toEqual([10, 20, 40, 80]);
  expect(step.state).toBe('pending');
});

test.each<SyncPolicy>(['never', 'always'])(
  'idle ones look five times a second, however many they are, %s',
  async (sync) => {
    const { channel } = await pair(sync);
    await lab.idle();
    const steps = Array.from({ length: 20 }, () => outcomeOf(channel.tail({ from: 'end' }).next()));
    await lab.runtime.elapse(2000);
    const { calls } = lab.reads;
    const before = calls.total;
    const manifests = calls.at(`${pathOf('a')}/manifest`);
    await lab.runtime.elapse(10_000);
    expect(steps.every(({ state }) => state === 'pending')).toBe(true);
    // Of the four operations of a look at the channel three are for the manifest.
    expect(calls.at(`${pathOf('a')}/manifest`) - manifests).toBe(3 * 50);
    // Of the journal the control block is read twice, and between that its directory, and where the
    // next group would stand.
    expect(calls.total - before).toBe((4 + 10) * 50);
    expect(lab.runtime.pending.length).toBe(1);
  },
);
