/**
 * Goal: `trim` is exact, durable when it resolves, and never pushes out what is durable for what is
 * not (RULES G1).
 * Method: a channel whose records carry their seqs, in segments of three, on a machine that is cut
 * and killed.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { ReadOptions } from '../../src/channel/read-options.js';
import type { SyncPolicy } from '../../src/channel/options.js';
import { benign, choicesFromSeed, worst } from '../../src/testing/choices.js';
import { Lab, outcomeOf, payload, rejection, requireCode } from '../support/channel-kit.js';
import { ReadOnlyLab } from '../support/read-only-lab.js';
import {
  SEGMENT_MS,
  all,
  basesOf,
  finished,
  grown,
  nextOf,
  range,
  seqsOf,
} from '../support/trim-kit.js';

const POLICIES: readonly SyncPolicy[] = [
  'always',
  'never',
  { everyN: 4 },
  { maxBytes: 300 },
  { intervalMs: 50 },
];

/** Everything a reader can ask for says that the channel is [firstSeq, nextSeq). */
async function expectExact(
  lab: Lab,
  channel: Channel,
  firstSeq: number,
  nextSeq: number,
): Promise<void> {
  const kept = range(firstSeq, nextSeq);
  const read = async (options: ReadOptions = {}): Promise<number[]> =>
    seqsOf(await all(channel.read({ copy: true, ...options })));
  await finished(
    lab,
    (async () => {
      expect([channel.firstSeq, channel.nextSeq, channel.count]).toEqual([
        firstSeq,
        nextSeq,
        kept.length,
      ]);
      expect(await channel.stats()).toMatchObject({ firstSeq, nextSeq, count: kept.length });
      for (const seq of [0, firstSeq - 1].filter((each) => each >= 0 && each < firstSeq)) {
        const error = { code: 'OUT_OF_RANGE', seq, firstSeq, nextSeq };
        await expect(channel.get(seq)).rejects.toMatchObject(error);
        await expect(channel.readBatch({ from: seq })).rejects.toMatchObject(error);
        await expect(channel.read({ from: seq }).next()).rejects.toMatchObject(error);
        await expect(channel.read({ from: seq, reverse: true }).next()).rejects.toMatchObject(
          error,
        );
        await expect(channel.tail({ from: seq }).next()).rejects.toMatchObject(error);
      }
      for (const seq of kept) expect((await channel.get(seq))?.seq).toBe(seq);
      expect(seqsOf(await channel.readBatch())).toEqual(kept);
      expect(await read()).toEqual(kept);
      expect(await read({ from: 'start' })).toEqual(kept);
      expect(await read({ reverse: true })).toEqual(kept.toReversed());
      expect(await read({ fromTime: 0 })).toEqual(kept);
      expect(seqsOf(await channel.last(1000))).toEqual(kept);
      expect(await channel.seqAt(0)).toBe(firstSeq);
      const tail = channel.tail();
      for (const seq of kept) expect((await nextOf(tail))?.seq).toBe(seq);
      await tail.return?.();
    })(),
  );
}

test.each(range(0, 13))('trim({ beforeSeq: %i }) of twelve records is exact', async (beforeSeq) => {
  const lab = new Lab();
  const channel = await grown(lab, 4);
  const left = channel.sizeBytes - channel.trimmableBytes(beforeSeq);
  await lab.done(channel.trim({ beforeSeq }));
  expect([channel.sizeBytes, channel.trimmableBytes(beforeSeq)]).toEqual([left, 0]);
  await expectExact(lab, channel, beforeSeq, 12);
  await lab.drain();
  const kept = [0, 3, 6, 9].filter((base) => base + 3 > beforeSeq || base === 9);
  expect(basesOf(lab.disk)).toEqual(kept);
  for (const kind of ['idx', 'ts'] as const) {
    expect(basesOf(lab.disk, kind).every((base) => kept.includes(base))).toBe(true);
  }
  // Seqs go on, here, in the next process and in the one after a power cut.
  expect(await lab.done(channel.append(payload(12, 20)))).toBe(12);
  await expectExact(lab, channel, beforeSeq, 13);
  for (const next of [lab.kill(), lab.cut(worst), lab.cut(benign)]) {
    const again = await next.open();
    await expectExact(next, again, beforeSeq, 13);
    expect(await next.done(again.append(payload(13, 20)))).toBe(13);
  }
  await lab.done(channel.close());
  const next = lab.cut(worst);
  await expectExact(next, await next.open(), beforeSeq, 13);
});

