/**
 * Goal: bytes of a dat file wait in memory until a sync of the journal covers them, and until a
 * checkpoint has written and synced them; only then the journal lets go of them (RULES J2, J5, J7).
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/core/runtime.js';
import { segmentFileName } from '../../src/format/file-name.js';
import type { ChannelJournal } from '../../src/journal/channel-journal.js';
import { planRedo } from '../../src/journal/redo-plan.js';
import { StoreJournal } from '../../src/journal/store-journal.js';
import { worst } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import {
  channelId,
  contentsOf,
  JOURNAL,
  JOURNAL_BYTES,
  recoveredFrom,
  STORE,
  STORE_ID,
} from '../support/journal-kit.js';

const GENERATION = `${STORE}/v1`;
const DAT = `${GENERATION}/${segmentFileName(0, 'dat')}`;
const NEXT_DAT = `${GENERATION}/${segmentFileName(9, 'dat')}`;

let runtime: ManualRuntime;
let disk: CrashFs;
let fs: FaultFs;
let store: StoreJournal;
let channel: ChannelJournal;
let failures: string[];

beforeEach(() => {
  runtime = new ManualRuntime();
  disk = new CrashFs({ defer: runtime.deferIo });
  disk.mkdirSync(STORE);
  disk.mkdirSync(GENERATION);
  disk.syncDirectorySync('/');
  disk.syncDirectorySync(STORE);
  for (const path of [DAT, NEXT_DAT]) disk.openSync(path, 'create').closeSync();
  fs = new FaultFs(disk, { defer: runtime.deferIo });
  failures = [];
  store = openStore();
  channel = store.channel(channelId(1), 'orders', true);
});

function openStore(): StoreJournal {
  const onFailed = (path: string): void => void failures.push(path);
  const place = { fs, directory: STORE, storeId: STORE_ID, journalBytes: JOURNAL_BYTES };
  const syncCreated = async (): Promise<void> => {};
  const parts = {
    ...place,
    runtime,
    logger: silentLogger,
    onFailed,
    syncCreated,
    syncNames: syncCreated,
  };
  return new StoreJournal(parts, recoveredFrom(disk));
}

/** Adds bytes behind those that the file has. */
function add(
  length: number,
  value: number,
  path: string = DAT,
  to: ChannelJournal = channel,
): void {
  if (!store.journal.ensureRoom(to.roomFor(length))) throw new Error('there is no room');
  const start = to.waitingFor(path)?.end ?? sizeOf(path);
  const file = { path, baseSeq: path === DAT ? 0 : 9, start, isNew: true };
  to.add(file, new Uint8Array(length).fill(value), 0, length);
}

const sizeOf = (path: string, on: CrashFs = disk): number => on.statSync(path)?.size ?? -1;

async function drained<T>(promise: Promise<T>): Promise<T> {
  const settled = promise.then(
    () => undefined,
    () => undefined,
  );
  await runtime.drainIo();
  await settled;
  return promise;
}

function contentOf(path: string, on: CrashFs = disk): number[] {
  const file = on.openSync(path, 'read');
  const bytes = new Uint8Array(file.sizeSync());
  file.readSync(bytes, 0, bytes.byteLength, 0);
  return [...bytes];
}

describe('what waits', () => {
  test('is in memory, and in no dat file, until a sync of the journal covers it', async () => {
    add(4, 1);
    await drained(channel.checkpoint());
    expect([channel.isWaiting, sizeOf(DAT)]).toEqual([true, 0]);
    await drained(store.journal.synced());
    expect(sizeOf(DAT)).toBe(0);
    add(4, 2);
    await drained(channel.checkpoint());
    expect(contentOf(DAT)).toEqual([1, 1, 1, 1]);
    expect(channel.waitingFor(DAT)).toMatchObject({ start: 4, end: 8 });
  });

  test('goes to its files in their order, is synced with their names, and is let go', async () => {
    add(4, 1);
    add(2, 2, NEXT_DAT);
    expect(channel.oldestGroup).toBe(1);
    await drained(channel.settle());
    const left = disk.crash(worst);
    expect([contentOf(DAT, left), contentOf(NEXT_DAT, left)]).toEqual([
      [1, 1, 1, 1],
      [2, 2],
    ]);
    expect([channel.isWaiting, channel.oldestGroup]).toEqual([false, Infinity]);
    expect(channel.filed).toEqual({ baseSeq: 9, position: 2 });
    expect(fs.openPaths.filter((path) => path.endsWith('.dat'))).toEqual([]);
  });

  test('what was added last is taken back until it is written to the journal', async () => {
    add(4, 1);
    add(4, 2);
    channel.cutBack(DAT, 4);
    expect(channel.waitingFor(DAT)).toMatchObject({ start: 0, end: 4 });
    await drained(channel.settle());
    expect(contentOf(DAT)).toEqual([1, 1, 1, 1]);
    add(4, 3);
    store.journal.flush();
    expect(() => {
      channel.cutBack(DAT, 4);
    }).toThrow('cannot be taken back');
  });

  test('a file of which all was taken back does not hold up those behind it', async () => {
    add(4, 1);
    channel.cutBack(DAT, 0);
    add(4, 2, NEXT_DAT);
    await drained(channel.settle());
    expect([contentOf(NEXT_DAT), channel.isWaiting]).toEqual([[2, 2, 2, 2], false]);
  });

  test('a channel has its name in each segment, before its first entry', async () => {
    for (let i = 0; i < 3; i++) {
      if (!store.journal.ensureRoom(channel.roomFor(20_000))) await runtime.drainIo();
      add(20_000, i);
      await drained(store.journal.synced());
    }
    add(8, 4);
    await drained(store.journal.synced());
    const kinds = contentsOf(disk).groups.map(({ segment, entries }) =>
      [String(segment)].concat(entries.map(({ kind }) => kind)),
    );
    expect(kinds).toEqual([
      ['1', 'name', 'write'],
      ['2', 'name', 'write'],
      ['3', 'name', 'write'],
      ['3', 'write'],
    ]);
  });
});

