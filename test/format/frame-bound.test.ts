/**
 * Goal: room for a frame is made before it is encoded, so the bound must never be below what the
 * encoder makes of the records, whatever their lengths and columns; nor far above it.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { frameBound } from '../../src/format/frame-bound.js';
import { FrameEncoder } from '../../src/format/frame-encoder.js';
import { contentOf, frameRecords, type ModelRecord } from '../support/format-arbitraries.js';

const SEED = 47;
const PLACE = {
  position: 64,
  attempt: 1,
  link: { hi: 0, lo: 0 },
  nonce: { hi: 0, lo: 0 },
  durableSeq: 0,
};

/** Bytes of the frame that these records make, and the bound for it. */
function sizes(records: readonly ModelRecord[]): { readonly made: number; readonly bound: number } {
  const encoder = new FrameEncoder();
  const content = contentOf(records);
  encoder.encode(content, PLACE);
  const bound = frameBound(content.recordCount, content.payloadBytes);
  return { made: encoder.byteLength, bound };
}

/** Records of these lengths that need every column, or none but that of the lengths. */
function recordsOf(lengths: readonly number[], hasColumns: boolean): ModelRecord[] {
  return lengths.map((length, i) => ({
    seq: hasColumns ? 2 * i : i,
    type: hasColumns ? i % 100 : 0,
    timestampNs: hasColumns ? BigInt(i) : 0n,
    payload: new Uint8Array(length),
    batchEnd: true,
  }));
}

const lengths = fc.oneof(
  fc.array(fc.nat(40), { minLength: 1, maxLength: 3000, size: 'max' }),
  fc.array(fc.constantFrom(0, 1, 8, 4000, 4080, 4097, 8100, 8192, 9000), {
    minLength: 1,
    maxLength: 60,
    size: 'max',
  }),
);

describe(`the bound of a frame, seed ${SEED}`, () => {
  test('is not below what is encoded', () => {
    fc.assert(
      fc.property(lengths, fc.boolean(), (list, hasColumns) => {
        const { made, bound } = sizes(recordsOf(list, hasColumns));
        expect(bound).toBeGreaterThanOrEqual(made);
      }),
      { seed: SEED },
    );
  });

  test.each(['small', 'large'] as const)('nor for %s frames of any kind', (size) => {
    fc.assert(
      fc.property(frameRecords(size), (records) => {
        const { made, bound } = sizes(records);
        expect(bound).toBeGreaterThanOrEqual(made);
      }),
      { seed: SEED, numRuns: 50 },
    );
  });

  test('nor for many records without a byte', () => {
    const { made, bound } = sizes(
      recordsOf(
        Array.from({ length: 20_000 }, () => 0),
        true,
      ),
    );
    expect(bound).toBeGreaterThanOrEqual(made);
  });

  test('is within a few columns and block headers of it', () => {
    for (const list of [[0], [100], [1_000_000], Array.from({ length: 500 }, () => 1000)]) {
      const { made, bound } = sizes(recordsOf(list, false));
      expect(bound).toBeLessThan(1.1 * made + 300);
    }
  });
});
