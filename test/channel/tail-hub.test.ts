/**
 * Goal: thousands of tails cost one read of what is appended; memory is bounded; a tail that falls
 * out of the window goes over to the disk and back; who waits or was abandoned holds no
 * descriptor; a source that only grows when somebody looks, and may shrink, works too.
 * Method: counted reads of dat, counted bytes, a small limit of open files, and a second reader on
 * the segments of a channel that is shown as much of them as the test says.
 */
import { describe, expect, test } from 'vitest';
import { ChannelParts } from '../../src/channel/channel-parts.js';
import { RecordReader } from '../../src/channel/record-reader.js';
import { TailFeed } from '../../src/channel/tail-feed.js';
import { TailHub } from '../../src/channel/tail-hub.js';
import { RecordTail } from '../../src/channel/tail-iterator.js';
import { TailWindow, WINDOW_BYTES } from '../../src/channel/tail-window.js';
import { LogRecord } from '../../src/core/record.js';
import { Lab, payload } from '../support/channel-kit.js';
import {
  consumerOf,
  countDatReads,
  openWithParts,
  range,
  readToEnd,
  seqsOf,
  tailOf,
  type Consumer,
} from '../support/tail-kit.js';

const everything = (to: number): { seq: number; id: number }[] =>
  range(0, to).map((seq) => ({ seq, id: seq }));

test('2000 tails: an append is read once, not once for each', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  await lab.done(channel.append(payload(0)));
  const tails = Array.from({ length: 2000 }, () => tailOf(channel, { from: 'end' }));
  for (const tail of tails) tail.ask(120);
  await lab.drain();
  channel.appendSync(payload(1));
  await lab.drain();
  const reads = countDatReads(lab);
  for (let i = 2; i < 12; i += 1) {
    channel.appendSync(payload(i));
    await lab.runtime.settle();
    expect(reads.count).toBe(i - 1);
  }
  channel.appendBatchSync(range(12, 112).map((i) => payload(i)));
  await lab.runtime.settle();
  expect(reads.count).toBeLessThanOrEqual(12);
  for (const tail of tails) expect(tail.found).toEqual(everything(112).slice(1));
  await lab.done(channel.close());
  await lab.drain();
  expect(tails.every(({ done, pending }) => done && pending === 0)).toBe(true);
});

test('tails that wait hold nothing: no timer, no descriptor, no window', async () => {
  const lab = new Lab();
  const { channel, parts } = await openWithParts(lab, { sync: 'never' });
  const tails = [tailOf(channel), tailOf(channel)];
  for (const tail of tails) tail.ask(1000);
  for (let i = 0; i < 20; i += 1) {
    await channel.append(payload(i, 1000));
    await lab.runtime.settle();
  }
  expect(lab.runtime.pending).toEqual([]);
  expect(parts.unsynced.active?.open.users).toBe(0);
  expect(parts.tails.heldBytes).toBe(0);
  for (const tail of tails) expect(tail.found).toEqual(everything(20));
});

test('a slow tail falls out of the window, reads the disk, and comes back', async () => {
  const lab = new Lab({ io: 'oldest' });
  const options = { sync: 'never', segmentBytes: 400_000 } as const;
  const { channel, parts } = await openWithParts(lab, options);
  const fast = tailOf(channel);
  const slow = tailOf(channel);
  fast.ask(10_000);
  slow.ask();
  let id = 0;
  let mostHeld = 0;
  const append = async (size: number): Promise<void> => {
    await lab.done(channel.append(payload(id, size)));
    id += 1;
    await lab.drain();
    mostHeld = Math.max(mostHeld, parts.tails.heldBytes);
  };
  for (let i = 0; i < 20; i += 1) await append(2000);
  const reads = countDatReads(lab);
  slow.ask(10);
  await lab.drain();
  expect([seqsOf(slow).length, reads.count]).toEqual([11, 0]);
  for (let i = 0; i < 400; i += 1) await append(5000);
  expect(mostHeld).toBeGreaterThan(0.9 * WINDOW_BYTES);
  expect(mostHeld).toBeLessThanOrEqual(WINDOW_BYTES);
  slow.ask(5);
  await lab.drain();
  expect(reads.count).toBeGreaterThan(0);
  await readToEnd(lab, slow);
  expect(slow.found).toEqual(everything(id));
  // Both wait at the end again: the next one is read once, and nothing is kept.
  const before = reads.count;
  await append(100);
  expect(reads.count - before).toBe(1);
  expect([fast, slow].map((tail) => tail.found.at(-1))).toEqual([
    { seq: id - 1, id: id - 1 },
    { seq: id - 1, id: id - 1 },
  ]);
  expect(fast.found.length).toBe(id);
  expect(parts.tails.heldBytes).toBe(0);
});

