/**
 * Goal: when a close has resolved, nothing of the streams goes on in a Redex that is somebody
 * else's; what an open that fails has begun is ended.
 * Method: I/O completes one step at a time, and the close begins after each number of steps of what
 * changes the list of streams; what is open afterwards, and what the disk has, is compared.
 */
import { expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import { StreamStore } from '../../src/streams/stream-store.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { openLab } from '../support/stream-kit.js';
import { done, stepLab, steps } from '../support/stream-steps.js';

const THERE = '0000000000000001_0000000000000001';

type Work = (streams: StreamStore) => Promise<unknown>;

/** What is listed after a close that begins so many steps behind the work. */
async function closedAfter(count: number, work: Work): Promise<[isDone: boolean, names: string[]]> {
  const lab = await stepLab(async (streams) => {
    await streams.createStream('a', {}, { data: ['x', 'y'] });
    await streams.createFork('a/fork', 'a', {}, { data: 'z' });
  });
  const { runtime, redex, disk } = lab;
  const end = { is: 'under way' };
  const working = work(lab.streams).then(
    () => (end.is = 'done'),
    (error: unknown) => (end.is = (error as { code: string }).code),
  );
  await steps(runtime, count);
  await done(runtime, lab.streams.close(), true);
  expect(['done', 'CLOSED'], `after ${count} steps`).toContain(end.is);
  expect((await done(runtime, redex.stats())).openChannels).toBe(0);
  // What a channel has still to do in the background is the store's own.
  await runtime.drainIo();
  const operations = disk.operations.length;
  await working;
  await runtime.drainIo();
  expect(disk.operations.length).toBe(operations);
  const again = await done(runtime, StreamStore.open(redex, { runtime }));
  const names = (await again.listStreams()).map(({ name }) => name);
  for (const name of names) await done(runtime, again.read(name));
  await done(runtime, again.close());
  await done(runtime, redex.close());
  return [end.is === 'done', names];
}

const WORKS: readonly (readonly [what: string, work: Work, before: string[], after: string[]])[] = [
  ['a create', (streams) => streams.createStream('b'), ['a', 'a/fork'], ['a', 'a/fork', 'b']],
  [
    'a fork',
    (streams) => streams.createFork('b', 'a/fork', { offset: THERE }),
    ['a', 'a/fork'],
    ['a', 'a/fork', 'b'],
  ],
  ['a delete', (streams) => streams.deleteStream('a/fork'), ['a', 'a/fork'], ['a']],
];

test.each(WORKS)('%s is done when a close resolves, or refused', async (_, work, before, after) => {
  const ends = new Set<boolean>();
  for (let count = 0; count < 24; count++) {
    const [isDone, names] = await closedAfter(count, work);
    expect(names, `after ${count} steps`).toEqual(isDone ? after : before);
    ends.add(isDone);
  }
  expect(ends.has(true)).toBe(true);
});

test('a read under way leaves no channel open behind the close', async () => {
  for (let count = 0; count < 12; count++) {
    await closedAfter(count, (streams) => streams.read('a/fork'));
    await closedAfter(count, (streams) => streams.stats());
  }
});

test('an open that fails leaves no channel open', async () => {
  const first = await openLab();
  await first.streams.createStream('a');
  await first.streams.close();
  const catalog = await first.redex.channel('$streams/catalog');
  await catalog.append('no record of a list', { type: 99 });
  await catalog.close();
  await expect(StreamStore.open(first.redex)).rejects.toMatchObject({ code: 'CORRUPT' });
  expect((await first.redex.stats()).openChannels).toBe(0);
  await first.redex.close();
});

test('an open that fails when it begins to count leaves none open either', async () => {
  const runtime = new ManualRuntime();
  const disk = new FaultFs(new CrashFs());
  const redex = await Redex.open('/data', { fs: disk, runtime });
  const streams = await StreamStore.open(redex, { runtime });
  await streams.createStream('a', { ttlSeconds: 1 });
  await streams.close();
  const effect = { error: 'EIO' };
  disk.inject({ operation: 'anySync', path: /journal/, nth: 1, times: Infinity, effect });
  const opening = StreamStore.open(redex, { runtime, maxTotalBytes: 1000 });
  await expect(opening).rejects.toMatchObject({ code: 'POISONED' });
  expect((await redex.stats()).openChannels).toBe(0);
  await redex.close().catch(() => undefined);
});
