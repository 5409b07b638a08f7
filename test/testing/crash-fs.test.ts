/**
 * CrashFs: the port's contract, what a sync captures, what a kill leaves, images and records.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { benign, choicesFrom, choicesFromSeed, worst } from '../../src/testing/choices.js';
import { bytesOf, codeOf } from '../../src/testing/contract-support.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { processKill } from '../../src/testing/crash-profiles.js';
import { fileSystemContract } from '../../src/testing/file-system-contract.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { profiles } from '../../src/testing/profile-list.js';
import { durableFile, outcomes, put, sorted, textOf } from './crash-support.js';

fileSystemContract(
  { describe, test, expect },
  {
    name: 'CrashFs',
    make: () => {
      const fs = new CrashFs();
      fs.mkdirSync('/root');
      return { fs, root: '/root' };
    },
  },
);

describe('what a sync captures', () => {
  test('what was pending at the call, not what is written before it completes', async () => {
    const runtime = new ManualRuntime();
    const fs = new CrashFs({ defer: runtime.deferIo });
    const handle = durableFile(fs, '/f', '');
    put(handle, 'a');
    const sync = handle.datasync();
    put(handle, 'b');
    expect(textOf(fs.crash(worst), '/f')).toBe('');
    runtime.runIo();
    await sync;
    expect(textOf(fs.crash(worst), '/f')).toBe('a');
    expect(textOf(fs.crash(benign), '/f')).toBe('ab');
    handle.datasyncSync();
    expect(textOf(fs.crash(worst), '/f')).toBe('ab');
  });

  test('a write in flight is not captured, and lands when it completes', async () => {
    const runtime = new ManualRuntime();
    const fs = new CrashFs({ defer: runtime.deferIo });
    const handle = durableFile(fs, '/f', '');
    const write = handle.write(bytesOf('abc'), 0, 3, 0);
    handle.datasyncSync();
    expect(textOf(fs, '/f')).toBe('');
    const seen = outcomes(fs, (image) => textOf(image, '/f'));
    for (const state of ['', 'abc', 'ab', '...']) expect(seen.has(state)).toBe(true);
    runtime.runIo();
    expect(await write).toBe(3);
    expect(textOf(fs, '/f')).toBe('abc');
    expect(textOf(fs.crash(worst), '/f')).toBe('');
  });

  test('of a directory likewise', async () => {
    const runtime = new ManualRuntime();
    const fs = new CrashFs({ defer: runtime.deferIo });
    fs.openSync('/f', 'create').closeSync();
    const sync = fs.syncDirectory('/');
    fs.openSync('/g', 'create').closeSync();
    runtime.runIo();
    await sync;
    const image = fs.crash(worst);
    expect([textOf(image, '/f'), textOf(image, '/g')]).toEqual(['', undefined]);
  });

  test('an unlink in flight may have happened', async () => {
    const runtime = new ManualRuntime();
    const fs = new CrashFs({ defer: runtime.deferIo });
    durableFile(fs, '/f', 'x');
    const unlink = fs.unlink('/f');
    expect(textOf(fs, '/f')).toBe('x');
    expect(outcomes(fs, (image) => textOf(image, '/f')).size).toBe(2);
    runtime.runIo();
    await unlink;
    expect(textOf(fs, '/f')).toBe(undefined);
  });
});

describe('locks', () => {
  test('are free in what a crash or a kill leaves, and stay with those who had them', () => {
    const fs = new CrashFs();
    const holder = durableFile(fs, '/LOCK', '');
    expect(holder.tryLockSync()).toBe(true);
    for (const next of [fs.kill(), fs.crash(worst), fs.crash(benign)]) {
      const heir = next.openSync('/LOCK', 'write');
      expect(heir.tryLockSync()).toBe(true);
      expect(next.openSync('/LOCK', 'write').tryLockSync()).toBe(false);
      expect(fs.openSync('/LOCK', 'write').tryLockSync()).toBe(false);
    }
    holder.closeSync();
    expect(fs.operations.filter(({ operation }) => operation === 'tryLockSync').length).toBe(4);
    expect(fs.mutations.of('tryLockSync')).toBe(0);
  });
});

describe('kills', () => {
  test('keep everything that was written', () => {
    const fs = new CrashFs({ profile: processKill });
    put(fs.openSync('/f', 'create'), 'abc');
    for (const choose of [benign, worst]) expect(textOf(fs.crash(choose), '/f')).toBe('abc');
  });

  test('cut a write in flight anywhere', () => {
    const runtime = new ManualRuntime();
    const fs = new CrashFs({ profile: processKill, defer: runtime.deferIo });
    const handle = fs.openSync('/f', 'create');
    void handle.write(bytesOf('abc'), 0, 3, 0);
    put(handle, 'd', 3);
    const seen = outcomes(fs, (image) => textOf(image, '/f'));
    expect(sorted(seen)).toEqual(['...d', 'a..d', 'ab.d', 'abcd']);
  });

  test('leave the page cache to the next process: what was not durable still is not', () => {
    const fs = new CrashFs();
    const handle = durableFile(fs, '/f', '');
    put(handle, 'lost');
    fs.failSync('/f');
    expect(codeOf(() => handle.datasyncSync())).toBe('EIO');
    put(handle, 'new');
    durableFile(fs, '/g.tmp', 'g');
    fs.renameSync('/g.tmp', '/g');
    const next = fs.kill();
    expect([textOf(next, '/f'), textOf(next, '/g')]).toEqual(['lostnew', 'g']);
    expect(textOf(next.crash(worst), '/f')).toBe('');
    next.openSync('/f', 'write').datasyncSync();
    expect(textOf(next.crash(worst), '/f')).toBe('....new');
    expect(textOf(next.crash(worst), '/g')).toBe(undefined);
    next.syncDirectorySync('/');
    expect(textOf(next.crash(worst), '/g')).toBe('g');
    expect(textOf(fs.crash(worst), '/f')).toBe('');
    expect(textOf(fs.crash(worst), '/g.tmp')).toBe('g');
  });
});

describe('images', () => {
  test('are independent of their source and of each other', () => {
    const fs = new CrashFs();
    const handle = durableFile(fs, '/f', 'abc');
    put(handle, 'd');
    const one = fs.crash(benign);
    const two = fs.crash(benign);
    put(handle, 'X', 0);
    put(one.openSync('/f', 'write'), 'Y', 1);
    two.unlinkSync('/f');
    expect(textOf(fs, '/f')).toBe('Xbcd');
    expect(textOf(one, '/f')).toBe('aYcd');
    expect(textOf(two, '/f')).toBe(undefined);
    expect(textOf(fs.crash(worst), '/f')).toBe('abc');
  });

  test('are durable, and crash anew', () => {
    const fs = new CrashFs();
    put(fs.openSync('/f', 'create'), 'abc');
    const image = fs.crash(benign);
    expect(textOf(image.crash(worst), '/f')).toBe('abc');
    put(image.openSync('/f', 'write'), 'd');
    expect(textOf(image.crash(worst), '/f')).toBe('abc');
    expect(image.mutations.total).toBe(1);
  });

  test('of the same choices are the same', () => {
    const fs = new CrashFs();
    const handle = durableFile(fs, '/f', 'abc');
    for (let i = 0; i < 20; i += 1) put(handle, `${i}`.repeat(300));
    const texts = [1, 1].map((seed) => textOf(fs.crash(choicesFromSeed(seed)), '/f'));
    expect(texts[0]).toBe(texts[1]);
  });
});

describe('records of operations', () => {
  test('name kind, path, place and result, in order', () => {
    const fs = new CrashFs();
    const handle = fs.openSync('/f', 'create');
    put(handle, 'abc', 5);
    expect(codeOf(() => fs.unlinkSync('/g'))).toBe('ENOENT');
    expect(fs.operations).toEqual([
      { index: 0, operation: 'createSync', path: '/f' },
      { index: 1, operation: 'writeSync', path: '/f', position: 5, length: 3, result: 3 },
      { index: 2, operation: 'unlinkSync', path: '/g', error: 'ENOENT' },
    ]);
    expect(fs.mutations.total).toBe(2);
    expect([fs.mutations.of('writeSync'), fs.mutations.at('/f')]).toEqual([1, 2]);
  });

  test('the hook runs before each operation and can stop it', async () => {
    const images: (string | undefined)[] = [];
    const fs = new CrashFs({
      onOperation: ({ index }) => {
        images.push(textOf(fs.crash(benign), '/f'));
        if (index === 2) throw new Error('power cut');
      },
    });
    const handle = fs.openSync('/f', 'create');
    put(handle, 'a', 0);
    expect(() => put(handle, 'b', 1)).toThrow('power cut');
    await expect(handle.write(bytesOf('c'), 0, 1, 2)).rejects.toThrow('power cut');
    expect(images).toEqual([undefined, '', 'a', 'a']);
    fs.onOperation = undefined;
    expect(textOf(fs, '/f')).toBe('a');
  });
});

describe('durability', () => {
  const some = fc.constantFrom(...profiles.filter(({ keepsSynced }) => keepsSynced));
  const choices = fc.array(fc.nat(65_535), { minLength: 64, maxLength: 64 });
  const chunk = fc.record({
    position: fc.nat(3000),
    length: fc.integer({ min: 1, max: 2000 }),
    sync: fc.boolean(),
  });

  test('what is synced, bytes and name, survives every crash', () => {
    fc.assert(
      fc.property(some, fc.array(chunk, { minLength: 1, maxLength: 8 }), choices, (...drawn) => {
        const [profile, chunks, values] = drawn;
        const fs = new CrashFs({ profile });
        const handle = fs.openSync('/f', 'create');
        fs.openSync('/other', 'create').closeSync();
        let durable: string | undefined;
        for (const [index, { position, length, sync }] of chunks.entries()) {
          put(handle, String.fromCharCode(97 + index).repeat(length), position);
          if (sync) {
            handle.datasyncSync();
            fs.syncDirectorySync('/');
            durable = textOf(fs, '/f');
          }
        }
        const unsynced = chunks.slice(chunks.findLastIndex(({ sync }) => sync) + 1);
        const text = textOf(fs.crash(choicesFrom(values)), '/f');
        if (durable === undefined) return;
        expect(text?.length ?? 0).toBeGreaterThanOrEqual(durable.length);
        for (let i = 0; i < durable.length; i += 1) {
          const touched = unsynced.some(
            ({ position, length }) => i >= position && i < position + length,
          );
          if (!touched && text?.[i] !== durable[i]) throw new Error(`byte ${i} was lost`);
        }
      }),
      { numRuns: 600 },
    );
  });

  test('choice 0 keeps everything', () => {
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 8 }), (chunks) => {
        const fs = new CrashFs();
        const handle = fs.openSync('/f', 'create');
        for (const [index, { position, length, sync }] of chunks.entries()) {
          put(handle, `${index}`.repeat(length), position);
          if (index % 3 === 2) handle.truncateSync(length);
          if (sync) handle.datasyncSync();
        }
        for (const profile of profiles) {
          const image = fs.crash(benign, { profile });
          expect(textOf(image, '/f')).toBe(textOf(fs, '/f'));
        }
      }),
      { numRuns: 100 },
    );
  });
});
