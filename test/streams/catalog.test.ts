/** Goal: the list of streams stays as large as what it lists, and says no more than is true. */
import { expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import { StreamStore } from '../../src/streams/stream-store.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { openLab } from '../support/stream-kit.js';

test('what was said of streams that are gone goes, and nothing else', async () => {
  const lab = await openLab();
  await lab.streams.createStream('source', {}, { data: 'x' });
  await lab.streams.createFork('fork', 'source');
  await lab.streams.deleteStream('source');
  await lab.streams.createStream('used', { ttlSeconds: 100_000 }, { data: 'y' });
  for (let round = 0; round < 12; round++) {
    const names = Array.from({ length: 60 }, (_, i) => `s${i}`);
    await Promise.all(names.map((name) => lab.streams.createStream(name, { ttlSeconds: 100_000 })));
    await Promise.all(names.map((name) => lab.streams.deleteStream(name)));
  }
  await lab.runtime.elapse(30_000);
  await lab.streams.read('used');
  const catalog = await lab.redex.channel('$streams/catalog');
  const before = catalog.count;
  expect(before).toBeGreaterThan(1400);
  await lab.runtime.elapse(61_000);
  await lab.runtime.settle();
  expect(catalog.count).toBeLessThan(20);
  const listed = await lab.streams.listStreams();

  const again = await lab.reopen();
  expect(await again.streams.listStreams()).toEqual(listed);
  expect(listed.map(({ name }) => name)).toEqual(['fork', 'used']);
  expect(await again.streams.stats()).toMatchObject({ tombstones: 1, streams: 2, totalBytes: 2 });
  await expect(again.streams.createStream('source')).rejects.toMatchObject({ code: 'EXISTS' });
  // The read, 30 seconds after the stream was made, is still known.
  again.runtime.setNow(again.runtime.now() + 100_000_000 - 61_000 - 1000);
  expect(await again.streams.exists('used')).toBe(true);
  await again.close();
});

test('after a crash, a stream lives as long as its last message says', async () => {
  const disk = new CrashFs();
  const runtime = new ManualRuntime();
  const redex = await Redex.open('/data', { fs: disk, runtime });
  const streams = await StreamStore.open(redex, { runtime });
  await streams.createStream('a', { ttlSeconds: 10 });
  await streams.createStream('b', { ttlSeconds: 10 });
  await runtime.elapse(8000);
  await streams.append('a', 'x');
  const left = disk.kill();
  const later = new ManualRuntime({ startMs: runtime.now() + 8000 });
  const again = await Redex.open('/data', { fs: left, runtime: later });
  const restored = await StreamStore.open(again, { runtime: later });
  expect((await restored.listStreams()).map(({ name }) => name)).toEqual(['a']);
  await later.elapse(3000);
  expect(await restored.exists('a')).toBe(false);
  await restored.close();
  await again.close();
});

test('a catalog that is not of streams is refused, with its place', async () => {
  const lab = await openLab();
  await lab.streams.close();
  const catalog = await lab.redex.channel('$streams/catalog');
  const seq = await catalog.append('{"name":"a","config":{}}', { type: 2 });
  await expect(StreamStore.open(lab.redex)).rejects.toMatchObject({
    code: 'CORRUPT',
    path: '$streams/catalog',
    seqRange: { firstSeq: seq, nextSeq: seq + 1 },
  });
  await lab.redex.close();
});

test('ids are not used again, whatever is deleted', async () => {
  const lab = await openLab();
  const ids = new Set<string>();
  let current = lab;
  for (let i = 0; i < 20; i++) {
    await current.streams.createStream('a');
    ids.add((await current.streams.head('a')).id);
    await current.streams.deleteStream('a');
    if (i % 5 === 4) current = await current.reopen();
  }
  expect(ids.size).toBe(20);
  await current.close();
});

test('a Redex has one store of streams, and may have another when that is closed', async () => {
  const lab = await openLab();
  await expect(StreamStore.open(lab.redex)).rejects.toMatchObject({ code: 'BUSY' });
  await lab.streams.createStream('a', {}, { data: 'x' });
  await lab.streams.close();
  const again = await StreamStore.open(lab.redex, { runtime: lab.runtime });
  expect((await again.read('a')).messages).toHaveLength(1);
  await again.close();
  await lab.redex.close();
});

test("the user's channels and the streams are kept apart", async () => {
  const lab = await openLab();
  const channel = await lab.redex.channel('a');
  await channel.append('of the channel');
  await lab.streams.createStream('a', {}, { data: 'of the stream' });
  await lab.streams.deleteStream('a');
  expect(channel.count).toBe(1);
  await lab.close();
});

test('nobody waits for a stream whose end has come, whether it was used or not', async () => {
  const lab = await openLab();
  const expiresAt = lab.runtime.now() + 1000;
  await lab.streams.createStream('a', { expiresAt });
  const again = await lab.reopen();
  again.runtime.setNow(expiresAt);
  expect(() => again.streams.subscribe('a')).toThrow(
    expect.objectContaining({ code: 'NOT_FOUND' }),
  );
  await again.close();
});

test("a channel that somebody has put in a stream's place is not written to", async () => {
  const lab = await openLab();
  const channel = await lab.redex.channel('$streams/1/a', { segmentMs: 0 });
  await channel.append('of somebody');
  await expect(lab.streams.createStream('a', {}, { data: 'x' })).rejects.toBeInstanceOf(Error);
  expect(channel.count).toBe(1);
  expect(await lab.streams.exists('a')).toBe(false);
  await lab.streams.createStream('b', {}, { data: 'x' });
  await lab.streams.createStream('a', {}, { data: 'x' });
  expect((await lab.streams.read('a')).messages).toHaveLength(1);
  await lab.close();
});
