/**
 * Goal: retention costs streams that have nothing to let go of nothing, frees space, outlives
 * restarts and compactions of the list, and is stopped by no stream that cannot be read.
 * Method: opened channels and operations of the file system are counted.
 */
import { expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import { StreamStore } from '../../src/streams/stream-store.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { damage, openLab } from '../support/stream-kit.js';

const DAY_MS = 86_400_000;

test('a sweep opens only streams that may have something to let go of', async () => {
  const first = await openLab();
  const retention = { maxMessages: 2, maxAgeMs: DAY_MS };
  for (let i = 0; i < 50; i++) await first.streams.createStream(`s${i}`, { retention });
  await first.streams.createStream('full', { retention }, { data: ['x', 'y'] });
  const second = await first.reopen();
  await second.streams.append('full', 'z');
  await second.runtime.elapse(60_000);
  expect((await second.redex.stats()).openChannels).toBe(2);
  expect((await second.streams.head('full')).retainedBytes).toBe(2);
  // Those that had nothing when they were looked at are looked at again only when a day has gone.
  await second.runtime.elapse(DAY_MS + 60_000);
  await second.runtime.elapse(60_000);
  expect((await second.redex.stats()).openChannels).toBe(52);
  expect((await second.streams.head('full')).retainedBytes).toBe(0);
  const third = await second.reopen();
  await third.runtime.elapse(DAY_MS / 2);
  expect((await third.redex.stats()).openChannels).toBe(1);
  await third.close();
});

test('when streams were looked at outlives a compaction of the list', async () => {
  const first = await openLab();
  await first.streams.createStream('a', { retention: { maxAgeMs: DAY_MS } }, { data: 'x' });
  await first.runtime.elapse(DAY_MS + 60_000);
  for (let i = 0; i < 600; i++) {
    await first.streams.createStream('other');
    await first.streams.deleteStream('other');
  }
  await first.runtime.elapse(60_000);
  expect((await first.redex.channel('$streams/catalog')).count).toBeLessThan(10);
  const second = await first.reopen();
  await second.runtime.elapse(60_000);
  expect((await second.redex.stats()).openChannels).toBe(1);
  await second.close();
});

test('what goes frees whole segments', async () => {
  const lab = await openLab({ segmentBytes: 4096, retention: { maxMessages: 3 } });
  await lab.streams.createStream('a');
  for (let i = 0; i < 40; i++) await lab.streams.append('a', 'x'.repeat(1000));
  const size = async (): Promise<number> => {
    let bytes = 0;
    for await (const { name, sizeBytes } of lab.redex.channels({ prefix: '$streams/' })) {
      if (name.endsWith('/a')) bytes += sizeBytes ?? 0;
    }
    return bytes;
  };
  const before = await size();
  expect(await lab.streams.applyRetention()).toBe(1);
  expect(await size()).toBeLessThan(before / 4);
  await lab.close();
});

test('a clock that goes back takes nothing that is not older', async () => {
  const fs = new MemoryFs();
  const late = new ManualRuntime({ startMs: 10 * DAY_MS });
  const first = await openLab({ retention: { maxAgeMs: DAY_MS } }, fs, late);
  await first.streams.createStream('a', {}, { data: 'of a late clock' });
  await first.close();
  const early = new ManualRuntime({ startMs: 5 * DAY_MS });
  const second = await openLab({}, fs, early);
  await second.streams.append('a', 'of an early clock');
  await early.elapse(2 * DAY_MS);
  expect(await second.streams.applyRetention()).toBe(0);
  expect((await second.streams.read('a')).messages).toHaveLength(2);
  await second.close();
});

test('streams that cannot be read keep no other from letting go', async () => {
  const retention = { maxAgeMs: 1000 };
  const first = await openLab({ retention });
  for (const name of ['damaged', 'unreadable', 'well']) {
    await first.streams.createStream(name, {}, { data: 'x'.repeat(50) });
  }
  await first.close();
  expect(damage(first.fs, 'damaged')).toBe(1);
  const faults = new FaultFs(first.fs);
  const { runtime } = first;
  const warnings: string[] = [];
  const nothing = (): void => undefined;
  const logger = {
    debug: nothing,
    info: nothing,
    error: nothing,
    warn: (message: string) => warnings.push(message),
  };
  const redex = await Redex.open('/data', { fs: faults, runtime });
  const streams = await StreamStore.open(redex, { runtime, logger });
  const effect = { error: 'EIO' };
  const path = /unreadable.*dat/;
  faults.inject({ operation: 'anyRead', path, nth: 1, times: Infinity, effect });
  await runtime.elapse(2000);
  await expect(streams.applyRetention()).rejects.toMatchObject({ code: 'IO' });
  expect((await streams.read('well')).messages).toEqual([]);
  expect(warnings).toContain('a stream cannot be read');
  faults.clearFaults();
  expect(await streams.applyRetention()).toBe(1);
  expect((await streams.read('unreadable')).messages).toEqual([]);
  await streams.close();
  await redex.close();
});

test('what is appended while a stream lets go stays', async () => {
  const lab = await openLab({ maxOpenStreams: 1, retention: { maxMessages: 2 } });
  const names = ['a', 'b', 'c'];
  for (const name of names) await lab.streams.createStream(name);
  for (let round = 0; round < 30; round++) {
    await Promise.all([
      ...names.map(async (name) => {
        for (let turn = 0; turn < round; turn++) await Promise.resolve();
        return lab.streams.appendBatch(name, ['x', `${round}`]);
      }),
      lab.streams.applyRetention(),
    ]);
    for (const name of names) {
      const { messages } = await lab.streams.read(name);
      expect(Buffer.from(messages.at(-1) ?? []).toString()).toBe(`${round}`);
    }
  }
  await lab.streams.applyRetention();
  for (const name of names) {
    expect((await lab.streams.read(name)).messages).toHaveLength(2);
    expect((await lab.streams.head(name)).messageCount).toBe(60);
  }
  await lab.close();
});
