/**
 * Goal: entries become groups that are whole or not there, one sync is for all who wait and tells
 * them together, and the first failure is the last thing that is written.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { entryBytes } from '../../src/format/journal-group.js';
import { worst } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import {
  add,
  addSoon,
  addSynced,
  contentsOf,
  JOURNAL,
  memoryStore,
  openLab,
  STORE,
  textEntry,
  writeEntry,
  type JournalLab,
} from '../support/journal-kit.js';

/** A journal whose input and output waits until the test completes it. */
function crashLab(): JournalLab & { readonly fs: CrashFs } {
  const runtime = new ManualRuntime();
  const fs = new CrashFs({ defer: runtime.deferIo });
  fs.mkdirSync(STORE);
  fs.syncDirectorySync('/');
  return { ...openLab(fs, { runtime }), fs };
}

const numbersIn = (fs: CrashFs): number[] =>
  contentsOf(fs).groups.map(({ header }) => header.number);

describe('groups', () => {
  let lab: JournalLab & { readonly fs: CrashFs };
  beforeEach(() => {
    lab = crashLab();
  });

  test('nothing is written before it is flushed, and then all of it in one write', () => {
    const { journal, fs } = lab;
    for (const position of [0, 8, 16]) add(journal, writeEntry(1, position, 8));
    add(journal, textEntry('name', 2, 'orders'));
    expect(contentsOf(fs).groups).toEqual([]);
    const before = fs.operations.length;
    journal.flush();
    const written = fs.operations.slice(before).map(({ operation }) => operation);
    expect(written.filter((operation) => operation === 'writeSync')).toHaveLength(1);
    const [group] = contentsOf(fs).groups;
    expect(group?.entries.map(({ kind, position }) => [kind, position])).toEqual([
      ['write', 0],
      ['write', 8],
      ['write', 16],
      ['name', 0],
    ]);
    expect([...(group?.entries[1]?.data ?? [])]).toEqual(Array.from({ length: 8 }, () => 9));
    journal.flush();
    expect(numbersIn(fs)).toEqual([1]);
  });

  test('room for several entries is room in the same group', async () => {
    const { journal, fs, runtime } = lab;
    const data = new Uint8Array(1000);
    const size = entryBytes(data.byteLength);
    const entry = { ...writeEntry(1, 0, 0), data };
    const groups: number[][] = [];
    for (let pair = 0; pair < 200; pair++) {
      while (!journal.ensureRoom(2 * size)) {
        journal.flush();
        journal.segments.release(journal.nextNumber - 1);
        await runtime.drainIo();
      }
      groups.push([0, 1].map(() => journal.add(entry, data, 0, 1000).group));
    }
    for (const [first, second] of groups) expect(second).toBe(first);
    expect(new Set(groups.flat()).size).toBeGreaterThan(5);
    expect(contentsOf(fs).control.epoch).toBe(1);
  });

  test('the bytes of an entry are copied, and stay while somebody has them', () => {
    const { journal } = lab;
    const data = new Uint8Array([1, 2, 3]);
    expect(journal.ensureRoom(entryBytes(3))).toBe(true);
    const { bytes, offset } = journal.add(writeEntry(1, 0, 0), data, 1, 2);
    data.fill(9);
    journal.flush();
    for (let i = 0; i < 20; i++) {
      add(journal, writeEntry(1, 8, 1000));
      journal.flush();
    }
    expect([...bytes.subarray(offset, offset + 2)]).toEqual([2, 3]);
  });

  test('an entry without room is a mistake of the caller', async () => {
    await addSoon(lab, writeEntry(1, 0, 8));
    lab.journal.flush();
    const data = new Uint8Array(lab.journal.segments.remaining);
    expect(() => lab.journal.add(writeEntry(1, 8, 0), data, 0, data.byteLength)).toThrow(
      'without room',
    );
  });

  test('what was added last can be taken back until it is written', () => {
    const { journal, fs } = lab;
    add(journal, writeEntry(1, 0, 8));
    const data = new Uint8Array(8);
    journal.ensureRoom(2 * entryBytes(8));
    const second = journal.add(writeEntry(1, 8, 0), data, 0, 8);
    const third = journal.add(writeEntry(1, 16, 0), data, 0, 8);
    expect(journal.takeBack(second, 8)).toBe(false);
    expect(journal.takeBack(third, 8)).toBe(true);
    expect(journal.takeBack(third, 8)).toBe(false);
    expect(journal.takeBack(second, 8)).toBe(true);
    journal.flush();
    expect(contentsOf(fs).groups[0]?.entries).toHaveLength(1);
    expect(journal.takeBack(second, 8)).toBe(false);
  });

  test('a group that lost all its entries is not written', () => {
    const { journal, fs } = lab;
    journal.ensureRoom(entryBytes(8));
    const only = journal.add(writeEntry(1, 0, 0), new Uint8Array(8), 0, 8);
    expect(journal.takeBack(only, 8)).toBe(true);
    journal.flush();
    expect([journal.nextNumber, journal.hasUnsynced]).toEqual([1, false]);
    add(journal, writeEntry(1, 0, 8));
    journal.flush();
    expect(numbersIn(fs)).toEqual([1]);
  });

  test('each open goes on behind the last group, with the next epoch', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    await lab.journal.idle();
    lab.journal.close();
    const { fs, runtime } = lab;
    const next = openLab(fs, { runtime });
    await addSynced(next, writeEntry(1, 8, 8));
    const headers = contentsOf(fs).groups.map(({ header }) => [header.number, header.epoch]);
    expect(headers).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  test('a group says what was synced when it was encoded', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    add(lab.journal, writeEntry(1, 8, 8));
    lab.journal.flush();
    await addSynced(lab, writeEntry(1, 16, 8));
    const synced = contentsOf(lab.fs).groups.map(({ header }) => header.syncedNumber);
    expect(synced).toEqual([0, 1, 1]);
  });
});

