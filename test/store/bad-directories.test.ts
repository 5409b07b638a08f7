/**
 * Goal: what is no data directory, or is a damaged, newer or half deleted one, is refused with a
 * typed error that names the path, and stays as it is but for the lock; a channel that cannot be
 * opened is no trouble to the others (the design, §4).
 * Method: directories are made wrong in every way, on a disk in memory and on a real one; all
 * names and bytes are compared with what they were.
 */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ErrorCode, RedexError } from '../../src/core/errors.js';
import { encodeChannelName } from '../../src/format/channel-name.js';
import { Redex } from '../../src/store/redex.js';
import { rejection } from '../support/channel-kit.js';
import { requires } from '../support/requirements.js';
import { CHANNELS, fill, idsOfName, RealStore, StoreLab } from '../support/store-kit.js';

let real: RealStore;
const at = (...names: string[]): string => join(real.directory, ...names);
const LONG = 'x'.repeat(300);

beforeEach(() => {
  real = new RealStore();
});
afterEach(() => real.remove());

/** A store with records 1 in `a`, 2 in `b`, 3 in a channel whose name does not fit. */
async function makeStore(): Promise<void> {
  const redex = await Redex.open(real.directory, { sync: 'never' });
  for (const [name, id] of [
    ['a', 1],
    ['b', 2],
    [LONG, 3],
  ] as const) {
    await fill(await redex.channel(name), id);
  }
  await redex.close();
}

/** Rejects with this error and changes nothing but the lock. */
async function refused(code: ErrorCode, path = real.directory): Promise<RedexError> {
  const before = real.tree;
  const error = await rejection(Redex.open(path), code);
  expect(real.tree).toEqual(before);
  return error;
}

/** The channel is refused, nothing is changed by it, and `b` works. */
async function refusedChannel(name: string, code: ErrorCode): Promise<RedexError> {
  const redex = await Redex.open(real.directory);
  try {
    const before = real.tree;
    const error = await rejection(redex.channel(name), code);
    await rejection(redex.channel(name), code);
    expect(real.tree).toEqual(before);
    expect(await idsOfName(redex, 'b')).toEqual([2]);
    return error;
  } finally {
    await redex.close();
  }
}

describe('a path', () => {
  test('to a file, a device or a dangling link is refused', async () => {
    writeFileSync(real.directory, 'notes');
    expect(await refused('EXISTS')).toMatchObject({ kind: 'file', resource: real.directory });
    expect(await refused('IO', at('below'))).toMatchObject({ systemCode: 'ENOTDIR' });
    expect(await refused('EXISTS', '/dev/null')).toMatchObject({ kind: 'other' });
    const link = join(real.scratch, 'link');
    symlinkSync(join(real.scratch, 'nothing'), link);
    expect(await refused('IO', link)).toMatchObject({ systemCode: 'ENOENT', path: link });
    const loop = join(real.scratch, 'loop');
    symlinkSync(loop, loop);
    expect(await refused('IO', loop)).toMatchObject({ systemCode: 'ELOOP' });
  });

  test('that is none is a TypeError', async () => {
    for (const path of ['', 'a\0b', 7, undefined, null] as string[]) {
      await expect(Redex.open(path)).rejects.toThrow(TypeError);
    }
  });

  test('through a link to a directory opens what is there', async () => {
    await makeStore();
    const link = join(real.scratch, 'link');
    symlinkSync(real.directory, link);
    const redex = await Redex.open(link);
    expect(redex.directory).toBe(real.directory);
    expect(await idsOfName(redex, 'a')).toEqual([1]);
    await redex.close();
  });

  test('whose parents are missing is made with them', async () => {
    const redex = await Redex.open(at('deep', 'er'));
    expect(redex.directory).toBe(at('deep', 'er'));
    await redex.close();
  });

  test('that may not be read or written is IO', async (context) => {
    requires(context, process.getuid?.() !== 0, 'root may read and write everything');
    await makeStore();
    for (const [path, mode] of [
      [at(), 0o000],
      [at('channels'), 0o500],
      [at('redex.json'), 0o000],
      [at('LOCK'), 0o400],
    ] as const) {
      chmodSync(path, mode);
      const error = await rejection(Redex.open(real.directory), 'IO');
      expect(error.systemCode, path).toBe('EACCES');
      chmodSync(path, 0o700);
    }
    await (await Redex.open(real.directory)).close();
  });

  test.each(['EACCES', 'EROFS', 'EIO'])(
    'that cannot be read or written (%s) is IO',
    async (code) => {
      const store = new StoreLab();
      const redex = await store.open();
      await fill(await redex.channel('a'), 1);
      await redex.close();
      const before = store.tree;
      for (const [operation, path] of [
        ['statSync', /data$/],
        ['realpathSync', /data$/],
        ['openSync', /redex\.json$/],
        ['readSync', /redex\.json$/],
        ['openSync', /LOCK$/],
        ['statSync', /channels$/],
        ['statSync', /\.(new|trash|rename)$/],
        ['readDirectorySync', /\.new$/],
        ['readDirectorySync', /\.trash$/],
        ['readDirectorySync', /\.rename$/],
        ['syncDirectorySync', /channels$/],
      ] as const) {
        const fault = store.lab.fail(operation, path, code);
        expect(await rejection(store.open(), 'IO'), `${operation} ${path}`).toMatchObject({
          systemCode: code,
          outcome: 'absent',
        });
        expect([fault.fired, store.tree], `${operation} ${path}`).toEqual([1, before]);
      }
      expect(await idsOfName(await store.open(), 'a')).toEqual([1]);
    },
  );
});

