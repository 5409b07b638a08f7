/**
 * Goal: what is read of a journal is every group that was synced, in order, and nothing of an
 * earlier use; what is missing below a sync that is known is damage, never the end (RULES J6).
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { RedexError } from '../../src/core/errors.js';
import { viewOf } from '../../src/format/bytes.js';
import { FORMAT_VERSION } from '../../src/format/envelope.js';
import { journalSegmentName } from '../../src/format/file-name.js';
import {
  CONTROL_SLOT_BYTES,
  JOURNAL_SEGMENT_HEADER_BYTES,
  controlSlotPosition,
} from '../../src/format/journal-control.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import type { MemoryFs } from '../../src/fs/memory-fs.js';
import { readJournal, type FoundGroup } from '../../src/journal/recovered-journal.js';
import { choicesFromSeed } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import {
  add,
  addSynced,
  channelId,
  contentsOf,
  JOURNAL,
  memoryStore,
  openLab,
  STORE,
  STORE_ID,
  textEntry,
  writeEntry,
  type JournalLab,
} from '../support/journal-kit.js';

const CRASHES = 300;

const segmentPath = (number: number): string => `${JOURNAL}/${journalSegmentName(number)}`;
const CONTROL = `${JOURNAL}/control`;

/** Changes a file in place. */
function change(fs: FileSystem, path: string, at: number, bytes: Uint8Array): void {
  const file = fs.openSync(path, 'write');
  file.writeSync(bytes, 0, bytes.byteLength, at);
  file.closeSync();
}

function flip(fs: FileSystem, path: string, at: number): void {
  const file = fs.openSync(path, 'write');
  const byte = new Uint8Array(1);
  file.readSync(byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 0x10;
  file.writeSync(byte, 0, 1, at);
  file.closeSync();
}

function failureOf(fs: FileSystem, storeId: Uint8Array = STORE_ID): RedexError | undefined {
  try {
    readJournal(fs, STORE, storeId);
    return undefined;
  } catch (error) {
    if (RedexError.is(error)) return error;
    throw error;
  }
}

const numbersOf = (groups: readonly FoundGroup[]): number[] =>
  groups.map(({ header }) => header.number);
const groupAt = (fs: FileSystem, number: number): FoundGroup => {
  const found = contentsOf(fs).groups.find(({ header }) => header.number === number);
  if (found === undefined) throw new Error(`there is no group ${number}`);
  return found;
};

let fs: MemoryFs;
let lab: JournalLab;
beforeEach(() => {
  fs = memoryStore();
  lab = openLab(fs);
});

describe('the end of the journal', () => {
  test('is where no group follows, and everything before it is read', async () => {
    for (const position of [0, 8, 16]) await addSynced(lab, writeEntry(1, position, 8));
    const { groups, end, syncedNumber } = contentsOf(fs);
    expect(numbersOf(groups)).toEqual([1, 2, 3]);
    expect(end).toEqual(lab.journal.syncedEnd);
    expect(syncedNumber).toBe(2);
    expect(groups.map(({ entries }) => entries[0]?.position)).toEqual([0, 8, 16]);
  });

  test('may be in another segment, in which the next group is the first', async () => {
    for (let i = 0; i < 5; i++) await addSynced(lab, writeEntry(1, i, 20_000));
    const { groups, end } = contentsOf(fs);
    expect(numbersOf(groups)).toEqual([1, 2, 3, 4, 5]);
    expect(groups.map(({ segment }) => segment)).toEqual([1, 2, 3, 4, 5]);
    expect(end).toMatchObject({ segment: 5, number: 6 });
  });

  test('a group that is torn is not there, nor is what stands behind it', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    for (const position of [8, 16]) {
      add(lab.journal, writeEntry(1, position, 8));
      lab.journal.flush();
    }
    const { segment, position } = groupAt(fs, 2);
    flip(fs, segmentPath(segment), position + 90);
    const { groups, end } = contentsOf(fs);
    expect([numbersOf(groups), end]).toMatchObject([[1], { segment, position, number: 2 }]);
  });

  test('groups of an earlier use of a segment do not follow', async () => {
    for (let i = 0; i < 9; i++) {
      await addSynced(lab, writeEntry(1, 100 * i, 12_000));
      const end = lab.journal.syncedEnd;
      if (end === undefined || i === 8) break;
      await lab.journal.control.advance(end);
      lab.journal.segments.release(end.number - 1);
    }
    // Two of these fit into a segment: behind the last one stands an older one.
    expect(contentsOf(fs).segments.length).toBe(2);
    const { groups, end } = contentsOf(fs);
    expect(numbersOf(groups)).toEqual([9]);
    const stale = contentsOf(fs).segments.find(({ number }) => number === end.segment)?.bytes;
    const behind = stale?.subarray(end.position, end.position + 4);
    expect(new TextDecoder().decode(behind)).toBe('RXJG');
  });

  test('a number that is used again does not lead to what followed the lost group', async () => {
    // Three groups of one length; the first of the unsynced ones is lost, the second is not.
    await addSynced(lab, writeEntry(1, 0, 8));
    for (const position of [8, 16]) {
      add(lab.journal, writeEntry(1, position, 8));
      lab.journal.flush();
    }
    const lost = groupAt(fs, 2);
    change(fs, segmentPath(lost.segment), lost.position, new Uint8Array(8));
    expect(numbersOf(contentsOf(fs).groups)).toEqual([1]);
    lab.journal.close();
    // The same entry again, in the same place: only the epoch tells it from the one that was lost.
    const next = openLab(fs);
    await addSynced(next, writeEntry(1, 8, 8));
    const { groups } = contentsOf(fs);
    expect(numbersOf(groups)).toEqual([1, 2]);
    expect(groups[1]?.position).toBe(lost.position);
  });

  test(`after any crash it is behind what was synced, ${CRASHES} crashes`, async () => {
    const seen = new Set<number>();
    for (let seed = 0; seed < CRASHES; seed++) {
      const runtime = new ManualRuntime();
      const disk = new CrashFs({ defer: runtime.deferIo });
      disk.mkdirSync(STORE);
      disk.syncDirectorySync('/');
      const { journal } = openLab(disk, { runtime });
      for (let i = 0; i < 3; i++) {
        add(journal, writeEntry(1, 8 * i, 700));
        journal.sync(() => undefined);
        if (i < 2) await runtime.drainIo();
        else await runtime.settle();
      }
      add(journal, writeEntry(1, 24, 700));
      journal.flush();
      const numbers = numbersOf(contentsOf(disk.crash(choicesFromSeed(seed))).groups);
      expect(numbers).toEqual([1, 2, 3, 4].slice(0, numbers.length));
      expect(numbers.length).toBeGreaterThanOrEqual(2);
      seen.add(numbers.length);
    }
    expect([...seen].toSorted((a, b) => a - b)).toEqual([2, 3, 4]);
  });
});