test('chunks of tails that are behind share a budget', async () => {
  const lab = new Lab({ io: 'oldest' });
  const { channel, parts } = await openWithParts(lab, { sync: 'never' });
  for (let i = 0; i < 300; i += 1) await lab.done(channel.append(payload(i, 4000)));
  const few = range(0, 4).map(() => tailOf(channel));
  for (const tail of few) tail.ask();
  await lab.drain();
  expect(parts.tails.chunkBytes()).toBe(512 * 1024);
  const many = range(0, 996).map(() => tailOf(channel));
  for (const tail of many) tail.ask();
  await lab.drain();
  expect(parts.tails.chunkBytes()).toBe(16 * 1024);
  for (const tail of [...few, ...many]) void tail.iterator.return?.();
  expect(parts.tails.chunkBytes()).toBe(512 * 1024);
});

test('abandoned iterators hold no descriptor', async () => {
  const lab = new Lab({ io: 'oldest' });
  // The smallest limit: five segments, or the active one and four.
  const channel = await lab.open({ sync: 'never', segmentBytes: 4096, maxOpenFiles: 16 });
  for (let i = 0; i < 60; i += 1) await lab.done(channel.append(payload(i, 900)));
  await lab.done(channel.sync());
  await lab.drain();
  const openDats = (): number =>
    lab.faults.openPaths.filter((path) => path.endsWith('.dat')).length;
  const iterators = range(0, 14).flatMap((i) => [
    channel.read({ from: 4 * i }),
    channel.tail({ from: 4 * i }),
  ]);
  for (const iterator of iterators) {
    expect((await lab.done(iterator.next())).done).toBe(false);
    await lab.drain();
  }
  // The active segment has one for writing and one for syncing.
  expect(openDats()).toBeLessThanOrEqual(6);
  // They go on, although what they were reading was closed meanwhile.
  for (const [i, iterator] of iterators.entries()) {
    const seqs: number[] = [];
    for (let seq = 4 * Math.floor(i / 2) + 1; seq < 60; seq += 1) {
      const result = await lab.done(iterator.next());
      if (result.done !== true) seqs.push(result.value.seq);
    }
    expect(seqs).toEqual(range(4 * Math.floor(i / 2) + 1, 60));
  }
});

describe('a source that grows when somebody looks', () => {
  interface Follower {
    readonly lab: Lab;
    readonly hub: TailHub;
    readonly calls: string[];
    readonly show: (seq: number) => Promise<void>;
    readonly tail: (from: number | 'start' | 'end') => Consumer;
  }

  async function follow(count: number): Promise<Follower> {
    const lab = new Lab();
    const { channel, parts } = await openWithParts(lab, { sync: 'never', segmentBytes: 4096 });
    for (let i = 0; i < count; i += 1) await channel.append(payload(i, 300));
    const calls: string[] = [];
    const source = {
      firstSeq: 0,
      visibleSeq: 0,
      onWaiting: () => void calls.push('waiting'),
      onIdle: () => void calls.push('idle'),
    };
    const { context, chain, health } = parts;
    const reader = new RecordReader(context, chain, health, source);
    const hub = new TailHub(reader, source, lab.runtime);
    return {
      lab,
      hub,
      calls,
      show: async (seq) => {
        source.visibleSeq = seq;
        hub.onProgress();
        await lab.runtime.settle();
      },
      tail: (from) => consumerOf(new RecordTail(new TailFeed(hub, { from }))),
    };
  }

  test('it is told when tails begin to wait, and when none does any more', async () => {
    const { lab, calls, show, tail } = await follow(10);
    const first = tail('start');
    expect(calls).toEqual([]);
    first.ask();
    const second = tail(3);
    second.ask();
    await lab.runtime.settle();
    expect(calls).toEqual(['waiting']);
    await show(1);
    expect([seqsOf(first), calls]).toEqual([[0], ['waiting']]);
    void second.iterator.return?.();
    expect(calls).toEqual(['waiting', 'idle']);
    first.ask(3);
    await lab.runtime.settle();
    expect(calls).toEqual(['waiting', 'idle', 'waiting']);
    await show(10);
    expect([seqsOf(first), calls.at(-1)]).toEqual([[0, 1, 2, 3], 'idle']);
  });

  test('a tail waits while less is visible than it has seen, and goes on above that', async () => {
    const { lab, hub, show, tail } = await follow(40);
    const tails = [tail('start'), tail(8), tail('start')];
    const [first, second, slow] = tails as [Consumer, Consumer, Consumer];
    first.ask(100);
    second.ask(100);
    slow.ask(2);
    await show(12);
    expect(tails.map(seqsOf)).toEqual([range(0, 12), range(8, 12), range(0, 2)]);
    hub.reset();
    await show(5);
    const late = tail('end');
    late.ask(100);
    await lab.runtime.settle();
    await show(9);
    expect(tails.map(({ found }) => found.length)).toEqual([12, 4, 2]);
    expect(seqsOf(late)).toEqual(range(5, 9));
    await show(20);
    hub.reset();
    await show(33);
    slow.ask(100);
    await lab.runtime.settle();
    expect([first, second, late].map(seqsOf)).toEqual([range(0, 33), range(8, 33), range(5, 33)]);
    await readToEnd(lab, slow);
    expect(seqsOf(slow)).toEqual(range(0, 33));
  });

  test('a reset while the hub reads discards what it reads', async () => {
    const { lab, hub, show, tail } = await follow(40);
    const waiting = tail('start');
    waiting.ask(100);
    await show(3);
    void show(20);
    // Some turns into the read.
    for (let turn = 0; turn < 4; turn += 1) {
      await Promise.resolve();
      hub.reset();
    }
    await lab.runtime.settle();
    expect(waiting.found).toEqual(everything(20));
  });
});

