/**
 * Goal: retention lets go of what the policy does not keep and of nothing else: whole segments from
 * the head, nothing that is not durable, and never again what was let go (RULES G1).
 * Method: the pure decision, from a table and for random logs.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nanosFromMs } from '../../src/core/nanos.js';
import {
  heldBytes,
  retainedFrom,
  type RetentionPolicy,
  type RetentionState,
} from '../../src/channel/retention.js';
import type { Segment } from '../../src/segment/segment.js';

interface Shape {
  /** Seqs that it covers, and records that it has: fewer where compaction left gaps. */
  readonly seqs: number;
  readonly records: number;
  readonly bytes: number;
  /** Time of its newest record. */
  readonly lastMs: number;
}

function segmentsOf(shapes: readonly Shape[], baseSeq = 0): Segment[] {
  const none = { hi: 0, lo: 0 };
  let nextSeq = baseSeq;
  return shapes.map(({ seqs, records, bytes, lastMs }, i) => {
    const base = nextSeq;
    nextSeq += seqs;
    return {
      directory: '/g',
      baseSeq: base,
      nonce: none,
      timestampFloor: none,
      headerChecksum: none,
      nextSeq,
      recordCount: records,
      frameCount: records,
      datLength: bytes,
      lastTimestamp: nanosFromMs(lastMs),
      lastChecksum: none,
      sealed: i < shapes.length - 1,
      damage: undefined,
      marks: undefined,
    };
  });
}

/** Four segments of ten records and 100 bytes; their newest records are of 100, 200, ... ms. */
const FOUR = segmentsOf(
  [100, 200, 300, 400].map((lastMs) => ({ seqs: 10, records: 10, bytes: 100, lastMs })),
);

const WHOLE: RetentionState = {
  segments: FOUR,
  firstSeq: 0,
  durableSeq: 40,
  heldFrom: Infinity,
  nowMs: 400,
};

const rows: readonly [string, RetentionPolicy, Partial<RetentionState>, number][] = [
  ['bytes: exactly what is kept', { maxBytes: 400 }, {}, 0],
  ['bytes: a segment more than is kept', { maxBytes: 300 }, {}, 10],
  ['bytes: at least so many stay', { maxBytes: 301 }, {}, 0],
  ['bytes: the active segment stays', { maxBytes: 1 }, {}, 30],
  ['records: at least so many stay', { maxRecords: 11 }, {}, 20],
  ['records: a whole number of segments', { maxRecords: 20 }, {}, 20],
  ['records: the active segment stays', { maxRecords: 1 }, {}, 30],
  ['age: as old as is kept', { maxAgeMs: 100 }, { nowMs: 200 }, 0],
  ['age: older than is kept', { maxAgeMs: 100 }, { nowMs: 201 }, 10],
  ['age: the records of the active one too', { maxAgeMs: 100 }, { nowMs: 501 }, 40],
  ['age: a clock before the first record', { maxAgeMs: 100 }, { nowMs: 0 }, 0],
  ['age: a clock before the age', { maxAgeMs: 100 }, { nowMs: 100 }, 0],
  ['durable: nothing above it', { maxRecords: 1 }, { durableSeq: 29 }, 20],
  ['durable: the active one neither', { maxAgeMs: 1 }, { nowMs: 9e9, durableSeq: 39 }, 30],
  ['durable: records that are not push nothing out', { maxRecords: 6 }, { durableSeq: 35 }, 20],
  ['durable: nor do their bytes', { maxBytes: 100 }, { durableSeq: 39 }, 20],
  ['held: whole segments below it', { maxRecords: 1 }, { heldFrom: 29 }, 20],
  ['held: up to it', { maxRecords: 1 }, { heldFrom: 20 }, 20],
  ['held: everything', { maxRecords: 1 }, { heldFrom: 0 }, 0],
  ['held: the active one neither', { maxAgeMs: 1 }, { nowMs: 9e9, heldFrom: 39 }, 30],
  ['never back', { maxRecords: 20 }, { firstSeq: 35 }, 35],
  ['the first limit that is reached', { maxRecords: 35, maxBytes: 150 }, {}, 20],
  ['nothing there', { maxRecords: 1 }, { segments: [], firstSeq: 7 }, 7],
];

