/**
 * Goal: FaultFs can fail every operation of the port, at any count, for as often as it is to.
 * Method: a table with a way to call each operation; a rule for it; what fails and what does not.
 */
import { describe, expect, test } from 'vitest';
import type { FileHandle, FileSystem } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { bytesOf } from '../../src/testing/contract-support.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { inGroup, type Operation } from '../../src/testing/operations.js';

const abc = bytesOf('abc');
const buffer = new Uint8Array(3);

interface Attempt {
  /** Makes ready, and returns the one call that counts. */
  readonly prepare: (fs: FileSystem, round: number) => () => unknown;
  /** What is to be seen below if the call had its effect. */
  readonly hadEffect?: (below: FileSystem, round: number) => boolean;
}

const create = (fs: FileSystem, path: string): FileHandle => fs.openSync(path, 'create');
const file = (fs: FileSystem, round: number): FileHandle => create(fs, `/file${round}`);
const exists = (below: FileSystem, path: string): boolean => below.statSync(path) !== undefined;
const size = (below: FileSystem, round: number): number =>
  below.statSync(`/file${round}`)?.size ?? 0;

/** Has to have a way for each operation, or it does not compile. */
const ATTEMPTS: Readonly<Record<Operation, Attempt>> = {
  openSync: {
    prepare: (fs, round) => {
      file(fs, round).closeSync();
      return () => fs.openSync(`/file${round}`, 'read');
    },
  },
  createSync: {
    prepare: (fs, round) => () => create(fs, `/new${round}`),
    hadEffect: (below, round) => exists(below, `/new${round}`),
  },
  mkdirSync: {
    prepare: (fs, round) => () => fs.mkdirSync(`/dir${round}`),
    hadEffect: (below, round) => exists(below, `/dir${round}`),
  },
  readDirectorySync: { prepare: (fs) => () => fs.readDirectorySync('/') },
  statSync: { prepare: (fs) => () => fs.statSync('/absent') },
  renameSync: {
    prepare: (fs, round) => {
      file(fs, round);
      return () => fs.renameSync(`/file${round}`, `/to${round}`);
    },
    hadEffect: (below, round) => exists(below, `/to${round}`),
  },
  linkSync: {
    prepare: (fs, round) => {
      file(fs, round);
      return () => fs.linkSync(`/file${round}`, `/to${round}`);
    },
    hadEffect: (below, round) => exists(below, `/to${round}`),
  },
  unlinkSync: {
    prepare: (fs, round) => {
      file(fs, round);
      return () => fs.unlinkSync(`/file${round}`);
    },
    hadEffect: (below, round) => !exists(below, `/file${round}`),
  },
  unlink: {
    prepare: (fs, round) => {
      file(fs, round);
      return () => fs.unlink(`/file${round}`);
    },
    hadEffect: (below, round) => !exists(below, `/file${round}`),
  },
  rmdirSync: {
    prepare: (fs, round) => {
      fs.mkdirSync(`/dir${round}`);
      return () => fs.rmdirSync(`/dir${round}`);
    },
    hadEffect: (below, round) => !exists(below, `/dir${round}`),
  },
  syncDirectorySync: { prepare: (fs) => () => fs.syncDirectorySync('/') },
  syncDirectory: { prepare: (fs) => () => fs.syncDirectory('/') },
  realpathSync: { prepare: (fs) => () => fs.realpathSync('/') },
  readSync: {
    prepare: (fs, round) => {
      const handle = file(fs, round);
      return () => handle.readSync(buffer, 0, 3, 0);
    },
  },
  read: {
    prepare: (fs, round) => {
      const handle = file(fs, round);
      return () => handle.read(buffer, 0, 3, 0);
    },
  },
  writeSync: {
    prepare: (fs, round) => {
      const handle = file(fs, round);
      return () => handle.writeSync(abc, 0, 3, 0);
    },
    hadEffect: (below, round) => size(below, round) === 3,
  },
  write: {
    prepare: (fs, round) => {
      const handle = file(fs, round);
      return () => handle.write(abc, 0, 3, 0);
    },
    hadEffect: (below, round) => size(below, round) === 3,
  },
  truncateSync: {
    prepare: (fs, round) => {
      const handle = file(fs, round);
      return () => handle.truncateSync(7);
    },
    hadEffect: (below, round) => size(below, round) === 7,
  },
  sizeSync: {
    prepare: (fs, round) => {
      const handle = file(fs, round);
      return () => handle.sizeSync();
    },
  },
  datasyncSync: {
    prepare: (fs, round) => {
      const handle = file(fs, round);
      return () => handle.datasyncSync();
    },
  },
  datasync: {
    prepare: (fs, round) => {
      const handle = file(fs, round);
      return () => handle.datasync();
    },
  },
  tryLockSync: {
    prepare: (fs, round) => {
      const handle = file(fs, round);
      return () => handle.tryLockSync();
    },
    hadEffect: (below, round) => !below.openSync(`/file${round}`, 'write').tryLockSync(),
  },
  closeSync: {
    prepare: (fs, round) => {
      const handle = file(fs, round);
      return () => handle.closeSync();
    },
  },
};
const OPERATIONS = Object.keys(ATTEMPTS) as Operation[];
const ROUNDS = 5;

