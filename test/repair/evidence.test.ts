/**
 * Goal: what a repair takes for true is what the other files say, also where a file is whole and
 * wrong: from an earlier moment, of another store, or one that names what is not there. What it
 * decides against is kept.
 * Method: stores in memory, closed or killed with records in the journal, and files put in their
 * places that were copied at another time or in another store.
 */
import { describe, expect, test } from 'vitest';
import type { FileSystem } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';
import { CorruptFs, bytesOf, filesUnder } from '../support/corruption-fs.js';
import {
  contentsOf,
  dat,
  newRuntime,
  planOn,
  repairOn,
  sample,
  seqOf,
  troubleIn,
  zero,
  type Contents,
} from '../support/repair-lab.js';
import { channelPath, DATA } from '../support/store-kit.js';
import { flip } from '../support/verify-kit.js';

const LOG = channelPath('log');
const FIRST = `${'0'.repeat(20)}.dat`;

function put(fs: FileSystem, path: string, bytes: Uint8Array): void {
  if (fs.statSync(path) !== undefined) fs.unlinkSync(path);
  const file = fs.openSync(path, 'create');
  file.writeSync(bytes, 0, bytes.length, 0);
  file.closeSync();
}

/** Puts a directory back as another disk has it. */
function copyTree(from: FileSystem, to: FileSystem, directory: string): void {
  for (const [path, bytes] of filesUnder(from, directory)) {
    if (bytes !== undefined) put(to, path, bytes);
    else if (to.statSync(path) === undefined) to.mkdirSync(path);
  }
}

const copyOf = (fs: FileSystem): MemoryFs => new CorruptFs(filesUnder(fs, DATA));

async function expectWhole(fs: FileSystem, expected: Contents): Promise<void> {
  expect(await contentsOf(fs)).toEqual(expected);
  expect(await troubleIn(fs)).toEqual([]);
  expect((await planOn(fs)).steps).toEqual([]);
}

/** A plan that says what the repair then does. */
async function repaired(fs: FileSystem): ReturnType<typeof repairOn> {
  const plan = await planOn(fs);
  const report = await repairOn(fs);
  const told = ({ steps, losses }: typeof plan): unknown => [
    steps.map(({ kind, path, reason }) => [kind, path, reason]),
    losses,
  ];
  expect(told(report)).toEqual(told(plan));
  return report;
}

describe('a live generation that is not there', () => {
  /** `log` before and after a compaction that drops one record of four. */
  async function compacted(): Promise<{
    readonly before: MemoryFs;
    readonly after: MemoryFs;
    readonly contents: Contents;
  }> {
    const { fs } = await sample();
    const before = copyOf(fs);
    const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
    await (await redex.channel('log')).compact({ keep: ({ seq }) => seq % 4 !== 1 });
    await redex.close();
    return { before, after: fs, contents: await contentsOf(fs) };
  }

  test('is the one that an old manifest names: what came after it is taken', async () => {
    const { before, after, contents } = await compacted();
    put(after, `${LOG}/manifest`, bytesOf(before, `${LOG}/manifest`));
    const { steps, losses } = await repaired(after);
    expect(steps).toMatchObject([{ kind: 'manifest', channel: 'log' }]);
    expect(losses).toMatchObject([{ channel: 'log' }]);
    await expectWhole(after, contents);
  });

  test('and what it has retired is, under a number that no manifest has named', async () => {
    const { before, after } = await compacted();
    const expected = await contentsOf(copyOf(before));
    for (const [path, bytes] of filesUnder(after, `${LOG}/v0000000002`)) {
      if (bytes !== undefined) after.unlinkSync(path);
    }
    after.rmdirSync(`${LOG}/v0000000002`);
    copyTree(before, after, `${LOG}/v0000000001`);
    const { steps, losses } = await repaired(after);
    expect(steps.map(({ kind }) => kind)).toEqual(['manifest', 'generation']);
    expect(losses[0]?.reason).toContain('is there again');
    expect(after.statSync(`${LOG}/v0000000003`)?.kind).toBe('directory');
    await expectWhole(after, expected);
  });

  test('and no other one with a record: it has to come from a backup', async () => {
    const { after } = await compacted();
    after.renameSync(`${LOG}/v0000000002`, '/elsewhere');
    after.mkdirSync(`${LOG}/v0000000003`);
    const manifest = bytesOf(after, `${LOG}/manifest`);
    const { steps, losses } = await repaired(after);
    expect(steps).toEqual([]);
    expect(losses[0]?.reason).toContain('from a backup');
    expect(bytesOf(after, `${LOG}/manifest`)).toEqual(manifest);
    after.renameSync('/elsewhere', `${LOG}/v0000000002`);
    expect(await troubleIn(after)).toEqual([]);
  });
});