test('a channel with gaps counts what is kept', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  for (const seq of [0, 1, 5, 6, 20]) {
    await lab.done(channel.append(payload(seq, 20), { seq }));
  }
  for (const [beforeSeq, count] of [
    [1, 4],
    [3, 3],
    [6, 2],
    [7, 1],
    [21, 0],
  ] as const) {
    await lab.done(channel.trim({ beforeSeq }));
    expect([channel.firstSeq, channel.count]).toEqual([beforeSeq, count]);
    expect(seqsOf(await lab.done(channel.readBatch())).length).toBe(count);
  }
});

test('what cannot be meant is refused', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 2);
  await expect(channel.trim({ beforeSeq: 7 })).rejects.toThrow(RangeError);
  await expect(channel.trim({ beforeSeq: -1 })).rejects.toThrow(RangeError);
  await expect(channel.trim({ beforeSeq: 1.5 })).rejects.toThrow(RangeError);
  for (const beforeSeq of [NaN, Infinity, -Infinity, 2 ** 53, 2 ** 53 - 1, -0.5]) {
    await expect(channel.trim({ beforeSeq })).rejects.toThrow(RangeError);
  }
  for (const beforeSeq of [null, 5n, {}, [5], true]) {
    const options = { beforeSeq } as unknown as { beforeSeq: number };
    await expect(channel.trim(options)).rejects.toThrow(TypeError);
  }
  await expect(channel.trim({ beforeSeq: '1' as unknown as number })).rejects.toThrow(TypeError);
  await expect(channel.trim({} as { beforeSeq: number })).rejects.toThrow(TypeError);
  await expect(channel.trim(undefined as never)).rejects.toThrow(TypeError);
  await expectExact(lab, channel, 0, 6);
});

test('a trim to where it is already, or lower, changes nothing', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 3);
  await lab.done(channel.trim({ beforeSeq: 5 }));
  await lab.drain();
  lab.disk.mutations.reset();
  for (const beforeSeq of [5, 4, 0]) await lab.done(channel.trim({ beforeSeq }));
  await lab.drain();
  expect(lab.disk.mutations.total).toBe(0);
  await expectExact(lab, channel, 5, 9);
});

test.each(POLICIES)('G1: under %j no cut finds firstSeq above what is durable', async (sync) => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const lab = new Lab({ seed, io: 'random' });
    const channel = await lab.open({ sync, segmentMs: SEGMENT_MS });
    lab.runtime.advance(SEGMENT_MS);
    await lab.done(channel.appendBatch(range(0, 4).map((seq) => payload(seq, 20))));
    lab.runtime.advance(SEGMENT_MS);
    const late = channel.appendBatch(range(4, 6).map((seq) => payload(seq, 20)));
    const trim = outcomeOf(channel.trim({ beforeSeq: 5 }));
    // Any number of completions before the power goes.
    for (let i = 0; i < seed % 12; i += 1) {
      await lab.runtime.settle();
      lab.runtime.runIo();
    }
    await lab.runtime.settle();
    const next = lab.cut(seed % 2 === 0 ? worst : choicesFromSeed(seed));
    const again = await next.open();
    expect([0, 5]).toContain(again.firstSeq);
    if (trim.state === 'resolved') expect(again.firstSeq).toBe(5);
    if (again.firstSeq === 5) expect(again.nextSeq).toBeGreaterThanOrEqual(5);
    if (again.firstSeq === 5) expect((await again.stats()).damage).toBeUndefined();
    await lab.done(late);
  }
});

test('G1: records that are only written are synced before others go', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 2, { sync: 'never' });
  expect(channel.durableSeq).toBeLessThan(6);
  await lab.done(channel.trim({ beforeSeq: 6 }));
  expect([channel.firstSeq, channel.durableSeq]).toEqual([6, 6]);
  const next = lab.cut(worst);
  const again = await next.open();
  expect([again.firstSeq, again.nextSeq, again.recoveryEpoch]).toEqual([6, 6, 0]);
});

