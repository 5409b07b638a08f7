/**
 * What each profile allows and what it forbids: a test for each thing that is known to happen to
 * files and names when power is cut, then the list of profiles.
 */
import { describe, expect, test } from 'vitest';
import { benign, worst } from '../../src/testing/choices.js';
import { bytesOf, codeOf } from '../../src/testing/contract-support.js';
import { adversary } from '../../src/testing/crash-adversary.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { ext4Ordered, xfs } from '../../src/testing/crash-journal.js';
import { processKill, strict, type Profile } from '../../src/testing/crash-profiles.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { profileNamed, profiles } from '../../src/testing/profile-list.js';
import { durableFile, outcomes, put, sorted, textOf } from './crash-support.js';

const powerCuts: readonly Profile[] = [xfs, ext4Ordered, strict];
const journals: readonly Profile[] = [xfs, ext4Ordered];

/** All that crashes show under a profile after `build`. */
function after(
  profile: Profile,
  build: (fs: CrashFs) => void,
  look: (image: CrashFs) => string | undefined,
): Set<string | undefined> {
  const fs = new CrashFs({ profile });
  build(fs);
  return outcomes(fs, look);
}

const texts =
  (...paths: string[]) =>
  (image: CrashFs): string =>
    paths.map((path) => textOf(image, path)).join('|');

const present =
  (...paths: string[]) =>
  (image: CrashFs): string =>
    paths.map((path) => (image.statSync(path) === undefined ? 0 : 1)).join('');

function create(fs: CrashFs, path: string, text = ''): void {
  const handle = fs.openSync(path, 'create');
  if (text !== '') put(handle, text);
  handle.closeSync();
}

/** Some file is synced, not one of those that the test is about. */
function syncAnother(fs: CrashFs): void {
  const handle = fs.openSync('/another', 'create');
  handle.datasyncSync();
  handle.closeSync();
}