test('a generation with records that the live one has lost is set aside, not removed', async () => {
  const { fs } = await sample();
  const before = copyOf(fs);
  const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
  await (await redex.channel('log')).compact({ keep: ({ seq }) => seq % 4 !== 1 });
  await redex.close();
  copyTree(before, fs, `${LOG}/v0000000001`);
  const live = `${LOG}/v0000000002`;
  zero(fs, `${live}/${FIRST}`, 70, bytesOf(fs, `${live}/${FIRST}`).length);
  const report = await repaired(fs);
  expect(report.steps).toContainEqual(
    expect.objectContaining({ kind: 'generation', path: `${LOG}/v0000000001` }),
  );
  const kept = report.kept.find(({ path }) => path === `${LOG}/v0000000001`);
  expect(bytesOf(fs, `${kept?.keptAt}/${FIRST}`)).toEqual(bytesOf(before, dat(0)));
  expect(await troubleIn(fs)).toEqual([]);
  expect(bytesOf(fs, `${kept?.keptAt}/${FIRST}`)).toEqual(bytesOf(before, dat(0)));
});

test('what is in a generation under no name of its files is kept', async () => {
  const { fs } = await sample();
  const bytes = bytesOf(fs, dat(8));
  fs.renameSync(dat(8), `${dat(8)}x`);
  const directory = `${LOG}/v0000000001/lost+found`;
  fs.mkdirSync(directory);
  put(fs, `${directory}/file`, Uint8Array.of(1, 2, 3));
  const { kept } = await repaired(fs);
  const keptAt = (path: string): string => kept.find((each) => each.path === path)?.keptAt ?? '';
  expect(bytesOf(fs, keptAt(`${dat(8)}x`))).toEqual(bytes);
  expect(bytesOf(fs, `${keptAt(directory)}/file`)).toEqual(Uint8Array.of(1, 2, 3));
  expect(await troubleIn(fs)).toEqual([]);
  expect((await planOn(fs)).steps).toEqual([]);
});

test('a directory with another name keeps the options of its channel', async () => {
  const { fs, contents } = await sample();
  fs.renameSync(LOG, `${DATA}/channels/mog`);
  const { steps, losses } = await repaired(fs);
  expect(steps).toMatchObject([{ kind: 'config', channel: 'mog' }]);
  expect(losses).toEqual([]);
  const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
  const { sync, segmentMs } = (await redex.channel('mog', { createIfMissing: false })).options;
  expect([sync, segmentMs]).toEqual(['never', 1000]);
  await redex.close();
  const { log = [], ...rest } = contents;
  await expectWhole(fs, { ...rest, mog: log });
});

test.each(['alone', 'with the manifest'])('a config of another store, %s', async (what) => {
  const { fs, contents } = await sample();
  const { fs: other } = await sample();
  for (const name of what === 'alone' ? ['config'] : ['config', 'manifest']) {
    put(fs, `${LOG}/${name}`, bytesOf(other, `${LOG}/${name}`));
  }
  if (what !== 'alone') fs.unlinkSync(`${LOG}/manifest`);
  const { steps } = await repaired(fs);
  expect(steps[0]).toMatchObject({ kind: 'config', channel: 'log' });
  await expectWhole(fs, contents);
});

test('generations of two channels that are exchanged stay foreign to them', async () => {
  const { fs, contents } = await sample();
  const other = `${channelPath('other')}/v0000000001`;
  const bytes = bytesOf(fs, dat(0));
  fs.renameSync(`${LOG}/v0000000001`, '/elsewhere');
  fs.renameSync(other, `${LOG}/v0000000001`);
  fs.renameSync('/elsewhere', other);
  for (const path of [LOG, channelPath('other')]) {
    for (const name of ['manifest', 'clean']) fs.unlinkSync(`${path}/${name}`);
  }
  const { kept } = await repaired(fs);
  const after = await contentsOf(fs);
  for (const name of ['log', 'other']) {
    for (const row of after[name] ?? []) expect(contents[name]).toContain(row);
  }
  const moved = `${other}/${FIRST}`;
  expect(bytesOf(fs, kept.find(({ path }) => path === moved)?.keptAt ?? '')).toEqual(bytes);
  expect(await troubleIn(fs)).toEqual([]);
});

