/** Goal: of two slots the newer good one counts, so that a torn write never loses the older. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import {
  CLEAN_FILE_BYTES,
  CLEAN_MAGIC,
  CLEAN_MARK_BYTES,
  CLEAN_SLOT_BYTES,
  cleanSlotPosition,
  decodeCleanFile,
  decodeCleanMark,
  encodeCleanMark,
  type CleanMark,
} from '../../src/format/clean-mark.js';
import { writeEnvelope } from '../../src/format/envelope.js';
import {
  acceptedFlip,
  channelIds,
  halves,
  safeIntegers,
  valueOf,
} from '../support/format-arbitraries.js';

const marks: fc.Arbitrary<CleanMark> = fc.record({
  channelId: channelIds,
  counter: fc.nat(2 ** 40),
  generation: safeIntegers,
  baseSeq: safeIntegers,
  datLength: safeIntegers,
  nextSeq: safeIntegers,
  lastChecksum: halves,
  lastTimestamp: halves,
  recordCount: safeIntegers,
  frameCount: safeIntegers,
});

/** A file after these marks were written in turn. */
function fileOf(...written: readonly CleanMark[]): Uint8Array {
  const file = new Uint8Array(CLEAN_FILE_BYTES);
  for (const mark of written) file.set(encodeCleanMark(mark), cleanSlotPosition(mark.counter));
  return file;
}

describe('a clean mark', () => {
  test('is decoded as it was encoded', () => {
    fc.assert(
      fc.property(marks, (mark) => {
        const bytes = encodeCleanMark(mark);
        expect(valueOf(decodeCleanMark(bytes))).toEqual(mark);
        expect([...bytes.subarray(96, 120)]).toEqual(Array.from({ length: 24 }, () => 0));
      }),
    );
  });

  test.each([24, 32, 40, 48, 56, 80, 88])('an unsafe integer at %i is refused', (at) => {
    const mark = fc.sample(marks, { numRuns: 1, seed: 1 })[0];
    if (mark === undefined) throw new Error('no sample');
    const bytes = encodeCleanMark(mark);
    viewOf(bytes).setBigUint64(at, 2n ** 53n, true);
    writeEnvelope(bytes, CLEAN_MAGIC);
    expect(decodeCleanMark(bytes)).toEqual({ ok: false, check: 'fields' });
  });
});

describe('the file of clean marks', () => {
  test('two marks in a row go to different sectors', () => {
    fc.assert(
      fc.property(safeIntegers, (counter) => {
        const position = cleanSlotPosition(counter);
        expect([0, CLEAN_SLOT_BYTES]).toContain(position);
        expect(cleanSlotPosition(counter + 1)).toBe(CLEAN_SLOT_BYTES - position);
      }),
    );
    expect(CLEAN_SLOT_BYTES % 512).toBe(0);
  });

  test('the newer mark counts, in whichever slot it is', () => {
    fc.assert(
      fc.property(marks, marks, (first, second) => {
        const newer = { ...second, counter: first.counter + 1 };
        expect(decodeCleanFile(fileOf(first)).mark).toEqual(first);
        expect(decodeCleanFile(fileOf(first, newer))).toEqual({
          mark: newer,
          newerVersion: undefined,
        });
      }),
    );
  });

  test('a new file holds no mark, nor does an empty or a short one', () => {
    for (let length = 0; length <= CLEAN_FILE_BYTES; length++) {
      expect(decodeCleanFile(new Uint8Array(length)).mark).toBeUndefined();
    }
  });

  test('a slot that is torn at any byte leaves the other one', () => {
    fc.assert(
      fc.property(marks, marks, marks, fc.nat(CLEAN_MARK_BYTES - 1), (a, b, c, length) => {
        const second = { ...b, counter: a.counter + 1 };
        const third = { ...c, counter: a.counter + 2 };
        const file = fileOf(a, second);
        const torn = encodeCleanMark(third).subarray(0, length);
        file.set(torn, cleanSlotPosition(third.counter));
        const { mark } = decodeCleanFile(file);
        expect([second, third]).toContainEqual(mark);
        file.set(new Uint8Array(CLEAN_SLOT_BYTES), cleanSlotPosition(third.counter));
        expect(decodeCleanFile(file).mark).toEqual(second);
      }),
    );
  });

  test('a file that ends early holds the marks that are whole', () => {
    const [mark] = fc.sample(marks, { numRuns: 1, seed: 1 });
    if (mark === undefined) throw new Error('no sample');
    const older = { ...mark, counter: 4 };
    const newer = { ...mark, counter: 5 };
    const file = fileOf(older, newer);
    for (let length = 0; length <= file.byteLength; length++) {
      const found = decodeCleanFile(file.subarray(0, length)).mark?.counter;
      const whole = length >= CLEAN_MARK_BYTES ? 4 : undefined;
      expect(found).toBe(length >= CLEAN_SLOT_BYTES + CLEAN_MARK_BYTES ? 5 : whole);
    }
  });

  test('a flipped bit leaves the same mark, the older one, or a newer version', () => {
    fc.assert(
      fc.property(marks, marks, (first, second) => {
        const newer = { ...second, counter: first.counter + 1 };
        const file = fileOf(first, newer);
        const wrong = acceptedFlip(file, (flipped, bit) => {
          const { mark, newerVersion } = decodeCleanFile(flipped);
          const inSlot = (bit >> 3) % CLEAN_SLOT_BYTES;
          const inNewer = (bit >> 3) - inSlot === cleanSlotPosition(newer.counter);
          const expected = inNewer && inSlot < CLEAN_MARK_BYTES ? first : newer;
          const upgraded = inSlot === 4 || inSlot === 5;
          if (!upgraded && newerVersion !== undefined) return true;
          return mark?.counter !== expected.counter || mark.nextSeq !== expected.nextSeq;
        });
        expect(wrong).toBeUndefined();
      }),
      { numRuns: 5 },
    );
  });

  test('a slot of a newer version is reported beside a good one', () => {
    const [mark] = fc.sample(marks, { numRuns: 1, seed: 1 });
    if (mark === undefined) throw new Error('no sample');
    const file = fileOf({ ...mark, counter: 0 }, { ...mark, counter: 1 });
    viewOf(file).setUint16(CLEAN_SLOT_BYTES + 4, 9, true);
    expect(decodeCleanFile(file)).toMatchObject({ mark: { counter: 0 }, newerVersion: 9 });
  });
});
