/**
 * Goal: the checksum is XXH3-64 with seed 0, so that others can compute it, and it stands in a
 * file as a little-endian u64.
 * Method: the known answers of the reference implementation, over every size class it has.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import {
  bindToNonce,
  checksumOf,
  readChecksum,
  RunningChecksum,
  sameChecksum,
  writeChecksum,
  type Checksum,
} from '../../src/format/checksum.js';
import { halves } from '../support/format-arbitraries.js';

/** The buffer that the reference implementation checks itself with. */
function referenceBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 2654435761n;
  for (let i = 0; i < length; i++) {
    bytes[i] = Number(state >> 56n);
    state = BigInt.asUintN(64, state * 11400714785074694797n);
  }
  return bytes;
}

const toBigint = ({ hi, lo }: Checksum): bigint => (BigInt(hi) << 32n) | BigInt(lo);

describe('RunningChecksum', () => {
  test('is that of all bytes, whatever the pieces', () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 20 });
    const property = fc.property(pieces, (parts) => {
      const running = new RunningChecksum();
      for (const part of parts) {
        const padded = Uint8Array.of(1, 2, ...part, 3);
        running.add(padded, 2, part.byteLength);
      }
      const whole = Buffer.concat(parts);
      expect(running.value).toEqual(checksumOf(whole, 0, whole.byteLength));
    });
    fc.assert(property, { seed: 20 });
  });
});

describe('checksumOf', () => {
  test.each([
    [0, 0x2d06800538d394c2n],
    [1, 0xc44bdff4074eecdbn],
    [6, 0x27b56a84cd2d7325n],
    [12, 0xa713daf0dfbb77e7n],
    [24, 0xa3fe70bf9d3510ebn],
    [48, 0x397da259ecba1f11n],
    [80, 0xbcdefbbb2c47c90an],
    [195, 0xcd94217ee362ec3an],
    [403, 0xcdeb804d65c6dea4n],
    [512, 0x617e49599013cb6bn],
    [2048, 0xdd59e2c3a5f038e0n],
    [2240, 0x6e73a90539cf2948n],
    [2367, 0xcb37aeb9e5d361edn],
  ])('%i bytes have the answer of the reference implementation', (length, expected) => {
    expect(toBigint(checksumOf(referenceBytes(length), 0, length))).toBe(expected);
  });

  test('takes the run that it is told, whatever is around it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(9), fc.nat(9), (run, before, after) => {
        const bytes = new Uint8Array(before + 3 + run.byteLength + after).fill(0xcc);
        bytes.set(run, before + 3);
        const inside = bytes.subarray(before);
        const expected = checksumOf(new Uint8Array(run), 0, run.byteLength);
        expect(checksumOf(inside, 3, run.byteLength)).toEqual(expected);
      }),
    );
  });

  test('never reaches beyond the bytes it is given', () => {
    expect(() => checksumOf(new Uint8Array(8), 0, 9)).toThrow(RangeError);
  });
});

describe('a checksum in a file', () => {
  test('is a little-endian u64', () => {
    fc.assert(
      fc.property(halves, fc.nat(8), (checksum, at) => {
        const view = viewOf(new Uint8Array(16));
        writeChecksum(view, at, checksum);
        expect(view.getBigUint64(at, true)).toBe(toBigint(checksum));
        expect(readChecksum(view, at)).toEqual(checksum);
      }),
    );
  });

  test('is the same as another one only in both halves', () => {
    const a = { hi: 1, lo: 2 };
    expect(sameChecksum(a, { ...a })).toBe(true);
    expect(sameChecksum(a, { hi: 1, lo: 3 })).toBe(false);
    expect(sameChecksum(a, { hi: 3, lo: 2 })).toBe(false);
  });

  test('is bound to a nonce by exclusive or', () => {
    fc.assert(
      fc.property(halves, halves, (checksum, nonce) => {
        const bound = bindToNonce(checksum, nonce);
        expect(toBigint(bound)).toBe(toBigint(checksum) ^ toBigint(nonce));
        expect(bindToNonce(bound, nonce)).toEqual(checksum);
      }),
    );
  });
});