test('trims, appends, rolls, retention, configure and syncs at a time', async () => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const lab = new Lab({ seed, io: 'random' });
    const channel = await grown(lab, 3);
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 12; i += 1) {
      lab.runtime.advance(SEGMENT_MS);
      const seq = 9 + i;
      calls.push(
        channel.append(payload(seq, 20)),
        channel.trim({ beforeSeq: (i * seed) % (9 + i) }),
      );
      if (i % 3 === 0) calls.push(channel.applyRetention(), channel.sync());
      if (i === 5) calls.push(channel.configure({ retention: { maxRecords: 15 } }));
      if (i % 2 === 0) lab.runtime.runIo();
      await Promise.resolve();
    }
    await lab.done(Promise.all(calls));
    await lab.drain();
    const highest = Math.max(...range(0, 12).map((i) => (i * seed) % (9 + i)));
    expect(channel.firstSeq).toBeGreaterThanOrEqual(highest);
    await expectExact(lab, channel, channel.firstSeq, 21);
    const next = lab.cut(worst);
    await expectExact(next, await next.open(), channel.firstSeq, 21);
    expect(lab.watch.violations).toEqual([]);
  }
});

test('after a close that a trim ran into nothing is changed any more', async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const lab = new Lab({ seed, io: 'random' });
    const channel = await grown(lab, 4, { sync: seed % 2 === 0 ? 'always' : 'never' });
    const trims = [5, 8].map((beforeSeq) => outcomeOf(channel.trim({ beforeSeq })));
    for (let i = 0; i < seed % 9; i += 1) {
      await lab.runtime.settle();
      lab.runtime.runIo();
    }
    await lab.done(channel.close());
    lab.disk.mutations.reset();
    await lab.drain();
    expect(lab.disk.mutations.total, `seed ${seed}`).toBe(0);
    const next = lab.cut(worst);
    const again = await next.open();
    for (const [i, { state, error }] of trims.entries()) {
      expect(state, `seed ${seed}`).not.toBe('pending');
      if (state === 'rejected') requireCode(error, 'CLOSED');
      else expect(again.firstSeq).toBeGreaterThanOrEqual([5, 8][i] ?? 0);
    }
    await next.drain();
    await expectExact(next, again, again.firstSeq, 12);
  }
});

test('a channel that takes no work refuses a trim', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 2);
  lab.fail('datasync', /\.dat$/, 'EIO');
  await rejection(channel.append(payload(6)), 'POISONED');
  await rejection(channel.trim({ beforeSeq: 1 }), 'POISONED');
  await rejection(channel.close(), 'POISONED');
  await rejection(channel.trim({ beforeSeq: 1 }), 'CLOSED');
  await rejection(channel.applyRetention(), 'CLOSED');
  const next = lab.kill();
  expect((await next.open()).firstSeq).toBe(0);
});

test('beside a writer nothing can be trimmed, and its trims are seen', async () => {
  const lab = new ReadOnlyLab();
  await using writer = await lab.write();
  const written = await writer.channel('c');
  await written.appendBatch(range(0, 9).map((seq) => payload(seq, 20)));
  await using reader = await lab.look();
  const channel = await reader.channel('c');
  await rejection(channel.trim({ beforeSeq: 1 }), 'READ_ONLY');
  await rejection(channel.applyRetention(), 'READ_ONLY');
  const steps = channel.read({ from: 'start' });
  expect((await nextOf(steps))?.seq).toBe(0);
  await written.trim({ beforeSeq: 4 });
  expect(await channel.stats()).toMatchObject({ firstSeq: 4, count: 5 });
  expect(await rejection(channel.get(3), 'OUT_OF_RANGE')).toMatchObject({ firstSeq: 4 });
  expect(seqsOf(await channel.readBatch())).toEqual(range(4, 9));
  expect(seqsOf(await channel.last(100))).toEqual(range(4, 9));
  expect(await channel.seqAt(0)).toBe(4);
  lab.expectOnlyReads();
});

