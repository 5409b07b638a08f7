/**
 * Goal: no process touches a store that another writes to, a look changes nothing, and no name of
 * a channel leads to anything but that channel (the seed: W25, D25, D26, D27).
 * Method: stores on a file system in memory that is compared, name by name and byte by byte, or
 * that refuses every change.
 */
import { expect, test } from 'vitest';
import { Redex } from '../../src/index.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { rejection } from '../support/channel-kit.js';
import { treeOf } from '../support/tree.js';

const DATA = '/data';

/** Names that would be something else if they were used as they are. */
const NAMES = [
  'log',
  'LOG',
  'log/v0000000001',
  'v0000000001',
  'v0000000002',
  '.new',
  '.trash',
  '.rename',
  '..',
  '../../data',
  '/',
  'config',
  'redex.json',
  'LOCK',
] as const;

async function textsOf(redex: Redex, name: string): Promise<string[]> {
  const channel = await redex.channel(name, { createIfMissing: false });
  return (await channel.readBatch()).map(({ payload }) => Buffer.from(payload).toString());
}

test('a second writer is refused before it has changed anything', async () => {
  const disk = new MemoryFs();
  const redex = await Redex.open(DATA, { fs: disk });
  const channel = await redex.channel('log', { sync: 'never' });
  await channel.append('one');
  const before = treeOf(disk, DATA);
  const fs = new FaultFs(disk);
  const effect = { error: 'EROFS' };
  const change = fs.inject({ operation: 'anyMutation', nth: 1, times: Infinity, effect });
  const error = await rejection(Redex.open(DATA, { fs }), 'LOCKED');
  expect(error).toMatchObject({ path: DATA, pid: process.pid });
  expect(change.fired).toBe(0);
  expect(treeOf(disk, DATA)).toEqual(before);
  expect(await channel.append('two')).toBe(1);
  await redex.close();
  const again = await Redex.open(DATA, { fs: disk });
  expect(await textsOf(again, 'log')).toEqual(['one', 'two']);
  await again.close();
});

test('a look at a store changes nothing of it, whatever a crash has left', async () => {
  const disk = new CrashFs();
  const redex = await Redex.open(DATA, { fs: disk });
  await (await redex.channel('log')).append('one');
  // An unfinished creation and a deletion: who writes next removes them.
  disk.mkdirSync(`${DATA}/channels/.new/${'0'.repeat(32)}`);
  disk.mkdirSync(`${DATA}/channels/.trash/${'1'.repeat(32)}`);
  const fs = new FaultFs(disk.kill());
  const before = treeOf(fs, DATA);
  const effect = { error: 'EROFS' };
  const change = fs.inject({ operation: 'anyMutation', nth: 1, times: Infinity, effect });
  const look = await Redex.open(DATA, { fs, readOnly: true });
  expect(await look.hasChannel('log')).toBe(true);
  await rejection(look.deleteChannel('log'), 'READ_ONLY');
  await rejection(look.renameChannel('log', 'other'), 'READ_ONLY');
  await look.close();
  expect(change.fired).toBe(0);
  expect(treeOf(fs, DATA)).toEqual(before);
  await redex.close();
});

test('channels whose names look like something else are channels like others', async () => {
  const fs = new MemoryFs();
  const redex = await Redex.open(DATA, { fs });
  for (const name of NAMES) await (await redex.channel(name)).append(name);
  await redex.close();
  expect(fs.readDirectorySync('/').map(({ name }) => name)).toEqual(['data']);
  const again = await Redex.open(DATA, { fs });
  for (const gone of NAMES) {
    expect(await again.deleteChannel(gone)).toBe(true);
    for (const name of NAMES.slice(NAMES.indexOf(gone) + 1)) {
      expect(await textsOf(again, name), `${name} without ${gone}`).toEqual([name]);
    }
  }
  await again.close();
});
