/**
 * Goal: no unit verifies but the bytes that were written, at the place they were written to.
 * Method: verification as every reader does it (header, covered bytes, checksum, record table) of
 * units with each bit flipped, cut at each byte, moved, and put into another file.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LogRecord } from '../../src/core/record.js';
import { viewOf } from '../../src/format/bytes.js';
import type { Checksum } from '../../src/format/checksum.js';
import { FrameEncoder, type FramePlace } from '../../src/format/frame-encoder.js';
import {
  BLOCK_LIST_AT,
  BLOCK_MAGIC,
  coveredBytes,
  decodeUnitHeader,
  FLAG_BLOCKS,
  FRAME_MAGIC,
  SEAL_MAGIC,
  unitHeaderBytes,
  verifyUnit,
  type UnitHeader,
} from '../../src/format/unit.js';
import {
  checkRecordTable,
  decodeRecords,
  lastTimestampOf,
  nextSeqOf,
  seqsRise,
} from '../../src/format/unit-records.js';
import {
  acceptedFlip,
  contentOf,
  framePlaces,
  frameRecords,
  halves,
  payloadBytes,
  reseal,
  u32,
} from '../support/format-arbitraries.js';

interface SampleUnit {
  /** All that the file has from the start of the unit. */
  readonly bytes: Uint8Array;
  readonly position: number;
  readonly nonce: Checksum;
}

function sampleOf(encoder: FrameEncoder, { position, nonce }: FramePlace): SampleUnit {
  return { bytes: encoder.bytes.slice(0, encoder.byteLength), position, nonce };
}

const smallFrames: fc.Arbitrary<SampleUnit> = fc
  .tuple(frameRecords('small'), framePlaces)
  .map(([records, place]) => {
    const encoder = new FrameEncoder();
    encoder.encode(contentOf(records), place);
    return sampleOf(encoder, place);
  });

const bareUnits: fc.Arbitrary<SampleUnit> = fc
  .tuple(fc.maxSafeNat(), halves, framePlaces, fc.option(u32, { nil: undefined }))
  .map(([nextSeq, timestamp, place, sealed]) => {
    const encoder = new FrameEncoder();
    if (sealed === undefined) encoder.encodeWitness(nextSeq, timestamp, place);
    else encoder.encodeSeal(nextSeq, sealed, timestamp, place);
    return sampleOf(encoder, place);
  });

/** The head of a frame of blocks with all that follows, and each block to the end of the frame. */
const blockFrames: fc.Arbitrary<SampleUnit[]> = fc
  .tuple(frameRecords('large'), framePlaces)
  .map(([records, place]) => {
    const encoder = new FrameEncoder();
    encoder.encode(contentOf(records), place);
    const bytes = encoder.bytes.slice(0, encoder.byteLength);
    const { nonce } = place;
    const positions = [place.position, ...encoder.units.map(({ position }) => position)];
    return positions.map((position) => ({
      bytes: bytes.slice(position - place.position),
      position,
      nonce,
    }));
  });

/** The unit at the start of `bytes`, when everything about it verifies. */
function verified(
  bytes: Uint8Array,
  position: number,
  nonce: Checksum,
): { readonly unit: UnitHeader; readonly covered: number } | undefined {
  const view = viewOf(bytes);
  const unit = decodeUnitHeader(view, 0, position, bytes.byteLength);
  if (typeof unit === 'string') return undefined;
  const covered = coveredBytes(view, 0, unit);
  if (covered === undefined) return undefined;
  if (verifyUnit(bytes, 0, covered, unit.checksum, nonce) !== undefined) return undefined;
  const isTable = unit.magic !== SEAL_MAGIC && (unit.flags & FLAG_BLOCKS) === 0;
  const isBlock = unit.magic === BLOCK_MAGIC;
  if ((isTable || isBlock) && checkRecordTable(view, 0, unit) !== undefined) return undefined;
  return { unit, covered };
}

