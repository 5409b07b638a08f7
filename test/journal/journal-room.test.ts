/**
 * Goal: nothing is added without room. The journal grows up to its limit, who waits is told when
 * there is room or why there will be none, and a reserve is left for what must always fit.
 */
import { describe, expect, test } from 'vitest';
import type { RedexError } from '../../src/core/errors.js';
import { entryBytes, GROUP_HEADER_BYTES } from '../../src/format/journal-group.js';
import { RESERVED_BYTES } from '../../src/journal/journal.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import {
  add,
  addSynced,
  JOURNAL_BYTES,
  memoryStore,
  openLab,
  writeEntry,
} from '../support/journal-kit.js';

describe('room', () => {
  test('is made by growing, in the background, and who waits goes on', async () => {
    const lab = openLab(memoryStore());
    const { journal, runtime } = lab;
    add(journal, writeEntry(1, 0, 20_000));
    const bytes = entryBytes(20_000);
    expect(journal.ensureRoom(bytes)).toBe(false);
    const told: unknown[] = [];
    journal.whenRoom(bytes, (error) => told.push(error));
    await runtime.drainIo();
    expect(told).toEqual([undefined]);
    expect(journal.ensureRoom(bytes)).toBe(true);
    // What is being allocated will do: no checkpoint is hurried for it.
    expect(lab.wanted.count).toBe(0);
    // Nothing is: who waits now needs what a checkpoint gives back.
    journal.whenRoom(bytes, (error) => told.push(error));
    expect([told.length, lab.wanted.count]).toEqual([1, 1]);
  });

  test('ends before the reserve, which only what is reserved may take', async () => {
    const lab = openLab(memoryStore());
    const { journal, runtime } = lab;
    const entry = writeEntry(1, 0, 4000);
    const bytes = entryBytes(4000);
    for (let waits = 0; waits < 3;) {
      if (journal.ensureRoom(bytes)) {
        journal.add(entry, entry.data, 0, 4000);
        waits = 0;
      } else {
        waits++;
        await runtime.drainIo();
      }
    }
    expect(lab.wanted.count).toBeGreaterThan(0);
    journal.flush();
    const { freeBytes } = journal.segments;
    expect(freeBytes).toBeGreaterThanOrEqual(RESERVED_BYTES);
    expect(freeBytes).toBeLessThan(RESERVED_BYTES + bytes + 2 * GROUP_HEADER_BYTES);
    expect(journal.segments.allocatedBytes).toBeLessThanOrEqual(JOURNAL_BYTES);
    expect(journal.ensureRoom(bytes)).toBe(false);
    expect(journal.ensureRoom(bytes, 'reserved')).toBe(true);
  });

  test('comes back when groups are released, and who waits is told', async () => {
    const lab = openLab(memoryStore());
    const { journal } = lab;
    const bytes = entryBytes(30_000);
    let count = 0;
    try {
      for (; ; count++) await addSynced(lab, writeEntry(1, 0, 30_000));
    } catch {
      expect(count).toBeGreaterThan(5);
    }
    const told: unknown[] = [];
    journal.whenRoom(bytes, (error) => told.push(error));
    expect(told).toEqual([]);
    expect(journal.isAwaited).toBe(true);
    journal.segments.release(journal.syncedNumber);
    journal.onFreed();
    expect([told, journal.isAwaited]).toEqual([[undefined], false]);
    expect(journal.ensureRoom(bytes)).toBe(true);
  });

  test('that cannot come is LIMIT', async () => {
    const lab = openLab(memoryStore());
    await addSynced(lab, writeEntry(1, 0, 8));
    const told: (RedexError | undefined)[] = [];
    lab.journal.whenRoom(1234, (error) => told.push(error));
    lab.journal.refuseWaiting();
    const limit = { code: 'LIMIT', what: 'journalBytes', limit: JOURNAL_BYTES, actual: 1234 };
    expect(told).toMatchObject([limit]);
    expect(lab.journal.isAwaited).toBe(false);
  });

  test('that the disk does not have is IO, unless a checkpoint can make some', async () => {
    const fs = new FaultFs(memoryStore());
    const lab = openLab(fs);
    const { journal, runtime } = lab;
    const entry = writeEntry(1, 0, 20_000);
    add(journal, entry);
    journal.flush();
    const disk = { operation: 'write', path: /\.journal$/, effect: { error: 'ENOSPC' } } as const;
    fs.inject({ ...disk, nth: 1, times: Infinity });
    const told: (RedexError | undefined)[] = [];
    const bytes = entryBytes(20_000);
    expect(journal.ensureRoom(bytes)).toBe(false);
    journal.whenRoom(bytes, (error) => told.push(error));
    await runtime.drainIo();
    expect(told).toMatchObject([{ code: 'IO', systemCode: 'ENOSPC', outcome: 'absent' }]);
    expect(journal.isFailed).toBe(false);
    fs.clearFaults();
    await addSynced(lab, entry);
    expect(journal.segments.hasFull).toBe(true);
    fs.inject({ ...disk, nth: 1, times: Infinity });
    expect(journal.ensureRoom(bytes)).toBe(false);
    journal.whenRoom(bytes, (error) => told.push(error));
    const { count } = lab.wanted;
    await runtime.drainIo();
    expect([told.length, lab.wanted.count]).toEqual([1, count + 1]);
  });

  test('a first segment that cannot be made is IO, and is tried again', async () => {
    const fs = new FaultFs(memoryStore());
    const { journal, runtime } = openLab(fs);
    const fault = fs.inject({
      operation: 'writeSync',
      path: /journal/,
      nth: 1,
      times: Infinity,
      effect: { error: 'ENOSPC' },
    });
    expect(journal.ensureRoom(48)).toBe(false);
    const told: (RedexError | undefined)[] = [];
    journal.whenRoom(48, (error) => told.push(error));
    await runtime.settle();
    expect(told).toMatchObject([{ code: 'IO', systemCode: 'ENOSPC' }]);
    expect(journal.isReady).toBe(false);
    fault.remove();
    expect(journal.ensureRoom(48)).toBe(true);
  });

  test('for the largest run of entries can be had from the beginning', async () => {
    const lab = openLab(memoryStore());
    const { journal } = lab;
    const largest = journal.maxEntryBytes - entryBytes(0);
    await addSynced(lab, writeEntry(1, 0, largest));
    expect(journal.segments.allocatedBytes).toBeLessThanOrEqual(JOURNAL_BYTES);
  });
});
