/** Goal: what a redo has to do with each channel, decided from groups alone (RULES J4). */
import { expect, test } from 'vitest';
import type { JournalEntry } from '../../src/format/journal-group.js';
import type { FoundGroup } from '../../src/journal/recovered-journal.js';
import {
  idOf,
  isBeforeRedo,
  leftToRedo,
  planRedo,
  type RedoWrite,
} from '../../src/journal/redo-plan.js';
import { channelId, NO_LINK, STORE_ID, textEntry, writeEntry } from '../support/journal-kit.js';

const group = (number: number, ...entries: readonly JournalEntry[]): FoundGroup => ({
  segment: 1,
  position: 64 * number,
  header: {
    byteLength: 72,
    checksum: NO_LINK,
    storeId: STORE_ID,
    epoch: 1,
    number,
    syncedNumber: 0,
    link: NO_LINK,
    entryCount: entries.length,
  },
  entries,
});

test('writes of a channel keep their order over groups, and say which group they are in', () => {
  const plan = planRedo(
    [
      group(4, writeEntry(1, 0, 8), writeEntry(2, 0, 8), writeEntry(1, 8, 16)),
      group(5, writeEntry(1, 24, 8)),
    ],
    [],
  );
  expect(plan.map(({ channelId: id, writes }) => [id[0], writes.length])).toEqual([
    [1, 3],
    [2, 1],
  ]);
  const [first] = plan;
  const writes = first?.writes.map((each) => [each.position, each.data.byteLength, each.group]);
  expect(writes).toEqual([
    [0, 8, 4],
    [8, 16, 4],
    [24, 8, 5],
  ]);
  expect(plan.map(({ firstGroup }) => firstGroup)).toEqual([4, 4]);
});

test('the last name is the hint, and names alone ask for nothing', () => {
  const names = [textEntry('name', 1, 'old'), textEntry('name', 3, 'unused')];
  const plan = planRedo(
    [
      group(1, writeEntry(1, 0, 8)),
      group(2, textEntry('name', 1, 'new'), textEntry('name', 4, 'unused'), writeEntry(2, 0, 8)),
    ],
    names,
  );
  expect(plan.map(({ channelId: id, hint }) => [id[0], hint])).toEqual([
    [1, 'new'],
    [2, undefined],
  ]);
});

test('a deletion drops what came before it, and is known when nothing else is', () => {
  const plan = planRedo(
    [
      group(1, writeEntry(1, 0, 8), textEntry('create', 2, 'config')),
      group(2, textEntry('delete', 1, ''), textEntry('name', 3, 'c'), textEntry('delete', 3, '')),
    ],
    [],
  );
  expect(plan.map(({ isDeleted, writes, hint }) => [isDeleted, writes.length, hint])).toEqual([
    [true, 0, undefined],
    [false, 0, undefined],
    [true, 0, 'c'],
  ]);
  expect(plan[1]?.creation).toEqual(new TextEncoder().encode('config'));
});

test('a place is compared by segment first, then by position', () => {
  const redo = { redoSegment: 100, redoPosition: 500 };
  const cases = [
    [99, 9999, true],
    [100, 0, true],
    [100, 499, true],
    [100, 500, false],
    [101, 0, false],
  ] as const;
  for (const [baseSeq, position, isBefore] of cases) {
    const place = { baseSeq, position };
    expect([place, isBeforeRedo(place, redo)]).toEqual([place, isBefore]);
  }
  const nothing = { redoSegment: 0, redoPosition: 0 };
  expect(isBeforeRedo({ baseSeq: 0, position: 0 }, nothing)).toBe(false);
});

test('nothing is left to do of a segment that lies below the first seq', () => {
  const data = new Uint8Array(8);
  const write = (baseSeq: number, position: number): RedoWrite => {
    return { baseSeq, position, data, group: 1 };
  };
  const writes = [write(0, 200), write(5, 0), write(5, 64), write(9, 0)];
  const left = (firstSeq: number, redoSegment: number = 0, redoPosition: number = 0): unknown =>
    leftToRedo(writes, { firstSeq, redoSegment, redoPosition }).map(
      ({ baseSeq, position }) => `${baseSeq}:${position}`,
    );
  for (const firstSeq of [0, 4]) expect(left(firstSeq)).toEqual(['0:200', '5:0', '5:64', '9:0']);
  for (const firstSeq of [5, 8]) expect(left(firstSeq)).toEqual(['5:0', '5:64', '9:0']);
  for (const firstSeq of [9, 20]) expect(left(firstSeq)).toEqual(['9:0']);
  expect(left(4, 5, 64)).toEqual(['5:64', '9:0']);
  expect(left(8, 5, 64)).toEqual(['5:64', '9:0']);
});

test('an id is its bytes in hex', () => {
  expect(idOf(channelId(10))).toBe('0a'.repeat(16));
});
