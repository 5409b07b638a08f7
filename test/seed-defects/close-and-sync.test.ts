/**
 * Goal: closing and syncing tell the truth: nothing is acknowledged and lost, a failure stays one,
 * whoever asks (the seed: W9, W10, W11, W12, W24, D1, D3).
 * Method: held input and output in random order around close; failing syncs in the background;
 * power cuts that keep only what is synced.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { SyncArms } from '../../src/channel/options.js';
import { Random, worst } from '../../src/testing/choices.js';
import {
  Lab,
  LARGE,
  outcomeOf,
  payload,
  readAll,
  rejection,
  requireCode,
  thrown,
  type Outcome,
} from '../support/channel-kit.js';

const DAT = /\.dat$/;

interface Race {
  readonly lab: Lab;
  readonly appends: { readonly id: number; readonly outcome: Outcome<number> }[];
}

/** Appends of all kinds before, around and after close, with completions in random order. */
async function raced(seed: number): Promise<Race> {
  const random = new Random(seed);
  const lab = new Lab({ seed, io: 'random' });
  const sync = random.below(2) === 0 ? 'always' : 'never';
  const channel = await lab.open({ sync, segmentBytes: 4096 });
  const appends: Race['appends'] = [];
  const closeAt = random.below(12);
  let closing: Promise<void> | undefined;
  for (let id = 1; id <= 14; id += 1) {
    const size = random.below(6) === 0 ? LARGE : 10 + random.below(2000);
    const durability = random.below(2) === 0 ? 'written' : 'synced';
    appends.push({ id, outcome: outcomeOf(channel.append(payload(id, size), { durability })) });
    if (id > closeAt) closing ??= channel.close();
    if (random.below(3) === 0) await lab.runtime.settle();
    if (random.below(3) === 0) lab.runtime.runIo();
  }
  await lab.done(closing ?? channel.close());
  await lab.drain();
  return { lab, appends };
}

describe('close', () => {
  test('an append that raced close is not acknowledged and lost', async () => {
    const states = new Set<string>();
    for (let seed = 1; seed <= 40; seed += 1) {
      const { lab, appends } = await raced(seed);
      const cut = lab.cut(worst, { io: 'immediate' });
      const found = await readAll(cut, await cut.open());
      for (const { id, outcome } of appends) {
        states.add(outcome.state);
        if (outcome.state === 'rejected') requireCode(outcome.error, 'CLOSED');
        const there = found.find((record) => record.id === id);
        expect(there?.seq, `payload ${id}, seed ${seed}`).toBe(outcome.value);
      }
    }
    expect([...states].toSorted()).toEqual(['rejected', 'resolved']);
  });

  test('a synchronous append that raced close is not acknowledged and lost', async () => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await lab.open({ sync: 'never' });
    const large = outcomeOf(channel.append(payload(1, LARGE)));
    const closing = channel.close();
    thrown(() => channel.appendSync(payload(2)), 'CLOSED');
    await lab.done(closing);
    thrown(() => channel.appendSync(payload(2)), 'CLOSED');
    expect(large.value).toBe(0);
    const cut = lab.cut(worst, { io: 'immediate' });
    expect((await readAll(cut, await cut.open())).map(({ id }) => id)).toEqual([1]);
  });

  const failures = [
    ['the sync', 'anySync', DAT, 'POISONED'],
    ['writing the clean mark', 'anyWrite', /clean$/, 'IO'],
    ['syncing the clean mark', 'anySync', /clean$/, 'IO'],
  ] as const;

  test.each(failures)(
    'close that failed is not reported as done by the second close (%s)',
    async (_what, operation, path, code) => {
      const lab = new Lab();
      const channel = await lab.open({ sync: 'never' });
      await channel.append(payload(1));
      lab.fail(operation, path, 'EIO');
      await rejection(channel.close(), code);
      await rejection(channel.close(), code);
      await rejection(channel[Symbol.asyncDispose](), code);
      await rejection(channel.append(payload(2)), 'CLOSED');
      expect(lab.faults.openPaths).toEqual([]);
      expect(lab.runtime.pending).toEqual([]);
      // The next open does not believe that all was well: it makes sure, then it is.
      const next = lab.kill();
      const again = await next.open();
      expect((await readAll(next, again)).map(({ id }) => id)).toEqual([1]);
      await again.sync();
      const cut = next.cut(worst);
      expect((await readAll(cut, await cut.open())).map(({ id }) => id)).toEqual([1]);
    },
  );

  test('a read that nobody ends does not keep descriptors after close', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    for (let id = 1; id <= 5; id += 1) await channel.append(payload(id));
    const reads = [channel.read(), channel.readBatches(), channel.read({ reverse: true })];
    for (const read of reads) await read.next();
    await channel.close();
    expect(lab.faults.openPaths).toEqual([]);
    expect(lab.runtime.pending).toEqual([]);
  });
});

describe('a sync in the background', () => {
  const policies: [string, SyncArms][] = [
    ['everyN', { everyN: 2 }],
    ['maxBytes', { maxBytes: 100 }],
    ['intervalMs', { intervalMs: 10 }],
  ];

  async function failedInBackground(sync: SyncArms): Promise<{ lab: Lab; channel: Channel }> {
    const lab = new Lab();
    const channel = await lab.open({ sync });
    lab.fail('datasync', DAT, 'EIO');
    // Acknowledged as written, which is all that was asked for.
    expect(await channel.append(payload(1))).toBe(0);
    await channel.append(payload(2, 200)).catch(() => undefined);
    await lab.runtime.elapse(50);
    return { lab, channel };
  }

  test.each(policies)('a failed background sync is not only logged (%s)', async (_arm, sync) => {
    const { lab, channel } = await failedInBackground(sync);
    await rejection(channel.append(payload(3)), 'POISONED');
    await rejection(channel.append(payload(3), { durability: 'written' }), 'POISONED');
    thrown(() => channel.appendSync(payload(3)), 'POISONED');
    await rejection(channel.sync(), 'POISONED');
    await rejection(channel.sync(), 'POISONED');
    expect([channel.durableSeq, channel.nextSeq]).toEqual([0, 0]);
    await rejection(channel.close(), 'POISONED');
    const cut = lab.cut(worst);
    expect(await readAll(cut, await cut.open())).toEqual([]);
  });

  test.each(policies)(
    'bytes appended during a sync are not counted as synced (%s)',
    async (arm) => {
      const lab = new Lab({ io: 'oldest' });
      const sync = { [arm]: 1 };
      const channel = await lab.open({ sync });
      await lab.done(channel.append(payload(1), { durability: 'synced' }));
      await lab.runtime.elapse(5);
      await lab.drain();
      await channel.append(payload(2));
      await lab.runtime.elapse(1);
      expect(lab.runtime.heldIo).toBe(1);
      await channel.append(payload(3));
      // The sync that runs ends: it covers what was there when it began.
      lab.runtime.runIo();
      await lab.runtime.settle();
      expect(channel.durableSeq).toBe(2);
      // And nobody has to append again for the third record to be synced.
      await lab.runtime.elapse(5);
      await lab.drain();
      expect(channel.durableSeq).toBe(3);
      const cut = lab.cut(worst, { io: 'immediate' });
      expect((await readAll(cut, await cut.open())).map(({ id }) => id)).toEqual([1, 2, 3]);
    },
  );
});
