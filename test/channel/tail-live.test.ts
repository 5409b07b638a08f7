/**
 * Goal: a tail begins where it was told to, shows what reads show and when they show it, and goes
 * over from history to what is appended while it waits.
 * Method: named histories, with syncs and writes that are held.
 */
import { expect, test } from 'vitest';
import type { LogRecord } from '../../src/core/record.js';
import type { TailOptions } from '../../src/channel/tail-options.js';
import { Lab, LARGE, outcomeOf, payload, payloadId } from '../support/channel-kit.js';
import { range, readToEnd, seqsOf, tailOf } from '../support/tail-kit.js';

test('history goes over into live', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  for (let i = 0; i < 5; i += 1) await channel.append(payload(i));
  const tail = tailOf(channel);
  await readToEnd(lab, tail);
  expect(seqsOf(tail)).toEqual(range(0, 5));
  for (let i = 5; i < 9; i += 1) {
    await channel.append(payload(i));
    await lab.runtime.settle();
    expect(tail.found.at(-1)).toEqual({ seq: i, id: i });
  }
});

test('a live record arrives without a timer and without the thread pool', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  await channel.append(payload(0));
  const tail = tailOf(channel, { from: 'end' });
  tail.ask(100);
  await lab.drain();
  channel.appendSync(payload(1));
  // The hub's first read finds its place; from then on nothing at all is held.
  await lab.drain();
  for (let i = 2; i < 20; i += 1) {
    channel.appendSync(payload(i));
    await lab.runtime.settle();
    expect(tail.found.at(-1)).toEqual({ seq: i, id: i });
    expect(lab.runtime.heldIo).toBe(0);
  }
  const { deferred } = lab.runtime;
  for (let i = 20; i < 30; i += 1) channel.appendSync(payload(i));
  await lab.runtime.settle();
  expect(seqsOf(tail)).toEqual(range(1, 30));
  expect(lab.runtime.deferred - deferred).toBe(1);
  void tail.iterator.return?.();
});

test("from 'end' is the end at the call, whenever the first step comes", async () => {
  const lab = new Lab();
  const channel = await lab.open();
  for (let i = 0; i < 3; i += 1) await channel.append(payload(i));
  const tail = tailOf(channel, { from: 'end' });
  for (let i = 3; i < 6; i += 1) await channel.append(payload(i));
  await readToEnd(lab, tail);
  expect(seqsOf(tail)).toEqual([3, 4, 5]);
});

test('a seq above the end is waited for', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  const tail = tailOf(channel, { from: 4 });
  const other = tailOf(channel, { from: 2 });
  tail.ask(10);
  other.ask(10);
  for (let i = 0; i < 6; i += 1) {
    await channel.append(payload(i));
    await lab.runtime.settle();
    expect([seqsOf(tail), seqsOf(other)]).toEqual([range(4, i + 1), range(2, i + 1)]);
  }
});

test('an empty channel is waited for, also one whose first seq is not 0', async () => {
  for (const firstSeq of [0, 1000]) {
    const lab = new Lab();
    const channel = await lab.open({ firstSeq });
    const tails = (['start', 'end', firstSeq] as const).map((from) => tailOf(channel, { from }));
    for (const tail of tails) tail.ask(3);
    await lab.runtime.settle();
    await channel.appendBatch([payload(1), payload(2)]);
    await lab.runtime.settle();
    for (const tail of tails) expect(seqsOf(tail)).toEqual([firstSeq, firstSeq + 1]);
  }
});

test('seqs that were skipped leave a gap and nothing else', async () => {
  const lab = new Lab();
  const channel = await lab.open({ segmentBytes: 4096 });
  const tails = [0, 2, 3, 7, 9, 12].map((from) => ({ from, tail: tailOf(channel, { from }) }));
  for (const { tail } of tails) tail.ask(50);
  const seqs = [0, 1, 5, 8, 9, 30, 31, 3_000_000_000, 6_000_000_000];
  for (const seq of seqs) {
    await channel.appendBatch([{ payload: payload(seq % 1000, 700), seq }]);
    await lab.runtime.settle();
  }
  for (const { from, tail } of tails) {
    expect(seqsOf(tail)).toEqual(seqs.filter((seq) => seq >= from));
    const again = tailOf(channel, { from });
    await readToEnd(lab, again);
    expect(seqsOf(again)).toEqual(seqsOf(tail));
  }
});