test.each(rows)('%s', (_name, policy, state, expected) => {
  const given: RetentionState = { ...WHOLE, ...state };
  expect(retainedFrom(policy, given)).toBe(expected);
});

test('a segment in front that is not old keeps what is behind it', () => {
  // Damage makes its time unknown, which counts as later than any other.
  const segments = segmentsOf(
    [9e9, 1, 1].map((lastMs) => ({ seqs: 5, records: 5, bytes: 10, lastMs })),
  );
  const state = { segments, firstSeq: 0, durableSeq: 15, heldFrom: Infinity, nowMs: 1000 };
  expect(retainedFrom({ maxAgeMs: 10 }, state)).toBe(0);
});

const shape = fc
  .record({
    seqs: fc.integer({ min: 1, max: 20 }),
    gaps: fc.nat(20),
    bytes: fc.nat(500),
    ms: fc.nat(50),
  })
  .map(({ seqs, gaps, bytes, ms }) => ({ seqs, records: Math.max(1, seqs - gaps), bytes, ms }));
const policy = fc
  .record({
    maxAgeMs: fc.option(fc.integer({ min: 1, max: 500 }), { nil: undefined }),
    maxBytes: fc.option(fc.integer({ min: 1, max: 2000 }), { nil: undefined }),
    maxRecords: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
  })
  .filter((limits) => Object.values(limits).some((limit) => limit !== undefined));

test('whole segments, never above what is durable, never less than asked for', () => {
  fc.assert(
    fc.property(
      fc.array(shape, { maxLength: 8 }),
      policy,
      fc.nat(500),
      fc.nat(200),
      fc.nat(200),
      fc.oneof(fc.nat(200), fc.constant(Infinity)),
      (shapes, limits, nowMs, first, durable, heldFrom) => {
        let ms = 0;
        const segments = segmentsOf(shapes.map((each) => ({ ...each, lastMs: (ms += each.ms) })));
        const end = segments.at(-1)?.nextSeq ?? 0;
        const durableSeq = Math.min(durable, end);
        const firstSeq = Math.min(first, durableSeq);
        const state = { segments, firstSeq, durableSeq, heldFrom, nowMs };
        const kept = retainedFrom(limits, state);
        expect(kept).toBeGreaterThanOrEqual(firstSeq);
        expect(kept).toBeLessThanOrEqual(durableSeq);
        expect(kept).toBeLessThanOrEqual(Math.max(firstSeq, heldFrom));
        const boundaries = [firstSeq, ...segments.map(({ nextSeq }) => nextSeq)];
        expect(boundaries).toContain(kept);
        const gone = segments.filter(({ nextSeq }) => nextSeq <= kept);
        const stay = segments.slice(gone.length);
        const { maxAgeMs = Infinity, maxBytes = Infinity, maxRecords = Infinity } = limits;
        // The last one that went was too old, or what stays is enough by one of the limits.
        const last = gone.at(-1);
        if (kept > firstSeq && last !== undefined) {
          const lastMs = (last.lastTimestamp.hi * 2 ** 32 + last.lastTimestamp.lo) / 1e6;
          const bytes = stay.reduce((sum, { datLength }) => sum + datLength, 0);
          const records = stay.reduce((sum, { recordCount }) => sum + recordCount, 0);
          const isAged = lastMs < nowMs - maxAgeMs;
          const isSpare = stay.length > 0 && (bytes >= maxBytes || records >= maxRecords);
          expect(isAged || isSpare).toBe(true);
        }
        // Asked again it has nothing to add, and later it keeps no more.
        expect(retainedFrom(limits, { ...state, firstSeq: kept })).toBe(kept);
        const later = { ...state, firstSeq: kept, nowMs: nowMs + 100, durableSeq: end };
        expect(retainedFrom(limits, later)).toBeGreaterThanOrEqual(kept);
      },
    ),
    { seed: 41, numRuns: 3000 },
  );
});

test.each<[number, number]>([
  [0, 300],
  [10, 200],
  [29, 100],
  [30, 0],
  [Infinity, 0],
])('held from %d on: %d bytes stay for it', (heldFrom, bytes) => {
  expect(heldBytes({ maxRecords: 1 }, { ...WHOLE, heldFrom })).toBe(bytes);
});
