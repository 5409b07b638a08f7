/**
 * Goal: what the seed's own suite asked of records holds here: they come back after every end of a
 * process, small ones like large ones, alone and in batches, each with its own time, and each under
 * the name of its own channel.
 * Method: the ends are a close, a kill and the worst power cut; derived files are taken away.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/index.js';
import { worst } from '../../src/testing/choices.js';
import { Lab, payload, readFile, rejection } from '../support/channel-kit.js';
import {
  appendNext,
  DAT,
  ENDINGS,
  expectFound,
  flipBit,
  framesAt,
  IDX,
  shown,
  timeOf,
  TS,
  upTo,
  writtenLog,
} from '../support/seed-damage.js';

const ENDS = ['close', 'kill', 'power cut'] as const;

/** The next process, after this one has ended like that. What a close has synced is all there. */
async function endedBy(end: (typeof ENDS)[number], lab: Lab, channel: Channel): Promise<Lab> {
  if (end === 'close') await channel.close();
  return end === 'kill' ? lab.kill() : lab.cut(worst);
}

describe.each(ENDS)('after a %s', (end) => {
  test('what was appended and synced is there, and is found', async () => {
    for (const sync of ['always', 'never'] as const) {
      const lab = new Lab();
      const channel = await lab.open({ sync });
      for (const seq of upTo(2)) await appendNext(channel, seq);
      await channel.sync();
      const again = await (await endedBy(end, lab, channel)).open();
      expect(await shown(again)).toEqual([0, 1]);
      expect(await appendNext(again, 2)).toBe(2);
      await expectFound(again, 3);
    }
  });

  test('small and large records of a batch are there, each with its own time', async () => {
    // Records of a few bytes alone; then large ones among them, which make a frame of blocks.
    for (const sizes of [
      [8, 8, 8],
      [9, 8, 16, 8],
      [8, 9000, 8, 15, 5000, 8],
    ]) {
      const lab = new Lab();
      const channel = await lab.open({ firstSeq: 10 });
      const seqs = upTo(sizes.length).map((i) => 10 + i);
      const batch = sizes.map((size, i) => ({
        payload: payload(10 + i, size),
        timestamp: timeOf(10 + i),
      }));
      await channel.appendBatch(batch);
      await channel.sync();
      const next = await endedBy(end, lab, channel);
      const again = await next.open();
      expect(await shown(again)).toEqual(seqs);
      const records = await again.readBatch();
      expect(records.map(({ payload: bytes }) => bytes.byteLength)).toEqual(sizes);
      for (const seq of seqs) {
        expect((await again.get(seq))?.timestamp).toBe(timeOf(seq));
        expect(await again.seqAt(timeOf(seq))).toBe(seq);
      }
    }
  });
});

test('records of eight bytes stand in dat like others, and need no idx', async () => {
  const count = 5;
  for (const ending of ENDINGS) {
    const lab = await writtenLog({ count, ending, size: 8 });
    const dat = Buffer.from(readFile(lab.disk, DAT));
    for (const seq of upTo(count)) expect(dat.indexOf(payload(seq, 8)) >= 0).toBe(true);
    for (const path of [IDX, TS]) {
      if (lab.disk.statSync(path) !== undefined) lab.disk.unlinkSync(path);
    }
    const channel = await lab.open();
    expect(await shown(channel)).toEqual(upTo(count));
    await expectFound(channel, count);
  }
});

test('beside a damaged record every other one keeps its own time, at each open', async () => {
  const count = 4;
  for (const damaged of upTo(count)) {
    let lab = await writtenLog({ count, ending: 'close' });
    const frame = framesAt(lab.disk, DAT)[damaged];
    flipBit(lab.disk, DAT, (frame?.position ?? 0) + (frame?.byteLength ?? 0) - 10, 5);
    for (let total = count; total < count + 3; total += 1) {
      const channel = await lab.open();
      await rejection(channel.get(damaged), 'CORRUPT');
      expect(await appendNext(channel, total)).toBe(total);
      for (const seq of upTo(total + 1).filter((other) => other !== damaged)) {
        const record = await channel.get(seq);
        expect([record?.timestamp, record?.payload]).toEqual([timeOf(seq), payload(seq, 40)]);
        // Nothing proves that the damaged record is older than the one right behind it.
        if (seq === damaged + 1) await rejection(channel.seqAt(timeOf(seq)), 'CORRUPT');
        else expect(await channel.seqAt(timeOf(seq)), `time of ${seq}`).toBe(seq);
      }
      await channel.close();
      lab = lab.cut(worst);
    }
  }
});

test('a name with slashes is one channel, beside those that are its beginnings', async () => {
  const names = ['sensors', 'sensors/lidar', 'sensors/lidar/front', 'sensors/lidar/manifest'];
  const fs = new MemoryFs();
  const redex = await Redex.open('/data', { fs });
  for (const name of names) await (await redex.channel(name)).append(name);
  await redex.close();
  const directories = fs
    .readDirectorySync('/data/channels')
    .filter(({ name }) => !name.startsWith('.'));
  expect(directories.map(({ kind }) => kind)).toEqual(names.map(() => 'directory'));
  const again = await Redex.open('/data', { fs });
  expect(await again.deleteChannel('sensors')).toBe(true);
  for (const name of names.slice(1)) {
    const channel = await again.channel(name, { createIfMissing: false });
    const records = await channel.readBatch();
    expect(records.map(({ payload: bytes }) => Buffer.from(bytes).toString())).toEqual([name]);
  }
  await again.close();
});

test('at the last seq that there is a log refuses more, and does not begin anew', async () => {
  const last = Number.MAX_SAFE_INTEGER - 1;
  for (const end of ENDS) {
    const lab = new Lab();
    const channel = await lab.open({ firstSeq: last - 1 });
    await expect(channel.appendBatch(['a', 'b', 'c'])).rejects.toThrow(RangeError);
    expect(channel.nextSeq).toBe(last - 1);
    const { firstSeq, nextSeq } = await channel.appendBatch(['a', 'b']);
    expect([firstSeq, nextSeq]).toEqual([last - 1, last + 1]);
    await expect(channel.append('c')).rejects.toThrow(RangeError);
    expect(() => channel.appendSync('c')).toThrow(RangeError);
    await channel.sync();
    const again = await (await endedBy(end, lab, channel)).open();
    expect(again.nextSeq).toBe(last + 1);
    await expect(again.append('c')).rejects.toThrow(RangeError);
    expect((await again.readBatch()).map(({ seq }) => seq)).toEqual([last - 1, last]);
  }
});
