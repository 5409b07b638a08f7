/**
 * Goal: a seq that was durable is never given to other bytes (RULES C8), across gaps, rolls,
 * empty logs and failed writes.
 * Method: named histories on a log in memory.
 */
import { expect, test } from 'vitest';
import { choicesFromSeed, worst } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import {
  durableCopy,
  errorOf,
  fileOf,
  openLog,
  segmentsOf,
  textOf,
  textsOf,
} from '../support/recovery-lab.js';

const FAR = 5_000_000_000;

test('C8: a generation without segments is an empty channel that begins at firstSeq', async () => {
  for (const firstSeq of [0, 7, FAR]) {
    const fs = new CrashFs();
    const { channel } = await openLog(fs, { firstSeq });
    expect([channel.firstSeq, channel.nextSeq, channel.durableSeq]).toEqual([
      firstSeq,
      firstSeq,
      firstSeq,
    ]);
    await channel.close();
    const again = await openLog(fs.crash(worst));
    expect(again.report?.damage).toBeUndefined();
    expect(again.channel.nextSeq).toBe(firstSeq);
    expect(await again.channel.append('first')).toBe(firstSeq);
    expect((await again.channel.get(firstSeq))?.seq).toBe(firstSeq);
  }
});

test('C8: what is left of a log that lost everything begins at firstSeq again', async () => {
  const fs = new CrashFs();
  const { channel } = await openLog(fs, { sync: 'never', firstSeq: 9 });
  await channel.append('lost');
  const { channel: again, report } = await openLog(fs.crash(worst));
  expect(report?.damage).toBeUndefined();
  expect(await again.append('other bytes')).toBe(9);
});

test('C8: gaps survive crashes, rolls and reopening', async () => {
  const fs = new CrashFs();
  const { channel, runtime } = await openLog(fs, { segmentMs: 10 });
  const seqs = [0, 5, 6, 1000, FAR, FAR + 1, 2 * FAR, 2 * FAR + 2 ** 31, 2 ** 52];
  for (const [index, seq] of seqs.entries()) {
    if (index % 2 === 0) runtime.advance(10);
    expect(await channel.append(`at ${seq}`, { seq })).toBe(seq);
  }
  const copies = [fs.crash(worst), fs.crash(choicesFromSeed(3)), durableCopy(fs)];
  for (const copy of copies) {
    const { channel: again, report } = await openLog(copy);
    expect(report?.damage).toBeUndefined();
    expect(await textsOf(again)).toEqual(seqs.map((seq) => `at ${seq}`));
    expect(await again.get(7)).toBeUndefined();
    expect(await again.get(FAR - 1)).toBeUndefined();
    expect(await again.append('next')).toBe(2 ** 52 + 1);
  }
});

test('C8: a torn record after a gap gives back the seqs that nobody was told of', async () => {
  const fs = new CrashFs();
  const { channel } = await openLog(fs, { sync: 'never' });
  await channel.append('zero');
  await channel.sync();
  await channel.append('skipped ahead', { seq: 500 });
  const { channel: again } = await openLog(fs.crash(worst));
  expect(again.nextSeq).toBe(1);
  expect(again.recoveryEpoch).toBeLessThanOrEqual(1);
  expect(await again.append('one')).toBe(1);
});

test('C8: a far skip whose segment cannot be created leaves the log as it was', async () => {
  for (const operation of ['createSync', 'anyWrite'] as const) {
    const disk = new CrashFs();
    const fs = new FaultFs(disk);
    const { channel } = await openLog(fs);
    await channel.append('zero');
    const effect = { error: 'ENOSPC' };
    // The seal of segment 0 is written; its successor is not.
    const path = new RegExp(`${FAR}\\.dat$`);
    const fault = fs.inject({ operation, path, nth: 1, effect });
    const { outcome } = await errorOf('IO', () => channel.append('far', { seq: FAR }));
    expect(outcome, operation).toBe('absent');
    expect(fault.fired).toBe(1);
    fs.clearFaults();
    const seq = await channel.append('one');
    const record = await channel.get(seq);
    expect(record && textOf(record), operation).toBe('one');
    expect(await textsOf(channel), operation).toEqual(['zero', 'one']);
    for (const copy of [disk.crash(worst), durableCopy(disk)]) {
      const opened = await openLog(copy);
      expect(opened.report?.damage).toBeUndefined();
      expect(await textsOf(opened.channel), operation).toEqual(['zero', 'one']);
    }
  }
});

test('C8: after a cut the same seqs may come again, under a higher epoch only', async () => {
  const fs = new CrashFs();
  const { channel } = await openLog(fs, { sync: 'never' });
  await channel.append('zero');
  await channel.sync();
  await channel.append('lost');
  const size = fs.statSync(fileOf(0))?.size ?? 0;
  const cut = durableCopy(fs);
  const file = cut.openSync(fileOf(0), 'write');
  file.truncateSync(size - 8);
  file.closeSync();
  const again = await openLog(cut);
  expect(again.channel.recoveryEpoch).toBe(channel.recoveryEpoch + 1);
  expect(await again.channel.append('other')).toBe(1);
  expect(segmentsOf(cut)).toEqual([0]);
});
