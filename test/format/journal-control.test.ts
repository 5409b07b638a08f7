/**
 * Goal: of the two slots of the control block the newer good one counts, so that a torn write never
 * loses the older; and the header of a segment is what was written or nothing.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import { FORMAT_VERSION, writeEnvelope } from '../../src/format/envelope.js';
import {
  CONTROL_BYTES,
  CONTROL_FILE_BYTES,
  CONTROL_MAGIC,
  CONTROL_SLOT_BYTES,
  controlSlotPosition,
  decodeControlFile,
  decodeJournalSegmentHeader,
  encodeControl,
  encodeJournalSegmentHeader,
  JOURNAL_SEGMENT_HEADER_BYTES,
  JOURNAL_SEGMENT_MAGIC,
  STORE_ID_BYTES,
  type JournalControl,
} from '../../src/format/journal-control.js';
import {
  acceptedFlip,
  channelIds,
  halves,
  safeIntegers,
  valueOf,
} from '../support/format-arbitraries.js';

const SEED = 59;
const controls: fc.Arbitrary<JournalControl> = fc.record({
  storeId: channelIds,
  counter: fc.nat(2 ** 40),
  epoch: safeIntegers,
  redoFrom: fc.record({
    segment: safeIntegers,
    position: safeIntegers,
    number: safeIntegers,
    link: halves,
  }),
  isClosed: fc.boolean(),
});

const example: JournalControl = {
  storeId: new Uint8Array(STORE_ID_BYTES).fill(7),
  counter: 4,
  epoch: 2,
  redoFrom: { segment: 1, position: 64, number: 1, link: { hi: 0, lo: 0 } },
  isClosed: false,
};

/** A file after these blocks were written in turn. */
function fileOf(...written: readonly JournalControl[]): Uint8Array {
  const file = new Uint8Array(CONTROL_FILE_BYTES);
  for (const block of written) file.set(encodeControl(block), controlSlotPosition(block.counter));
  return file;
}

/** A file with one block, after a change that its checksum covers again. */
function changed(change: (view: DataView) => void): Uint8Array {
  const block = encodeControl(example);
  change(viewOf(block));
  writeEnvelope(block, CONTROL_MAGIC);
  const file = new Uint8Array(CONTROL_FILE_BYTES);
  file.set(block, controlSlotPosition(example.counter));
  return file;
}