describe('syncs', () => {
  test('one is for all who wait, and tells them in one turn, in their order', async () => {
    const { journal, runtime, fs } = crashLab();
    const told: [string, number][] = [];
    let turn = 0;
    for (const name of ['a', 'b', 'c']) {
      add(journal, writeEntry(1, 8 * told.length, 8));
      journal.sync((error) => {
        if (error === undefined) told.push([name, turn]);
        runtime.defer(() => turn++);
      });
    }
    await runtime.drainIo();
    expect(told).toEqual([
      ['a', 0],
      ['b', 0],
      ['c', 0],
    ]);
    expect(syncs(fs)).toBe(1);
    expect(contentsOf(fs.crash(worst)).groups).toHaveLength(1);
    expect(journal.syncedNumber).toBe(1);
  });

  test('nobody is told before it has finished; who comes meanwhile shares the next', async () => {
    const { journal, runtime, fs } = crashLab();
    const told: string[] = [];
    const wait = (name: string): void => {
      add(journal, writeEntry(1, 0, 8));
      journal.sync(() => told.push(name));
    };
    wait('first');
    await runtime.settle();
    wait('second');
    wait('third');
    await runtime.settle();
    expect([told, runtime.heldIo]).toEqual([[], 1]);
    runtime.runIo();
    await runtime.settle();
    expect([told, runtime.heldIo]).toEqual([['first'], 1]);
    await runtime.drainIo();
    expect(told).toEqual(['first', 'second', 'third']);
    expect(syncs(fs)).toBe(2);
    expect(fs.overlappingSyncs).toBe(0);
  });

  test('groups in several segments are covered together, the older segment first', async () => {
    const lab = crashLab();
    const { journal, runtime, fs } = lab;
    for (let position = 0; position < 60_000; position += 6000) {
      await addSoon(lab, writeEntry(1, position, 6000));
    }
    const synced = journal.synced();
    await runtime.drainIo();
    await synced;
    const groups = contentsOf(fs.crash(worst)).groups;
    expect(new Set(groups.map(({ segment }) => segment)).size).toBeGreaterThan(1);
    expect(groups.flatMap(({ entries }) => entries)).toHaveLength(10);
    expect(journal.hasUnsynced).toBe(false);
  });

  test('one that covers nothing new does nothing', async () => {
    const lab = crashLab();
    await addSynced(lab, writeEntry(1, 0, 8));
    const before = syncs(lab.fs);
    const synced = lab.journal.synced();
    await lab.runtime.drainIo();
    await synced;
    expect(syncs(lab.fs)).toBe(before);
  });

  test('a synchronous one has a descriptor of its own, and covers what is there', async () => {
    const { journal, runtime, fs } = crashLab();
    add(journal, writeEntry(1, 0, 8));
    let isTold = false;
    journal.sync(() => {
      isTold = true;
    });
    await runtime.settle();
    add(journal, writeEntry(1, 8, 8));
    journal.syncNow();
    expect([journal.syncedNumber, isTold]).toEqual([2, false]);
    expect(contentsOf(fs.crash(worst)).groups).toHaveLength(2);
    expect(fs.overlappingSyncs).toBe(0);
    await runtime.drainIo();
    expect([journal.syncedNumber, isTold]).toEqual([2, true]);
  });

  test('where a redo may begin is behind the last synced group', async () => {
    const lab = crashLab();
    await addSynced(lab, writeEntry(1, 0, 8));
    const end = lab.journal.syncedEnd;
    expect(end).toEqual(contentsOf(lab.fs).end);
    add(lab.journal, writeEntry(1, 8, 8));
    lab.journal.flush();
    expect(lab.journal.syncedEnd).toEqual(end);
    expect(contentsOf(lab.fs).end.number).toBe(3);
  });
});