test('a tail shows a synced append after its sync, and hides what follows until then', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  await lab.done(channel.append(payload(0)));
  const tails = [tailOf(channel), tailOf(channel, { from: 'end' })];
  for (const tail of tails) tail.ask(100);
  await lab.drain();
  const asked = ['written', 'written', 'synced', 'written', 'synced', 'written'] as const;
  for (const [i, durability] of asked.entries()) {
    outcomeOf(channel.append(payload(1 + i), { durability }));
  }
  // One frame holds records that are visible and others that are not: the reads, not the sync.
  for (;;) {
    await lab.runtime.settle();
    if (tails.every((tail) => tail.found.length > 0 && tail.found.at(-1)?.seq === 2)) break;
    expect(channel.nextSeq).toBe(3);
    expect(lab.runtime.runIo(lab.runtime.heldIo - 1)).toBe(true);
  }
  await lab.drain();
  expect(tails.map(seqsOf)).toEqual([range(0, 7), range(1, 7)]);
});

test('large records arrive whole, and small ones around them', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  const tails = [0, 1].map(() => tailOf(channel));
  for (const tail of tails) tail.ask(100);
  const sizes = [10, LARGE, 20, 300_000, 3_000_000, 30, 70_000];
  for (const [i, size] of sizes.entries()) {
    outcomeOf(channel.append(payload(i, size)));
    if (i % 2 === 0) await lab.drain();
  }
  await lab.drain();
  const all = sizes.map((_, i) => ({ seq: i, id: i }));
  for (const tail of tails) expect(tail.found).toEqual(all);
});

test('fromTime: the first record at or after it, in history or to come', async () => {
  const lab = new Lab();
  const channel = await lab.open({ segmentBytes: 4096 });
  const start = lab.runtime.now();
  const append = (at: number): Promise<number> =>
    channel.append(payload(at, 500), { timestamp: start + at });
  for (let i = 0; i < 20; i += 1) await append(10 * i);
  const cases: [number, TailOptions][] = [
    [0, { fromTime: start - 5 }],
    [7, { fromTime: start + 70 }],
    [7, { fromTime: new Date(start + 61) }],
    [12, { fromTime: start + 70, from: 12 }],
    [20, { fromTime: start + 70, from: 'end' }],
    [20, { fromTime: start + 191 }],
    [22, { fromTime: BigInt(start + 215) * 1_000_000n }],
    [24, { fromTime: start + 215, from: 24 }],
  ];
  const tails = cases.map(([from, options]) => ({ from, tail: tailOf(channel, options) }));
  for (const { tail } of tails) tail.ask(100);
  await lab.runtime.settle();
  for (let i = 20; i < 26; i += 1) {
    await append(10 * i);
    await lab.runtime.settle();
  }
  for (const { from, tail } of tails) expect(seqsOf(tail)).toEqual(range(from, 26));
});

test('copy: the bytes are the own of each tail', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(0));
  const tails = [0, 1].map(() => channel.tail({ copy: true }));
  for (let i = 0; i < 8; i += 1) {
    const steps = tails.map((tail) => tail.next());
    // Whoever waits gets it from the same read.
    await channel.appendBatch([payload(2 * i + 1, 300), payload(2 * i + 2, 300)]);
    const records: LogRecord[] = [];
    for (const step of steps) {
      const result = await step;
      if (result.done !== true) records.push(result.value);
    }
    expect(records.map(({ payload: bytes }) => payloadId(bytes))).toEqual([i, i]);
    records[0]?.payload.fill(0xee);
    expect(records.map(({ payload: bytes }) => payloadId(bytes))).toEqual([undefined, i]);
  }
  const reader = tailOf(channel);
  await readToEnd(lab, reader);
  expect(reader.found).toEqual(range(0, 17).map((seq) => ({ seq, id: seq })));
});

test('tailBatches: the same in arrays, which are the own of each tail', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.appendBatch(range(0, 100).map((i) => payload(i)));
  const tails = [0, 1, 2].map(() => channel.tailBatches({ from: 90 }));
  const found: number[][] = [[], [], []];
  for (let round = 0; round < 5; round += 1) {
    const steps = tails.map((tail) => tail.next());
    if (round > 0) await channel.appendBatch([payload(1), payload(2), payload(3)]);
    for (const [i, step] of steps.entries()) {
      const result = await step;
      if (result.done === true) throw new Error('the tail has ended');
      found[i]?.push(...result.value.map(({ seq }) => seq));
      result.value.length = 0;
    }
  }
  for (const seqs of found) expect(seqs).toEqual(range(90, 112));
});

test('what cannot be meant is refused at the call', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  for (const options of [
    { from: -1 },
    { from: 1.5 },
    { from: 'middle' },
    { fromTime: Number.NaN },
    { signal: {} },
    { reverse: true },
  ]) {
    expect(() => channel.tail(options as TailOptions)).toThrow(/must|unknown|time/i);
    expect(() => channel.tailBatches(options as TailOptions)).toThrow(/must|unknown|time/i);
  }
});
