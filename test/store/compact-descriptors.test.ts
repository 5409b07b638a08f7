/**
 * Goal: compactions of many channels at once stay within `maxOpenFiles`, all of them come to their
 * end, and appends beside them too.
 * Method: a file system that counts descriptors; twenty channels of several segments with sixteen
 * descriptors.
 */
import { expect, test } from 'vitest';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';
import { payload } from '../support/channel-kit.js';
import { odd, odds, upTo } from '../support/compact-lab.js';
import { CountingFs, DATA, idsIn } from '../support/store-kit.js';

/** LOCK, a manifest that is written for each swap, and a directory. */
const ALLOWANCE = 8;

test('twenty compactions and appends beside them, with sixteen descriptors', async () => {
  const fs = new CountingFs(new MemoryFs());
  const redex = await Redex.open(DATA, { fs, maxOpenFiles: 16, sync: 'never', segmentBytes: 4096 });
  const channels = [];
  for (const i of upTo(20)) channels.push(await redex.channel(`c${i}`));
  for (const id of upTo(40)) for (const channel of channels) await channel.append(payload(id, 300));
  await redex.sync();
  fs.peak = 0;
  const compacting = channels.map((channel) => channel.compact(odd));
  const appending = channels.map((channel) => channel.append(payload(41, 300)));
  await Promise.all([...compacting, ...appending]);
  expect(fs.peak).toBeLessThanOrEqual(16 + ALLOWANCE);
  for (const channel of channels) expect(await idsIn(channel)).toEqual([...odds, 41]);
  await redex.close();
  expect(fs.openPaths).toEqual([]);
});
