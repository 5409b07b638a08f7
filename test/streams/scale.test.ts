/**
 * Goal: what a stream costs does not depend on how long it is, nor what a store costs on how many
 * of its streams are idle.
 * Method: the bytes and operations of the file system are counted for the same calls on a short
 * stream and on a long one; open channels are counted while many streams are used.
 */
import { expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import { StreamStore } from '../../src/streams/stream-store.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';

/** Operations that reading makes, by what is done. */
async function costs(messages: number): Promise<Record<string, number>> {
  const fs = new CrashFs();
  const runtime = new ManualRuntime();
  const first = await Redex.open('/data', { fs, runtime });
  const writing = await StreamStore.open(first, { runtime });
  await writing.createStream('a');
  const size = 500;
  const batch = Array.from({ length: size }, (_, i) => `message ${i}`);
  const producer = { id: 'p', epoch: 0 };
  for (let i = 0; i < messages / size; i++) {
    await writing.appendBatch('a', batch, { producer: { ...producer, seq: i } });
    await runtime.elapse(1500);
  }
  const { nextOffset: middle } = await writing.read('a', { maxBytes: messages * 5 });
  await writing.append('a', 'last');
  await writing.close();
  await first.close();

  const redex = await Redex.open('/data', { fs, runtime });
  let operations = 0;
  fs.onOperation = () => {
    operations++;
  };
  const counted: Record<string, number> = {};
  const count = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    operations = 0;
    const result = await work();
    counted[what] = operations;
    return result;
  };
  const streams = await count('open', () => StreamStore.open(redex, { runtime }));
  const { nextOffset, messageCount } = await count('head', () => streams.head('a'));
  expect(messageCount).toBe(messages + 1);
  await count('tail', () => streams.read('a', { offset: nextOffset }));
  await count('place', () => streams.read('a', { offset: middle, maxBytes: 1 }));
  await count('append', () => streams.append('a', 'more'));
  const repeated = await streams.append('a', 'x', { producer: { ...producer, seq: 0 } });
  expect(repeated.duplicate).toBe(true);
  fs.onOperation = undefined;
  await streams.close();
  await redex.close();
  return counted;
}

test('a long stream is opened, read and written as a short one', async () => {
  const short = await costs(1000);
  // As many changes since the last snapshot, which comes with every 17th.
  const long = await costs(1000 + 11 * 17 * 500);
  for (const what of ['open', 'head', 'tail', 'append']) {
    expect(long[what], JSON.stringify({ what, short, long })).toBeLessThanOrEqual(
      (short[what] ?? 0) + 8,
    );
  }
  expect(long['tail']).toBe(0);
  // One step for each halving of what lies between; each may open a segment.
  expect(long['place']).toBeLessThan(120);
});

test('idle streams have no open channel, and no timer', async () => {
  const runtime = new ManualRuntime();
  const redex = await Redex.open('/data', { fs: new CrashFs(), runtime });
  const streams = await StreamStore.open(redex, { runtime, maxOpenStreams: 16 });
  const names = Array.from({ length: 300 }, (_, i) => `s${i}`);
  await Promise.all(names.map((name) => streams.createStream(name, { ttlSeconds: 1000 })));
  const timers = runtime.pending.length;
  for (const name of names) await streams.append(name, name);
  await runtime.elapse(1500);
  expect((await redex.stats()).openChannels).toBeLessThanOrEqual(16 + 1);
  expect((await streams.stats()).openStreams).toBeLessThanOrEqual(16);
  expect(runtime.pending.length).toBeLessThanOrEqual(timers + 2);
  for (const name of names) {
    const { messages } = await streams.read(name);
    expect(messages.map((each) => Buffer.from(each).toString())).toEqual([name]);
  }
  expect(await streams.listStreams()).toHaveLength(300);
  await streams.close();
  await redex.close();
});

test('streams that are made together share their commits', async () => {
  const runtime = new ManualRuntime();
  const redex = await Redex.open('/data', { fs: new CrashFs(), runtime });
  const streams = await StreamStore.open(redex, { runtime });
  let commits = 0;
  const commit = redex.commit.bind(redex);
  redex.commit = (operations) => {
    commits++;
    return commit(operations);
  };
  const names = Array.from({ length: 200 }, (_, i) => `s${i}`);
  await Promise.all(names.map((name) => streams.createStream(name)));
  expect(commits).toBeLessThanOrEqual(6);
  commits = 0;
  await Promise.all(names.map((name) => streams.deleteStream(name)));
  expect(commits).toBeLessThanOrEqual(6);
  await streams.close();
  await redex.close();
});
