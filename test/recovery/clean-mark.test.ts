/**
 * Goal: a clean mark is believed only while it describes exactly what is there (RULES C7), and its
 * number is a witness in any case (C1).
 * Method: marks are torn, forged and left behind by a log that went on.
 */
import { describe, expect, test } from 'vitest';
import { decodeCleanFile, encodeCleanMark, type CleanMark } from '../../src/format/clean-mark.js';
import { choicesFromSeed, worst } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import {
  durableCopy,
  editFile,
  errorOf,
  fileOf,
  fillFile,
  LOG,
  openLog,
  putFile,
  readFile,
  segmentPerRecord,
  textsOf,
  truncateFile,
} from '../support/recovery-lab.js';

const CLEAN = `${LOG}/clean`;

async function closedLog(): Promise<CrashFs> {
  const { fs, opened } = await segmentPerRecord(3);
  await opened.channel.close();
  return durableCopy(fs);
}

function markOf(fs: CrashFs): CleanMark {
  const { mark } = decodeCleanFile(readFile(fs, CLEAN));
  if (mark === undefined) throw new Error('there is no clean mark');
  return mark;
}

/** Replaces the clean mark by one with other fields. */
function forge(fs: CrashFs, fields: Partial<CleanMark>): void {
  const mark = { ...markOf(fs), ...fields };
  fillFile(fs, CLEAN, 0, 1024, 0);
  editFile(fs, CLEAN, (bytes) => {
    bytes.set(encodeCleanMark(mark), (mark.counter % 2) * 512);
    return bytes;
  });
}

describe('C7: when it is believed', () => {
  test('C7: after a close nothing is scanned or written, even after a power cut', async () => {
    const { fs, opened } = await segmentPerRecord(3, { sync: 'never' });
    await opened.channel.close();
    const cut = fs.crash(worst);
    const { channel, report } = await openLog(cut);
    expect(report).toBeUndefined();
    expect(cut.mutations.paths.filter((path) => !/\.(idx|ts)/.test(path))).toEqual([]);
    expect(channel.durableSeq).toBe(3);
    expect(await textsOf(channel)).toHaveLength(3);
  });

  test('C7: it is written after the sync that makes it true', async () => {
    const { fs, opened } = await segmentPerRecord(2, { sync: 'never' });
    await opened.channel.append('unsynced');
    const images: CrashFs[] = [];
    fs.onOperation = ({ path }) => {
      if (path === CLEAN) for (let i = 0; i < 20; i += 1) images.push(fs.crash(choicesFromSeed(i)));
    };
    await opened.channel.close();
    expect(images.length).toBeGreaterThan(40);
    for (const image of images) {
      const { channel, report } = await openLog(image);
      expect(report?.damage).toBeUndefined();
      expect(await textsOf(channel)).toHaveLength(3);
    }
  });

  test('C7: a dat file that is longer is scanned', async () => {
    const fs = await closedLog();
    editFile(fs, fileOf(2), (bytes) => Buffer.concat([bytes, Buffer.from('torn')]));
    const { channel, report } = await openLog(fs);
    expect(report?.tornTail).toMatchObject({ bytes: 4 });
    expect(await textsOf(channel)).toHaveLength(3);
  });

  test('C7: records that were appended after it are found', async () => {
    const fs = await closedLog();
    const { channel } = await openLog(fs, { sync: 'always' });
    await channel.append('four');
    const { channel: again, report } = await openLog(durableCopy(fs));
    expect(report?.tornTail).toBeUndefined();
    expect(report?.scannedSegments).toBeGreaterThan(0);
    expect(await again.get(3)).toBeDefined();
  });

  test('C1, C7: a dat file that is shorter is damage: the mark is a witness', async () => {
    const fs = await closedLog();
    truncateFile(fs, fileOf(2), (fs.statSync(fileOf(2))?.size ?? 0) - 1);
    const { report } = await openLog(fs);
    expect(report?.damage?.seqRange).toEqual({ firstSeq: 2, nextSeq: 3 });
  });

  test('C7: not with another generation, last segment or length', async () => {
    const cases: [Partial<CleanMark>, boolean][] = [
      [{}, true],
      [{ generation: 2 }, false],
      [{ baseSeq: 1 }, false],
      [{ datLength: 100 }, false],
      [{ datLength: 10_000 }, false],
      [{ channelId: new Uint8Array(16).fill(7) }, false],
    ];
    for (const [fields, isBelieved] of cases) {
      const fs = await closedLog();
      forge(fs, fields);
      const { channel, report } = await openLog(fs);
      expect(report === undefined, JSON.stringify(fields)).toBe(isBelieved);
      expect(report?.damage).toBeUndefined();
      expect(await textsOf(channel)).toHaveLength(3);
      expect(await channel.append('next')).toBe(3);
    }
  });

  test('C7: not when a later segment was begun', async () => {
    const fs = await closedLog();
    const { channel, runtime } = await openLog(fs);
    runtime.advance(20);
    await channel.append('in a new segment');
    const again = await openLog(durableCopy(fs));
    expect(again.report).toBeDefined();
    expect(await textsOf(again.channel)).toHaveLength(4);
  });

  test('C1: what it says of the next seq counts, believed or not', async () => {
    const fs = await closedLog();
    forge(fs, { nextSeq: 5, datLength: 1 });
    const { channel, report } = await openLog(fs);
    expect(report?.damage?.seqRange).toEqual({ firstSeq: 3, nextSeq: 5 });
    await errorOf('CORRUPT', () => channel.append('no'));
  });
});