describe('damage', () => {
  test.each([0, 4, 8, 20, 34, 41, 50, 57, 64, 72, 80, 100, 118])(
    'a synced group with a bad byte %i is CORRUPT, in the middle or anywhere before the last',
    async (at) => {
      for (const position of [0, 8, 16]) await addSynced(lab, writeEntry(1, position, 8));
      const { segment, position } = groupAt(fs, 2);
      flip(fs, segmentPath(segment), position + at);
      const expected = { code: 'CORRUPT', path: segmentPath(segment), position, check: 'chain' };
      expect(failureOf(fs)).toMatchObject(expected);
    },
  );

  test('a group that a later one in another segment calls synced is missed', async () => {
    for (let i = 0; i < 3; i++) await addSynced(lab, writeEntry(1, i, 20_000));
    const { segment, position } = groupAt(fs, 2);
    flip(fs, segmentPath(segment), position + 100);
    expect(failureOf(fs)).toMatchObject({ code: 'CORRUPT', check: 'chain' });
  });

  test('the last group may be torn: no other says that it was synced', async () => {
    for (const position of [0, 8]) await addSynced(lab, writeEntry(1, position, 8));
    const { segment, position } = groupAt(fs, 2);
    flip(fs, segmentPath(segment), position + 100);
    expect(numbersOf(contentsOf(fs).groups)).toEqual([1]);
  });

  test('groups without a control block are CORRUPT, and no group is no journal', async () => {
    lab.journal.ensureRoom(48);
    fs.unlinkSync(CONTROL);
    expect(readJournal(fs, STORE, STORE_ID)).toBeUndefined();
    fs = memoryStore();
    lab = openLab(fs);
    await addSynced(lab, writeEntry(1, 0, 8));
    fs.unlinkSync(CONTROL);
    expect(failureOf(fs)).toMatchObject({ code: 'CORRUPT', path: CONTROL, check: 'missing' });
  });

  test('a control block that does not decode is CORRUPT', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    change(fs, CONTROL, CONTROL_SLOT_BYTES + 30, new Uint8Array(20).fill(1));
    expect(failureOf(fs)).toMatchObject({ code: 'CORRUPT', path: CONTROL });
  });

  test('without the segment that a redo begins in it is CORRUPT', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    fs.unlinkSync(segmentPath(1));
    expect(failureOf(fs)).toMatchObject({ code: 'CORRUPT', path: CONTROL, check: 'missing' });
  });

  test('a damaged header of a segment loses no group', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    flip(fs, segmentPath(1), 30);
    expect(numbersOf(contentsOf(fs).groups)).toEqual([1]);
  });

  test('a segment under the name of another is CORRUPT', async () => {
    for (let i = 0; i < 2; i++) await addSynced(lab, writeEntry(1, i, 20_000));
    fs.renameSync(segmentPath(2), segmentPath(3));
    const expected = { code: 'CORRUPT', path: segmentPath(3), position: 24, check: 'identity' };
    expect(failureOf(fs)).toMatchObject(expected);
  });

  test('a journal of another store is CORRUPT, by its control block or by a segment', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    const other = channelId(9);
    expect(failureOf(fs, other)).toMatchObject({ path: CONTROL, position: 8, check: 'identity' });
    fs.unlinkSync(CONTROL);
    const expected = { path: segmentPath(1), position: 8, check: 'identity' };
    expect(failureOf(fs, other)).toMatchObject(expected);
  });

  test('a newer version is told from damage', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    const newer = new Uint8Array(2);
    viewOf(newer).setUint16(0, FORMAT_VERSION + 1, true);
    const version = { code: 'FORMAT_VERSION', found: FORMAT_VERSION + 1 };
    change(fs, CONTROL, CONTROL_SLOT_BYTES + 4, newer);
    expect(failureOf(fs)).toMatchObject({ ...version, path: CONTROL });
    viewOf(newer).setUint16(0, FORMAT_VERSION, true);
    change(fs, CONTROL, CONTROL_SLOT_BYTES + 4, newer);
    viewOf(newer).setUint16(0, FORMAT_VERSION + 1, true);
    change(fs, segmentPath(1), 4, newer);
    expect(failureOf(fs)).toMatchObject({ ...version, path: segmentPath(1) });
  });

  test('an error of the disk is not taken for an empty journal', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    for (const path of [/control$/, /\.journal$/]) {
      const faulty = new FaultFs(fs);
      faulty.inject({ operation: 'openSync', path, nth: 1, effect: { error: 'EACCES' } });
      expect(() => readJournal(faulty, STORE, STORE_ID)).toThrow('EACCES');
    }
  });
});

