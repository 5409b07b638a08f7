/**
 * Goal: damage below what is known to have been synced is never cut and never hidden (RULES C3).
 * Method: each byte of synced frames is changed under a later witness; the channel must open, read
 * up to the damage, fail there with CORRUPT, refuse appends, and change no byte of the directory.
 */
import { describe, expect, test } from 'vitest';
import { CrashFs } from '../../src/testing/crash-fs.js';
import {
  durableCopy,
  errorOf,
  fileOf,
  fillFile,
  flipBit,
  LOG,
  openLog,
  readFile,
  textOf,
  textsOf,
  tree,
  truncateFile,
  unitsOf,
} from '../support/recovery-lab.js';

const DAT = fileOf(0);
const TEXTS = ['zero', 'one', 'two', 'three'];

/** Three synced records; the fourth one's frame is the witness of it. */
async function witnessed(): Promise<CrashFs> {
  const fs = new CrashFs();
  const { channel } = await openLog(fs, { sync: 'never' });
  for (const text of TEXTS.slice(0, 3)) await channel.append(text);
  await channel.sync();
  await channel.append(TEXTS[3] ?? '');
  return durableCopy(fs);
}

/** Opens a log with damage at record `seq`, and tries everything that must not go further. */
async function checkDamaged(fs: CrashFs, seq: number, nextSeq: number): Promise<void> {
  const before = tree(fs);
  const { channel, report } = await openLog(fs, { sync: 'never' });
  expect(report?.tornTail).toBeUndefined();
  expect(report?.damage).toMatchObject({ path: DAT, seqRange: { firstSeq: seq, nextSeq } });
  expect(await channel.readBatch({ to: seq }).then((all) => all.map(textOf))).toEqual(
    TEXTS.slice(0, seq),
  );
  for (let good = 0; good < seq; good += 1) {
    const record = await channel.get(good);
    expect(record && textOf(record)).toBe(TEXTS[good]);
  }
  const where = { path: DAT, position: report?.damage?.position };
  const seqRange = { firstSeq: seq, nextSeq };
  expect(await errorOf('CORRUPT', () => channel.get(seq))).toMatchObject({ ...where, seqRange });
  const all = errorOf('CORRUPT', async () => {
    for await (const record of channel.read()) expect(textOf(record)).toBe(TEXTS[record.seq]);
  });
  expect(await all).toMatchObject({ ...where, seqRange });
  const refusal = await errorOf('CORRUPT', () => channel.append('no'));
  expect(refusal).toMatchObject({ ...where, seqRange });
  expect(await errorOf('CORRUPT', () => channel.appendBatch(['no']))).toMatchObject(where);
  await errorOf('CORRUPT', async () => channel.appendSync('no'));
  await channel.sync();
  await channel.close();
  expect(tree(fs)).toEqual(before);
}

describe('C3: q below W', () => {
  test('C3: each byte of each synced frame, changed', async () => {
    const whole = await witnessed();
    const units = unitsOf(readFile(whole, DAT)).slice(0, 3);
    for (const [seq, { at, byteLength }] of units.entries()) {
      for (let byte = at; byte < at + byteLength; byte += 1) {
        const fs = durableCopy(whole);
        flipBit(fs, DAT, byte * 8 + (byte % 8));
        await checkDamaged(fs, seq, 3);
      }
    }
  });

  test('C3: a frame of zeros, and a frame and everything between it and the witness', async () => {
    const whole = await witnessed();
    const units = unitsOf(readFile(whole, DAT));
    const end = units[3]?.at ?? 0;
    for (const [seq, { at, byteLength }] of units.slice(0, 3).entries()) {
      for (const to of [at + byteLength, end]) {
        const fs = durableCopy(whole);
        fillFile(fs, DAT, at, to, 0);
        await checkDamaged(fs, seq, 3);
      }
    }
  });

  test('C3: a header that is gone, with frames behind it that say what was synced', async () => {
    const whole = await witnessed();
    for (const byte of [0, 4, 6, 8, 24, 32, 40, 48, 56, 63]) {
      const fs = durableCopy(whole);
      flipBit(fs, DAT, byte * 8 + 7);
      if (byte === 4) continue;
      await checkDamaged(fs, 0, 3);
    }
    const fs = durableCopy(whole);
    fillFile(fs, DAT, 0, 64, 0);
    await checkDamaged(fs, 0, 3);
  });

  test('C3: a file that is short of what its clean mark says', async () => {
    const fs = await witnessed();
    const { channel } = await openLog(fs, { sync: 'never' });
    await channel.close();
    const size = fs.statSync(DAT)?.size ?? 0;
    const starts = unitsOf(readFile(fs, DAT)).map(({ at }) => at);
    for (let length = 0; length < size; length += 1) {
      const cut = durableCopy(fs);
      truncateFile(cut, DAT, length);
      const whole = Math.max(0, starts.filter((at) => at <= length).length - 1);
      await checkDamaged(cut, length < 64 ? 0 : whole, 4);
    }
  });

  test('C3: an open that finds damage twice reports the same', async () => {
    const fs = await witnessed();
    flipBit(fs, DAT, 150 * 8);
    const first = await openLog(fs);
    const second = await openLog(durableCopy(fs));
    expect(second.report).toEqual(first.report);
    expect(fs.readDirectorySync(LOG).some(({ name }) => name.startsWith('cut-'))).toBe(false);
  });

  test('C2, C3: a witness above the base of the next segment finishes a segment', async () => {
    const fs = new CrashFs();
    const { channel, runtime } = await openLog(fs, { sync: 'never', segmentMs: 10 });
    await channel.append('zero');
    runtime.advance(10);
    await channel.append('one');
    await channel.sync();
    await channel.append('two');
    const copy = durableCopy(fs);
    flipBit(copy, DAT, 133 * 8);
    const opened = await openLog(copy);
    expect(opened.report).toMatchObject({ damage: undefined, tornTail: undefined });
    await errorOf('CORRUPT', () => opened.channel.get(0));
    expect(await textsOf(opened.channel, 1)).toEqual(['one', 'two']);
    expect(await opened.channel.append('three')).toBe(3);
  });
});
