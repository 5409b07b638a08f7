/**
 * Goal: what is rare with the journal is as safe as the rest: processes that end while it grows,
 * groups that take most of it, a channel that was not redone, a sync of a directory that fails.
 */
import { describe, expect, test } from 'vitest';
import { entryBytes } from '../../src/format/journal-group.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';
import { benign, worst } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import {
  addSynced,
  contentsOf,
  JOURNAL,
  JOURNAL_BYTES,
  memoryStore,
  openLab,
  STORE,
  writeEntry,
  type JournalLab,
} from '../support/journal-kit.js';

const KIB = 1024;
const DATA = '/data';

function crashLab(fs?: CrashFs): JournalLab & { readonly fs: CrashFs } {
  const runtime = new ManualRuntime();
  const disk = fs?.kill(benign, { defer: runtime.deferIo }) ?? newDisk(runtime);
  return { ...openLab(disk, { runtime }), fs: disk };
}

function newDisk(runtime: ManualRuntime): CrashFs {
  const fs = new CrashFs({ defer: runtime.deferIo });
  fs.mkdirSync(STORE);
  fs.syncDirectorySync('/');
  return fs;
}

describe('growing', () => {
  test('a first append that is larger than the first segment waits for a larger one', async () => {
    const redex = await Redex.open(DATA, { fs: new MemoryFs() });
    const channel = await redex.channel('a');
    expect(await channel.append(new Uint8Array(200 * KIB))).toBe(0);
  });

  test('what a kill has left of a segment is in the way of nobody', async () => {
    const disk = new CrashFs();
    const options = { journalBytes: JOURNAL_BYTES };
    const channel = await (await Redex.open(DATA, { fs: disk, ...options })).channel('a');
    const payload = new Uint8Array(15_000);
    for (let i = 0; i < 2; i++) await channel.append(payload);
    let killed: CrashFs | undefined;
    disk.onOperation = ({ operation, path }) => {
      if (operation !== 'writeSync' || !path.endsWith('0000000002.journal')) return;
      killed ??= disk.kill(benign);
    };
    await channel.append(payload);
    if (killed === undefined) throw new Error('the journal did not grow');
    const again = await (await Redex.open(DATA, { fs: killed, ...options })).channel('a');
    for (const seq of [2, 3, 4]) expect(await again.append(payload)).toBe(seq);
  });

  test('a segment whose name may not be durable gets no group before it is', async () => {
    const lab = crashLab();
    await addSynced(lab, writeEntry(1, 0, 20_000));
    const end = lab.journal.syncedEnd;
    if (end === undefined) throw new Error('nothing is synced');
    const closed = lab.journal.control.advance(end, true);
    await lab.runtime.drainIo();
    await closed;
    // Killed between the sync of the second segment and that of its name.
    expect(lab.journal.ensureRoom(entryBytes(20_000))).toBe(false);
    const isNaming = (): boolean =>
      lab.fs.operations.some(({ operation }) => operation === 'syncDirectory');
    for (; !isNaming(); await lab.runtime.settle()) lab.runtime.runIo();
    const next = crashLab(lab.fs);
    await addSynced(next, writeEntry(1, 20_000, 20_000));
    expect(next.journal.syncedNumber).toBe(2);
    const { groups } = contentsOf(next.fs.crash(worst));
    expect(groups.map(({ header }) => header.number)).toEqual([2]);
  });

  test('after a failed sync of a directory nothing is acknowledged', async () => {
    const lab = crashLab();
    lab.fs.failSync(STORE);
    expect(lab.journal.ensureRoom(48)).toBe(false);
    await addSynced(lab, writeEntry(1, 0, 8)).catch(() => undefined);
    const left = lab.fs.crash(worst);
    const isThere = left.statSync(JOURNAL) !== undefined;
    expect([lab.journal.syncedNumber > 0, isThere]).toEqual([isThere, isThere]);
  });
});

describe('room', () => {
  test('for a group that takes most of the journal comes back when it was released', async () => {
    const lab = openLab(memoryStore(), { journalBytes: 1024 * KIB });
    expect(entryBytes(360 * KIB)).toBeLessThan(lab.journal.maxEntryBytes);
    for (let i = 0; i < 3; i++) {
      await addSynced(lab, writeEntry(1, 360 * KIB * i, 360 * KIB));
      lab.journal.segments.release(lab.journal.syncedNumber);
    }
  });

  test('that is reserved is there, whatever is left of the segment', async () => {
    const lab = openLab(memoryStore());
    await addSynced(lab, writeEntry(1, 0, 32_768 - 64 - 72 - 40 - 40));
    expect(lab.journal.segments.remaining).toBe(40);
    expect(lab.journal.segments.freeBytes).toBeGreaterThan(200 * KIB);
    expect(lab.journal.ensureRoom(entryBytes(0) + entryBytes(8), 'reserved')).toBe(true);
  });
});

test('who waits for room while a checkpoint runs is not forgotten until a timer', async () => {
  const runtime = new ManualRuntime({ ioOrder: 'immediate' });
  const options = { fs: new MemoryFs(), runtime, journalBytes: JOURNAL_BYTES };
  const channel = await (await Redex.open(DATA, options)).channel('a');
  await channel.append('first');
  let count = 0;
  const payload = new Uint8Array(15_000);
  for (let i = 0; i < 300; i++) {
    const written = channel.append(payload, { durability: 'written' });
    written.then(
      () => count++,
      () => undefined,
    );
  }
  // No time passes: everything that has to be done is done.
  for (let turn = 0; turn < 100; turn++) await runtime.settle();
  expect(count).toBe(300);
});

test('a damaged header of a segment does not keep a closed journal from being opened', async () => {
  const fs = new MemoryFs();
  const redex = await Redex.open(DATA, { fs });
  await (await redex.channel('a')).append('x');
  await redex.close();
  const segment = fs.openSync(`${DATA}/journal/0000000001.journal`, 'write');
  segment.writeSync(new Uint8Array([9]), 0, 1, 30);
  segment.closeSync();
  const again = await (await Redex.open(DATA, { fs })).channel('a');
  expect(await again.append('y')).toBe(1);
});

describe('a channel that could not be redone', () => {
  test('keeps its groups, and the way to them', async () => {
    const disk = new CrashFs();
    const options = { journalBytes: JOURNAL_BYTES };
    const payload = new Uint8Array(15_000);
    let redex = await Redex.open(DATA, { fs: disk, ...options });
    await redex.channel('b');
    // Makes a journal of several segments, which are all free then.
    const many = await redex.channel('a');
    await Promise.all(Array.from({ length: 14 }, () => many.append(payload)));
    await redex.close();
    redex = await Redex.open(DATA, { fs: disk, ...options });
    const [first, second] = [await redex.channel('a'), await redex.channel('b')];
    for (let i = 0; i < 4; i++) await first.append(payload);
    await second.append('late');
    const killed = disk.kill(benign);
    const manifest = killed.openSync(`${DATA}/channels/b/manifest`, 'write');
    manifest.writeSync(new Uint8Array([9]), 0, 1, 40);
    manifest.closeSync();
    // The groups of the other channel are done with, but stand before the ones that are kept.
    const damaged = await (await Redex.open(DATA, { fs: killed, ...options })).channel('a');
    for (let i = 0; i < 5; i++) await damaged.append(payload);
    const again = await Redex.open(DATA, { fs: killed.kill(benign), ...options });
    expect((await again.channel('a')).nextSeq).toBe(23);
  });
});
