/**
 * Goal: what is damaged in the segments of a channel is left out, and nothing else.
 * Method: one damage at a time in a closed store in memory; the records that are left are compared
 * with those that were written, and the bytes that are kept with those that were damaged.
 */
import { describe, expect, test } from 'vitest';
import type { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';
import { bytesOf } from '../support/corruption-fs.js';
import {
  contentsOf,
  dat,
  newRuntime,
  planOn,
  repairOn,
  sample,
  seqOf,
  swap,
  troubleIn,
  truncate,
  zero,
  type Contents,
  type Sample,
} from '../support/repair-lab.js';
import { channelPath, DATA, treeOf } from '../support/store-kit.js';
import { flip, unitsIn } from '../support/verify-kit.js';

/** The contents without these seqs of `log`. */
function without({ contents }: Sample, ...seqs: readonly number[]): Contents {
  const { log = [] } = contents;
  return { ...contents, log: log.filter((row) => !seqs.includes(seqOf(row))) };
}

describe('a healthy store', () => {
  test('has nothing to repair, and nothing is written', async () => {
    const { fs } = await sample();
    const before = treeOf(fs, DATA);
    expect(await planOn(fs)).toMatchObject({ steps: [], losses: [], kept: [] });
    expect(await repairOn(fs)).toMatchObject({ steps: [], losses: [], kept: [], repaired: false });
    expect(treeOf(fs, DATA)).toEqual(before);
  });
});

describe('a frame in the middle', () => {
  test('is left out, and kept', async () => {
    const healthy = await sample();
    const { fs } = healthy;
    const path = dat(8);
    const [, second] = unitsIn(bytesOf(fs, path));
    if (second === undefined) throw new Error('no second frame');
    flip(fs, path, 8 * (second.at + 70));
    const damagedBytes = bytesOf(fs, path);
    const before = treeOf(fs, DATA);
    const plan = await planOn(fs);
    expect(treeOf(fs, DATA)).toEqual(before);
    const [damage, salvage] = plan.steps;
    const seqRange = { firstSeq: 10, nextSeq: 12 };
    expect(damage).toMatchObject({
      kind: 'damage',
      channel: 'log',
      path,
      position: second.at,
      seqRange,
    });
    expect(salvage).toMatchObject({ kind: 'salvage', channel: 'log' });
    expect(plan.losses).toMatchObject([{ channel: 'log', path, seqRange }]);
    const report = await repairOn(fs);
    expect(report.repaired).toBe(true);
    expect(report.steps).toEqual(plan.steps);
    expect(report.savedRecords).toBe(30);
    const [kept] = report.kept;
    expect(bytesOf(fs, kept?.keptAt ?? '')).toEqual(damagedBytes);
    expect(await contentsOf(fs)).toEqual(without(healthy, 10, 11));
    expect(await troubleIn(fs)).toEqual([]);
    expect(await repairOn(fs)).toMatchObject({ steps: [], repaired: false });
  });
});

test('what stands behind a file of another segment is no torn tail', async () => {
  const healthy = await sample();
  const { fs } = healthy;
  // Nothing says what was synced.
  for (const name of [dat(0), dat(8), dat(0).replace(/dat$/, 'idx')]) fs.unlinkSync(name);
  fs.unlinkSync(`${channelPath('log')}/clean`);
  const source = bytesOf(fs, dat(24));
  const file = fs.openSync(dat(16), 'write');
  file.truncateSync(0);
  file.writeSync(source, 0, source.length, 0);
  file.closeSync();
  const report = await repairOn(fs);
  expect(report.steps.map(({ kind }) => kind)).not.toContain('tail');
  expect((await contentsOf(fs))['log']).toEqual(without(healthy, ...range(0, 24))['log']);
  expect(await troubleIn(fs)).toEqual([]);
});

interface Case {
  readonly what: string;
  readonly damage: (fs: MemoryFs) => void;
  /** Seqs of `log` that are gone afterwards. */
  readonly lost?: readonly number[];
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);
const unitAt = (fs: MemoryFs, base: number, index: number): number =>
  unitsIn(bytesOf(fs, dat(base))).at(index)?.at ?? 0;
const derivedOf = (base: number): string[] =>
  ['idx', 'ts'].map((kind) => dat(base).replace(/dat$/, kind));

const CASES: readonly Case[] = [
  {
    what: 'the head of a frame',
    damage: (fs) => flip(fs, dat(8), 8 * unitAt(fs, 8, 2)),
    lost: [12, 13],
  },
  {
    what: 'a payload of the last segment',
    damage: (fs) => flip(fs, dat(24), 8 * (unitAt(fs, 24, 1) + 70)),
    lost: [26, 27],
  },
  {
    what: 'the last frame of the last segment',
    damage: (fs) => flip(fs, dat(24), 8 * (unitAt(fs, 24, -1) + 70)),
    lost: [30, 31],
  },
  {
    what: 'the first frame',
    damage: (fs) => flip(fs, dat(0), 8 * (unitAt(fs, 0, 0) + 12)),
    lost: [0, 1],
  },
  { what: 'a seal', damage: (fs) => flip(fs, dat(8), 8 * (unitAt(fs, 8, -1) + 20)) },
  { what: 'the file header of a finished segment', damage: (fs) => flip(fs, dat(8), 8 * 33) },
  { what: 'the file header of the last segment', damage: (fs) => flip(fs, dat(24), 8 * 4) },
  { what: 'a file header that is zeros', damage: (fs) => zero(fs, dat(16), 0, 64) },
  { what: 'the header of the last one that is zeros', damage: (fs) => zero(fs, dat(24), 0, 64) },
  {
    what: 'a header without idx and ts',
    damage: (fs) => {
      for (const path of derivedOf(16)) fs.unlinkSync(path);
      zero(fs, dat(16), 0, 64);
    },
  },
  { what: 'the first sector', damage: (fs) => zero(fs, dat(8), 0, 150), lost: [8, 9] },
  {
    what: 'a segment that is zeros',
    damage: (fs) => zero(fs, dat(8), 0, bytesOf(fs, dat(8)).length),
    lost: range(8, 16),
  },
  { what: 'a dat file that is missing', damage: (fs) => fs.unlinkSync(dat(8)), lost: range(8, 16) },
  {
    what: 'two dat files that are missing',
    damage: (fs) => [8, 16].forEach((base) => fs.unlinkSync(dat(base))),
    lost: range(8, 24),
  },
  {
    what: 'the first dat file that is missing',
    damage: (fs) => fs.unlinkSync(dat(0)),
    lost: range(0, 8),
  },
  {
    what: 'the last dat file that is missing',
    damage: (fs) => fs.unlinkSync(dat(24)),
    lost: range(24, 32),
  },
  {
    what: 'all dat files that are missing',
    damage: (fs) => [0, 8, 16, 24].forEach((base) => fs.unlinkSync(dat(base))),
    lost: range(0, 32),
  },
  {
    what: 'a dat file that is cut in a frame',
    damage: (fs) => truncate(fs, dat(8), unitAt(fs, 8, 2) + 20),
    lost: range(12, 16),
  },
  {
    what: 'a dat file that is cut at a frame',
    damage: (fs) => truncate(fs, dat(8), unitAt(fs, 8, 2)),
    lost: range(12, 16),
  },
  {
    what: 'a last dat file that is cut',
    damage: (fs) => truncate(fs, dat(24), unitAt(fs, 24, 1)),
    lost: range(26, 32),
  },
  {
    what: 'a dat file that is empty',
    damage: (fs) => truncate(fs, dat(16), 0),
    lost: range(16, 24),
  },
  { what: 'two dat files that are swapped', damage: (fs) => swap(fs, dat(8), dat(16)) },
  {
    what: 'bytes behind a seal',
    damage: (fs) => truncate(fs, dat(8), bytesOf(fs, dat(8)).length + 40),
  },
  {
    what: 'a dat file of another channel',
    damage: (fs) => swap(fs, dat(0), `${channelPath('other')}/v0000000001/${'0'.repeat(20)}.dat`),
    lost: range(0, 8),
  },
  {
    what: 'several at once',
    damage: (fs) => {
      flip(fs, dat(0), 8 * (unitAt(fs, 0, 1) + 70));
      fs.unlinkSync(dat(8));
      flip(fs, dat(16), 8 * 50);
      truncate(fs, dat(24), unitAt(fs, 24, 3) + 9);
    },
    lost: [2, 3, ...range(8, 16), 30, 31],
  },
  { what: 'a missing idx', damage: (fs) => fs.unlinkSync(derivedOf(8)[0] ?? '') },
  { what: 'a flipped ts', damage: (fs) => flip(fs, derivedOf(8)[1] ?? '', 8 * 80 + 3) },
  {
    what: 'a short idx of the last segment',
    damage: (fs) => truncate(fs, derivedOf(24)[0] ?? '', 90),
  },
  {
    what: 'idx files that are swapped',
    damage: (fs) => swap(fs, derivedOf(0)[0] ?? '', derivedOf(8)[0] ?? ''),
  },
];

describe('what is damaged is left out, the rest is there', () => {
  test.each(CASES)('$what', async ({ damage, lost = [] }) => {
    const healthy = await sample();
    const { fs } = healthy;
    damage(fs);
    const plan = await planOn(fs);
    const report = await repairOn(fs);
    expect(report.repaired).toBe(true);
    expect(report.steps).toEqual(plan.steps);
    expect(report.losses).toEqual(plan.losses);
    const contents = await contentsOf(fs);
    // What the swap has taken from the other channel is another test's.
    expect(contents['log']).toEqual(without(healthy, ...lost)['log']);
    const told = new Set(
      report.losses
        .filter(({ channel }) => channel === 'log')
        .flatMap(({ seqRange }) => range(seqRange?.firstSeq ?? 0, seqRange?.nextSeq ?? 0)),
    );
    expect([...told].filter((seq) => seq < 32)).toEqual(lost);
    expect(await troubleIn(fs)).toEqual([]);
    const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
    const log = await redex.channel('log');
    expect(log.nextSeq).toBeGreaterThanOrEqual(33);
    await redex.close();
    expect((await planOn(fs)).steps).toEqual([]);
  });
});
