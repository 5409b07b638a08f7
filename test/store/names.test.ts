/**
 * Goal: whatever two channels are called, what happens to one is nothing to the other: its
 * records, its options and its files stay as they are. Also where the disk takes names for one
 * another. What is no name is refused before anything is done.
 * Method: all nasty names in one store, some of them deleted and renamed, on a disk in memory, on
 * one that folds names, and on a real one; the files of all others are compared.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { encodeChannelName } from '../../src/format/channel-name.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { nodeFs } from '../../src/fs/node-fs.js';
import { Redex } from '../../src/store/redex.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { payload, rejection } from '../support/channel-kit.js';
import { NASTY_NAMES } from '../support/nasty-names.js';
import { DATA, fill, FoldingFs, idsIn, RealStore, treeOf } from '../support/store-kit.js';

let real: RealStore | undefined;

afterEach(() => {
  real?.remove();
  real = undefined;
});

interface Disk {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly names: readonly string[];
}

const DISKS: readonly [string, () => Disk][] = [
  ['in memory', () => ({ fs: new MemoryFs(), directory: DATA, names: NASTY_NAMES })],
  ['that folds names', () => ({ fs: new FoldingFs(), directory: DATA, names: NASTY_NAMES })],
  [
    'of this machine',
    () => {
      real = new RealStore();
      // Real syncs take their time: some of each kind, and all long ones.
      const names = NASTY_NAMES.filter((name, i) => i % 8 === 0 || name.length > 150);
      return { fs: nodeFs, directory: real.directory, names };
    },
  ],
];

interface Opened {
  readonly redex: Redex;
  readonly fs: FileSystem;
  readonly channels: string;
}

type Tree = Readonly<Record<string, string>>;

/** What belongs to the directory of one channel. */
function partOf(tree: Tree, { channels }: Opened, name: string): Tree {
  const path = `${channels}/${encodeChannelName(name)}`;
  const isOwn = (each: string): boolean => each === path || each.startsWith(`${path}/`);
  return Object.fromEntries(Object.entries(tree).filter(([each]) => isOwn(each)));
}

/** Each name has an option, a count of records and payloads that no other has. */
const segmentMsOf = (index: number): number => index + 1;
const idsFor = (index: number): number[] => [10 * index + 1, 10 * index + 2];

async function openAll(fs: FileSystem, directory: string): Promise<Opened> {
  const runtime = new ManualRuntime();
  const redex = await Redex.open(directory, { fs, runtime, sync: 'never', maxOpenFiles: 64 });
  return { redex, fs, channels: `${redex.directory}/channels` };
}

async function expectChannel(redex: Redex, name: string, index: number): Promise<void> {
  const channel = await redex.channel(name, { createIfMissing: false });
  const found = [channel.name, channel.options.segmentMs, await idsIn(channel)];
  expect(found).toEqual([name, segmentMsOf(index), idsFor(index)]);
}

describe.each(DISKS)('a disk %s', (_name, makeDisk) => {
  test('keeps channels of all nasty names apart', async () => {
    const { fs, directory, names } = makeDisk();
    let opened = await openAll(fs, directory);
    for (const [index, name] of names.entries()) {
      expect(await opened.redex.hasChannel(name), name).toBe(false);
      const channel = await opened.redex.channel(name, { segmentMs: segmentMsOf(index) });
      await fill(channel, ...idsFor(index));
    }
    // While all are open, then from their files.
    for (const [index, name] of names.entries()) {
      await expectChannel(opened.redex, name, index);
    }
    const { channels } = await opened.redex.stats();
    expect(channels).toBe(names.length);
    await opened.redex.close();
    opened = await openAll(fs, directory);
    for (const [index, name] of names.entries()) {
      await expectChannel(opened.redex, name, index);
    }
    await opened.redex.close();
  });

  test('changes no neighbour of what is deleted or renamed', async () => {
    const { fs, directory, names } = makeDisk();
    const opened = await openAll(fs, directory);
    const { redex } = opened;
    for (const [index, name] of names.entries()) {
      const channel = await redex.channel(name, { segmentMs: segmentMsOf(index) });
      await fill(channel, ...idsFor(index));
      await channel.close();
    }
    const before = treeOf(fs, opened.channels);
    const third = (rest: number): string[] => names.filter((_, i) => i % 3 === rest);
    const [kept, deleted, renamed] = [third(0), third(1), third(2)];
    for (const name of deleted) expect(await redex.deleteChannel(name), name).toBe(true);
    // Each takes a name that was just given up.
    for (const [i, name] of renamed.entries()) await redex.renameChannel(name, deleted[i] ?? '');
    const after = treeOf(fs, opened.channels);
    for (const name of kept) {
      const own = partOf(before, opened, name);
      expect(Object.keys(own).length, name).toBeGreaterThan(5);
      expect(partOf(after, opened, name), name).toEqual(own);
    }
    for (const name of renamed) {
      expect(await redex.hasChannel(name), name).toBe(false);
      expect(partOf(after, opened, name), name).toEqual({});
    }
    for (const [i, old] of renamed.entries()) {
      const index = names.indexOf(old);
      await expectChannel(redex, deleted[i] ?? '', index);
    }
    for (const name of kept) await expectChannel(redex, name, names.indexOf(name));
    expect((await redex.stats()).channels).toBe(kept.length + renamed.length);
    await redex.close();
  });
});

