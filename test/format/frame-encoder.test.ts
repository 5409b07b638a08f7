/**
 * Goal: records come back from a frame as they were put in, whatever columns they need and whether
 * they stand in one unit or in blocks; and the frame's layout is the documented one.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LogRecord } from '../../src/core/record.js';
import { viewOf } from '../../src/format/bytes.js';
import { readChecksum } from '../../src/format/checksum.js';
import {
  BLOCK_TARGET_BYTES,
  FrameEncoder,
  INLINE_FRAME_BYTES,
  type FramePlace,
} from '../../src/format/frame-encoder.js';
import {
  BATCH_END,
  BLOCK_HEADER_BYTES,
  BLOCK_LIST_AT,
  BLOCK_MAGIC,
  coveredBytes,
  decodeUnitHeader,
  FLAG_BLOCKS,
  FLAG_SEQS,
  FLAG_TIMESTAMPS,
  FLAG_TYPES,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  SEAL_BYTES,
  SEAL_MAGIC,
  tableBytes,
  verifyUnit,
  type UnitHeader,
} from '../../src/format/unit.js';
import {
  checkRecordTable,
  decodeRecords,
  lastTimestampOf,
  nextSeqOf,
  seqsRise,
  visitRecordKeys,
} from '../../src/format/unit-records.js';
import {
  contentOf,
  framePlaces,
  frameRecords,
  isSame,
  payloadBytes,
  type ModelRecord,
} from '../support/format-arbitraries.js';

function encoded(records: readonly ModelRecord[], place: FramePlace): FrameEncoder {
  const encoder = new FrameEncoder();
  // What an earlier frame left in the buffer must not show.
  encoder.bytes.fill(0xdd);
  encoder.encode(contentOf(records), place);
  return encoder;
}

/** The unit at `at` of a frame, verified. */
function unitAt(encoder: FrameEncoder, place: FramePlace, at: number): UnitHeader {
  const view = viewOf(encoder.bytes);
  const unit = decodeUnitHeader(view, at, place.position + at, encoder.byteLength - at);
  if (typeof unit === 'string') throw new Error(unit);
  const covered = coveredBytes(view, at, unit) ?? 0;
  expect(verifyUnit(encoder.bytes, at, covered, unit.checksum, place.nonce)).toBeUndefined();
  return unit;
}

function expectRecords(read: readonly LogRecord[], written: readonly ModelRecord[]): void {
  expect(read.length).toBe(written.length);
  for (const [i, record] of written.entries()) {
    const found = read[i];
    expect([i, found !== undefined && isSame(found, record)]).toEqual([i, true]);
  }
}

/** Checks everything that is read from a unit of records against what went in. */
function expectUnit(encoder: FrameEncoder, unit: UnitHeader, at: number, of: ModelRecord[]): void {
  const view = viewOf(encoder.bytes);
  const first = of[0];
  const last = of.at(-1);
  if (first === undefined || last === undefined) throw new Error('a unit without records');
  expect(checkRecordTable(view, at, unit)).toBeUndefined();
  expect(unit.recordCount).toBe(of.length);
  expect(unit.baseSeq).toBe(first.seq);
  expect((BigInt(unit.timestampHi) << 32n) | BigInt(unit.timestampLo)).toBe(first.timestampNs);
  expect(nextSeqOf(view, at, unit)).toBe(last.seq + 1);
  expect(seqsRise(view, at, unit)).toBe(true);
  const { hi, lo } = lastTimestampOf(view, at, unit);
  expect((BigInt(hi) << 32n) | BigInt(lo)).toBe(last.timestampNs);
  const keys: [number, bigint][] = [];
  visitRecordKeys(view, at, unit, (seq, nanosHi, nanosLo) => {
    keys.push([seq, (BigInt(nanosHi) << 32n) | BigInt(nanosLo)]);
  });
  expect(keys).toEqual(of.map(({ seq, timestampNs }) => [seq, timestampNs]));
  const read: LogRecord[] = [];
  decodeRecords(encoder.bytes, view, at, unit, 0, Infinity, read);
  expectRecords(read, of);
}

function expectedFlags(records: readonly ModelRecord[]): number {
  const first = records[0];
  const gapless = records.every(({ seq }, i) => seq === (first?.seq ?? 0) + i);
  const sameTime = records.every(({ timestampNs }) => timestampNs === first?.timestampNs);
  const plain = records.every(({ type }) => type === 0);
  return (plain ? 0 : FLAG_TYPES) | (sameTime ? 0 : FLAG_TIMESTAMPS) | (gapless ? 0 : FLAG_SEQS);
}