test.each([8, 28])('seqs at the end of all seqs, damage at byte %i', async (at) => {
  const fs = new MemoryFs();
  const redex = await Redex.open(DATA, { fs, runtime: newRuntime(), sync: 'never' });
  const log = await redex.channel('log', { firstSeq: Number.MAX_SAFE_INTEGER - 20 });
  for (let i = 0; i < 9; i++) await log.append('x'.repeat(50));
  await log.sync();
  await redex.close();
  const path = `${LOG}/v0000000001/${String(Number.MAX_SAFE_INTEGER - 20).padStart(20, '0')}.dat`;
  for (const file of [path.replace(/dat$/, 'idx'), path.replace(/dat$/, 'ts')]) fs.unlinkSync(file);
  zero(fs, path, at, 9000);
  await repaired(fs);
  const again = await Redex.open(DATA, { fs, runtime: newRuntime() });
  const channel = await again.channel('log');
  expect(channel.nextSeq).toBe(Number.MAX_SAFE_INTEGER);
  expect((await channel.verify()).ok).toBe(true);
  await again.close();
  expect((await planOn(fs)).steps).toEqual([]);
});

interface Killed {
  readonly fs: MemoryFs;
  /** As it was before the last process. */
  readonly earlier: MemoryFs;
  readonly contents: Contents;
}

/**
 * Records of `a` and `b` that only the journal has; `a` was compacted since what is the first in
 * the journal, so that its files are shorter than what the journal has written before.
 */
async function killed(): Promise<Killed> {
  const disk = new MemoryFs();
  const first = await Redex.open(DATA, { fs: disk, runtime: newRuntime() });
  for (const name of ['a', 'b']) await (await first.channel(name)).append(`${name} first`);
  await first.close();
  const earlier = copyOf(disk);
  const redex = await Redex.open(DATA, { fs: disk, runtime: newRuntime(), segmentBytes: 4096 });
  const a = await redex.channel('a');
  const b = await redex.channel('b');
  for (let i = 0; i < 9; i++) await a.append(`a ${i}`.padEnd(900 + 40 * i));
  await b.append('b last');
  await a.compact({ keep: ({ seq }) => seq % 2 === 0 });
  for (let i = 0; i < 3; i++) await a.append(`a behind ${i}`);
  const fs = copyOf(disk);
  return { fs, earlier, contents: await contentsOf(copyOf(disk)) };
}

describe('a journal with what a compaction has written anew', () => {
  test.each([
    ['the manifest', (fs: FileSystem) => fs.unlinkSync(`${channelPath('a')}/manifest`)],
    [
      'the manifest and the control block',
      (fs: FileSystem) => {
        fs.unlinkSync(`${channelPath('a')}/manifest`);
        zero(fs, `${DATA}/journal/control`, 0, 1024);
      },
    ],
  ])('is not written over it, without %s', async (_what, damage) => {
    const { fs, contents } = await killed();
    damage(fs);
    await repaired(fs);
    await expectWhole(fs, contents);
  });
});

