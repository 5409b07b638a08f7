/**
 * Goal: a write that a crash interrupted is cut off, and nothing but it (RULES C3, C4).
 * Method: the last frame of a log is cut short, zeroed and overwritten at every place, and other
 * bytes are put behind it; what was synced before must be there and the log must go on.
 */
import { describe, expect, test } from 'vitest';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import {
  durableCopy,
  editFile,
  fileOf,
  fillFile,
  flipBit,
  openLog,
  readFile,
  segmentPerRecord,
  textsOf,
  truncateFile,
  unitsOf,
  type Opened,
} from '../support/recovery-lab.js';
import { CrashFs as Disk } from '../../src/testing/crash-fs.js';

const DAT = fileOf(0);

/** Two synced records and a third one whose frame says so but which no sync covers. */
async function threeRecords(last = 'third'): Promise<CrashFs> {
  const fs = new Disk();
  const { channel } = await openLog(fs, { sync: 'never' });
  await channel.append('first');
  await channel.append('second');
  await channel.sync();
  await channel.append(last);
  return durableCopy(fs);
}

/** The log goes on behind the cut, and the next process sees all of it. */
async function goesOn(fs: CrashFs, opened: Opened, expected: readonly string[]): Promise<void> {
  const { channel } = opened;
  expect(await textsOf(channel)).toEqual(expected);
  expect(await channel.append('next', { durability: 'synced' })).toBe(expected.length);
  const again = await openLog(durableCopy(fs));
  expect(again.report?.tornTail).toBeUndefined();
  expect(await textsOf(again.channel)).toEqual([...expected, 'next']);
  expect(again.channel.recoveryEpoch).toBe(channel.recoveryEpoch);
}

async function lastFrame(fs: CrashFs): Promise<{ at: number; byteLength: number }> {
  const last = unitsOf(readFile(fs, DAT)).at(-1);
  if (last === undefined) throw new Error('there is no frame');
  return last;
}

describe('C3: a torn last frame', () => {
  test('C3, C4: cut short at every byte: a write that nobody was told of', async () => {
    const fs = await threeRecords();
    const { at, byteLength } = await lastFrame(fs);
    for (let size = at + 1; size < at + byteLength; size += 1) {
      const cut = durableCopy(fs);
      truncateFile(cut, DAT, size);
      const opened = await openLog(cut);
      const { tornTail } = opened.report ?? {};
      expect(tornTail?.bytes, `at ${size}`).toBe(size - at);
      expect(tornTail?.mayHaveBeenAcknowledged, `at ${size}`).toBe(false);
      expect(cut.statSync(DAT)?.size).toBe(at);
      await goesOn(cut, opened, ['first', 'second']);
    }
  });

  test('C3, C4: zeros from every byte on: it may have been acknowledged', async () => {
    const fs = await threeRecords();
    const { at, byteLength } = await lastFrame(fs);
    const end = at + byteLength;
    // Of the last bytes some are zeros anyway.
    for (let from = at; from < end - 8; from += 1) {
      const cut = durableCopy(fs);
      fillFile(cut, DAT, from, end, 0);
      const opened = await openLog(cut);
      expect(opened.report?.tornTail?.mayHaveBeenAcknowledged, `from ${from}`).toBe(true);
      await goesOn(cut, opened, ['first', 'second']);
    }
  });

  test('C4: damage to the last frame may have hit what was acknowledged', async () => {
    const fs = await threeRecords();
    const { at, byteLength } = await lastFrame(fs);
    const certain: number[] = [];
    for (let bit = at * 8; bit < (at + byteLength) * 8; bit += 1) {
      const cut = durableCopy(fs);
      flipBit(cut, DAT, bit);
      const { channel, report } = await openLog(cut);
      expect(await textsOf(channel), `bit ${bit}`).toEqual(['first', 'second']);
      if (report?.tornTail?.mayHaveBeenAcknowledged !== true) certain.push(bit - at * 8);
    }
    expect(certain).toEqual([]);
  });

  test('C4: what was cut is reported: records, bytes, place and reason', async () => {
    const fs = await threeRecords();
    const { at, byteLength } = await lastFrame(fs);
    flipBit(fs, DAT, (at + byteLength - 9) * 8);
    const { report } = await openLog(fs);
    expect(report).toMatchObject({
      scannedSegments: 1,
      nextSeq: 2,
      // The frame that was cut was the only one that said more.
      durableSeq: 0,
      damage: undefined,
      recoveryEpoch: 1,
      tornTail: { count: 0, bytes: byteLength, reason: 'checksum' },
    });
    expect(report?.tornTail?.regions).toEqual([
      {
        path: DAT,
        position: at,
        byteLength,
        keptAside: expect.stringMatching(
          new RegExp(`^/data/log/cut-0{20}-${at}-[0-9a-f]{16}$`),
        ) as string,
      },
    ]);
  });

  test('C4: records that still verify behind the tear are counted', async () => {
    const fs = new Disk();
    const { channel } = await openLog(fs, { sync: 'never' });
    for (const text of ['a', 'b', 'c']) await channel.append(text);
    const copy = durableCopy(fs);
    flipBit(copy, DAT, (64 + 70) * 8);
    const { report } = await openLog(copy);
    expect(report?.tornTail).toMatchObject({ count: 2, mayHaveBeenAcknowledged: true });
  });

  test('C4: a torn seal is certain, but not when the next segment has bytes', async () => {
    const { fs } = await segmentPerRecord(2, { sync: 'never' });
    for (const [next, certain] of [
      [0, true],
      [64, false],
      [150, false],
    ] as const) {
      const copy = durableCopy(fs);
      truncateFile(copy, DAT, (copy.statSync(DAT)?.size ?? 0) - 1);
      truncateFile(copy, fileOf(1), next);
      const { report } = await openLog(copy);
      expect(report?.tornTail?.mayHaveBeenAcknowledged, `${next}`).toBe(!certain);
    }
  });

  test('C4: behind the witness of idle, roll and close it is damage', async () => {
    const fs = new Disk();
    const { channel, runtime } = await openLog(fs);
    await channel.append('acknowledged');
    const before = durableCopy(fs);
    runtime.advance(1001);
    await channel.sync();
    const after = durableCopy(fs);
    for (const copy of [before, after]) flipBit(copy, DAT, (64 + 70) * 8);
    const first = await openLog(before);
    expect(first.report?.tornTail?.mayHaveBeenAcknowledged).toBe(true);
    const second = await openLog(after);
    expect(second.report?.damage).toMatchObject({ seqRange: { firstSeq: 0, nextSeq: 1 } });
  });
});