test('a search by time finds a record, also where a trim ends in a gap', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  const start = lab.runtime.now();
  for (const seq of range(0, 9)) {
    await channel.append(payload(seq, 20));
    lab.runtime.advance(1);
  }
  await channel.compact({ keep: ({ seq }) => seq % 4 === 3 });
  await channel.append(payload(9));
  const at = (seq: number): Promise<number> => channel.seqAt(start + seq);
  await channel.trim({ beforeSeq: 5 });
  expect(seqsOf(await channel.readBatch())).toEqual([7, 9]);
  expect(await Promise.all(range(0, 11).map(at))).toEqual([7, 7, 7, 7, 7, 7, 7, 7, 9, 9, 10]);
  // Behind the last record of its segment, and behind all.
  await channel.trim({ beforeSeq: 8 });
  expect(await at(0)).toBe(9);
  await channel.trim({ beforeSeq: 10 });
  expect(await at(0)).toBe(10);
});

test('an IO error before the rename leaves everything as it was; later it goes', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 3);
  for (const [operation, path] of [
    ['createSync', /manifest\.tmp/],
    ['datasync', /manifest\.tmp/],
    ['renameSync', /manifest/],
  ] as const) {
    lab.fail(operation, path, 'ENOSPC');
    const error = await rejection(lab.done(channel.trim({ beforeSeq: 4 })), 'IO');
    expect(error).toMatchObject({ outcome: 'absent', systemCode: 'ENOSPC' });
    await expectExact(lab, channel, 0, 9);
  }
  await lab.done(channel.trim({ beforeSeq: 4 }));
  await expectExact(lab, channel, 4, 9);
});

test('G5: when nobody can say which manifest is on the disk nothing is deleted', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 3);
  lab.fail('syncDirectory', /^\/log$/, 'EIO');
  await rejection(lab.done(channel.trim({ beforeSeq: 7 })), 'POISONED');
  await lab.drain();
  expect(basesOf(lab.disk)).toEqual([0, 3, 6]);
  for (const choose of [worst, benign]) {
    const next = lab.cut(choose);
    const again = await next.open();
    expect([0, 7]).toContain(again.firstSeq);
    await expectExact(next, again, again.firstSeq, 9);
  }
});

test('S4: a trim that a process before had begun is durable when asked for again', async () => {
  for (const sync of ['never', 'always'] as const) {
    const lab = new Lab({ io: 'oldest' });
    const channel = await grown(lab, 2, { sync });
    await lab.done(channel.sync());
    const trim = outcomeOf(channel.trim({ beforeSeq: 2 }));
    for (;;) {
      await lab.runtime.settle();
      const { operation, path } = lab.disk.operations.at(-1) ?? {};
      if (operation === 'syncDirectory' && path === '/log') break;
      expect(lab.runtime.runIo()).toBe(true);
    }
    expect(trim.state).toBe('pending');
    const next = lab.kill();
    const again = await next.open();
    expect(again.firstSeq).toBe(2);
    await next.done(again.trim({ beforeSeq: 2 }));
    const last = next.cut(worst);
    expect((await last.open()).firstSeq).toBe(2);
  }
});

test('a segment whose bytes are inherited stays until they are synced', async () => {
  const lab = new Lab();
  await grown(lab, 2, { sync: 'never' });
  const next = lab.kill();
  const channel = await next.open();
  await next.done(channel.trim({ beforeSeq: 6 }));
  await next.done(channel.sync());
  await next.drain();
  await expectExact(next, channel, 6, 6);
  expect(await next.done(channel.append(payload(6, 20), { durability: 'synced' }))).toBe(6);
  expect(basesOf(next.disk)).toEqual([3]);
});

test('a close in the middle leaves the rest to the next open', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await grown(lab, 8);
  await lab.done(channel.trim({ beforeSeq: 24 }));
  await lab.done(channel.close());
  const left = basesOf(lab.disk);
  expect(left.length).toBeGreaterThan(1);
  await lab.drain();
  expect(basesOf(lab.disk)).toEqual(left);
  const next = lab.kill();
  const again = await next.open();
  await next.drain();
  expect(basesOf(next.disk)).toEqual([21]);
  await expectExact(next, again, 24, 24);
});