describe('a small frame', () => {
  test('is one unit, with the records that went in and zeros behind them', () => {
    fc.assert(
      fc.property(frameRecords('small'), framePlaces, (records, place) => {
        const encoder = encoded(records, place);
        const { byteLength, bytes } = encoder;
        const unit = unitAt(encoder, place, 0);
        const { position, attempt, link, durableSeq } = place;
        const where = { position, attempt, link, durableSeq };
        expect(unit).toMatchObject({ magic: FRAME_MAGIC, byteLength, ...where });
        expect(unit.flags).toBe(expectedFlags(records));
        expect(unit.checksum).toEqual(encoder.checksum);
        expectUnit(encoder, unit, 0, records);
        const filled =
          FRAME_HEADER_BYTES +
          tableBytes(records.length, unit.flags) +
          records.reduce((sum, { payload }) => sum + payload.byteLength, 0);
        expect(byteLength).toBe(8 * Math.ceil(filled / 8));
        expect(bytes.subarray(filled, byteLength).every((byte) => byte === 0)).toBe(true);
        const { lo: check } = encoder.checksum;
        const recordCount = records.length;
        expect(encoder.units).toEqual([{ position, byteLength, check, recordCount }]);
      }),
    );
  });

  test('marks the last record of each batch', () => {
    fc.assert(
      fc.property(frameRecords('small'), framePlaces, (records, place) => {
        const encoder = encoded(records, place);
        const { flags } = unitAt(encoder, place, 0);
        const lengthsAt =
          FRAME_HEADER_BYTES + ((flags & FLAG_TIMESTAMPS) === 0 ? 0 : 8 * records.length);
        for (const [i, { payload, batchEnd }] of records.entries()) {
          const length = viewOf(encoder.bytes).getUint32(lengthsAt + 4 * i, true);
          expect(length).toBe(payload.byteLength + (batchEnd ? BATCH_END : 0));
        }
      }),
    );
  });

  test('gives the records of a range of seqs, and how many bytes they have', () => {
    const seqs = fc.tuple(fc.nat(30), fc.nat(30));
    fc.assert(
      fc.property(frameRecords('small'), framePlaces, seqs, (records, place, [a, b]) => {
        const encoder = encoded(records, place);
        const first = records[0]?.seq ?? 0;
        const [from, to] = [first + a - 3, first + a - 3 + b];
        const read: LogRecord[] = [];
        const unit = unitAt(encoder, place, 0);
        const { bytes } = encoder;
        const payloads = decodeRecords(bytes, viewOf(bytes), 0, unit, from, to, read);
        const expected = records.filter(({ seq }) => seq >= from && seq < to);
        expectRecords(read, expected);
        expect(payloads).toBe(expected.reduce((sum, r) => sum + r.payload.byteLength, 0));
      }),
    );
  });
});

describe('a frame of blocks', () => {
  test('lists the checksums of blocks that hold the records in order', () => {
    fc.assert(
      fc.property(frameRecords('large'), framePlaces, (records, place) => {
        const encoder = encoded(records, place);
        const { bytes, byteLength } = encoder;
        const head = unitAt(encoder, place, 0);
        expect(head).toMatchObject({ magic: FRAME_MAGIC, byteLength, recordCount: records.length });
        expect(head.flags).toBe(expectedFlags(records) | FLAG_BLOCKS);
        expect(head.baseSeq).toBe(records[0]?.seq);
        const count = viewOf(bytes).getUint32(FRAME_HEADER_BYTES, true);
        expect(encoder.units.length).toBe(count);
        let at = BLOCK_LIST_AT + 8 * count;
        let next = 0;
        for (let i = 0; i < count; i++) {
          const block = unitAt(encoder, place, at);
          expect(block).toMatchObject({ magic: BLOCK_MAGIC, attempt: place.attempt });
          expect(block.checksum).toEqual(readChecksum(viewOf(bytes), BLOCK_LIST_AT + 8 * i));
          expectUnit(encoder, block, at, records.slice(next, next + block.recordCount));
          const { recordCount, byteLength: blockBytes, checksum } = block;
          const position = place.position + at;
          const unit = { position, byteLength: blockBytes, check: checksum.lo, recordCount };
          expect(encoder.units[i]).toEqual(unit);
          const table = blockBytes - BLOCK_HEADER_BYTES;
          if (recordCount > 1) expect(table).toBeLessThanOrEqual(BLOCK_TARGET_BYTES);
          at += blockBytes;
          next += recordCount;
        }
        expect([at, next]).toEqual([byteLength, records.length]);
      }),
      { numRuns: 50 },
    );
  });
});

/** Records of one batch with these lengths, all of one time and type 0. */
function plainRecords(...lengths: number[]): ModelRecord[] {
  return lengths.map((length, i) => ({
    seq: i,
    type: 0,
    timestampNs: 5n,
    payload: payloadBytes(length, i),
    batchEnd: i === lengths.length - 1,
  }));
}

const place: FramePlace = {
  position: 64,
  attempt: 1,
  link: { hi: 1, lo: 2 },
  nonce: { hi: 3, lo: 4 },
  durableSeq: 0,
};