describe('what else is read', () => {
  test('no directory is no journal', () => {
    expect(readJournal(memoryStore(), STORE, STORE_ID)).toBeUndefined();
  });

  test('other files beside the segments are not looked at', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    fs.mkdirSync(segmentPath(77));
    fs.openSync(`${JOURNAL}/notes.txt`, 'create').closeSync();
    fs.openSync(`${JOURNAL}/control.tmp`, 'create').closeSync();
    expect(contentsOf(fs).segments.map(({ number }) => number)).toEqual([1]);
  });

  test('a segment whose allocation was not finished is not taken up', async () => {
    await addSynced(lab, writeEntry(1, 0, 8));
    const file = fs.openSync(segmentPath(2), 'create');
    file.truncateSync(1000);
    expect(contentsOf(fs).segments.map(({ number }) => number)).toEqual([1]);
  });

  test('of a journal that was closed only the headers', async () => {
    for (const position of [0, 8]) await addSynced(lab, writeEntry(1, position, 8));
    const end = lab.journal.syncedEnd;
    if (end === undefined) throw new Error('nothing is synced');
    await lab.journal.control.advance(end, true);
    // Whatever stands behind the headers: nothing in it is to be redone.
    change(fs, segmentPath(1), 64, new Uint8Array(300).fill(0xff));
    const faulty = new FaultFs(fs);
    const { groups, end: found, segments } = contentsOf(faulty);
    expect([groups, found]).toEqual([[], end]);
    expect(segments.map(({ bytes }) => bytes.byteLength)).toEqual([JOURNAL_SEGMENT_HEADER_BYTES]);
    expect(faulty.openPaths).toEqual([]);
  });

  test('names that stand before the redo, in its segment', async () => {
    await addSynced(lab, textEntry('name', 1, 'orders'), writeEntry(1, 0, 8));
    const end = lab.journal.syncedEnd;
    if (end === undefined) throw new Error('nothing is synced');
    await lab.journal.control.advance(end);
    await addSynced(lab, writeEntry(1, 8, 8));
    const { groups, names } = contentsOf(fs);
    expect(numbersOf(groups)).toEqual([2]);
    expect(names.map(({ data }) => new TextDecoder().decode(data))).toEqual(['orders']);
  });
});

test.each(['flipped', 'zeroed'])(
  'J6: a newer slot that is %s hides neither groups nor epoch',
  async (what) => {
    const disk = memoryStore();
    const first = openLab(disk);
    await addSynced(first, writeEntry(1, 0, 40));
    const end = first.journal.syncedEnd;
    if (end === undefined) throw new Error('nothing was synced');
    await first.journal.control.advance(end, true);
    first.journal.close();
    expect(contentsOf(disk)).toMatchObject({ groups: [], control: { isClosed: true } });
    // The next open writes its epoch into the other slot.
    const second = openLab(disk);
    await addSynced(second, writeEntry(1, 40, 40));
    const { epoch, counter } = second.journal.control.current ?? {};
    second.journal.close();
    const at = controlSlotPosition(counter ?? 0);
    const damage = what === 'flipped' ? new Uint8Array([1]) : new Uint8Array(CONTROL_SLOT_BYTES);
    const file = disk.openSync(CONTROL, 'write');
    file.writeSync(damage, 0, damage.byteLength, what === 'flipped' ? at + 60 : at);
    file.closeSync();
    const found = contentsOf(disk);
    expect(found.groups.flatMap(({ entries }) => entries.map(({ position }) => position))).toEqual([
      40,
    ]);
    expect(found.control).toMatchObject({ epoch, isClosed: false });
    const third = openLab(disk);
    await addSynced(third, writeEntry(1, 80, 40));
    expect(third.journal.control.epoch).toBe((epoch ?? 0) + 1);
    third.journal.close();
  },
);
