/** Goal: times are converted exactly, at both ends of the range too. BigInt is the judge. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bigintFromNanos,
  compareNanos,
  MAX_TIMESTAMP_MS,
  MAX_TIMESTAMP_NS,
  msFromNanos,
  nanosFromBigint,
  nanosFromMs,
  ZERO_NANOS,
} from '../../src/core/nanos.js';
import { halves } from '../support/format-arbitraries.js';

const milliseconds = fc.oneof(
  fc.integer({ min: 0, max: MAX_TIMESTAMP_MS }),
  fc.constantFrom(0, 1, 4294, 4295, 65535, 65536, 2 ** 32, MAX_TIMESTAMP_MS),
);
const nanoseconds = fc.oneof(
  fc.bigInt({ min: 0n, max: MAX_TIMESTAMP_NS }),
  milliseconds.map((ms) => BigInt(ms) * 1_000_000n),
  milliseconds.filter((ms) => ms > 0).map((ms) => BigInt(ms) * 1_000_000n - 1n),
);

describe('nanos', () => {
  test('the limits are those of 64 bits', () => {
    expect(MAX_TIMESTAMP_NS).toBe(2n ** 64n - 1n);
    expect(BigInt(MAX_TIMESTAMP_MS)).toBe(MAX_TIMESTAMP_NS / 1_000_000n);
    expect(ZERO_NANOS).toEqual({ hi: 0, lo: 0 });
    expect(nanosFromBigint(MAX_TIMESTAMP_NS)).toEqual({ hi: 0xffffffff, lo: 0xffffffff });
    expect(msFromNanos(0xffffffff, 0xffffffff)).toBe(MAX_TIMESTAMP_MS);
  });

  test('milliseconds become nanoseconds exactly, and are found again', () => {
    fc.assert(
      fc.property(milliseconds, (ms) => {
        const { hi, lo } = nanosFromMs(ms);
        expect(bigintFromNanos(hi, lo)).toBe(BigInt(ms) * 1_000_000n);
        expect(msFromNanos(hi, lo)).toBe(ms);
      }),
      { numRuns: 2000 },
    );
  });

  test('nanoseconds are rounded down to milliseconds', () => {
    fc.assert(
      fc.property(nanoseconds, (ns) => {
        const { hi, lo } = nanosFromBigint(ns);
        expect(BigInt(hi) * 2n ** 32n + BigInt(lo)).toBe(ns);
        expect(bigintFromNanos(hi, lo)).toBe(ns);
        expect(BigInt(msFromNanos(hi, lo))).toBe(ns / 1_000_000n);
      }),
      { numRuns: 2000 },
    );
  });

  test('times compare as their numbers do', () => {
    const near = fc.tuple(halves, halves).map(([a, b]) => [a, { hi: a.hi, lo: b.lo }] as const);
    fc.assert(
      fc.property(fc.oneof(near, fc.tuple(halves, halves)), ([a, b]) => {
        const left = bigintFromNanos(a.hi, a.lo);
        const right = bigintFromNanos(b.hi, b.lo);
        const expected = left < right ? -1 : Number(left > right);
        expect(Math.sign(compareNanos(a, b))).toBe(expected);
        expect(compareNanos(a, { ...a })).toBe(0);
      }),
    );
  });
});