describe('the journal', () => {
  test('redex.json of another store is put right by it', async () => {
    const { fs, contents } = await killed();
    const { fs: other } = await sample();
    put(fs, `${DATA}/redex.json`, bytesOf(other, `${DATA}/redex.json`));
    const { steps } = await repaired(fs);
    expect(steps).toMatchObject([{ kind: 'store', path: `${DATA}/redex.json` }]);
    await expectWhole(fs, contents);
  });

  test('of another store does not change redex.json', async () => {
    const { fs } = await killed();
    const { fs: other } = await sample();
    const manifest = bytesOf(fs, `${DATA}/redex.json`);
    for (const [path, bytes] of filesUnder(fs, `${DATA}/journal`)) {
      if (bytes !== undefined) fs.unlinkSync(path);
    }
    copyTree(other, fs, `${DATA}/journal`);
    const { steps } = await repaired(fs);
    expect(steps.map(({ kind }) => kind)).toContain('journal');
    expect(bytesOf(fs, `${DATA}/redex.json`)).toEqual(manifest);
  });

  test.each([
    [
      'an old control block',
      (fs: MemoryFs, earlier: MemoryFs) => {
        const path = `${DATA}/journal/control`;
        put(fs, path, bytesOf(earlier, path));
      },
    ],
    [
      'no control block, and its first group damaged',
      (fs: MemoryFs) => {
        fs.unlinkSync(`${DATA}/journal/control`);
        flip(fs, segmentIn(fs), 8 * 150);
      },
    ],
  ])('with %s still has its records', async (_what, damage) => {
    const { fs, earlier, contents } = await killed();
    damage(fs, earlier);
    const { steps } = await repaired(fs);
    expect(steps.map(({ kind }) => kind)).toContain('journal');
    await expectWhole(fs, contents);
  });

  test.each([
    ['random bytes', (fs: FileSystem) => zero(fs, segmentIn(fs), 0, 64)],
    [
      'of another store',
      (fs: FileSystem) => {
        const bytes = bytesOf(fs, segmentIn(fs));
        put(fs, segmentIn(fs), bytes.fill(7, 8, 24));
      },
    ],
  ])('whose segment is %s: what it had is told, and no seq given twice', async (_what, damage) => {
    const { fs, contents } = await killed();
    damage(fs);
    const path = segmentIn(fs);
    put(fs, path, bytesOf(fs, path).fill(0xa5, 64));
    const { losses } = await repaired(fs);
    expect(losses.some(({ reason }) => reason.includes('groups of the journal'))).toBe(true);
    const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
    const { nextSeq } = await redex.channel('a');
    expect(nextSeq).toBeGreaterThan(Math.max(...(contents['a'] ?? []).map(seqOf)));
    await redex.close();
    expect(await troubleIn(fs)).toEqual([]);
  });

  test('gets to a channel whose config is of another store', async () => {
    const { fs, contents } = await killed();
    const { fs: other } = await killed();
    put(fs, `${channelPath('a')}/config`, bytesOf(other, `${channelPath('a')}/config`));
    await repaired(fs);
    await expectWhole(fs, contents);
  });

  test.each(['with', 'without'])('knows of seqs in lost files, %s a manifest', async (what) => {
    const fs = new MemoryFs();
    const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
    const a = await redex.channel('a');
    await a.append('a first');
    await a.close();
    const clean = bytesOf(fs, `${channelPath('a')}/clean`);
    const later = await redex.channel('a');
    for (let i = 0; i < 6; i++) await later.append(`a ${i}`);
    await redex.close();
    // What is left says nothing of the records behind the first one.
    put(fs, `${channelPath('a')}/clean`, clean);
    const generation = `${channelPath('a')}/v0000000001`;
    for (const { name } of fs.readDirectorySync(generation)) fs.unlinkSync(`${generation}/${name}`);
    if (what === 'without') fs.unlinkSync(`${channelPath('a')}/manifest`);
    await repaired(fs);
    const again = await Redex.open(DATA, { fs, runtime: newRuntime() });
    expect((await again.channel('a')).nextSeq).toBeGreaterThanOrEqual(7);
    await again.close();
    expect(await troubleIn(fs)).toEqual([]);
  });

  test('what it has for a channel without any generation is told by the plan, too', async () => {
    const { fs } = await killed();
    fs.renameSync(`${channelPath('a')}/v0000000002`, '/elsewhere');
    const { losses } = await repaired(fs);
    expect(losses.map(({ reason }) => reason)).toEqual([
      expect.stringContaining('from a backup'),
      expect.stringContaining('the journal keeps the records'),
    ]);
  });

  test('a damaged file is kept when the journal has what was damaged', async () => {
    const { fs, contents } = await killed();
    const path = `${channelPath('b')}/v0000000001/${FIRST}`;
    zero(fs, path, 66, 100);
    zero(fs, `${DATA}/journal/control`, 0, 1024);
    const damaged = bytesOf(fs, path);
    const { kept } = await repaired(fs);
    const keptAt = kept.find((each) => each.path === path)?.keptAt ?? '';
    expect(bytesOf(fs, keptAt)).toEqual(damaged);
    await expectWhole(fs, contents);
  });
});

function segmentIn(fs: FileSystem): string {
  const names = fs.readDirectorySync(`${DATA}/journal`).map(({ name }) => name);
  return `${DATA}/journal/${names.find((name) => name.endsWith('.journal'))}`;
}
