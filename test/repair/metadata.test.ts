/**
 * Goal: what says what a store and its channels are comes back as far as anything proves it, and
 * what cannot is told; nothing of a newer version is touched.
 * Method: one damage at a time to the small files of a store in memory that was closed.
 */
import { describe, expect, test } from 'vitest';
import { writeNextName } from '../../src/channel/channel-names.js';
import { RedexError } from '../../src/core/errors.js';
import { encodeChannelName } from '../../src/format/channel-name.js';
import type { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';
import { bytesOf } from '../support/corruption-fs.js';
import {
  contentsOf,
  newRuntime,
  planOn,
  repairOn,
  sample,
  swap,
  troubleIn,
  truncate,
  zero,
} from '../support/repair-lab.js';
import { channelPath, DATA, treeOf } from '../support/store-kit.js';
import { flip } from '../support/verify-kit.js';

const LOG = channelPath('log');
const OTHER = channelPath('other');

interface Case {
  readonly what: string;
  readonly damage: (fs: MemoryFs) => void;
  /** What cannot be known any more. */
  readonly lost?: RegExp;
  /** The steps, by their kinds. */
  readonly kinds: readonly string[];
}

const OPTIONS = /stored options/;
const BEGIN = /where the channel began/;

const CASES: readonly Case[] = [
  {
    what: 'a bit of redex.json',
    damage: (fs) => flip(fs, `${DATA}/redex.json`, 400),
    kinds: ['store'],
  },
  {
    what: 'redex.json missing',
    damage: (fs) => fs.unlinkSync(`${DATA}/redex.json`),
    kinds: ['store'],
  },
  {
    what: 'redex.json zeroed',
    damage: (fs) => zero(fs, `${DATA}/redex.json`, 0, 90),
    kinds: ['store'],
  },
  {
    what: 'a bit of a config',
    damage: (fs) => flip(fs, `${LOG}/config`, 8 * 40 + 2),
    kinds: ['config'],
  },
  {
    what: 'the version of a config',
    damage: (fs) => flip(fs, `${LOG}/config`, 8 * 4 + 1),
    kinds: ['config'],
  },
  {
    what: 'a config missing',
    damage: (fs) => fs.unlinkSync(`${LOG}/config`),
    kinds: ['config'],
    lost: OPTIONS,
  },
  {
    what: 'a config zeroed',
    damage: (fs) => zero(fs, `${LOG}/config`, 0, 60),
    kinds: ['config'],
    lost: OPTIONS,
  },
  {
    what: 'configs swapped',
    damage: (fs) => swap(fs, `${LOG}/config`, `${OTHER}/config`),
    kinds: ['config', 'config'],
  },
  {
    what: 'a bit of a manifest',
    damage: (fs) => flip(fs, `${LOG}/manifest`, 8 * 33),
    kinds: ['manifest'],
  },
  {
    what: 'the version of a manifest',
    damage: (fs) => flip(fs, `${LOG}/manifest`, 8 * 4 + 1),
    kinds: ['manifest'],
  },
  {
    what: 'a manifest missing',
    damage: (fs) => fs.unlinkSync(`${LOG}/manifest`),
    kinds: ['manifest'],
    lost: BEGIN,
  },
  {
    what: 'a manifest torn',
    damage: (fs) => truncate(fs, `${LOG}/manifest`, 50),
    kinds: ['manifest'],
    lost: BEGIN,
  },
  {
    what: 'a manifest zeroed',
    damage: (fs) => zero(fs, `${LOG}/manifest`, 0, 128),
    kinds: ['manifest'],
    lost: BEGIN,
  },
  {
    what: 'manifests swapped',
    damage: (fs) => swap(fs, `${LOG}/manifest`, `${OTHER}/manifest`),
    kinds: ['manifest', 'manifest'],
  },
  {
    what: 'config and manifest swapped',
    damage: (fs) => {
      for (const name of ['config', 'manifest']) swap(fs, `${LOG}/${name}`, `${OTHER}/${name}`);
    },
    kinds: ['config', 'config', 'manifest', 'manifest'],
  },
  {
    what: 'config and manifest missing',
    damage: (fs) => {
      for (const name of ['config', 'manifest']) fs.unlinkSync(`${LOG}/${name}`);
    },
    kinds: ['config', 'manifest'],
    lost: OPTIONS,
  },
];

describe('config, manifest and redex.json', () => {
  test.each(CASES)('$what', async ({ damage, kinds, lost }) => {
    const { fs, contents } = await sample();
    damage(fs);
    const before = treeOf(fs, DATA);
    const plan = await planOn(fs);
    expect(treeOf(fs, DATA)).toEqual(before);
    const report = await repairOn(fs);
    expect(report.steps.map(({ kind }) => kind)).toEqual(kinds);
    expect(plan.steps.map(({ kind, path }) => [kind, path])).toEqual(
      report.steps.map(({ kind, path }) => [kind, path]),
    );
    for (const { path, keptAt } of report.kept) {
      expect(Buffer.from(bytesOf(fs, keptAt)).toString('hex')).toBe(before[path]);
    }
    if (lost === undefined) expect(report.losses).toEqual([]);
    else expect(report.losses[0]?.reason).toMatch(lost);
    expect(await contentsOf(fs)).toEqual(contents);
    expect(await troubleIn(fs)).toEqual([]);
    expect((await planOn(fs)).steps).toEqual([]);
  });

  test('the name of a long one is taken from what is left of its config', async () => {
    const { fs } = await sample();
    const name = `a long name ${'n'.repeat(300)}`;
    const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
    await (await redex.channel(name)).append('x');
    await redex.close();
    const config = `${DATA}/channels/${encodeChannelName(name)}/config`;
    zero(fs, config, 0, 20);
    const before = await repairOn(fs);
    expect(before.steps).toMatchObject([{ kind: 'config', channel: name }]);
    expect((await contentsOf(fs))[name]).toHaveLength(1);
    fs.unlinkSync(config);
    const report = await repairOn(fs);
    expect(report.steps).toEqual([]);
    expect(report.losses[0]?.reason).toContain('nothing else has the name');
  });

  test.each([
    ['redex.json', `${DATA}/redex.json`, 0],
    ['a config', `${LOG}/config`, 4],
    ['a manifest', `${LOG}/manifest`, 4],
    ['a clean mark', `${LOG}/clean`, 512 + 4],
    ['a dat file', `${LOG}/v0000000001/00000000000000000008.dat`, 4],
  ])('%s of a newer version: nothing is changed', async (_what, path, at) => {
    const { fs } = await sample();
    if (at === 0) {
      const text = Buffer.from(bytesOf(fs, path)).toString();
      const file = fs.openSync(path, 'write');
      const newer = Buffer.from(text.replace('"formatVersion": 1', '"formatVersion": 2'));
      file.writeSync(newer, 0, newer.length, 0);
      file.closeSync();
    } else {
      const file = fs.openSync(path, 'write');
      // Not one bit away from this one.
      file.writeSync(Uint8Array.of(6, 0), 0, 2, at);
      file.closeSync();
    }
    fs.unlinkSync(`${OTHER}/manifest`);
    const before = treeOf(fs, DATA);
    for (const call of [planOn, repairOn]) {
      const error: unknown = await call(fs).catch((thrown: unknown) => thrown);
      expect(RedexError.is(error, 'FORMAT_VERSION')).toBe(true);
    }
    expect(treeOf(fs, DATA)).toEqual(before);
  });

  test('what is no store is left alone', async () => {
    const { fs } = await sample();
    fs.mkdirSync('/empty');
    const { repair } = await import('../../src/repair/repair.js');
    await expect(repair('/empty', { fs })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(repair('/nowhere', { fs })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(fs.readDirectorySync('/empty')).toEqual([]);
  });

  test('while it is open, it is LOCKED', async () => {
    const { fs } = await sample();
    const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
    await expect(repairOn(fs)).rejects.toMatchObject({ code: 'LOCKED' });
    await redex.close();
  });

  test('one channel alone', async () => {
    const { fs } = await sample();
    fs.unlinkSync(`${LOG}/manifest`);
    fs.unlinkSync(`${OTHER}/manifest`);
    const { steps } = await repairOn(fs, { channel: 'other' });
    expect(steps).toMatchObject([{ kind: 'manifest', channel: 'other' }]);
    expect((await planOn(fs)).steps).toMatchObject([{ kind: 'manifest', channel: 'log' }]);
    const nobody = repairOn(fs, { channel: 'nobody' });
    await expect(nobody).rejects.toMatchObject({ code: 'NOT_FOUND', resource: 'nobody' });
  });
});

describe('several generations without a manifest', () => {
  /** `log` compacted; the generation before it is put back as it was. */
  async function compacted(): Promise<MemoryFs> {
    const { fs } = await sample();
    const before = treeOf(fs, LOG);
    const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
    const log = await redex.channel('log');
    await log.compact({ keep: ({ seq }) => seq % 4 !== 1 });
    await redex.close();
    for (const [path, hex] of Object.entries(before)) {
      if (!path.includes('v0000000001') || fs.statSync(path) !== undefined) continue;
      if (hex === '') fs.mkdirSync(path);
      else {
        const file = fs.openSync(path, 'create');
        const bytes = Buffer.from(hex, 'hex');
        file.writeSync(bytes, 0, bytes.length, 0);
        file.closeSync();
      }
    }
    fs.unlinkSync(`${LOG}/manifest`);
    return fs;
  }

  test('the newest that is complete is taken, what it retired does not come back', async () => {
    const fs = await compacted();
    const report = await repairOn(fs);
    expect(report.steps.map(({ kind }) => kind)).toEqual(['manifest', 'generation']);
    expect(report.steps[0]?.action).toContain('v0000000002');
    const seqs = (await contentsOf(fs))['log']?.map((row) => Number(row.split(':')[0]));
    expect(seqs?.some((seq) => seq % 4 === 1)).toBe(false);
    expect(seqs).toHaveLength(24);
    expect(await troubleIn(fs)).toEqual([]);
    const kept = report.kept.find(({ path }) => path.endsWith('v0000000001'));
    expect(fs.statSync(`${kept?.keptAt}/00000000000000000000.dat`)?.size).toBeGreaterThan(64);
  });

  test('one that a compaction had not finished is set aside', async () => {
    const fs = await compacted();
    const names = fs.readDirectorySync(`${LOG}/v0000000002`).map(({ name }) => name);
    // What is written or linked last is not there yet.
    const bases = names.filter((name) => name.endsWith('.dat')).toSorted();
    const first = bases[0]?.slice(0, 20) ?? '';
    for (const name of names) {
      if (name.slice(0, 20) > first) fs.unlinkSync(`${LOG}/v0000000002/${name}`);
    }
    truncate(fs, `${LOG}/v0000000002/${first}.dat`, 200);
    const report = await repairOn(fs);
    expect(report.steps[0]?.action).toContain('v0000000001');
    expect((await contentsOf(fs))['log']).toHaveLength(32);
    expect(await troubleIn(fs)).toEqual([]);
  });
});

describe('a rename that was interrupted', () => {
  const RENAMED = `${DATA}/channels/.rename/archive`;

  /** `log` on its way to the name `archive`. */
  async function interrupted(): Promise<{ fs: MemoryFs; rows: readonly string[] }> {
    const { fs, contents } = await sample();
    writeNextName(fs, LOG, 'archive');
    fs.renameSync(LOG, RENAMED);
    return { fs, rows: contents['log'] ?? [] };
  }

  test('is no damage', async () => {
    const { fs, rows } = await interrupted();
    expect((await repairOn(fs)).repaired).toBe(false);
    expect((await contentsOf(fs))['archive']).toEqual(rows);
  });

  test.each([
    ['config.next', (fs: MemoryFs) => zero(fs, `${RENAMED}/config.next`, 0, 90)],
    ['config', (fs: MemoryFs) => fs.unlinkSync(`${RENAMED}/config`)],
    [
      'both of them',
      (fs: MemoryFs) => {
        for (const name of ['config', 'config.next']) zero(fs, `${RENAMED}/${name}`, 0, 90);
      },
    ],
    ['config.next, which is not there', (fs: MemoryFs) => fs.unlinkSync(`${RENAMED}/config.next`)],
  ])('is finished in spite of %s', async (_what, damage) => {
    const { fs, rows } = await interrupted();
    damage(fs);
    await repairOn(fs);
    expect((await contentsOf(fs))['archive']).toEqual(rows);
    expect(await troubleIn(fs)).toEqual([]);
  });
});