/** Checks that no flip of a bit under the unit's own checksum gets through. */
function expectNoFlip({ bytes, position, nonce }: SampleUnit): void {
  const covered = verified(bytes, position, nonce)?.covered ?? 0;
  expect(covered).toBeGreaterThan(0);
  const own = bytes.slice();
  const prefix = own.subarray(0, covered);
  const accepts = (): boolean => verified(own, position, nonce) !== undefined;
  expect(acceptedFlip(prefix, accepts)).toBeUndefined();
}

describe('a flipped bit', () => {
  test('in a small frame is found', () => {
    fc.assert(fc.property(smallFrames, expectNoFlip), { numRuns: 60 });
  });

  test('in a witness or a seal is found', () => {
    fc.assert(fc.property(bareUnits, expectNoFlip), { numRuns: 60 });
  });

  test('in the head of a frame of blocks is found, and in every block', () => {
    fc.assert(
      fc.property(blockFrames, (units) => {
        for (const unit of units) expectNoFlip(unit);
      }),
      { numRuns: 2 },
    );
  });
});

describe('a unit that is not whole', () => {
  test('is not accepted at any length', () => {
    const anyUnit = fc.oneof(smallFrames, bareUnits);
    fc.assert(
      fc.property(anyUnit, ({ bytes, position, nonce }) => {
        for (let length = 0; length < bytes.byteLength; length++) {
          expect(verified(bytes.slice(0, length), position, nonce)).toBeUndefined();
          const zeroed = bytes.slice();
          zeroed.fill(0, length);
          const same = Buffer.compare(zeroed, bytes) === 0;
          expect(verified(zeroed, position, nonce) !== undefined).toBe(same);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('is not accepted as a head without its blocks, at any length', () => {
    fc.assert(
      fc.property(blockFrames, ([head]) => {
        if (head === undefined) throw new Error('no head');
        const { bytes, position, nonce } = head;
        for (let length = 0; length < bytes.byteLength; length++) {
          expect(verified(bytes.subarray(0, length), position, nonce)).toBeUndefined();
        }
      }),
      { numRuns: 3 },
    );
  });

  test('is not made of zeros, of any length', () => {
    fc.assert(
      fc.property(fc.nat(400), framePlaces, (length, { position, nonce }) => {
        expect(verified(new Uint8Array(length), position, nonce)).toBeUndefined();
      }),
    );
  });
});

describe('a good unit', () => {
  test('is accepted at no other position and in no other file', () => {
    const other = fc.tuple(fc.nat(2 ** 28), halves);
    const anyUnit = fc.oneof(smallFrames, bareUnits);
    fc.assert(
      fc.property(anyUnit, other, ({ bytes, position, nonce }, [place, foreign]) => {
        const moved = 8 * place === position ? position + 8 : 8 * place;
        expect(verified(bytes, position, nonce)).toBeDefined();
        expect(verified(bytes, moved, nonce)).toBeUndefined();
        const { hi, lo } = nonce;
        const halfRight = [
          { hi: foreign.hi === hi ? hi ^ 1 : foreign.hi, lo },
          { hi, lo: foreign.lo === lo ? lo ^ 1 : foreign.lo },
        ];
        for (const nonceOfOther of halfRight) {
          expect(verified(bytes, position, nonceOfOther)).toBeUndefined();
        }
      }),
    );
  });

  test('differs from every other attempt at the same place', () => {
    fc.assert(
      fc.property(frameRecords('small'), framePlaces, u32, (records, place, attempt) => {
        if (attempt === place.attempt) return;
        const encoder = new FrameEncoder();
        encoder.encode(contentOf(records), place);
        const { checksum } = encoder;
        encoder.encode(contentOf(records), { ...place, attempt });
        expect(encoder.checksum).not.toEqual(checksum);
      }),
    );
  });
});

describe('bytes that nobody of us wrote', () => {
  test('noise does not verify, nor does noise with our magic', () => {
    const magics = fc.constantFrom(0, FRAME_MAGIC, BLOCK_MAGIC, SEAL_MAGIC);
    const noise = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(noise, magics, framePlaces, fc.nat(40), (bytes, magic, place, words) => {
        if (magic !== 0 && bytes.byteLength >= 48) {
          const view = viewOf(bytes);
          view.setUint32(8, magic, true);
          view.setUint32(12, 8 * words, true);
          view.setUint32(32, place.position, true);
          view.setUint16(44, view.getUint16(44, true) & 15, true);
        }
        expect(verified(bytes, place.position, place.nonce)).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  test('with a good checksum never lead outside of their unit', () => {
    const offsets = fc.constantFrom(12, 16, 20, 36, 44, 64, 68, 72, 76, 80);
    const values = fc.oneof(u32, fc.nat(15), fc.integer({ min: 0xfffffff0, max: 0xffffffff }));
    const changes = fc.array(fc.tuple(offsets, values), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.oneof(smallFrames, bareUnits), changes, ({ bytes, ...where }, list) => {
        const changed = new Uint8Array(Math.max(bytes.byteLength, 96));
        changed.set(bytes);
        const view = viewOf(changed);
        for (const [at, value] of list) view.setUint32(at, value, true);
        expectContained(changed, where.position, where.nonce);
        expectContained(changed.subarray(0, bytes.byteLength), where.position, where.nonce);
      }),
      { numRuns: 3000 },
    );
  });

  test('with a length column of their own never lead outside of their unit', () => {
    const lengths = fc.array(fc.oneof(u32, fc.nat(64)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(lengths, fc.nat(15), framePlaces, (list, flags, place) => {
        const bytes = payloadBytes(512, list.length);
        const view = viewOf(bytes);
        view.setUint32(8, FRAME_MAGIC, true);
        view.setUint32(12, 512, true);
        view.setBigUint64(16, 5n, true);
        view.setUint32(32, place.position, true);
        view.setUint32(36, list.length, true);
        view.setUint32(44, flags, true);
        view.setBigUint64(56, 0n, true);
        view.setUint32(64, list.length, true);
        const table = 64 + ((flags & 4) === 0 ? 0 : 8 * list.length);
        for (const [i, length] of list.entries()) view.setUint32(table + 4 * i, length, true);
        expectContained(bytes, place.position, place.nonce);
      }),
      { numRuns: 1000 },
    );
  });
});

/** Seals the unit at the start of `bytes`, then reads all that a reader would. */
function expectContained(bytes: Uint8Array, position: number, nonce: Checksum): void {
  const view = viewOf(bytes);
  const unit = decodeUnitHeader(view, 0, position, bytes.byteLength);
  if (typeof unit === 'string') return;
  expect(unit.byteLength).toBeLessThanOrEqual(bytes.byteLength);
  expect(unit.byteLength).toBeGreaterThanOrEqual(unitHeaderBytes(unit.magic));
  const covered = coveredBytes(view, 0, unit);
  if (covered === undefined) return;
  expect(covered).toBeLessThanOrEqual(unit.byteLength);
  reseal(bytes, 0, covered, nonce);
  const found = verified(bytes, position, nonce);
  if (found === undefined || found.unit.magic === SEAL_MAGIC) return;
  if ((unit.flags & FLAG_BLOCKS) !== 0 && unit.magic === FRAME_MAGIC) {
    expect(covered).toBeGreaterThanOrEqual(BLOCK_LIST_AT);
    return;
  }
  nextSeqOf(view, 0, found.unit);
  lastTimestampOf(view, 0, found.unit);
  seqsRise(view, 0, found.unit);
  const records: LogRecord[] = [];
  decodeRecords(bytes, view, 0, found.unit, 0, Infinity, records);
  expect(records.length).toBeLessThanOrEqual(bytes.byteLength / 4);
  const total = records.reduce((sum, { payload }) => sum + payload.byteLength, 0);
  expect(total).toBeLessThanOrEqual(found.unit.byteLength);
  for (const { payload } of records) {
    const end = payload.byteOffset - bytes.byteOffset + payload.byteLength;
    expect(end).toBeLessThanOrEqual(found.unit.byteLength);
  }
}
