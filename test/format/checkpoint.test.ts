/**
 * Goal: the header of a checkpoint is what was written or nothing, and no length in it is believed
 * before it was compared with the bytes that are there.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import {
  CHECKPOINT_MAGIC,
  CHECKPOINT_OF_FOLD,
  decodeCheckpointHeader,
  encodeCheckpoint,
  MAX_CHECKPOINT_HEADER_BYTES,
} from '../../src/format/checkpoint.js';
import { checksumOf } from '../../src/format/checksum.js';
import { valueOf } from '../support/format-arbitraries.js';

const SEED = 31;
const given = fc.record({
  channelId: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  seq: fc.maxSafeNat(),
  fromSeq: fc.maxSafeNat(),
  foldVersion: fc.maxSafeNat(),
  kind: fc.nat(0xffffffff),
  name: fc.string({ minLength: 1, maxLength: 300, unit: 'binary' }),
});
const headers = given.filter(({ name }) => Buffer.byteLength(name) <= 1024);

test(`what is encoded is decoded, seed ${SEED}`, () => {
  fc.assert(
    fc.property(headers, fc.uint8Array({ maxLength: 50 }), (header, state) => {
      const bytes = encodeCheckpoint(header, state);
      const head = bytes.subarray(0, MAX_CHECKPOINT_HEADER_BYTES);
      const { header: decoded, byteLength } = valueOf(decodeCheckpointHeader(head));
      const stateChecksum = checksumOf(state, 0, state.byteLength);
      expect(decoded).toEqual({ ...header, stateLength: state.byteLength, stateChecksum });
      expect(Buffer.compare(bytes.subarray(byteLength), state)).toBe(0);
    }),
    { seed: SEED },
  );
});

const example = encodeCheckpoint(
  {
    channelId: new Uint8Array(16).fill(5),
    seq: 7,
    fromSeq: 2,
    foldVersion: 1,
    kind: CHECKPOINT_OF_FOLD,
    name: 'sum',
  },
  Uint8Array.of(1, 2, 3),
);

test('a header with another byte, or cut short, is none', () => {
  const length = example.byteLength - 3;
  for (let at = 0; at < length; at++) {
    const bytes = example.slice();
    bytes[at] = (bytes[at] ?? 0) ^ 0x11;
    expect([at, decodeCheckpointHeader(bytes).ok]).toEqual([at, false]);
    expect([at, decodeCheckpointHeader(example.subarray(0, at)).ok]).toEqual([at, false]);
  }
  expect(decodeCheckpointHeader(example.subarray(0, length)).ok).toBe(true);
});

test('what is wrong with it is told', () => {
  const checkOf = (at: number, value: number): unknown => {
    const bytes = example.slice();
    bytes[at] = value;
    const decoded = decodeCheckpointHeader(bytes);
    return decoded.ok ? 'ok' : decoded.check;
  };
  expect(viewOf(example).getUint32(0, true)).toBe(CHECKPOINT_MAGIC);
  expect(checkOf(0, 0)).toBe('magic');
  expect(checkOf(4, 2)).toBe('version');
  expect(checkOf(6, 255)).toBe('length');
  expect(checkOf(6, 3)).toBe('length');
  expect(checkOf(24, 8)).toBe('checksum');
});