describe('a directory', () => {
  test('with something else in it is no data directory', async () => {
    for (const name of ['notes.txt', '.git', 'LOCK2', 'journal']) {
      mkdirSync(at(name), { recursive: true });
      const error = await refused('EXISTS');
      expect(error).toMatchObject({ kind: 'directory', resource: real.directory });
      expect(readdirSync(at())).toEqual([name]);
      rmSync(at(), { recursive: true });
    }
  });

  test('that an unfinished creation left becomes a store', async () => {
    mkdirSync(at('channels', '.new'), { recursive: true });
    writeFileSync(at('redex.json.tmp'), 'half');
    writeFileSync(at('LOCK'), '');
    const redex = await Redex.open(real.directory);
    expect((await redex.stats()).channels).toBe(0);
    await redex.close();
    expect(readdirSync(at()).toSorted()).toEqual(['LOCK', 'channels', 'redex.json']);
  });

  test('without redex.json but with channels is CORRUPT, never a new store', async () => {
    await makeStore();
    rmSync(at('redex.json'));
    const missing = { path: at('redex.json'), check: 'missing' };
    expect(await refused('CORRUPT')).toMatchObject(missing);
    rmSync(at('channels', 'a'), { recursive: true });
    expect(await refused('CORRUPT')).toMatchObject(missing);
  });

  test('without channels/ is CORRUPT', async () => {
    await makeStore();
    rmSync(at('channels'), { recursive: true });
    expect(await refused('CORRUPT')).toMatchObject({ path: at('channels'), check: 'missing' });
    writeFileSync(at('channels'), '');
    expect(await refused('CORRUPT')).toMatchObject({ path: at('channels') });
  });

  test('with foreign entries keeps them; none of them is a channel', async () => {
    await makeStore();
    const foreign = ['channels/A', 'channels/con', 'channels/%61', 'channels/..x', 'channels/a~b'];
    const inWork = ['.new/notes', '.trash/old', '.rename/A', `.new/${'f'.repeat(31)}`];
    for (const name of [...foreign, ...inWork.map((each) => `channels/${each}`), 'notes']) {
      mkdirSync(at(name));
      writeFileSync(at(name, 'file'), name);
    }
    for (const name of ['channels/file', 'channels/.new/file', 'channels/.trash/file', 'readme']) {
      writeFileSync(at(name), name);
    }
    const before = real.tree;
    const redex = await Redex.open(real.directory);
    expect((await redex.stats()).channels).toBe(3);
    expect(await redex.hasChannel('A')).toBe(false);
    const error = await rejection(redex.channel('file'), 'EXISTS');
    expect(error).toMatchObject({ kind: 'file', resource: at('channels', 'file') });
    await redex.close();
    expect(real.tree).toEqual(before);
  });

  test('whose work cannot be listed is left alone by an open that fails', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    await fill(await redex.channel('a'), 1);
    await redex.close();
    const drawn = '0123456789abcdef'.repeat(2);
    store.lab.disk.mkdirSync(`${CHANNELS}/.new/${drawn}`);
    store.lab.disk.openSync(`${CHANNELS}/.new/${drawn}/config`, 'create').closeSync();
    const before = store.tree;
    store.lab.fail('readDirectorySync', /\.trash$/, 'EIO');
    await rejection(store.open(), 'IO');
    await store.lab.drain();
    expect(store.tree).toEqual(before);
  });

  test('loses what a creation and a deletion left, and nothing else', async () => {
    await makeStore();
    const drawn = '0123456789abcdef'.repeat(2);
    for (const work of ['.new', '.trash']) {
      cpSync(at('channels', 'a'), at('channels', work, drawn), { recursive: true });
    }
    const redex = await Redex.open(real.directory);
    expect((await redex.stats()).channels).toBe(3);
    await redex.close();
    await (await Redex.open(real.directory)).close();
    for (const name of ['a', 'b']) {
      const again = await Redex.open(real.directory);
      expect(await idsOfName(again, name)).toEqual([name === 'a' ? 1 : 2]);
      await again.close();
    }
  });
});

/** What may become of a small file: its new bytes, from its old ones. */
const DAMAGES: readonly [string, (bytes: Buffer) => Buffer][] = [
  ['empty', () => Buffer.alloc(0)],
  ['zeros', (bytes) => Buffer.alloc(bytes.byteLength)],
  ['one byte short', (bytes) => bytes.subarray(0, -1)],
  ['one byte long', (bytes) => Buffer.concat([bytes, Buffer.of(0)])],
  ['half', (bytes) => bytes.subarray(0, bytes.byteLength / 2)],
  ['twice', (bytes) => Buffer.concat([bytes, bytes])],
  ['much longer', (bytes) => Buffer.concat([bytes, Buffer.alloc(100_000, 32)])],
];