describe('bytes after a power cut', () => {
  test('row 1: an append within a block has its size before its bytes on ext4, not on xfs', () => {
    const build = (fs: CrashFs): void => put(durableFile(fs, '/f', 'old'), 'new');
    expect(sorted(after(xfs, build, texts('/f')))).toEqual(['old', 'oldnew']);
    expect(sorted(after(ext4Ordered, build, texts('/f')))).toEqual(['old', 'old...', 'oldnew']);
    const seen = after(strict, build, texts('/f'));
    for (const state of ['old', 'old...', 'oldnew', 'oldn']) expect(seen.has(state)).toBe(true);
    expect(sorted(after(processKill, build, texts('/f')))).toEqual(['oldnew']);
  });

  test('row 1: an append into a new block has no size without its bytes on ext4', () => {
    const build = (fs: CrashFs): void =>
      put(durableFile(fs, '/f', 'o'.repeat(4096)), 'n'.repeat(5000));
    const look = (image: CrashFs): string => textOf(image, '/f')!.replace(/^o+/, '');
    const whole = ['', 'n'.repeat(4096), 'n'.repeat(5000)];
    for (const profile of journals) expect(sorted(after(profile, build, look))).toEqual(whole);
    expect(after(strict, build, look).has('.'.repeat(5000))).toBe(true);
  });

  test('row 1: an append over the edge of a block may end there, with zeros on ext4', () => {
    const build = (fs: CrashFs): void => put(durableFile(fs, '/f', 'o'.repeat(4095)), 'new');
    const look = (image: CrashFs): string => textOf(image, '/f')!.replace(/^o+/, '');
    expect(sorted(after(xfs, build, look))).toEqual(['', 'n', 'new']);
    expect(sorted(after(ext4Ordered, build, look))).toEqual(['', '.', '.ew', 'n', 'new']);
  });

  test('row 1: any sectors of what is written over survive', () => {
    for (const profile of powerCuts) {
      const build = (fs: CrashFs): void =>
        put(durableFile(fs, '/f', 'o'.repeat(1024)), 'n'.repeat(1024), 0);
      const seen = after(profile, build, (image) =>
        textOf(image, '/f')!.replaceAll(/(.)\1*/g, '$1'),
      );
      for (const state of ['o', 'n', 'on', 'no']) expect(seen.has(state)).toBe(true);
    }
  });

  test('row 2: appends to two files survive in any order', () => {
    for (const profile of powerCuts) {
      const build = (fs: CrashFs): void => {
        const first = durableFile(fs, '/f', '');
        put(durableFile(fs, '/g', ''), 'g');
        put(first, 'f');
      };
      const seen = after(profile, build, texts('/f', '/g'));
      for (const state of ['f|g', 'f|', '|g', '|']) expect(seen.has(state)).toBe(true);
    }
  });

  test('row 3: the sync of one file makes the size of another durable on ext4', () => {
    const build = (fs: CrashFs): void => {
      const first = durableFile(fs, '/f', 'old');
      const second = durableFile(fs, '/g', '');
      put(first, 'new');
      second.datasyncSync();
    };
    expect(sorted(after(ext4Ordered, build, texts('/f')))).toEqual(['old...', 'oldnew']);
    expect(sorted(after(xfs, build, texts('/f')))).toEqual(['old', 'oldnew']);
    expect(after(strict, build, texts('/f')).has('old')).toBe(true);
  });

  test('row 9: a truncation is in the journal that the sync of another file commits', () => {
    const build = (fs: CrashFs): void => {
      durableFile(fs, '/f', 'abcdef').truncateSync(2);
      syncAnother(fs);
    };
    for (const profile of journals) {
      expect(sorted(after(profile, build, texts('/f')))).toEqual(['ab']);
    }
    expect(sorted(after(strict, build, texts('/f')))).toEqual(['ab', 'abcdef']);
  });

  test('row 10: after a truncation and an append stale bytes may be there again', () => {
    const build = (fs: CrashFs): void => {
      const handle = durableFile(fs, '/f', 'abcdef');
      handle.truncateSync(2);
      put(handle, 'XYZ', 4);
    };
    for (const profile of powerCuts) {
      const seen = after(profile, build, texts('/f'));
      for (const state of ['abcdef', 'ab', 'ab..XYZ', 'abcdXYZ']) {
        expect([profile.name, state, seen.has(state)]).toEqual([profile.name, state, true]);
      }
    }
  });

  test('row 10: sectors that were written and cut come back each for itself', () => {
    const build = (fs: CrashFs): void => {
      const handle = durableFile(fs, '/f', '');
      put(handle, 'a'.repeat(1024));
      handle.truncateSync(0);
      put(handle, 'n', 1024);
    };
    const half = `${'a'.repeat(512)}${'.'.repeat(512)}n`;
    for (const profile of powerCuts) {
      expect([profile.name, after(profile, build, texts('/f')).has(half)]).toEqual([
        profile.name,
        true,
      ]);
    }
  });

  test('row 14: what a failed sync lost does not come back with what is written behind it', () => {
    const build = (fs: CrashFs): void => {
      const handle = durableFile(fs, '/f', 'old');
      put(handle, 'new');
      fs.failSync('/f');
      expect(codeOf(() => handle.datasyncSync())).toBe('EIO');
      put(handle, 'x');
    };
    expect(sorted(after(xfs, build, texts('/f')))).toEqual(['old', 'old...x', 'oldnewx']);
    expect(after(ext4Ordered, build, texts('/f')).has('old...x')).toBe(true);
  });

  test('row 14: what a failed sync lost leaves zeros on ext4, and on xfs no trace', () => {
    const build = (fs: CrashFs): void => {
      const handle = durableFile(fs, '/f', 'o'.repeat(4096));
      put(handle, 'n'.repeat(512));
      fs.failSync('/f');
      expect(codeOf(() => handle.datasyncSync())).toBe('EIO');
      handle.datasyncSync();
    };
    const look = (image: CrashFs): string => textOf(image, '/f')!.replace(/^o+/, '');
    const zeros = '.'.repeat(512);
    expect(sorted(after(ext4Ordered, build, look))).toEqual([zeros, 'n'.repeat(512)]);
    expect(sorted(after(xfs, build, look))).toEqual(['']);
    const seen = after(strict, build, look);
    for (const state of ['', zeros, 'n'.repeat(512)]) expect(seen.has(state)).toBe(true);
  });

  test('row 14: a later sync does not bring back the size that was lost', () => {
    const build = (fs: CrashFs): void => {
      const handle = durableFile(fs, '/f', 'old');
      put(handle, 'new');
      fs.failSync('/f');
      expect(codeOf(() => handle.datasyncSync())).toBe('EIO');
      put(handle, 'O', 0);
      handle.datasyncSync();
    };
    expect(sorted(after(xfs, build, texts('/f')))).toEqual(['Old']);
    for (const profile of [xfs, strict]) {
      expect(after(profile, build, texts('/f')).has('Old')).toBe(true);
    }
    expect(sorted(after(ext4Ordered, build, texts('/f')))).toEqual(['Old...', 'Oldnew']);
  });

  test('row 15: bytes before an append in its sector survive, except under the adversary', () => {
    const build = (fs: CrashFs): void => put(durableFile(fs, '/f', 'old'), 'new');
    for (const profile of profiles) {
      const seen = [...after(profile, build, texts('/f'))];
      const garbled = seen.some((text) => !text?.startsWith('old'));
      expect([profile.name, garbled]).toEqual([profile.name, profile === adversary]);
    }
  });
});