describe('C3: bytes behind the end', () => {
  const junk: Record<string, (tail: Uint8Array) => Uint8Array> = {
    zeros: (tail) => tail.fill(0),
    ones: (tail) => tail.fill(0xff),
    noise: (tail) => tail.map((_byte, i) => (i * 167 + 13) & 255),
    magic: (tail) => Buffer.from(tail.fill(0)).fill('RXFR'),
  };
  test.each(Object.keys(junk))('C3: %s are cut', async (name) => {
    for (const length of [1, 7, 8, 63, 64, 65, 512, 5000]) {
      const fs = await threeRecords();
      editFile(fs, DAT, (bytes) => {
        const tail = junk[name]?.(new Uint8Array(length)) ?? new Uint8Array(0);
        return Buffer.concat([bytes, tail]);
      });
      const opened = await openLog(fs);
      expect(opened.report?.tornTail?.bytes).toBe(length);
      await goesOn(fs, opened, ['first', 'second', 'third']);
    }
  });

  test('C3: a frame of the segment at another place is no record and no witness', async () => {
    const fs = await threeRecords();
    editFile(fs, DAT, (bytes) => {
      const { at, byteLength } = unitsOf(bytes).at(-1) ?? { at: 0, byteLength: 0 };
      return Buffer.concat([bytes, new Uint8Array(64), bytes.subarray(at, at + byteLength)]);
    });
    const opened = await openLog(fs);
    expect(opened.report?.tornTail?.count).toBe(0);
    await goesOn(fs, opened, ['first', 'second', 'third']);
  });

  test('C3: a stale frame at its place does not chain behind another predecessor', async () => {
    const stale = await threeRecords('stale');
    const staleBytes = readFile(stale, DAT);
    // The same log again from the same seeds cannot be had: another nonce, another chain.
    const fs = await threeRecords('fresh');
    const { at } = await lastFrame(fs);
    editFile(fs, DAT, (bytes) => Buffer.concat([bytes.subarray(0, at), staleBytes.subarray(at)]));
    const opened = await openLog(fs);
    expect(opened.report?.tornTail?.count).toBe(0);
    await goesOn(fs, opened, ['first', 'second']);
  });

  test('C3: what a failed write left does not chain to what was written instead', async () => {
    const before = new Disk();
    const { channel } = await openLog(before, { sync: 'never' });
    await channel.append('first');
    const branch = async (...texts: string[]): Promise<CrashFs> => {
      const fs = durableCopy(before);
      const opened = await openLog(fs, { sync: 'never' });
      for (const text of texts) await opened.channel.append(text);
      return durableCopy(fs);
    };
    const stale = readFile(await branch('refused', 'follows'), DAT);
    const fs = await branch('written');
    // Same segment, same place, a good checksum, the next seq: only its predecessor is another.
    editFile(fs, DAT, (bytes) => Buffer.concat([bytes, stale.subarray(bytes.length)]));
    const opened = await openLog(fs);
    expect(opened.report?.tornTail).toMatchObject({ count: 1, reason: 'chain' });
    await goesOn(fs, opened, ['first', 'written']);
  });

  test('C3: a copy of frames inside of a payload is neither record nor witness', async () => {
    const fs = new Disk();
    const { channel } = await openLog(fs, { sync: 'never' });
    await channel.append('first');
    await channel.sync();
    for (let i = 0; i < 5; i += 1) await channel.append(`more ${i}`);
    await channel.sync();
    await channel.append('last');
    // Frames that say 6 was synced, as the payload of the next segment's only record.
    const frames = readFile(durableCopy(fs), DAT);
    const other = new Disk();
    const opened = await openLog(other, { sync: 'never' });
    await opened.channel.append(frames.subarray(64));
    const copy = durableCopy(other);
    flipBit(copy, DAT, 70 * 8);
    const { report, channel: again } = await openLog(copy);
    expect(report?.damage).toBeUndefined();
    expect(report?.tornTail?.count).toBe(0);
    expect(again.nextSeq).toBe(0);
  });
});

test('C3: a torn batch goes as a whole, however many of its blocks are good', async () => {
  const fs = new Disk();
  const { channel } = await openLog(fs, { sync: 'never' });
  await channel.append('kept');
  await channel.sync();
  const batch = Array.from({ length: 8 }, (_, i) => new Uint8Array(3000).fill(i + 1));
  await channel.appendBatch(batch);
  const whole = durableCopy(fs);
  const { at, byteLength } = await lastFrame(whole);
  for (let size = at + 500; size < at + byteLength; size += 997) {
    const cut = durableCopy(whole);
    truncateFile(cut, DAT, size);
    const opened = await openLog(cut);
    expect(opened.report?.tornTail?.mayHaveBeenAcknowledged).toBe(false);
    await goesOn(cut, opened, ['kept']);
  }
});