test('the disk that folds names does fold them', () => {
  const fs = new FoldingFs();
  fs.mkdirSync('/Caf\u00e9');
  for (const same of ['/caf\u00e9', '/cafe\u0301', '/CAFE\u0301', '/caf\u00e9. ']) {
    expect(() => fs.mkdirSync(same), same).toThrow('EEXIST');
  }
  for (const none of ['/con', '/NUL.txt', '/a:b', '/..']) {
    expect(() => fs.mkdirSync(none), none).toThrow('no name');
  }
});

test('appends to one of two names never reach the other, in any order of opening', async () => {
  const close = ['a', 'A', 'a ', 'a.', 'a/', 'a/b', 'a\u0301', '\u00e1', 'con', 'a/v0000000001'];
  for (const one of close) {
    for (const other of close.filter((name) => name !== one)) {
      const fs = new FoldingFs();
      const { redex } = await openAll(fs, DATA);
      const [first, second] = [await redex.channel(one), await redex.channel(other)];
      await first.append(payload(1));
      await second.append(payload(2));
      await first.append(payload(3));
      expect([await idsIn(first), await idsIn(second)], `${one} ${other}`).toEqual([[1, 3], [2]]);
      await redex.deleteChannel(one);
      expect(await idsIn(second), `${one} ${other}`).toEqual([2]);
      await redex.close();
    }
  }
});

describe('what is no name', () => {
  const RANGE: readonly [string, string][] = [
    ['nothing', ''],
    ['1,025 bytes', 'a'.repeat(1025)],
    ['1,025 bytes in 513 characters', `${'\u00e9'.repeat(512)}a`],
    ['a megabyte', 'a'.repeat(1_000_000)],
    ['NUL', '\0'],
    ['NUL inside', 'a\0b'],
    ['NUL at the end', 'a\0'],
    ['half of a pair', '\ud800'],
    ['the other half', 'a\udc00'],
    ['a pair turned round', '\udc00\ud800'],
    ['half of a pair at the end', 'a\ud83d'],
  ];
  const TYPE: readonly [string, unknown][] = [
    ['undefined', undefined],
    ['null', null],
    ['a number', 7],
    ['a symbol', Symbol('a')],
    ['bytes', Uint8Array.of(97)],
    ['an array', ['a']],
    ['an object with a text', { toString: () => 'a' }],
    ['a String', new String('a')],
  ];
  const ALL = [
    ...RANGE.map(([what, name]) => [what, name, RangeError] as const),
    ...TYPE.map(([what, name]) => [what, name, TypeError] as const),
  ];

  test.each(ALL)('%s is refused everywhere, before anything is done', async (_what, no, type) => {
    const fs = new FaultFs(new MemoryFs());
    const { redex } = await openAll(fs, DATA);
    const channel = await redex.channel('a');
    await channel.append('x');
    const name = no as string;
    const { total } = fs.calls;
    await expect(redex.channel(name)).rejects.toThrow(type);
    await expect(redex.channel(name, { createIfMissing: false })).rejects.toThrow(type);
    await expect(redex.hasChannel(name)).rejects.toThrow(type);
    await expect(redex.deleteChannel(name)).rejects.toThrow(type);
    await expect(redex.renameChannel(name, 'b')).rejects.toThrow(type);
    await expect(redex.renameChannel('a', name)).rejects.toThrow(type);
    await expect(redex.renameChannel('missing', name)).rejects.toThrow(type);
    expect(fs.calls.total).toBe(total);
    // The channel that was named beside it is still open.
    await channel.append('y');
    await redex.close();
    // What is wrong stays wrong in a store that is closed.
    await expect(redex.channel(name)).rejects.toThrow(type);
  });

  test('1,024 bytes are one, and so is its neighbour', async () => {
    const { redex } = await openAll(new MemoryFs(), DATA);
    const names = [
      'a'.repeat(1024),
      'a'.repeat(1023),
      '\u00e9'.repeat(512),
      '\u{1f600}'.repeat(256),
    ];
    for (const [i, name] of names.entries()) await fill(await redex.channel(name), i);
    await redex.renameChannel(names[0] ?? '', `${'a'.repeat(1023)}b`);
    expect(await redex.hasChannel(names[0] ?? '')).toBe(false);
    const channel = await redex.channel(`${'a'.repeat(1023)}b`, { createIfMissing: false });
    expect(await idsIn(channel)).toEqual([0]);
    await rejection(redex.channel(names[0] ?? '', { createIfMissing: false }), 'NOT_FOUND');
    await redex.close();
  });
});
