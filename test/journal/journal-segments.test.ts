/**
 * Goal: the journal grows as it is used and never above its limit; a segment is whole on the disk
 * before a group goes into it, is used again only when it was released, and has descriptors only
 * while they are needed.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { journalSegmentName } from '../../src/format/file-name.js';
import { JOURNAL_SEGMENT_HEADER_BYTES } from '../../src/format/journal-control.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import type { MemoryFs } from '../../src/fs/memory-fs.js';
import { JournalSegments, type JournalSegment } from '../../src/journal/journal-segments.js';
import { worst } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { JOURNAL, memoryStore, NO_LINK, STORE, STORE_ID } from '../support/journal-kit.js';

const KIB = 1024;
const MIB = 1024 * KIB;

function segmentsOn(fs: FileSystem, journalBytes: number): JournalSegments {
  if (fs.statSync(STORE) === undefined) fs.mkdirSync(STORE);
  if (fs.statSync(JOURNAL) === undefined) fs.mkdirSync(JOURNAL);
  return new JournalSegments({ fs, directory: STORE, storeId: STORE_ID, journalBytes });
}

const filesOf = (fs: FileSystem): string[] =>
  fs
    .readDirectorySync(JOURNAL)
    .map(({ name }) => name)
    .toSorted();
const sizeOf = (fs: FileSystem, number: number): number | undefined =>
  fs.statSync(`${JOURNAL}/${journalSegmentName(number)}`)?.size;

/** Writes a group that is only bytes; what they mean does not matter here. */
function write(segments: JournalSegments, byteLength: number, number: number): void {
  segments.write(new Uint8Array(byteLength).fill(1), 0, byteLength, { number, link: NO_LINK });
}