/** Every seventh bit, so that each place within a byte comes. */
function flips(bytes: Buffer): [string, Buffer][] {
  const all: [string, Buffer][] = [];
  for (let bit = 0; bit < 8 * bytes.byteLength; bit += 7) {
    const copy = Buffer.from(bytes);
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    all.push([`bit ${bit}`, copy]);
  }
  return all;
}

function damagesOf(bytes: Buffer): [string, Buffer][] {
  return [...DAMAGES.map(([what, make]): [string, Buffer] => [what, make(bytes)]), ...flips(bytes)];
}

/** What each damage has to be. */
const DAMAGED: unknown = expect.stringMatching(/^(CORRUPT|FORMAT_VERSION)$/);

describe('redex.json', () => {
  test('that is damaged in any way is CORRUPT, or a newer version', async () => {
    await makeStore();
    const path = at('redex.json');
    const good = readFileSync(path);
    for (const [what, bytes] of damagesOf(good)) {
      writeFileSync(path, bytes);
      const before = real.tree;
      const error: unknown = await Redex.open(real.directory).catch((reason: unknown) => reason);
      expect(error, what).toMatchObject({ code: DAMAGED, path });
      expect(real.tree, what).toEqual(before);
    }
    writeFileSync(path, good);
    await (await Redex.open(real.directory)).close();
  });

  test('of a newer version is FORMAT_VERSION, whatever else is in it', async () => {
    await makeStore();
    writeFileSync(at('redex.json'), '{"format":"redex","formatVersion":7,"shape":"another"}');
    const error = await refused('FORMAT_VERSION');
    expect(error).toMatchObject({ path: at('redex.json'), found: 7 });
  });
});

describe.each(['config', 'manifest'])('the %s of a channel', (file) => {
  test('that is damaged in any way costs this channel only', async () => {
    await makeStore();
    const path = at('channels', 'a', file);
    const good = readFileSync(path);
    const redex = await Redex.open(real.directory);
    for (const [what, bytes] of damagesOf(good)) {
      writeFileSync(path, bytes);
      const before = real.tree;
      const error: unknown = await redex.channel('a').catch((reason: unknown) => reason);
      expect(error, what).toMatchObject({ code: DAMAGED, path });
      expect(real.tree, what).toEqual(before);
    }
    expect(await idsOfName(redex, 'b')).toEqual([2]);
    writeFileSync(path, good);
    expect(await idsOfName(redex, 'a')).toEqual([1]);
    await redex.close();
  });

  test('that is missing, newer, or of another channel', async () => {
    await makeStore();
    const path = at('channels', 'a', file);
    const good = readFileSync(path);
    rmSync(path);
    expect(await refusedChannel('a', 'CORRUPT')).toMatchObject({ path, check: 'missing' });
    const newer = Buffer.from(good);
    newer.writeUInt16LE(9, 4);
    writeFileSync(path, newer);
    expect(await refusedChannel('a', 'FORMAT_VERSION')).toMatchObject({ path, found: 9 });
    cpSync(at('channels', 'b', file), path);
    expect(await refusedChannel('a', 'CORRUPT')).toMatchObject({ path, check: 'identity' });
  });
});

describe('the directory of a channel', () => {
  test('that is empty, or without its generation or segments', async () => {
    await makeStore();
    mkdirSync(at('channels', 'c'));
    const config = at('channels', 'c', 'config');
    expect(await refusedChannel('c', 'CORRUPT')).toMatchObject({ path: config, check: 'missing' });
    const generation = at('channels', 'a', 'v0000000001');
    rmSync(generation, { recursive: true });
    const missing = { path: generation, check: 'missing' };
    expect(await refusedChannel('a', 'CORRUPT')).toMatchObject(missing);
  });

  test('of another channel under its name is CORRUPT, and cannot be deleted by it', async () => {
    await makeStore();
    cpSync(at('channels', 'b'), at('channels', 'c'), { recursive: true });
    const config = at('channels', 'c', 'config');
    expect(await refusedChannel('c', 'CORRUPT')).toMatchObject({ path: config, check: 'identity' });
    // A name that is cut and hashed, with the config of another one.
    const hashed = encodeChannelName(LONG);
    rmSync(at('channels', hashed), { recursive: true });
    cpSync(at('channels', 'b'), at('channels', hashed), { recursive: true });
    const path = at('channels', hashed, 'config');
    expect(await refusedChannel(LONG, 'CORRUPT')).toMatchObject({ path, check: 'identity' });
    const before = real.tree;
    const redex = await Redex.open(real.directory);
    for (const name of ['c', LONG]) {
      await rejection(redex.deleteChannel(name), 'CORRUPT');
      await rejection(redex.renameChannel(name, 'd'), 'CORRUPT');
    }
    expect(real.tree).toEqual(before);
    expect(await redex.hasChannel('d')).toBe(false);
    await redex.close();
  });
});
