/**
 * Goal: an append that fails leaves nothing: no message, no change of state, no reserved bytes, and
 * what was begun behind it is decided again.
 * Method: writes and syncs of chosen files fail; what is told then and after an open is compared.
 */
import { expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import { StreamStore } from '../../src/streams/stream-store.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { damage, openLab } from '../support/stream-kit.js';

const OPTIONS = { maxTotalBytes: 1000 };

interface Lab {
  readonly disk: CrashFs;
  readonly faults: FaultFs;
  readonly runtime: ManualRuntime;
  readonly redex: Redex;
  readonly streams: StreamStore;
}

async function lab(maxRecordBytes?: number): Promise<Lab> {
  const disk = new CrashFs();
  const faults = new FaultFs(disk);
  const runtime = new ManualRuntime();
  const redex = await Redex.open('/data', { fs: faults, runtime, maxRecordBytes });
  const streams = await StreamStore.open(redex, { ...OPTIONS, runtime });
  return { disk, faults, runtime, redex, streams };
}

const textsOf = (messages: readonly Uint8Array[]): string[] =>
  messages.map((each) => Buffer.from(each).toString());

test('what the channel refuses is given back, and what came behind it is done', async () => {
  const { redex, streams } = await lab(200);
  await streams.createStream('a', {}, { data: 'first' });
  const producer = { id: 'p', epoch: 0, seq: 0 };
  const results = await Promise.allSettled([
    streams.append('a', 'before'),
    streams.append('a', 'x'.repeat(300), { producer, streamSeq: '5', close: true }),
    streams.append('a', 'behind', { streamSeq: '1' }),
    streams.append('a', 'of the producer', { producer }),
    streams.closeStream('a'),
  ]);
  const ends = results.map((each) =>
    each.status === 'fulfilled' ? each.value.duplicate : (each.reason as { code: string }).code,
  );
  expect(ends).toEqual([false, 'LIMIT', false, false, false]);
  const { messages, closed } = await streams.read('a');
  expect(textsOf(messages)).toEqual(['first', 'before', 'behind', 'of the producer']);
  expect(closed).toBe(true);
  expect((await streams.stats()).totalBytes).toBe(5 + 6 + 6 + 15);
  await streams.close();
  await redex.close();
});

test('a journal that cannot be synced ends the store, and nothing is told as done', async () => {
  const { disk, faults, runtime, redex, streams } = await lab();
  await streams.createStream('a', {}, { data: 'first' });
  await streams.createStream('b');
  const producer = { id: 'p', epoch: 0, seq: 0 };
  await streams.append('a', 'kept', { producer });
  const effect = { error: 'EIO' };
  faults.inject({ operation: 'anySync', path: /journal/, nth: 1, times: Infinity, effect });
  const later = { producer: { ...producer, seq: 1 } };
  const results = await Promise.allSettled([
    streams.append('a', 'lost', { ...later, streamSeq: '1' }),
    streams.append('a', 'behind'),
    streams.closeStream('b'),
    streams.createStream('c'),
    streams.deleteStream('b'),
  ]);
  expect(results.every(({ status }) => status === 'rejected')).toBe(true);
  await expect(streams.append('a', 'x')).rejects.toMatchObject({ code: 'POISONED' });
  await streams.close().catch(() => undefined);
  await redex.close().catch(() => undefined);

  const again = await Redex.open('/data', { fs: disk.crash((n) => n - 1), runtime });
  const restored = await StreamStore.open(again, { ...OPTIONS, runtime });
  expect(textsOf((await restored.read('a')).messages)).toEqual(['first', 'kept']);
  expect((await restored.append('a', 'lost', later)).duplicate).toBe(false);
  expect((await restored.head('b')).closed).toBe(false);
  expect(await restored.exists('c')).toBe(false);
  expect((await restored.stats()).totalBytes).toBe(13);
  await restored.close();
  await again.close();
});

test('a read that fails is told, and the next one reads', async () => {
  const { faults, runtime, disk, redex, streams } = await lab();
  await streams.createStream('a', {}, { data: ['x', 'y'] });
  await streams.close();
  await redex.close();
  const again = await Redex.open('/data', { fs: faults, runtime });
  const restored = await StreamStore.open(again, { ...OPTIONS, runtime });
  expect(disk.operations.length).toBeGreaterThan(0);
  const effect = { error: 'EIO' };
  faults.inject({ operation: 'anyRead', path: /streams%2f1/, nth: 1, times: Infinity, effect });
  await expect(restored.read('a')).rejects.toMatchObject({ code: 'IO' });
  faults.clearFaults();
  expect(textsOf((await restored.read('a')).messages)).toEqual(['x', 'y']);
  await restored.close();
  await again.close();
});

test('what is told after a wait is told, however many appends follow each other', async () => {
  const runtime = new ManualRuntime();
  const disk = new CrashFs({ defer: runtime.deferIo });
  const opening = Redex.open('/data', { fs: disk, runtime });
  await runtime.drainIo();
  const redex = await opening;
  const starting = StreamStore.open(redex, { runtime });
  await runtime.drainIo();
  const streams = await starting;
  const producer = { id: 'p', epoch: 0, seq: 0 };
  const creating = streams.createStream('a');
  await runtime.drainIo();
  await creating;
  const ends: string[] = [];
  const tell = (work: Promise<unknown>, what: string): void => {
    work.then(
      () => ends.push(what),
      (error: unknown) => ends.push(`${what}: ${(error as { code: string }).code}`),
    );
  };
  tell(streams.append('a', 'x', { producer }), 'first');
  tell(streams.append('a', 'x', { producer }), 'again');
  tell(streams.append('a', 'x', { producer: { ...producer, seq: 5 } }), 'gap');
  tell(streams.createStream('a'), 'created');
  const appends: Promise<unknown>[] = [];
  for (let i = 0; i < 40; i++) {
    // One more is under way before a sync ends.
    await runtime.settle();
    appends.push(streams.append('a', 'more'));
    await runtime.settle();
    runtime.runIo();
  }
  expect(ends.toSorted()).toEqual(['again', 'created', 'first', 'gap: PRODUCER_GAP']);
  await runtime.drainIo();
  await Promise.all(appends);
  const closing = streams.close();
  await runtime.drainIo();
  await closing;
  const ending = redex.close();
  await runtime.drainIo();
  await ending;
});

test('what is told to be there already is as durable as was asked for', async () => {
  const { disk, runtime, redex, streams } = await lab();
  await streams.createStream('a');
  await streams.createStream('b');
  const producer = { id: 'p', epoch: 0, seq: 0 };
  await streams.append('a', 'x', { producer, durability: 'written' });
  await streams.closeStream('b', { durability: 'written' });
  expect((await streams.append('a', 'x', { producer })).duplicate).toBe(true);
  expect((await streams.closeStream('b')).duplicate).toBe(true);
  const left = disk.crash((n) => n - 1);
  await streams.close();
  await redex.close();

  const again = await Redex.open('/data', { fs: left, runtime });
  const restored = await StreamStore.open(again, { ...OPTIONS, runtime });
  expect(textsOf((await restored.read('a')).messages)).toEqual(['x']);
  expect((await restored.head('b')).closed).toBe(true);
  await restored.close();
  await again.close();
});

test("an expired stream that cannot be read is in nobody's way", async () => {
  const first = await lab();
  const { disk, faults, runtime } = first;
  await first.streams.createStream('unreadable', { ttlSeconds: 5 });
  await first.streams.createStream('expired', { ttlSeconds: 5 });
  await first.streams.createStream('used', { ttlSeconds: 1000 });
  await first.streams.close();
  await first.redex.close();
  await runtime.elapse(10_000);
  const redex = await Redex.open('/data', { fs: faults, runtime });
  const effect = { error: 'EIO' };
  const path = /unreadable.*dat/;
  faults.inject({ operation: 'anyRead', path, nth: 1, times: Infinity, effect });
  const streams = await StreamStore.open(redex, { runtime });
  expect((await streams.listStreams()).map(({ name }) => name)).toEqual(['unreadable', 'used']);
  await expect(streams.cleanupExpiredStreams()).rejects.toMatchObject({ code: 'IO' });
  // A sweep goes on to what else it has to do: the time of this read is written down.
  await streams.read('used');
  const before = disk.operations.length;
  await runtime.elapse(61_000);
  expect(disk.operations.length).toBeGreaterThan(before);
  faults.clearFaults();
  expect(await streams.cleanupExpiredStreams()).toBe(1);
  await streams.close();
  await redex.close();
});

test('bytes of a damaged stream are not counted any more when it is gone', async () => {
  const first = await openLab({ maxTotalBytes: 100 });
  await first.streams.createStream('bad', {}, { data: 'x'.repeat(60) });
  await first.streams.createStream('good', {}, { data: 'x'.repeat(30) });
  await first.close();
  expect(damage(first.fs, 'bad')).toBe(1);
  const second = await openLab({ maxTotalBytes: 100 }, first.fs);
  await second.streams.deleteStream('bad');
  const third = await second.reopen();
  expect((await third.streams.stats()).totalBytes).toBe(30);
  await third.streams.append('good', 'y'.repeat(60));
  await third.close();
});

test('a stream that cannot be read at the open is counted when it can be', async () => {
  const first = await lab();
  await first.streams.createStream('a', {}, { data: 'x'.repeat(600) });
  const { runtime } = first;
  const left = new FaultFs(first.disk.kill());
  const redex = await Redex.open('/data', { fs: left, runtime });
  left.inject({
    operation: 'anyRead',
    path: /%2fa.*dat/,
    nth: 1,
    times: Infinity,
    effect: { error: 'EIO' },
  });
  const streams = await StreamStore.open(redex, { ...OPTIONS, runtime });
  left.clearFaults();
  await expect(streams.append('a', 'x'.repeat(500))).rejects.toMatchObject({ code: 'LIMIT' });
  expect((await streams.stats()).totalBytes).toBe(600);
  await streams.close();
  await redex.close();
});

test('a state that is too large for one record keeps nobody from appending', async () => {
  const first = await lab(400);
  await first.streams.createStream('a');
  const producerOf = (i: number): { id: string; epoch: number; seq: number } => {
    return { id: `producer ${i}`, epoch: 0, seq: 0 };
  };
  for (let i = 0; i < 100; i++) await first.streams.append('a', 'x', { producer: producerOf(i) });
  await expect(first.streams.append('a', 'x'.repeat(500))).rejects.toMatchObject({ code: 'LIMIT' });
  await first.streams.close();
  await first.redex.close();
  const { disk: fs, runtime } = first;
  const redex = await Redex.open('/data', { fs, runtime });
  const streams = await StreamStore.open(redex, { ...OPTIONS, runtime });
  for (let i = 0; i < 100; i++) {
    expect((await streams.append('a', 'x', { producer: producerOf(i) })).duplicate).toBe(true);
  }
  expect((await streams.head('a')).messageCount).toBe(100);
  await streams.close();
  await redex.close();
});

test('times of use are written down, however short records have to be', async () => {
  const first = await lab(128);
  const { disk: fs, runtime } = first;
  const names = Array.from({ length: 40 }, (_, i) => `s${i}`);
  for (const name of names) await first.streams.createStream(name, { ttlSeconds: 100 });
  await runtime.elapse(59_000);
  for (const name of names) await first.streams.read(name);
  await first.streams.close();
  await first.redex.close();
  const redex = await Redex.open('/data', { fs, runtime });
  const streams = await StreamStore.open(redex, { ...OPTIONS, runtime });
  await runtime.elapse(59_000);
  expect(await streams.listStreams()).toHaveLength(40);
  await streams.close();
  await redex.close();
});