describe('a checkpoint that fails', () => {
  test.each(['openSync', 'writeSync'] as const)('at %s is tried again', async (operation) => {
    add(4, 1);
    await drained(store.journal.synced());
    fs.inject({ operation, path: /\.dat$/, nth: 1, effect: { error: 'ENOSPC' } });
    await expect(drained(channel.checkpoint())).rejects.toMatchObject({ code: 'ENOSPC' });
    expect([channel.isWaiting, channel.isPinned]).toEqual([true, false]);
    await drained(channel.checkpoint());
    expect(contentOf(DAT)).toEqual([1, 1, 1, 1]);
  });

  test.each([
    ['datasync', DAT],
    ['syncDirectory', GENERATION],
  ] as const)('at %s pins the channel, and nothing is tried again', async (operation, path) => {
    const told: string[] = [];
    channel.onSyncFailed = (at) => told.push(at);
    add(4, 1);
    await drained(store.journal.synced());
    const isOfDat = (at: string): boolean => at === path;
    fs.inject({ operation, path: isOfDat, nth: 1, effect: { error: 'EIO' } });
    await expect(drained(channel.checkpoint())).rejects.toThrow('could not sync');
    expect([channel.isWaiting, channel.isPinned, told]).toEqual([true, true, [path]]);
    const syncs = fs.calls.in('anySync');
    await drained(channel.checkpoint());
    expect(fs.calls.in('anySync')).toBe(syncs);
    // The journal keeps what it has of it, whatever else goes on.
    await drained(store.checkpoint());
    expect(contentsOf(disk.crash(worst)).groups.map(({ header }) => header.number)).toEqual([1]);
  });
});

describe('rounds of checkpoints', () => {
  test('move the redo behind what is in the files, durably, and not before', async () => {
    add(4, 1);
    await drained(store.checkpoint());
    expect(store.journal.control.current?.redoFrom.number).toBe(2);
    const left = disk.crash(worst);
    expect([contentsOf(left).groups, contentOf(DAT, left)]).toEqual([[], [1, 1, 1, 1]]);
  });

  test('begin by themselves when no group came for a second', async () => {
    add(4, 1);
    await drained(store.journal.synced());
    await runtime.elapse(999);
    await runtime.drainIo();
    expect(sizeOf(DAT)).toBe(0);
    await runtime.elapse(1);
    await runtime.drainIo();
    expect([sizeOf(DAT), channel.isWaiting, runtime.pending.length]).toEqual([4, false, 0]);
  });

  test('keep the part of a channel that fails, and write the others', async () => {
    const other = store.channel(channelId(2), 'others', true);
    add(4, 1);
    await drained(store.journal.synced());
    add(4, 2, NEXT_DAT, other);
    fs.inject({ operation: 'openSync', path: /0000\.dat$/, nth: 1, effect: { error: 'EIO' } });
    await drained(store.checkpoint());
    expect([channel.isWaiting, other.isWaiting]).toEqual([true, false]);
    expect(store.journal.control.current?.redoFrom.number).toBe(1);
    await drained(store.checkpoint());
    expect(store.journal.control.current?.redoFrom.number).toBe(3);
  });

  test('end the journal when the control block cannot be synced', async () => {
    add(4, 1);
    await drained(store.journal.synced());
    fs.inject({ operation: 'datasync', path: /control$/, nth: 1, effect: { error: 'EIO' } });
    await drained(store.checkpoint());
    expect([failures, store.journal.isFailed]).toEqual([[`${JOURNAL}/control`], true]);
  });
});

describe('a deletion', () => {
  test('is durable when it resolves, and nothing of the channel is redone', async () => {
    add(4, 1);
    await drained(store.journal.synced());
    expect(await drained(store.delete(channelId(1), 'orders'))).toMatchObject({ isMade: false });
    const { groups, names } = contentsOf(disk.crash(worst));
    const plan = planRedo(groups, names);
    expect(plan).toMatchObject([{ hint: 'orders', isDeleted: true, writes: [] }]);
    expect([channel.isWaiting, store.find(channelId(1))]).toEqual([false, undefined]);
    await drained(store.checkpoint());
    expect(sizeOf(DAT)).toBe(0);
  });

  test('needs no journal that has nothing of the channel', async () => {
    expect(await drained(store.delete(channelId(3), 'unknown'))).toBeUndefined();
    expect(disk.statSync(JOURNAL)).toBeUndefined();
  });
});

describe('closing', () => {
  test('writes what waits, and leaves a journal that is closed', async () => {
    add(4, 1);
    await drained(store.journal.synced());
    expect(runtime.pending).toHaveLength(1);
    await drained(store.close());
    const left = disk.crash(worst);
    expect(contentOf(DAT, left)).toEqual([1, 1, 1, 1]);
    expect(contentsOf(left)).toMatchObject({ groups: [], control: { isClosed: true } });
    expect([fs.openPaths, runtime.pending]).toEqual([[], []]);
  });

  test('keeps what cannot be written for the next open', async () => {
    add(4, 1);
    await drained(store.journal.synced());
    fs.inject({ operation: 'openSync', path: /\.dat$/, nth: 1, effect: { error: 'ENOSPC' } });
    await drained(store.close());
    const { control, groups } = contentsOf(disk.crash(worst));
    expect([control.isClosed, groups.length, fs.openPaths]).toEqual([false, 1, []]);
  });
});