const COUNTS = [
  { name: 'once', nth: 1, times: undefined, fails: [0] },
  { name: 'the third time', nth: 3, times: 1, fails: [2] },
  { name: 'from the second time on, twice', nth: 2, times: 2, fails: [1, 2] },
  { name: 'for good', nth: 1, times: Infinity, fails: [0, 1, 2, 3, 4] },
  { name: 'for good from the fourth time on', nth: 4, times: Infinity, fails: [3, 4] },
];

async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return error;
  }
}

for (const [name, make] of [
  ['MemoryFs', () => new MemoryFs()],
  ['CrashFs', () => new CrashFs()],
] as const) {
  describe(`over ${name}`, () => {
    const cases = OPERATIONS.flatMap((operation) => COUNTS.map((count) => ({ operation, count })));
    test.each(cases)('$operation fails $count.name', async ({ operation, count }) => {
      for (const code of ['EIO', 'EDQUOT']) {
        const below = make();
        const fs = new FaultFs(below);
        const { prepare, hadEffect } = ATTEMPTS[operation];
        const calls = Array.from({ length: ROUNDS }, (_, round) => prepare(fs, round));
        const { nth, times } = count;
        const effect = { error: code };
        const path = /./;
        const rule = { operation, path, nth, effect, ...(times === undefined ? {} : { times }) };
        const fault = fs.inject(rule);
        const failed: number[] = [];
        for (const [round, call] of calls.entries()) {
          const error = await errorOf(call);
          if (hadEffect) expect([round, hadEffect(below, round)]).toEqual([round, !error]);
          if (error === undefined) continue;
          failed.push(round);
          const at: unknown = expect.stringMatching(/^\//);
          expect(error).toMatchObject({ code, path: at });
        }
        expect(failed).toEqual(count.fails);
        expect([fault.matched, fault.fired]).toEqual([ROUNDS, failed.length]);
      }
    });
  });
}

describe('rules of a group', () => {
  const GROUPS = ['any', 'anyRead', 'anyWrite', 'anySync', 'anyMutation'] as const;
  const cases = OPERATIONS.flatMap((operation) => GROUPS.map((group) => ({ operation, group })));
  test.each(cases)('$group and $operation', async ({ operation, group }) => {
    const fs = new FaultFs(new MemoryFs());
    const call = ATTEMPTS[operation].prepare(fs, 0);
    fs.inject({ operation: group, nth: 1, effect: { error: 'EROFS' } });
    const expected = inGroup(operation, group) ? { code: 'EROFS' } : undefined;
    const error = await errorOf(call);
    if (expected === undefined) expect(error).toBe(undefined);
    else expect(error).toMatchObject(expected);
  });

  test('of another path leave every operation alone', async () => {
    for (const operation of OPERATIONS) {
      const fs = new FaultFs(new MemoryFs());
      const call = ATTEMPTS[operation].prepare(fs, 0);
      fs.inject({ operation: 'any', path: /elsewhere/, nth: 1, effect: { error: 'EIO' } });
      expect([operation, await errorOf(call)]).toEqual([operation, undefined]);
    }
  });
});