describe('what the writer chooses', () => {
  test('blocks begin where a frame of several records would be over its limit', () => {
    const room = INLINE_FRAME_BYTES - FRAME_HEADER_BYTES - tableBytes(2, 0);
    const inline = encoded(plainRecords(room - 4000, 4000), place);
    expect([inline.byteLength, inline.units.length]).toEqual([INLINE_FRAME_BYTES, 1]);
    expect(unitAt(inline, place, 0).flags & FLAG_BLOCKS).toBe(0);
    const records = plainRecords(room - 3999, 4000);
    const divided = encoded(records, place);
    expect(unitAt(divided, place, 0)).toMatchObject({ flags: FLAG_BLOCKS, recordCount: 2 });
    // All of it still fits into one block.
    expect(divided.units.map(({ recordCount }) => recordCount)).toEqual([2]);
    const at = BLOCK_LIST_AT + 8;
    expect(divided.units[0]?.position).toBe(place.position + at);
    expectUnit(divided, unitAt(divided, place, at), at, records);
  });

  test('a block ends where the next record would take it over its target', () => {
    const room = BLOCK_TARGET_BYTES - tableBytes(2, 0);
    const counts = (...lengths: number[]): number[] =>
      encoded(plainRecords(...lengths), place).units.map(({ recordCount }) => recordCount);
    expect(counts(room - 4000, 4000, 5000)).toEqual([2, 1]);
    expect(counts(room - 3999, 4000, 5000)).toEqual([1, 1, 1]);
    expect(counts(room - 3999, 4000)).toEqual([1, 1]);
  });

  test('a record alone is never put into blocks', () => {
    const records = plainRecords(3 * INLINE_FRAME_BYTES);
    const encoder = encoded(records, place);
    const unit = unitAt(encoder, place, 0);
    expect(unit.flags & FLAG_BLOCKS).toBe(0);
    expectUnit(encoder, unit, 0, records);
  });

  test('a record that is larger than a block gets one for itself', () => {
    const records = plainRecords(10, 20_000, 10, 20);
    const encoder = encoded(records, place);
    expect(encoder.units.map(({ recordCount }) => recordCount)).toEqual([1, 1, 2]);
  });
});

describe('witness and seal', () => {
  test('are 64 bytes without records', () => {
    const timestamp = { hi: 5, lo: 6 };
    const encoder = new FrameEncoder();
    encoder.bytes.fill(0xdd);
    encoder.encodeWitness(9, timestamp, { ...place, durableSeq: 9 });
    expect(encoder.byteLength).toBe(FRAME_HEADER_BYTES);
    expect(encoder.units).toEqual([]);
    const witness = unitAt(encoder, place, 0);
    expect(witness).toMatchObject({ magic: FRAME_MAGIC, recordCount: 0, flags: 0, durableSeq: 9 });
    expect(nextSeqOf(viewOf(encoder.bytes), 0, witness)).toBe(9);
    expect(lastTimestampOf(viewOf(encoder.bytes), 0, witness)).toEqual(timestamp);
    expect(checkRecordTable(viewOf(encoder.bytes), 0, witness)).toBeUndefined();
    encoder.encodeSeal(9, 4, timestamp, { ...place, link: encoder.checksum });
    const seal = unitAt(encoder, place, 0);
    expect(encoder.byteLength).toBe(SEAL_BYTES);
    expect(seal).toMatchObject({ magic: SEAL_MAGIC, baseSeq: 9, recordCount: 4, flags: 0 });
    expect(seal.link).toEqual(witness.checksum);
  });
});

describe('the output buffer', () => {
  test('of a detached frame is not written by the next one', () => {
    const encoder = new FrameEncoder();
    encoder.encode(contentOf(plainRecords(10, 20)), place);
    const { byteLength } = encoder;
    const before = encoder.bytes.slice(0, byteLength);
    const detached = encoder.detach();
    encoder.encode(contentOf(plainRecords(30, 40)), place);
    expect(detached.subarray(0, byteLength)).toEqual(before);
  });

  test('of a detached frame is used again when it is given back, unless it is too large', () => {
    const encoder = encoded(plainRecords(600 * 1024), place);
    const detached = encoder.detach();
    expect(encoder.bytes).not.toBe(detached);
    encoder.reuse(detached);
    encoder.encode(contentOf(plainRecords(500 * 1024)), place);
    expect(encoder.bytes).toBe(detached);
    const same = encoded(plainRecords(500 * 1024), place);
    expect(encoder.bytes.slice(0, same.byteLength)).toEqual(same.bytes.slice(0, same.byteLength));
    encoder.reuse(new Uint8Array(5 * 1024 * 1024));
    encoder.reuse(new Uint8Array(64));
    expect(encoder.bytes).toBe(detached);
  });

  test('is given back when it became unusually large', () => {
    const encoder = encoded(plainRecords(5 * 1024 * 1024), place);
    expect(encoder.bytes.byteLength).toBeGreaterThan(5 * 1024 * 1024);
    encoder.release();
    expect(encoder.bytes.byteLength).toBeLessThanOrEqual(64 * 1024);
    const small = encoder.bytes;
    encoder.encode(contentOf(plainRecords(1)), place);
    encoder.release();
    expect(encoder.bytes).toBe(small);
  });
});
