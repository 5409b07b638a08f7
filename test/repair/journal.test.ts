/**
 * Goal: what a damaged journal has that can be read gets to its channels, what it has lost is told,
 * no seq is given twice, and every byte of it is kept.
 * Method: stores whose process was killed with records in the journal alone, and one damage each.
 */
import { describe, expect, test } from 'vitest';
import { encodeControl } from '../../src/format/journal-control.js';
import type { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';
import { filesUnder, CorruptFs, bytesOf } from '../support/corruption-fs.js';
import {
  contentsOf,
  newRuntime,
  planOn,
  repairOn,
  seqOf,
  swap,
  troubleIn,
  truncate,
  zero,
  type Contents,
} from '../support/repair-lab.js';
import { channelPath, DATA, treeOf } from '../support/store-kit.js';
import { MemoryFs as Memory } from '../../src/fs/memory-fs.js';
import { flip } from '../support/verify-kit.js';

const JOURNAL = `${DATA}/journal`;
const CONTROL = `${JOURNAL}/control`;

interface Killed {
  readonly fs: MemoryFs;
  readonly contents: Contents;
  /** Where the groups stand that are in the journal alone. */
  readonly groups: readonly number[];
}

/** Records of three channels in the journal, each in a group; the process is gone. */
async function killed(): Promise<Killed> {
  const disk = new Memory();
  const first = await Redex.open(DATA, { fs: disk, runtime: newRuntime() });
  for (const name of ['a', 'b', 'c']) await (await first.channel(name)).append(`${name} first`);
  await first.close();
  const runtime = newRuntime();
  const redex = await Redex.open(DATA, { fs: disk, runtime });
  const start = groupsIn(bytesOf(disk, segmentIn(disk))).length;
  for (let i = 0; i < 4; i++) {
    for (const name of ['a', 'b', 'c']) await (await redex.channel(name)).append(`${name} ${i}`);
  }
  const fs = new CorruptFs(filesUnder(disk, DATA));
  const healthy = new CorruptFs(filesUnder(disk, DATA));
  const groups = groupsIn(bytesOf(disk, segmentIn(disk))).slice(start);
  return { fs, contents: await contentsOf(healthy), groups };
}

function segmentIn(fs: MemoryFs): string {
  const names = fs.readDirectorySync(JOURNAL).map(({ name }) => name);
  const name = names.filter((each) => each.endsWith('.journal')).toSorted()[0];
  return `${JOURNAL}/${name}`;
}

function groupsIn(bytes: Uint8Array): number[] {
  const found: number[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 64; at + 72 <= bytes.length;) {
    if (Buffer.from(bytes.subarray(at, at + 4)).toString() !== 'RXJG') break;
    found.push(at);
    at += view.getUint32(at + 4, true);
  }
  return found;
}

describe('a journal that is whole', () => {
  test('is nothing to repair', async () => {
    const { fs } = await killed();
    const before = treeOf(fs, DATA);
    expect((await planOn(fs)).steps).toEqual([]);
    expect((await repairOn(fs)).repaired).toBe(false);
    expect(treeOf(fs, DATA)).toEqual(before);
  });

  test('gets to a channel whose files have to be repaired first', async () => {
    const { fs, contents } = await killed();
    fs.unlinkSync(`${channelPath('a')}/manifest`);
    const dat = `${channelPath('b')}/v0000000001/${'0'.repeat(20)}.dat`;
    flip(fs, dat, 8 * (64 + 70));
    const plan = await planOn(fs);
    const report = await repairOn(fs);
    expect(report.steps.map(({ kind, path }) => [kind, path])).toEqual(
      plan.steps.map(({ kind, path }) => [kind, path]),
    );
    const after = await contentsOf(fs);
    expect(after['a']).toEqual(contents['a']);
    expect(after['b']).toEqual(contents['b']?.slice(1));
    expect(after['c']).toEqual(contents['c']);
    expect(await troubleIn(fs)).toEqual([]);
  });

  test('is not written into the file of another channel', async () => {
    const { fs, contents } = await killed();
    const [a = '', b = ''] = ['a', 'b'].map(
      (name) => `${channelPath(name)}/v0000000001/${'0'.repeat(20)}.dat`,
    );
    swap(fs, a, b);
    const before = treeOf(fs, DATA);
    const report = await repairOn(fs);
    expect(new Set(report.steps.map(({ kind }) => kind))).toEqual(new Set(['damage', 'salvage']));
    const after = await contentsOf(fs);
    const rest = { a: contents['a']?.slice(1), b: contents['b']?.slice(1) };
    expect(after).toEqual({ ...contents, ...rest });
    for (const path of [a, b]) {
      const kept = report.kept.find((each) => each.path === path);
      const hex = Buffer.from(bytesOf(fs, kept?.keptAt ?? '')).toString('hex');
      expect(hex).toBe(before[path]);
    }
    expect(await troubleIn(fs)).toEqual([]);
    expect((await planOn(fs)).steps).toEqual([]);
  });

  test('gets to a channel whose file is too short for it', async () => {
    const { fs, contents } = await killed();
    truncate(fs, `${channelPath('b')}/v0000000001/${'0'.repeat(20)}.dat`, 70);
    const report = await repairOn(fs);
    expect(report.losses).toMatchObject([{ seqRange: { firstSeq: 0, nextSeq: 1 } }]);
    const after = await contentsOf(fs);
    expect(after).toEqual({ ...contents, b: contents['b']?.slice(1) });
    expect(await troubleIn(fs)).toEqual([]);
    expect((await planOn(fs)).steps).toEqual([]);
  });
});

interface Case {
  readonly what: string;
  readonly damage: (fs: MemoryFs, groups: readonly number[]) => void;
  /** Records that may be missing, of `a`, `b` and `c`. */
  readonly lost?: Readonly<Record<string, readonly number[]>>;
}

const CASES: readonly Case[] = [
  {
    what: 'a bit in a group',
    damage: (fs, groups) => flip(fs, segmentIn(fs), 8 * ((groups[4] ?? 0) + 100)),
    lost: { b: [2] },
  },
  {
    what: 'two groups that are zeros',
    damage: (fs, groups) => zero(fs, segmentIn(fs), groups[3] ?? 0, groups[5] ?? 0),
    lost: { a: [2], b: [2] },
  },
  { what: 'the control block is zeros', damage: (fs) => zero(fs, CONTROL, 0, 1024) },
  { what: 'the control block is missing', damage: (fs) => fs.unlinkSync(CONTROL) },
  {
    what: 'the control block of another store',
    damage: (fs) => {
      const link = { hi: 0, lo: 0 };
      const redoFrom = { segment: 1, position: 64, number: 1, link };
      const storeId = new Uint8Array(16).fill(9);
      const bytes = encodeControl({ storeId, counter: 90, epoch: 1, redoFrom, isClosed: false });
      const file = fs.openSync(CONTROL, 'write');
      file.writeSync(bytes, 0, bytes.length, 0);
      file.closeSync();
    },
  },
  {
    what: 'the segment is missing',
    damage: (fs) => fs.unlinkSync(segmentIn(fs)),
    lost: { a: [1, 2, 3, 4], b: [1, 2, 3, 4], c: [1, 2, 3, 4] },
  },
  {
    what: 'a channel that is nowhere',
    damage: (fs) => fs.renameSync(channelPath('b'), '/elsewhere'),
    lost: { b: [0, 1, 2, 3, 4] },
  },
];

describe('a journal that is damaged', () => {
  test.each(CASES)('$what', async ({ damage, lost = {} }) => {
    const { fs, contents, groups } = await killed();
    expect(groups.length).toBeGreaterThanOrEqual(12);
    damage(fs, groups);
    const before = treeOf(fs, DATA);
    const plan = await planOn(fs);
    expect(treeOf(fs, DATA)).toEqual(before);
    const report = await repairOn(fs);
    expect(report.steps.map(({ kind }) => kind)).toContain('journal');
    expect(plan.steps.map(({ kind, path }) => [kind, path])).toEqual(
      report.steps.map(({ kind, path }) => [kind, path]),
    );
    if (Object.keys(lost).length > 0) expect(report.losses).not.toEqual([]);
    const kept = report.kept.find(({ path }) => path === JOURNAL);
    for (const [path, hex] of Object.entries(before)) {
      if (!path.startsWith(`${JOURNAL}/`)) continue;
      const at = `${kept?.keptAt}${path.slice(JOURNAL.length)}`;
      expect(Buffer.from(bytesOf(fs, at)).toString('hex')).toBe(hex);
    }
    const after = await contentsOf(fs);
    for (const [name, rows] of Object.entries(contents)) {
      const gone = lost[name] ?? [];
      expect(after[name] ?? []).toEqual(rows.filter((row) => !gone.includes(seqOf(row))));
    }
    expect(await nextSeqsTooLow(fs)).toEqual([]);
    expect(await troubleIn(fs)).toEqual([]);
    expect((await planOn(fs)).steps).toEqual([]);
  });

  test('a torn end is none', async () => {
    const { fs, groups } = await killed();
    truncate(fs, segmentIn(fs), (groups.at(-1) ?? 0) + 80);
    expect((await planOn(fs)).steps).toEqual([]);
  });
});

/** Each of the channels had five records. */
async function nextSeqsTooLow(fs: MemoryFs): Promise<string[]> {
  const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
  const low: string[] = [];
  for await (const { name } of redex.channels()) {
    const { nextSeq } = await redex.channel(name);
    if (nextSeq < 5) low.push(`${name}: ${nextSeq}`);
  }
  await redex.close();
  return low;
}
