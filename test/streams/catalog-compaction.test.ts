/**
 * Goal: a compaction of the list of streams loses no stream that is made while it begins, and
 * leaves nothing that cannot be read again.
 * Method: I/O completes one step at a time; the sweep that compacts begins after each number of
 * steps of a commit, and the disk is opened again.
 */
import { expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import { StreamStore } from '../../src/streams/stream-store.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { done, steps as run, type StepLab } from '../support/stream-steps.js';

const OPENED = 6;

/** Streams of which there is more to forget than the list is allowed to have. */
async function fullLab(prepare: (streams: StreamStore) => Promise<unknown>): Promise<StepLab> {
  const runtime = new ManualRuntime();
  const disk = new CrashFs({ defer: runtime.deferIo });
  const redex = await done(runtime, Redex.open('/data', { fs: disk, runtime }));
  const first = await done(runtime, StreamStore.open(redex, { runtime }));
  await done(runtime, prepare(first));
  await done(runtime, first.close());
  const catalog = await done(runtime, redex.channel('$streams/catalog'));
  const records = Array.from({ length: 1100 }, () => ({ payload: '{}', type: OPENED }));
  await done(runtime, catalog.appendBatch(records));
  const streams = await done(runtime, StreamStore.open(redex, { runtime }));
  return { disk, runtime, streams, redex };
}

/** What is listed after the work, with a sweep that begins after so many steps. */
async function listedAfter(
  { disk, runtime, streams, redex }: StepLab,
  steps: number,
  work: (streams: StreamStore) => Promise<unknown>,
): Promise<string[]> {
  const working = work(streams);
  await run(runtime, steps);
  runtime.advance(60_000);
  await done(runtime, working, true);
  await runtime.drainIo();
  expect((await done(runtime, redex.channel('$streams/catalog'))).count).toBeLessThan(30);
  await done(runtime, streams.close());
  await done(runtime, redex.close());
  const again = await done(runtime, Redex.open('/data', { fs: disk, runtime }));
  const restored = await done(runtime, StreamStore.open(again, { runtime }));
  const listed = await restored.listStreams();
  for (const { name } of listed) await done(runtime, restored.read(name));
  await done(runtime, restored.close());
  await done(runtime, again.close());
  return listed.map(({ name }) => name);
}

test('a stream that is being made when the list is compacted is there', async () => {
  for (let steps = 0; steps < 12; steps++) {
    const lab = await fullLab((streams) => streams.createStream('a', {}, { data: 'x' }));
    const work = (streams: StreamStore): Promise<unknown> =>
      streams.createStream('new', {}, { data: 'y' });
    expect(await listedAfter(lab, steps, work), `after ${steps} steps`).toEqual(['a', 'new']);
  }
});

test('a stream that is being deleted when the list is compacted is gone', async () => {
  for (let steps = 0; steps < 12; steps++) {
    const lab = await fullLab(async (streams) => {
      await streams.createStream('a', {}, { data: 'x' });
      await streams.createStream('b', {}, { data: 'x' });
    });
    const listed = await listedAfter(lab, steps, (streams) => streams.deleteStream('a'));
    expect(listed, `after ${steps} steps`).toEqual(['b']);
  }
});

test('forks that come and go with their source meanwhile leave a sound list', async () => {
  for (let steps = 0; steps < 24; steps++) {
    const lab = await fullLab((streams) => streams.createStream('a', {}, { data: 'x' }));
    const work = async (streams: StreamStore): Promise<void> => {
      await streams.createFork('fork', 'a');
      await Promise.all([streams.deleteStream('a'), streams.deleteStream('fork')]);
    };
    expect(await listedAfter(lab, steps, work), `after ${steps} steps`).toEqual([]);
  }
});
