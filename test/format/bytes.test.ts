/** Goal: 64-bit integers are exact or refused, and everything is aligned to eight bytes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { alignTo8, readSafeU64, UNSAFE, viewOf, writeSafeU64 } from '../../src/format/bytes.js';
import { safeIntegers } from '../support/format-arbitraries.js';

describe('a u64', () => {
  test('is written little-endian and read back, and nothing around it changes', () => {
    fc.assert(
      fc.property(fc.oneof(safeIntegers, fc.nat(2 ** 31 - 1)), fc.nat(9), (value, at) => {
        const bytes = new Uint8Array(17).fill(0xee);
        writeSafeU64(viewOf(bytes), at, value);
        expect(viewOf(bytes).getBigUint64(at, true)).toBe(BigInt(value));
        expect(readSafeU64(viewOf(bytes), at)).toBe(value);
        const around = [...bytes.subarray(0, at), ...bytes.subarray(at + 8)];
        expect(around).toEqual(Array.from({ length: 9 }, () => 0xee));
      }),
    );
  });

  test('that is no safe integer is refused, not rounded', () => {
    const anyU64 = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.constantFrom(2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 64n - 1n),
    );
    fc.assert(
      fc.property(anyU64, (value) => {
        const view = new DataView(new ArrayBuffer(8));
        view.setBigUint64(0, value, true);
        const safe = value <= BigInt(Number.MAX_SAFE_INTEGER);
        expect(readSafeU64(view, 0)).toBe(safe ? Number(value) : UNSAFE);
      }),
    );
  });
});

test('a view is of the bytes and not of the buffer around them', () => {
  const bytes = new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 4);
  const view = viewOf(bytes);
  expect([view.byteLength, view.getUint8(0), view.getUint8(2)]).toEqual([3, 2, 4]);
});

test('lengths are rounded up to the next multiple of eight', () => {
  expect([0, 1, 7, 8, 9, 63, 64].map(alignTo8)).toEqual([0, 8, 8, 8, 16, 64, 64]);
  fc.assert(
    fc.property(fc.nat(2 ** 31), (length) => {
      const aligned = alignTo8(length);
      expect(aligned % 8).toBe(0);
      expect(aligned - length).toBeGreaterThanOrEqual(0);
      expect(aligned - length).toBeLessThan(8);
    }),
  );
});
