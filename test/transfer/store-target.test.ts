/**
 * Goal: an import that fails leaves the place where it was to make a store as it was: nothing,
 * nothing with its parents, an empty directory, or one with what was in it; and a store that was
 * there keeps everything.
 * Method: imports that fail into places in memory.
 */
import { expect, test } from 'vitest';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { StoreTarget } from '../../src/transfer/store-target.js';
import { importStore } from '../../src/transfer/import-store.js';
import { treeOf } from '../support/store-kit.js';
import { openStore, piecesOf, utf8 } from './transfer-kit.js';

const place = '/disk/place';

async function failAt(fs: MemoryFs, directory: string): Promise<void> {
  const target = StoreTarget.look(fs, directory);
  const redex = await openStore(fs, directory);
  const importing = importStore(redex, piecesOf(utf8('{"format":"redex-export","version":1}\n{')));
  await expect(importing).rejects.toMatchObject({ code: 'CORRUPT' });
  await redex.close();
  expect(fs.readDirectorySync(directory).length).toBeGreaterThan(1);
  target.putBack();
}

test.each<[string, string, (fs: MemoryFs) => void]>([
  ['nothing', place, () => undefined],
  ['nothing, nor above it', `${place}/a/b`, () => undefined],
  ['an empty directory', place, (fs) => fs.mkdirSync(place)],
  [
    'a directory that a store was to be made in before',
    place,
    (fs) => {
      fs.mkdirSync(place);
      fs.mkdirSync(`${place}/lost+found`);
      fs.openSync(`${place}/LOCK`, 'create').closeSync();
    },
  ],
])('where there was %s', async (_what, directory, make) => {
  const fs = new MemoryFs();
  fs.mkdirSync('/disk');
  make(fs);
  const before = treeOf(fs, '/disk');
  await failAt(fs, directory);
  expect(treeOf(fs, '/disk')).toEqual(before);
});

test('where there was a store it keeps everything', async () => {
  const fs = new MemoryFs();
  const redex = await openStore(fs, place);
  await (await redex.channel('old')).append('x');
  await redex.close();
  await failAt(fs, place);
  const again = await openStore(fs, place);
  expect((await again.channel('old', { createIfMissing: false })).nextSeq).toBe(1);
  await again.close();
});

test('a file is no place', () => {
  const fs = new MemoryFs();
  fs.openSync('/file', 'create').closeSync();
  StoreTarget.look(fs, '/file').putBack();
  expect(fs.statSync('/file')?.kind).toBe('file');
});
