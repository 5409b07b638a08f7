/**
 * Goal: few descriptors make things slower and never wrong: every append settles, nothing that was
 * acknowledged is lost, and nobody waits for ever, whoever else is busy, poisoned or reading.
 * Method: histories with the smallest limit that once lost records or hung.
 */
import { expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import type { Channel } from '../../src/channel/channel.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';

const DIRECTORY = '/data';

async function turn(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

async function textsOf(channel: Channel): Promise<string[]> {
  return (await channel.readBatch()).map(({ payload }) => Buffer.from(payload).toString());
}

async function busyStore(
  fs: MemoryFs | FaultFs,
): Promise<{ readonly redex: Redex; readonly busy: readonly Channel[] }> {
  const redex = await Redex.open(DIRECTORY, {
    fs,
    maxOpenFiles: 16,
    sync: 'never',
    segmentBytes: 4096,
  });
  const busy: Channel[] = [];
  for (let i = 0; i < 4; i += 1) {
    busy.push(await redex.channel(`busy${i}`));
    await busy[i]?.append('x');
  }
  return { redex, busy };
}

test('an append that waits for descriptors and a synchronous one after it are there', async () => {
  const fs = new MemoryFs();
  const { redex } = await busyStore(fs);
  const channel = await redex.channel('five', { sync: 'always' });
  const first = channel.append('async');
  expect(channel.appendSync('sync')).toBe(1);
  expect(await first).toBe(0);
  for (let i = 0; i < 5; i += 1) await channel.append(`later${i}`);
  await redex.close();
  const again = await Redex.open(DIRECTORY, { fs });
  const expected = ['async', 'sync', 'later0', 'later1', 'later2', 'later3', 'later4'];
  expect(await textsOf(await again.channel('five'))).toEqual(expected);
  await again.close();
});

test('appends, rolls and reads over twice as many channels all settle', async () => {
  const fs = new MemoryFs();
  const { redex } = await busyStore(fs);
  const channels: Channel[] = [];
  for (let i = 0; i < 8; i += 1) channels.push(await redex.channel(`c${i}`));
  for (let round = 0; round < 40; round += 1) {
    const all: Promise<unknown>[] = [];
    for (const channel of channels) all.push(channel.append('x'.repeat(3000)), channel.last(1));
    await turn();
    for (const channel of channels) {
      for (let k = 0; k < 3; k += 1) all.push(channel.append('y'.repeat(3000)));
      all.push(channel.last(1));
    }
    await Promise.all(all);
  }
  for (const channel of channels) expect(channel.nextSeq).toBe(160);
  await redex.close();
});

test('an append gets its turn beside channels that never pause', async () => {
  // While a sync runs they append again, so that none of them is clean when it returns.
  const defer = (complete: () => void): void => {
    void turn().then(turn).then(turn).then(complete);
  };
  const fs = new CrashFs({ defer });
  const { redex, busy } = await busyStore(fs);
  const state = { isRunning: true };
  let appends = 0;
  const running = busy.map(async (channel) => {
    while (state.isRunning && appends < 20_000) {
      await channel.append('y');
      appends += 1;
      await turn();
    }
  });
  const fifth = await redex.channel('five');
  expect(await fifth.append('z')).toBe(0);
  expect(appends).toBeLessThan(20_000);
  await fifth.close();
  state.isRunning = false;
  await Promise.all(running);
  await redex.close();
});

test('poisoned channels with a sealed segment give their descriptors to others', async () => {
  const fs = new FaultFs(new MemoryFs());
  const { redex, busy } = await busyStore(fs);
  fs.inject({
    operation: 'datasync',
    path: /busy\d\//,
    nth: 1,
    times: Infinity,
    effect: { error: 'EIO' },
  });
  for (const channel of busy) {
    const appends = [1, 2, 3].map(() => channel.append('x'.repeat(2000)));
    await Promise.allSettled(appends);
  }
  const healthy = await redex.channel('five');
  expect(await healthy.append('z')).toBe(0);
  // What is durable of a poisoned channel can still be read, or is none.
  for (const channel of busy) expect((await channel.stats()).isPoisoned).toBe(true);
  await expect(redex.close()).rejects.toMatchObject({ code: 'POISONED' });
});

test('a segment that was parked is not written to when another one has its place', async () => {
  const fs = new MemoryFs();
  const redex = await Redex.open(DIRECTORY, { fs, maxOpenFiles: 16, sync: 'never' });
  const old = await redex.channel('a');
  await old.append('old0');
  await old.sync();
  for (let i = 0; i < 8; i += 1) await (await redex.channel(`other${i}`)).append('x');
  for (let i = 0; i < 8; i += 1) await (await redex.channel(`other${i}`)).sync();
  for (let i = 0; i < 8; i += 1) await (await redex.channel(`other${i}`)).append('x');
  fs.renameSync(DIRECTORY, '/moved');
  const second = await Redex.open(DIRECTORY, { fs });
  const mine = await second.channel('a');
  for (let i = 0; i < 3; i += 1) await mine.append(`new${i}`, { durability: 'synced' });
  await expect(old.append('old1')).rejects.toMatchObject({ code: 'CORRUPT', check: 'identity' });
  expect(await mine.append('new3')).toBe(3);
  expect(await textsOf(mine)).toEqual(['new0', 'new1', 'new2', 'new3']);
  await second.close();
});