function syncs(fs: CrashFs): number {
  return fs.operations.filter(
    ({ operation, path }) => operation === 'datasync' && path.endsWith('.journal'),
  ).length;
}

describe('the first failure is the end', () => {
  let fs: FaultFs;
  let lab: JournalLab;
  beforeEach(() => {
    fs = new FaultFs(memoryStore());
    lab = openLab(fs);
  });

  test('a write that fails: nobody waits on, nothing more is written', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    const { journal, failures } = lab;
    fs.inject({ operation: 'writeSync', path: /\.journal$/, nth: 1, effect: { error: 'EIO' } });
    add(journal, writeEntry(1, 8, 8));
    await expect(journal.synced()).rejects.toMatchObject({ code: 'EIO' });
    expect([failures, journal.isFailed]).toEqual([[JOURNAL], true]);
    expect(journal.ensureRoom(48)).toBe(false);
    const writes = fs.calls.of('writeSync');
    journal.flush();
    await expect(journal.synced()).rejects.toMatchObject({ code: 'EIO' });
    expect(() => {
      journal.syncNow();
    }).toThrow('EIO');
    expect([fs.calls.of('writeSync'), failures]).toEqual([writes, [JOURNAL]]);
    expect(journal.syncedNumber).toBe(1);
  });

  test.each(['datasync', 'datasyncSync'] as const)('a failed %s is not tried again', async (op) => {
    await addSynced(lab, writeEntry(1, 0, 8));
    const { journal, failures } = lab;
    fs.inject({ operation: op, path: /\.journal$/, nth: 1, effect: { error: 'EIO' } });
    add(journal, writeEntry(1, 8, 8));
    if (op === 'datasync') await expect(journal.synced()).rejects.toMatchObject({ code: 'EIO' });
    else {
      expect(() => {
        journal.syncNow();
      }).toThrow('EIO');
    }
    const before = fs.calls.of(op);
    await expect(journal.synced()).rejects.toMatchObject({ code: 'EIO' });
    expect([fs.calls.of(op), failures, journal.syncedNumber]).toEqual([before, [JOURNAL], 1]);
  });

  test('a synchronous sync that fails takes the one that is under way with it', async () => {
    const { journal, runtime, fs: disk } = crashLab();
    add(journal, writeEntry(1, 0, 8));
    const errors: unknown[] = [];
    journal.sync((error) => errors.push(error));
    await runtime.settle();
    add(journal, writeEntry(1, 8, 8));
    disk.failSync(`${JOURNAL}/0000000001.journal`);
    expect(() => {
      journal.syncNow();
    }).toThrow('EIO');
    await runtime.drainIo();
    expect(errors).toMatchObject([{ code: 'EIO' }]);
    expect(journal.syncedNumber).toBe(0);
  });

  test('who waits for room is told once, and finds that there is none', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    let told = 0;
    lab.journal.whenRoom(8, () => told++);
    lab.journal.fail('control', new Error('EIO'));
    lab.journal.fail('again', new Error('EIO'));
    lab.journal.onFreed();
    expect([told, lab.failures]).toEqual([1, ['control']]);
    expect(lab.journal.ensureRoom(8)).toBe(false);
  });
});

test('everything is given back when it is closed', async () => {
  const fs = new FaultFs(memoryStore());
  const lab = openLab(fs);
  for (let i = 0; i < 4; i++) await addSynced(lab, writeEntry(1, 0, 20_000));
  await lab.journal.idle();
  expect(fs.openPaths.length).toBeGreaterThan(0);
  lab.journal.close();
  expect(fs.openPaths).toEqual([]);
});