describe('names after a power cut', () => {
  test('row 4: a created and synced file has its name on ext4 and xfs, not in POSIX', () => {
    const build = (fs: CrashFs): void => {
      const handle = fs.openSync('/f', 'create');
      put(handle, 'text');
      handle.datasyncSync();
    };
    for (const profile of journals) {
      expect(sorted(after(profile, build, texts('/f')))).toEqual(['text']);
    }
    expect(sorted(after(strict, build, texts('/f')))).toEqual(['', 'text']);
  });

  test('row 5: under two new directories too', () => {
    const build = (fs: CrashFs): void => {
      fs.mkdirSync('/a');
      fs.mkdirSync('/a/b');
      const handle = fs.openSync('/a/b/f', 'create');
      handle.datasyncSync();
    };
    const look = present('/a', '/a/b', '/a/b/f');
    for (const profile of journals) expect(sorted(after(profile, build, look))).toEqual(['111']);
    expect(sorted(after(strict, build, look))).toEqual(['000', '100', '110', '111']);
  });

  test('row 6: a rename reverts without a sync of the directory, after a power cut', () => {
    const build = (fs: CrashFs): void => {
      durableFile(fs, '/m', 'old');
      durableFile(fs, '/m.tmp', 'new');
      fs.renameSync('/m.tmp', '/m');
    };
    for (const profile of [...powerCuts, adversary]) {
      expect(sorted(after(profile, build, texts('/m', '/m.tmp')))).toEqual(['new|', 'old|new']);
    }
    expect(sorted(after(processKill, build, texts('/m', '/m.tmp')))).toEqual(['new|']);
  });

  test('row 7: a file that is not synced, renamed over another one, may be empty', () => {
    const build = (fs: CrashFs): void => {
      durableFile(fs, '/m', 'old');
      create(fs, '/m.tmp', 'new');
      fs.renameSync('/m.tmp', '/m');
      syncAnother(fs);
    };
    for (const profile of journals) {
      expect(sorted(after(profile, build, texts('/m')))).toEqual(['', 'new']);
    }
    const seen = after(strict, build, texts('/m'));
    for (const state of ['', '...', 'new', 'old']) expect(seen.has(state)).toBe(true);
  });

  test('row 8: renamed to a new name, it may be empty, and zeros in POSIX alone', () => {
    const build = (fs: CrashFs): void => {
      create(fs, '/m.tmp', 'new');
      fs.renameSync('/m.tmp', '/m');
    };
    const look = (image: CrashFs): string | undefined => textOf(image, '/m');
    for (const profile of journals) {
      expect(sorted(after(profile, build, look))).toEqual(['', 'new', 'undefined']);
    }
    expect(after(strict, build, look).has('...')).toBe(true);
  });

  test('row 11: changes in one directory survive in their order on ext4 and xfs', () => {
    const build = (fs: CrashFs): void => {
      durableFile(fs, '/f', '');
      fs.linkSync('/f', '/g');
      fs.mkdirSync('/d');
      fs.unlinkSync('/f');
    };
    const look = present('/g', '/d', '/f');
    for (const profile of journals) {
      expect(sorted(after(profile, build, look))).toEqual(['001', '101', '110', '111']);
    }
    expect(after(strict, build, look).size).toBe(8);
  });

  test('row 12: changes in two directories too', () => {
    const build = (fs: CrashFs): void => {
      fs.mkdirSync('/a');
      fs.mkdirSync('/b');
      fs.syncDirectorySync('/');
      for (const path of ['/a/f', '/b/g', '/a/h']) create(fs, path);
    };
    const look = present('/a/f', '/b/g', '/a/h');
    for (const profile of journals) {
      expect(sorted(after(profile, build, look))).toEqual(['000', '100', '110', '111']);
    }
    expect(after(strict, build, look).size).toBe(8);
  });

  test('row 13: the old file is gone while the pointer reverts, in POSIX alone', () => {
    const runtime = new ManualRuntime();
    for (const profile of powerCuts) {
      for (const complete of [true, false]) {
        const fs = new CrashFs({ profile, defer: runtime.deferIo });
        durableFile(fs, '/pointer', 'old');
        durableFile(fs, '/data', '');
        durableFile(fs, '/pointer.tmp', 'new');
        fs.renameSync('/pointer.tmp', '/pointer');
        void fs.unlink('/data');
        if (complete) runtime.runIo();
        const seen = outcomes(
          fs,
          (image) => `${textOf(image, '/pointer')} ${present('/data')(image)}`,
        );
        const expected = ['new 0', 'new 1', 'old 1', ...(profile === strict ? ['old 0'] : [])];
        expect(sorted(seen)).toEqual(expected.toSorted());
      }
    }
  });

  test('row 14: of a directory whose sync failed the names may be lost', () => {
    for (const profile of powerCuts) {
      const build = (fs: CrashFs): void => {
        create(fs, '/f');
        fs.failSync('/');
        expect(codeOf(() => fs.syncDirectorySync('/'))).toBe('EIO');
        fs.syncDirectorySync('/');
      };
      expect(sorted(after(profile, build, present('/f')))).toEqual(['0', '1']);
    }
  });
});