describe(`the control block, seed ${SEED}`, () => {
  test('is decoded as it was encoded', () => {
    fc.assert(
      fc.property(controls, (control) => {
        const bytes = encodeControl(control);
        expect(bytes.byteLength).toBe(CONTROL_BYTES);
        expect(valueOf(decodeControlFile(fileOf(control))).newest).toEqual(control);
        expect([...bytes.subarray(80, 120)]).toEqual(Array.from({ length: 40 }, () => 0));
      }),
      { seed: SEED },
    );
  });

  test('two in a row go to different sectors', () => {
    fc.assert(
      fc.property(safeIntegers, (counter) => {
        const position = controlSlotPosition(counter);
        expect([0, CONTROL_SLOT_BYTES]).toContain(position);
        expect(controlSlotPosition(counter + 1)).toBe(CONTROL_SLOT_BYTES - position);
      }),
      { seed: SEED },
    );
    expect(CONTROL_SLOT_BYTES % 512).toBe(0);
  });

  test('the newer one counts, in whichever slot it is', () => {
    fc.assert(
      fc.property(controls, controls, (first, second) => {
        const newer = { ...second, counter: first.counter + 1 };
        expect(valueOf(decodeControlFile(fileOf(first, newer))).newest).toEqual(newer);
        expect(valueOf(decodeControlFile(fileOf(newer, first))).newest).toEqual(newer);
      }),
      { seed: SEED },
    );
  });

  test('a write that is torn at any byte leaves the older one', () => {
    fc.assert(
      fc.property(controls, controls, fc.nat(CONTROL_BYTES - 1), (first, second, length) => {
        const newer = { ...second, counter: first.counter + 1 };
        const file = fileOf(first);
        const torn = encodeControl(newer).subarray(0, length);
        file.set(torn, controlSlotPosition(newer.counter));
        expect(valueOf(decodeControlFile(file)).newest).toEqual(first);
        file.set(new Uint8Array(CONTROL_SLOT_BYTES).fill(0xaa), controlSlotPosition(newer.counter));
        expect(valueOf(decodeControlFile(file)).newest).toEqual(first);
      }),
      { seed: SEED },
    );
  });

  test('a flipped bit leaves the same block, the older one, or a newer version', () => {
    fc.assert(
      fc.property(controls, controls, (first, second) => {
        const newer = { ...second, counter: first.counter + 1 };
        const wrong = acceptedFlip(fileOf(first, newer), (flipped, bit) => {
          const found = decodeControlFile(flipped);
          const inSlot = (bit >> 3) % CONTROL_SLOT_BYTES;
          if (!found.ok) return !(found.check === 'version' && (inSlot === 4 || inSlot === 5));
          const inNewer = (bit >> 3) - inSlot === controlSlotPosition(newer.counter);
          const expected = inNewer && inSlot < CONTROL_BYTES ? first : newer;
          const { newest: slot, isAlone } = found.value;
          const { counter, redoFrom } = slot;
          if (isAlone !== inSlot < CONTROL_BYTES) return true;
          return counter !== expected.counter || redoFrom.number !== expected.redoFrom.number;
        });
        expect(wrong).toBeUndefined();
      }),
      { seed: SEED, numRuns: 5 },
    );
  });

  test('a file that is cut has the blocks that are whole, or says what is wrong', () => {
    const file = fileOf(example, { ...example, counter: 5 });
    for (let length = 0; length <= file.byteLength; length++) {
      const found = decodeControlFile(file.subarray(0, length));
      const second = length >= CONTROL_SLOT_BYTES + CONTROL_BYTES ? 5 : 4;
      const expected = length >= CONTROL_BYTES ? second : 'length';
      if (found.ok) expect(found.value.isAlone).toBe(second === 4);
      expect([length, found.ok ? found.value.newest.counter : found.check]).toEqual([
        length,
        expected,
      ]);
    }
  });

  test('a file without a good block is none', () => {
    const zeros = new Uint8Array(CONTROL_FILE_BYTES);
    expect(decodeControlFile(zeros)).toEqual({ ok: false, check: 'magic' });
    const bad = fileOf(example);
    bad[controlSlotPosition(example.counter) + 30] = 1;
    expect(decodeControlFile(bad).ok).toBe(false);
  });

  test.each([24, 32, 40, 48, 56])('an unsafe integer at %i is refused', (at) => {
    const file = changed((view) => view.setBigUint64(at, 2n ** 53n, true));
    expect(decodeControlFile(file).ok).toBe(false);
  });

  test('it is closed or not, and nothing else', () => {
    const closed = decodeControlFile(changed((view) => view.setBigUint64(72, 1n, true)));
    expect(valueOf(closed).newest.isClosed).toBe(true);
    expect(decodeControlFile(changed((view) => view.setBigUint64(72, 2n, true))).ok).toBe(false);
  });

  test.each([4, 5])('a newer version in the slot of counter %i refuses the whole', (counter) => {
    const file = fileOf(example, { ...example, counter: 5 });
    viewOf(file).setUint16(controlSlotPosition(counter) + 4, FORMAT_VERSION + 1, true);
    const found = decodeControlFile(file);
    expect(found).toEqual({ ok: false, check: 'version', found: FORMAT_VERSION + 1 });
  });
});

describe(`the header of a journal segment, seed ${SEED}`, () => {
  const headers = fc.record({
    storeId: channelIds,
    segment: safeIntegers,
    byteLength: safeIntegers,
  });

  test('is decoded as it was encoded', () => {
    fc.assert(
      fc.property(headers, (header) => {
        const bytes = encodeJournalSegmentHeader(header);
        expect(bytes.byteLength).toBe(JOURNAL_SEGMENT_HEADER_BYTES);
        expect(valueOf(decodeJournalSegmentHeader(bytes))).toEqual(header);
      }),
      { seed: SEED },
    );
  });

  const [header] = fc.sample(headers, { seed: SEED, numRuns: 1 });
  const bytes = header === undefined ? new Uint8Array(0) : encodeJournalSegmentHeader(header);

  test('with any bit flipped, or cut anywhere, is none', () => {
    const accepts = (flipped: Uint8Array): boolean => decodeJournalSegmentHeader(flipped).ok;
    expect(acceptedFlip(bytes, accepts)).toBeUndefined();
    for (let length = 0; length < bytes.byteLength; length++) {
      expect([length, accepts(bytes.subarray(0, length))]).toEqual([length, false]);
    }
  });

  test.each([24, 32])('an unsafe integer at %i is refused', (at) => {
    const unsafe = bytes.slice();
    viewOf(unsafe).setBigUint64(at, 2n ** 53n, true);
    writeEnvelope(unsafe, JOURNAL_SEGMENT_MAGIC);
    expect(decodeJournalSegmentHeader(unsafe)).toEqual({ ok: false, check: 'fields' });
  });

  test('of a newer version is told from damage', () => {
    const newer = bytes.slice();
    viewOf(newer).setUint16(4, FORMAT_VERSION + 1, true);
    const found = decodeJournalSegmentHeader(newer);
    expect(found).toEqual({ ok: false, check: 'version', found: FORMAT_VERSION + 1 });
  });
});