describe('the window', () => {
  /** A batch of records of `size` bytes in one allocation. */
  const batch = (from: number, seqs: readonly number[], to: number, size = 10) => {
    const { buffer } = new Uint8Array(size * seqs.length);
    const records = seqs.map((seq, i) => new LogRecord(seq, 0, buffer, i * size, size, 0, 0));
    return { from, to, records };
  };
  const seqs = (
    window: TailWindow,
    next: number,
    end = Infinity,
  ): [number[], number] | undefined => {
    const taken = window.take(next, end);
    return taken && [taken.records.map(({ seq }) => seq), taken.to];
  };

  test('finds what goes on at a seq, also in a gap and below an end', () => {
    const window = new TailWindow();
    window.push(batch(10, [10, 11, 12], 13));
    window.push(batch(13, [], 20));
    window.push(batch(20, [25, 26], 27));
    expect(seqs(window, 9)).toBeUndefined();
    expect(seqs(window, 27)).toBeUndefined();
    expect(seqs(window, 10)).toEqual([[10, 11, 12, 25, 26], 27]);
    expect(seqs(window, 12)).toEqual([[12, 25, 26], 27]);
    expect(seqs(window, 15)).toEqual([[25, 26], 27]);
    expect(seqs(window, 21, 26)).toEqual([[25], 26]);
    expect(seqs(window, 11, 12)).toEqual([[11], 12]);
    expect(seqs(window, 12, 12)).toBeUndefined();
    window.push(batch(40, [40], 41));
    expect(seqs(window, 10)).toBeUndefined();
    expect(seqs(window, 40)).toEqual([[40], 41]);
  });

  test.each([
    [1, 1],
    [3, 0],
    [1, 5000],
    [40, 100],
    [700, 90],
    [1, 300_000],
    [1, 2_000_000],
  ])('is bounded by what it costs: batches of %i records of %i bytes', (count, size) => {
    const window = new TailWindow();
    let from = 0;
    let most = 0;
    for (let i = 0; i < 12_000 && from * (size + 50) < 4 * WINDOW_BYTES; i += 1) {
      window.push(batch(from, range(from, from + count), from + count, size));
      from += count;
      // All of it now and then, otherwise what is newest.
      const held: LogRecord[] = [];
      const wanted = i % 1000 === 0 ? Infinity : 20;
      for (let seq = from - 1; seq >= 0 && held.length < wanted; seq -= count) {
        const found = window.take(seq, seq + 1);
        if (found === undefined) break;
        held.push(...found.records);
      }
      const allocations = new Set(held.map(({ payload: bytes }) => bytes.buffer));
      const bytes = [...allocations].reduce((sum, { byteLength }) => sum + byteLength, 0);
      expect(bytes).toBeLessThanOrEqual(window.heldBytes);
      most = Math.max(most, window.heldBytes);
    }
    expect(most).toBeLessThanOrEqual(WINDOW_BYTES);
    if (size < WINDOW_BYTES) expect(most).toBeGreaterThan(0.5 * WINDOW_BYTES);
    window.clear();
    expect([window.heldBytes, window.take(from - 1, from)]).toEqual([0, undefined]);
  });

  test('counts an allocation that several batches share once', () => {
    const window = new TailWindow();
    const { buffer } = new Uint8Array(100_000);
    for (let i = 0; i < 100; i += 1) {
      const records = [new LogRecord(i, 0, buffer, i, 1, 0, 0)];
      window.push({ from: i, to: i + 1, records });
    }
    expect(window.heldBytes).toBeGreaterThan(100_000);
    expect(window.heldBytes).toBeLessThan(140_000);
  });
});

test('a channel without tails has no hub', async () => {
  const lab = new Lab();
  const { channel, parts } = await openWithParts(lab);
  expect(parts).toBeInstanceOf(ChannelParts);
  await channel.append(payload(0));
  const { deferred } = lab.runtime;
  await channel.append(payload(1));
  const each = lab.runtime.deferred - deferred;
  const tail = tailOf(channel);
  tail.ask(2);
  await lab.runtime.settle();
  const before = lab.runtime.deferred;
  // It does not wait: nobody is woken.
  await channel.append(payload(2));
  expect(lab.runtime.deferred - before).toBe(each);
});