describe('what is in flight', () => {
  test('may be on disk, cut by sectors, and is not promised', () => {
    for (const profile of powerCuts) {
      const runtime = new ManualRuntime();
      const fs = new CrashFs({ profile, defer: runtime.deferIo });
      const handle = durableFile(fs, '/f', 'old');
      void handle.write(bytesOf('new'), 0, 3, 3);
      const seen = outcomes(fs, texts('/f'));
      for (const state of ['old', 'oldnew']) expect(seen.has(state)).toBe(true);
      expect([profile.name, seen.has('old...')]).toEqual([profile.name, profile !== xfs]);
      runtime.runIo();
    }
  });
});

describe('the adversary', () => {
  test('leaves garbage where an extension is lost', () => {
    const build = (fs: CrashFs): void =>
      put(durableFile(fs, '/f', 'o'.repeat(512)), 'n'.repeat(512));
    const lost = `${'o'.repeat(512)}${'\ufffd'.repeat(512)}`;
    expect(after(adversary, build, texts('/f')).has(lost)).toBe(true);
    expect(after(strict, build, texts('/f')).has(lost)).toBe(false);
  });

  test('brings back what was cut off, although the cut was synced', () => {
    const build = (fs: CrashFs): void => {
      const handle = durableFile(fs, '/f', 'abcdef');
      handle.truncateSync(2);
      handle.datasyncSync();
      put(handle, 'XYZW');
    };
    expect(after(adversary, build, texts('/f')).has('abcdef')).toBe(true);
    expect(after(strict, build, texts('/f')).has('abcdef')).toBe(false);
  });
});

describe('the list of profiles', () => {
  test('finds each by its name, and no other', () => {
    const names = profiles.map(({ name }) => name);
    expect(names).toEqual(['process-kill', 'xfs', 'ext4-ordered', 'strict', 'adversary']);
    for (const profile of profiles) expect(profileNamed(profile.name)).toBe(profile);
    expect(() => profileNamed('btrfs')).toThrow(RangeError);
  });

  test('all but the adversary keep what was synced', () => {
    for (const profile of profiles) {
      expect(profile.keepsSynced).toBe(profile !== adversary);
      const build = (fs: CrashFs): void => void durableFile(fs, '/f', 'text');
      expect(sorted(after(profile, build, texts('/f')))).toEqual(['text']);
    }
  });

  test('the first choice keeps everything, the last one as little as there may be', () => {
    for (const profile of profiles) {
      const fs = new CrashFs({ profile });
      put(durableFile(fs, '/f', 'a'.repeat(4096)), 'b'.repeat(5000));
      create(fs, '/g', 'text');
      expect(texts('/f', '/g')(fs.crash(benign))).toBe(texts('/f', '/g')(fs));
      const image = fs.crash(worst);
      const killed = profile === processKill;
      expect([image.statSync('/f')?.size, image.statSync('/g')?.size]).toEqual(
        killed ? [9096, 4] : [4096, undefined],
      );
    }
  });
});