describe('allocation', () => {
  let fs: MemoryFs;
  beforeEach(() => {
    fs = memoryStore();
  });

  test('begins with 128 KiB and grows with what is there, up to an eighth of the limit', () => {
    const segments = segmentsOn(fs, 8 * MIB);
    const sizes: number[] = [];
    for (;;) {
      // What is free is used before more is allocated.
      if (segments.rotate(0)) write(segments, 8, sizes.length + 1);
      if (!segments.canAllocate(0)) break;
      segments.allocateNow(0);
      sizes.push(sizeOf(fs, sizes.length + 1) ?? 0);
    }
    expect(sizes.slice(0, 6).map((size) => size / KIB)).toEqual([128, 384, 1024, 1024, 1024, 1024]);
    expect(segments.allocatedBytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
    expect(segments.allocatedBytes).toBeLessThanOrEqual(8 * MIB);
    expect(segments.allocatedBytes).toBeGreaterThan(7 * MIB);
  });

  test('is of zeros behind the header, and durable with its name', async () => {
    for (const isNow of [true, false]) {
      const disk = new CrashFs();
      disk.mkdirSync(STORE);
      disk.mkdirSync(JOURNAL);
      disk.syncDirectorySync('/');
      disk.syncDirectorySync(STORE);
      const segments = segmentsOn(disk, 2 * MIB);
      if (isNow) segments.allocateNow(0);
      else await segments.allocate(0);
      const left = disk.crash(worst);
      expect([isNow, sizeOf(left, 1)]).toEqual([isNow, 128 * KIB]);
      const bytes = new Uint8Array(128 * KIB);
      left
        .openSync(`${JOURNAL}/${journalSegmentName(1)}`, 'read')
        .readSync(bytes, 0, bytes.length, 0);
      expect(bytes.subarray(JOURNAL_SEGMENT_HEADER_BYTES).every((byte) => byte === 0)).toBe(true);
      expect(bytes.subarray(0, 4)).toEqual(new TextEncoder().encode('RXJS'));
    }
  });

  test('of a large group makes a segment that has room for exactly it', async () => {
    const segments = segmentsOn(fs, 2 * MIB);
    const largest = segments.maxGroupBytes;
    expect(segments.canAllocate(largest)).toBe(true);
    await segments.allocate(largest);
    expect(segments.rotate(largest)).toBe(true);
    expect(segments.remaining).toBe(largest);
    write(segments, largest, 1);
    expect(segments.remaining).toBe(0);
    expect(sizeOf(fs, 1)).toBe(largest + JOURNAL_SEGMENT_HEADER_BYTES);
  });

  test('removes free segments when there is no room beside them, and counts what is kept', () => {
    const segments = segmentsOn(fs, MIB);
    for (let i = 0; i < 8; i++) segments.allocateNow(0);
    expect(segments.allocatedBytes).toBe(MIB);
    for (const number of [1, 2]) {
      expect(segments.rotate(0)).toBe(true);
      write(segments, 8, number);
    }
    expect(segments.canAllocate(MIB - 256 * KIB)).toBe(false);
    expect(segments.canAllocate(512 * KIB)).toBe(true);
    segments.allocateNow(512 * KIB);
    expect(segments.allocatedBytes).toBeLessThanOrEqual(MIB);
    expect(filesOf(fs)).toEqual([1, 2, 8, 9].map(journalSegmentName));
    expect(sizeOf(fs, 9)).toBe(512 * KIB + JOURNAL_SEGMENT_HEADER_BYTES);
  });

  test('of the largest group is never kept off by the active segment alone', () => {
    // An open with a larger journal has left one that leaves too little room beside it.
    const segments = segmentsOn(fs, 192 * KIB);
    const path = `${JOURNAL}/${journalSegmentName(1)}`;
    const rest = { path, files: undefined, isSyncing: false, lastGroup: 1, first: undefined };
    segments.adopt({ number: 1, byteLength: 128 * KIB, ...rest }, true, 128 * KIB);
    const largest = segments.maxGroupBytes;
    expect(segments.freeBytes).toBeGreaterThanOrEqual(largest);
    expect(segments.canAllocate(largest)).toBe(true);
    segments.release(1);
    // Once it is full, it has to be released first.
    segments.adopt({ number: 2, byteLength: 128 * KIB, ...rest, lastGroup: 2 }, false, 0);
    expect(segments.freeBytes).toBe(0);
    expect(segments.canAllocate(largest)).toBe(false);
  });

  test.each(['createSync', 'anyWrite', 'datasync', 'syncDirectory'] as const)(
    'that fails at %s leaves nothing, and the next one is made',
    async (operation) => {
      const faulty = new FaultFs(fs);
      const segments = segmentsOn(faulty, 2 * MIB);
      const nth = operation === 'anyWrite' ? 2 : 1;
      faulty.inject({ operation, path: /journal/, nth, effect: { error: 'ENOSPC' } });
      // A sync of the names is not made again: whoever is told of it ends the journal.
      const isName = operation === 'syncDirectory';
      const failure = { code: 'ENOSPC' };
      const expected = isName ? { path: '/store/journal', cause: failure } : failure;
      await expect(segments.allocate(0)).rejects.toMatchObject(expected);
      expect(filesOf(fs)).toEqual([]);
      expect(faulty.openPaths).toEqual([]);
      expect(segments.allocatedBytes).toBe(0);
      await segments.allocate(0);
      expect(segments.rotate(0)).toBe(true);
    },
  );

  test('goes on after the numbers that are there', () => {
    const segments = segmentsOn(fs, 2 * MIB);
    segments.adopt(adopted(fs, 7), true, 64);
    segments.allocateNow(0);
    expect(filesOf(fs)).toEqual([7, 8].map(journalSegmentName));
  });
});

/** A segment of 4 KiB that an earlier process has left. */
function adopted(fs: FileSystem, number: number, lastGroup: number = 0): JournalSegment {
  const path = `${JOURNAL}/${journalSegmentName(number)}`;
  const file = fs.openSync(path, 'create');
  file.truncateSync(4 * KIB);
  file.closeSync();
  const first = { segment: number, position: 64, number: lastGroup, link: NO_LINK };
  return {
    number,
    byteLength: 4 * KIB,
    path,
    files: undefined,
    isSyncing: false,
    lastGroup,
    first,
  };
}

describe('use', () => {
  let fs: FaultFs;
  let segments: JournalSegments;
  beforeEach(() => {
    fs = new FaultFs(memoryStore());
    segments = segmentsOn(fs, 2 * MIB);
    for (let i = 0; i < 3; i++) segments.allocateNow(0);
  });
  const firstBytes = 128 * KIB - JOURNAL_SEGMENT_HEADER_BYTES;

  test('groups stand behind each other, from the header on', () => {
    expect([segments.remaining, segments.place(1, NO_LINK)]).toEqual([0, undefined]);
    expect(segments.rotate(1000)).toBe(true);
    expect(segments.remaining).toBe(firstBytes);
    expect(segments.place(1, NO_LINK)).toMatchObject({ segment: 1, position: 64, number: 1 });
    write(segments, 1000, 1);
    expect(segments.place(2, NO_LINK)).toMatchObject({ segment: 1, position: 1064, number: 2 });
    expect(segments.remaining).toBe(firstBytes - 1000);
    const total = segments.allocatedBytes;
    expect(segments.freeBytes).toBe(2 * MIB - total + (total - 128 * KIB) + firstBytes - 1000);
  });

  test('another segment is taken only when it has the room', () => {
    expect(segments.rotate(firstBytes + 8)).toBe(true);
    // Of those that are larger than the first the second one was first.
    expect(segments.place(1, NO_LINK)?.segment).toBe(2);
    expect(segments.rotate(8 * MIB)).toBe(false);
    expect(segments.place(1, NO_LINK)?.segment).toBe(2);
    expect(segments.useCount).toBe(1);
    expect(segments.rotate(firstBytes)).toBe(true);
    expect(segments.useCount).toBe(2);
  });

  test('a segment is used again when all its groups were released, and not before', () => {
    for (const number of [1, 2, 3]) {
      expect(segments.rotate(0)).toBe(true);
      write(segments, 100, number);
    }
    expect(segments.rotate(0)).toBe(false);
    expect(segments.hasFull).toBe(true);
    expect(segments.writtenAfter(0).map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(segments.startOf(2)).toMatchObject({ segment: 2, position: 64, number: 2 });
    segments.release(1);
    expect(segments.writtenAfter(0).map(({ number }) => number)).toEqual([2, 3]);
    expect(segments.startOf(1)).toMatchObject({ segment: 2, number: 2 });
    expect(segments.rotate(0)).toBe(true);
    write(segments, 100, 4);
    expect(segments.startOf(4)).toMatchObject({ segment: 1, position: 64, number: 4 });
    expect(segments.startOf(5)).toBeUndefined();
    expect(segments.rotate(0)).toBe(false);
  });

  test('what is full and synced has no descriptor; the active one keeps both', () => {
    segments.rotate(0);
    write(segments, 100, 1);
    const path = `${JOURNAL}/${journalSegmentName(1)}`;
    expect(fs.openPaths).toEqual([path, path]);
    segments.onSynced(1);
    expect(fs.openPaths).toEqual([path, path]);
    segments.rotate(0);
    expect(fs.openPaths).toEqual([path, path]);
    segments.onSynced(0);
    expect(fs.openPaths).toEqual([path, path]);
    segments.onSynced(1);
    expect(fs.openPaths).toEqual([]);
  });

  test('no descriptor is closed while a sync is in flight on it', () => {
    segments.rotate(0);
    write(segments, 100, 1);
    const [segment] = segments.writtenAfter(0);
    if (segment === undefined) throw new Error('nothing is written');
    segment.isSyncing = true;
    segments.rotate(0);
    segments.onSynced(1);
    expect(fs.openPaths).toHaveLength(2);
    segments.release(1);
    expect(fs.openPaths).toHaveLength(2);
    segment.isSyncing = false;
    segments.onSynced(1);
    expect(fs.openPaths).toEqual([]);
  });

  test('when the second descriptor cannot be had, the first is given back', () => {
    segments.rotate(0);
    fs.inject({ operation: 'openSync', nth: 2, effect: { error: 'EMFILE' } });
    expect(() => {
      write(segments, 100, 1);
    }).toThrow('EMFILE');
    expect(fs.openPaths).toEqual([]);
  });

  test('of what a process has left the active one goes on, the others are free or kept', () => {
    const taken = segmentsOn(fs, 2 * MIB);
    taken.adopt(adopted(fs, 11, 8), false, 0);
    taken.adopt(adopted(fs, 12), false, 0);
    taken.adopt(adopted(fs, 13, 5), false, 0);
    taken.adopt(adopted(fs, 14), true, 264);
    expect(taken.place(9, NO_LINK)).toMatchObject({ segment: 14, position: 264 });
    expect(taken.writtenAfter(0).map(({ number }) => number)).toEqual([13, 11]);
    expect(taken.rotate(0)).toBe(true);
    expect(taken.place(9, NO_LINK)?.segment).toBe(12);
    expect(taken.rotate(0)).toBe(false);
  });

  test('closing gives everything back', () => {
    for (const number of [1, 2]) {
      segments.rotate(0);
      write(segments, 100, number);
    }
    expect(fs.openPaths).toHaveLength(4);
    segments.close();
    expect(fs.openPaths).toEqual([]);
  });
});

test('the place of the next group is not in a segment that is free by then', () => {
  const segments = segmentsOn(memoryStore(), MIB);
  for (let i = 0; i < 2; i++) segments.allocateNow(0);
  segments.rotate(0);
  write(segments, 64, 1);
  const behindFirst = segments.place(2, NO_LINK);
  if (behindFirst === undefined) throw new Error('there is a segment');
  expect(segments.lastingPlace(behindFirst)).toEqual(behindFirst);
  segments.rotate(0);
  const inSecond = { ...behindFirst, segment: 2, position: JOURNAL_SEGMENT_HEADER_BYTES };
  // Before it is written, and after.
  expect(segments.lastingPlace(behindFirst)).toEqual(inSecond);
  for (const number of [2, 3]) write(segments, 64, number);
  expect(segments.lastingPlace(behindFirst)).toEqual(inSecond);
});

test('the place of the next group is where it has gone, though others went elsewhere', () => {
  const segments = segmentsOn(memoryStore(), MIB);
  for (let i = 0; i < 2; i++) segments.allocateNow(0);
  segments.rotate(0);
  write(segments, 64, 1);
  const place = segments.place(2, NO_LINK);
  if (place === undefined) throw new Error('there is a segment');
  write(segments, 64, 2);
  segments.rotate(0);
  write(segments, 64, 3);
  expect(segments.lastingPlace(place)).toEqual(place);
});
