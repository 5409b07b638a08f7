/**
 * Goal: docs/store.md says what an open makes of a directory that is something else, and what a
 * platform without locks can do.
 * Method: each row of its table is made on a file system in memory and opened.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RedexError } from '../../src/core/errors.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex, type RedexOptions } from '../../src/index.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { rejection } from '../support/channel-kit.js';
import { repository } from '../support/process-package.js';
import { treeOf } from '../support/tree.js';

const DATA = '/data';
const text = readFileSync(join(repository, 'docs/store.md'), 'utf8');

function put(fs: FileSystem, path: string, content = 'x'): void {
  const bytes = new TextEncoder().encode(content);
  const file = fs.openSync(path, 'create');
  file.writeSync(bytes, 0, bytes.byteLength, 0);
  file.closeSync();
}

/** A data directory with one channel, closed. */
async function storeOn(fs: FileSystem): Promise<void> {
  const redex = await Redex.open(DATA, { fs });
  await (await redex.channel('log')).append('x');
  await redex.close();
}

const newer = JSON.stringify({ format: 'redex', formatVersion: 2 });

interface Place {
  /** Makes it; what it returns is ended after the open. */
  make(fs: FaultFs): void | Promise<Redex | void>;
  readonly options?: RedexOptions;
}

/** By the first cell of its row. */
const PLACES: Readonly<Record<string, Place>> = {
  nothing: { make: () => undefined },
  'nothing, and `createIfMissing` is false': {
    make: () => undefined,
    options: { createIfMissing: false },
  },
  'an empty directory': { make: (fs) => fs.mkdirSync(DATA) },
  'an empty directory, and `createIfMissing` is false': {
    make: (fs) => fs.mkdirSync(DATA),
    options: { createIfMissing: false },
  },
  'what an interrupted creation has left': {
    make(fs) {
      for (const path of ['', '/channels', '/channels/.new']) fs.mkdirSync(`${DATA}${path}`);
      put(fs, `${DATA}/LOCK`);
      put(fs, `${DATA}/redex.json.tmp`);
    },
  },
  'a file': { make: (fs) => put(fs, DATA) },
  'a directory with other things in it': {
    make(fs) {
      fs.mkdirSync(DATA);
      put(fs, `${DATA}/letter.txt`);
    },
  },
  'channels, but no `redex.json`': {
    async make(fs) {
      await storeOn(fs);
      fs.unlinkSync(`${DATA}/redex.json`);
    },
  },
  'a `redex.json` that is damaged, or not ours': {
    async make(fs) {
      await storeOn(fs);
      fs.unlinkSync(`${DATA}/redex.json`);
      put(fs, `${DATA}/redex.json`, '{}');
    },
  },
  'a `redex.json` of a newer version': {
    make(fs) {
      fs.mkdirSync(DATA);
      put(fs, `${DATA}/redex.json`, newer);
    },
  },
  'a `redex.json`, but no `channels`': {
    async make(fs) {
      await storeOn(fs);
      fs.renameSync(`${DATA}/channels`, '/elsewhere');
    },
  },
  'a data directory that another has open': { make: (fs) => Redex.open(DATA, { fs }) },
  'a directory that may not be read': {
    async make(fs) {
      await storeOn(fs);
      fs.inject({ operation: 'openSync', nth: 1, times: Infinity, effect: { error: 'EACCES' } });
    },
  },
  'a data directory on a platform without locks': {
    async make(fs) {
      await storeOn(fs);
      fs.inject({ operation: 'tryLockSync', nth: 1, effect: { error: 'ENOSYS' } });
    },
  },
};

/** The rows of the table of directories: what is there, and what the two kinds of open do. */
const rows = text
  .slice(text.indexOf('## When the directory is something else'))
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .slice(2)
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, there = '', writing = '', looking = '']) => ({ there, writing, looking }));

/** What an open does with a place, in the words of the table. */
async function outcomeOf(place: Place, readOnly: boolean): Promise<string> {
  const memory = new MemoryFs();
  const fs = new FaultFs(memory);
  const holder = await place.make(fs);
  const before = treeOf(memory, '');
  try {
    const redex = await Redex.open(DATA, { ...place.options, fs, readOnly });
    await redex.close();
    if (readOnly) expect(treeOf(memory, '')).toEqual(before);
    return before.some((path) => path.startsWith(`${DATA}/redex.json `)) ? 'opens' : 'creates it';
  } catch (error) {
    if (!RedexError.is(error)) throw error;
    const counts = (path: string): boolean => readOnly || !path.startsWith(`${DATA}/LOCK `);
    expect(treeOf(memory, '').filter(counts)).toEqual(before.filter(counts));
    return error.code;
  } finally {
    await holder?.close();
  }
}

describe('the table of directories', () => {
  test('has the rows that are tried here', () => {
    expect(rows.map(({ there }) => there)).toEqual(Object.keys(PLACES));
  });

  test.each(rows)('$there', async ({ there, writing, looking }) => {
    const place = PLACES[there];
    if (place === undefined) throw new Error('no such place');
    expect(await outcomeOf(place, false)).toBe(writing);
    expect(await outcomeOf(place, true)).toBe(looking);
  });
});

test('without locks the error says so', async () => {
  const fs = new FaultFs(new MemoryFs());
  fs.inject({ operation: 'tryLockSync', nth: 1, effect: { error: 'ENOSYS' } });
  const error = await rejection(Redex.open(DATA, { fs }), 'IO');
  expect(error.systemCode).toBe('ENOSYS');
  expect(text).toContain('`ENOSYS`');
});
