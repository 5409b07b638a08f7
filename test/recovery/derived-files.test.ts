/**
 * Goal: idx and ts are derived (RULES C1): whatever becomes of them, every record is found with
 * its bytes, seq and time, and they are built again.
 * Method: every way to lose them, and every single flipped bit, for all ways of reading.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { SegmentFileKind } from '../../src/format/file-name.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import {
  durableCopy,
  editFile,
  fileOf,
  fillFile,
  flipBit,
  openLog,
  putFile,
  readFile,
  textOf,
  truncateFile,
} from '../support/recovery-lab.js';

const START = 1_700_000_000_000;
/** Seqs with gaps, in two segments; record i has time START + 10 i. */
const SEQS = [0, 1, 5, 6, 7, 20, 21];
const SECOND_BASE = 7;

async function gappedLog(): Promise<CrashFs> {
  const fs = new CrashFs();
  const { channel, runtime } = await openLog(fs, { segmentMs: 1000 });
  for (const [index, seq] of SEQS.entries()) {
    if (seq === SECOND_BASE) runtime.advance(1000);
    await channel.append(`record ${seq}`, { seq, timestamp: START + 10 * index });
  }
  await channel.close();
  return durableCopy(fs);
}

async function checkAll(channel: Channel, what: string): Promise<void> {
  const all = await channel.readBatch();
  expect(
    all.map(({ seq }) => seq),
    what,
  ).toEqual(SEQS);
  expect(all.map(textOf), what).toEqual(SEQS.map((seq) => `record ${seq}`));
  expect(
    all.map(({ timestamp }) => timestamp),
    what,
  ).toEqual(SEQS.map((_s, i) => START + 10 * i));
  for (let seq = 0; seq <= 21; seq += 1) {
    const record = await channel.get(seq);
    const expected = SEQS.includes(seq) ? `record ${seq}` : undefined;
    expect(record && textOf(record), `${what}, get ${seq}`).toBe(expected);
  }
  const reversed: number[] = [];
  for await (const { seq } of channel.read({ reverse: true })) reversed.push(seq);
  expect(reversed, what).toEqual(SEQS.toReversed());
  expect(
    (await channel.last(3)).map(({ seq }) => seq),
    what,
  ).toEqual(SEQS.slice(-3));
  for (const [index, seq] of SEQS.entries()) {
    expect(await channel.seqAt(START + 10 * index), `${what}, seqAt`).toBe(seq);
    expect(await channel.seqAt(START + 10 * index - 5), `${what}, seqAt`).toBe(seq);
  }
  expect(await channel.seqAt(START + 1000), what).toBe(22);
  expect(
    (await channel.readBatch({ from: 6 })).map(({ seq }) => seq),
    what,
  ).toEqual(SEQS.slice(3));
}

const LOSSES: Record<string, (fs: CrashFs, path: string, other: Uint8Array) => void> = {
  missing: (fs, path) => fs.unlinkSync(path),
  empty: (fs, path) => truncateFile(fs, path, 0),
  'half a header': (fs, path) => truncateFile(fs, path, 32),
  'only a header': (fs, path) => truncateFile(fs, path, 64),
  'one entry short': (fs, path) => truncateFile(fs, path, readFile(fs, path).length - 1),
  'entries of zeros': (fs, path) => fillFile(fs, path, 64, 10_000, 0),
  'all zeros': (fs, path) => fillFile(fs, path, 0, 10_000, 0),
  'entries of ones': (fs, path) => fillFile(fs, path, 64, 10_000, 255),
  'of another segment': (fs, path, other) => putFile(fs, path, other),
  'entries of another order': (fs, path) =>
    editFile(fs, path, (bytes) => {
      const entries = bytes.slice(64);
      for (let i = 0; i < entries.length; i += 8) {
        bytes.set(entries.subarray(entries.length - i - 8, entries.length - i), 64 + i);
      }
      return bytes;
    }),
  'garbage behind': (fs, path) =>
    editFile(fs, path, (bytes) => Buffer.concat([bytes, Buffer.alloc(100, 7)])),
};

describe.each(['idx', 'ts'] as const)('C1: %s', (kind: SegmentFileKind) => {
  test.each(Object.keys(LOSSES))('C1: %s: nothing is lost, clean or not', async (name) => {
    const whole = await gappedLog();
    for (const base of [0, SECOND_BASE]) {
      for (const clean of [true, false]) {
        const fs = durableCopy(whole);
        if (!clean) fillFile(fs, '/data/log/clean', 0, 1024, 0);
        const other = readFile(fs, fileOf(base === 0 ? SECOND_BASE : 0, kind));
        LOSSES[name]?.(fs, fileOf(base, kind), other);
        const what = `${base}, ${clean ? 'clean' : 'unclean'}`;
        const { channel, report } = await openLog(fs);
        expect(report === undefined, what).toBe(clean);
        expect(report?.tornTail, what).toBeUndefined();
        await checkAll(channel, what);
        expect(await channel.append('more'), what).toBe(22);
        await channel.close();
        const again = await openLog(durableCopy(fs));
        expect(again.channel.count, what).toBe(SEQS.length + 1);
      }
    }
  });

  test('C1: what was lost is built again, byte for byte', async () => {
    const whole = await gappedLog();
    for (const base of [0, SECOND_BASE]) {
      const fs = durableCopy(whole);
      const path = fileOf(base, kind);
      const before = readFile(fs, path);
      fs.unlinkSync(path);
      const { channel } = await openLog(fs);
      await checkAll(channel, `${kind} of ${base}`);
      await channel.close();
      expect(Buffer.from(readFile(fs, path)).equals(before)).toBe(true);
    }
  });

  test('C1: every flipped bit is harmless', async () => {
    const whole = await gappedLog();
    for (const base of [0, SECOND_BASE]) {
      const path = fileOf(base, kind);
      const bits = readFile(whole, path).length * 8;
      for (let bit = 0; bit < bits; bit += 1) {
        const fs = durableCopy(whole);
        flipBit(fs, path, bit);
        const { channel } = await openLog(fs);
        await checkAll(channel, `bit ${bit} of ${path}`);
      }
    }
  });
});

test('C1: both files of both segments are lost, with something else in their place', async () => {
  const whole = await gappedLog();
  const none = durableCopy(whole);
  const swapped = durableCopy(whole);
  for (const base of [0, SECOND_BASE]) {
    for (const kind of ['idx', 'ts'] as const) none.unlinkSync(fileOf(base, kind));
    putFile(swapped, fileOf(base, 'idx'), readFile(whole, fileOf(base, 'ts')));
    putFile(swapped, fileOf(base, 'ts'), readFile(whole, fileOf(base, 'dat')));
  }
  for (const fs of [none, swapped]) await checkAll((await openLog(fs)).channel, 'both');
});