describe('C7: the two slots', () => {
  test('C7: a torn newer slot leaves the older one, which is a witness', async () => {
    const { fs, opened } = await segmentPerRecord(2);
    await opened.channel.close();
    const second = await openLog(fs);
    await second.channel.append('three');
    const before = readFile(fs, CLEAN);
    await second.channel.close();
    const after = readFile(fs, CLEAN);
    const changed = [...after.keys()].filter((i) => after[i] !== before[i]);
    const first = changed[0] ?? 0;
    const slot = first - (first % 512);
    expect(changed.every((i) => i - (i % 512) === slot)).toBe(true);
    for (let kept = 0; kept < 128; kept += 1) {
      const torn = durableCopy(fs);
      const bytes = before.slice();
      bytes.set(after.subarray(slot, slot + kept), slot);
      putFile(torn, CLEAN, bytes);
      const { channel, report } = await openLog(torn);
      expect(report?.damage, `${kept}`).toBeUndefined();
      expect(await textsOf(channel), `${kept}`).toHaveLength(3);
    }
  });

  test('C7: without a mark, a short file or none, the log is scanned and whole', async () => {
    const whole = await closedLog();
    const cases: ((fs: CrashFs) => void)[] = [
      (fs) => fillFile(fs, CLEAN, 0, 1024, 0),
      (fs) => truncateFile(fs, CLEAN, 0),
      (fs) => truncateFile(fs, CLEAN, 127),
      (fs) => fs.unlinkSync(CLEAN),
    ];
    for (const lose of cases) {
      const fs = durableCopy(whole);
      lose(fs);
      const { channel, report } = await openLog(fs);
      expect(report).toBeDefined();
      expect(await textsOf(channel)).toHaveLength(3);
      await channel.append('next');
      await channel.close();
      expect((await openLog(fs.crash(worst))).report).toBeUndefined();
    }
  });

  test('C7: each close writes the slot that the newer mark does not occupy', async () => {
    const fs = await closedLog();
    let counter = markOf(fs).counter;
    for (let i = 0; i < 4; i += 1) {
      const { channel } = await openLog(fs);
      await channel.append(`more ${i}`);
      const old = readFile(fs, CLEAN);
      await channel.close();
      const kept = (counter % 2) * 512;
      const now = readFile(fs, CLEAN).subarray(kept, kept + 512);
      expect(Buffer.compare(now, old.subarray(kept, kept + 512))).toBe(0);
      expect(markOf(fs).counter).toBe(counter + 1);
      counter += 1;
    }
  });
});
