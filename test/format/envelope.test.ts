/**
 * Goal: what every structure of a fixed place promises. A newer version is known as newer whatever
 * else is in it; a flipped bit, a missing byte, zeros and noise are refused; nothing throws.
 * Method: one table of the structures, the same properties over each.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import {
  CLEAN_MAGIC,
  CLEAN_MARK_BYTES,
  decodeCleanMark,
  encodeCleanMark,
} from '../../src/format/clean-mark.js';
import { CONFIG_MAGIC, decodeConfig, encodeConfig } from '../../src/format/config.js';
import type { Decoded } from '../../src/format/decoded.js';
import {
  FORMAT_VERSION,
  envelopeFailure,
  magicNumber,
  writeEnvelope,
} from '../../src/format/envelope.js';
import {
  DAT_MAGIC,
  decodeFileHeader,
  encodeFileHeader,
  IDX_MAGIC,
  TS_MAGIC,
} from '../../src/format/file-header.js';
import { decodeManifest, encodeManifest, MANIFEST_MAGIC } from '../../src/format/manifest.js';
import {
  acceptedFlip,
  channelIds,
  fileHeaders,
  halves,
  safeIntegers,
} from '../support/format-arbitraries.js';

interface Structure {
  readonly name: string;
  readonly magic: number;
  readonly decode: (bytes: Uint8Array) => Decoded<unknown>;
  readonly encoded: fc.Arbitrary<Uint8Array>;
}

const cleanMarks = fc.record({
  channelId: channelIds,
  counter: safeIntegers,
  generation: safeIntegers,
  baseSeq: safeIntegers,
  datLength: safeIntegers,
  nextSeq: safeIntegers,
  lastChecksum: halves,
  lastTimestamp: halves,
  recordCount: safeIntegers,
  frameCount: safeIntegers,
});

const manifests = fc.record({
  channelId: channelIds,
  generation: safeIntegers.map((n) => Math.max(1, n)),
  firstSeq: safeIntegers,
  redoSeq: safeIntegers,
  redoSegment: safeIntegers,
  redoPosition: safeIntegers,
  nextSeqFloor: safeIntegers,
  recoveryEpoch: safeIntegers,
});

const configs = fc.record({
  channelId: channelIds,
  body: fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 4 }),
});

const headers = [
  ['dat header', DAT_MAGIC],
  ['idx header', IDX_MAGIC],
  ['ts header', TS_MAGIC],
] as const;

const structures: readonly Structure[] = [
  ...headers.map(([name, magic]) => ({
    name,
    magic,
    decode: (bytes: Uint8Array) => decodeFileHeader(magic, bytes),
    encoded: fileHeaders.map((header) => encodeFileHeader(magic, header)),
  })),
  {
    name: 'manifest',
    magic: MANIFEST_MAGIC,
    decode: decodeManifest,
    encoded: manifests.map(encodeManifest),
  },
  {
    name: 'clean mark',
    magic: CLEAN_MAGIC,
    decode: decodeCleanMark,
    encoded: cleanMarks.map(encodeCleanMark),
  },
  {
    name: 'config',
    magic: CONFIG_MAGIC,
    decode: decodeConfig,
    encoded: configs.map(encodeConfig),
  },
];

function withVersion(bytes: Uint8Array, version: number): Uint8Array {
  const changed = bytes.slice();
  viewOf(changed).setUint16(4, version, true);
  return changed;
}

describe.each(structures)('$name', ({ magic, decode, encoded }) => {
  test('every flipped bit is refused', () => {
    fc.assert(
      fc.property(encoded, (bytes) => {
        expect(decode(bytes).ok).toBe(true);
        expect(acceptedFlip(bytes, (flipped) => decode(flipped).ok)).toBeUndefined();
        expect(decode(bytes).ok).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  test('every missing byte is refused for its length, and every byte too much', () => {
    const refused = { ok: false, check: 'length' };
    fc.assert(
      fc.property(encoded, (bytes) => {
        for (let length = 0; length < bytes.byteLength; length++) {
          expect(decode(bytes.subarray(0, length))).toEqual(refused);
        }
        expect(decode(new Uint8Array([...bytes, 0]))).toEqual(refused);
      }),
      { numRuns: 10 },
    );
  });

  test('zeros and noise are refused, and nothing throws', () => {
    for (let length = 0; length <= 256; length++) {
      expect(decode(new Uint8Array(length)).ok).toBe(false);
    }
    const noise = fc.uint8Array({ maxLength: 300 });
    const withMagic = fc.tuple(noise, fc.boolean()).map(([bytes, whole]) => {
      if (bytes.byteLength < 8) return bytes;
      viewOf(bytes).setUint32(0, magic, true);
      viewOf(bytes).setUint16(4, 1, true);
      if (whole) viewOf(bytes).setUint16(6, bytes.byteLength, true);
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(noise, withMagic), (bytes) => {
        expect(decode(bytes).ok).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  test('bytes that are not ours under a good checksum do not throw either', () => {
    fc.assert(
      fc.property(encoded, fc.uint8Array({ minLength: 8, maxLength: 200 }), (bytes, noise) => {
        const changed = bytes.slice();
        changed.set(noise.subarray(0, Math.max(0, bytes.byteLength - 16)), 8);
        writeEnvelope(changed, magic);
        const result = decode(changed);
        expect([undefined, 'fields']).toContain(result.ok ? undefined : result.check);
      }),
      { numRuns: 300 },
    );
  });

  test('a newer version is known as newer, whatever else is in it', () => {
    const versions = fc.integer({ min: FORMAT_VERSION + 1, max: 0xffff });
    const rest = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(encoded, versions, rest, (bytes, version, noise) => {
        const failure = { ok: false, check: 'version', found: version };
        expect(decode(withVersion(bytes, version))).toEqual(failure);
        const head = withVersion(bytes.subarray(0, 8), version);
        expect(decode(new Uint8Array([...head.subarray(0, 6), ...noise, 0, 0]))).toEqual(failure);
      }),
    );
  });

  test('version 0 is refused, with a good checksum too', () => {
    fc.assert(
      fc.property(encoded, (bytes) => {
        expect(decode(withVersion(bytes, 0))).toEqual({ ok: false, check: 'fields' });
      }),
      { numRuns: 10 },
    );
  });

  test('passes for no other structure', () => {
    fc.assert(
      fc.property(encoded, (bytes) => {
        for (const other of structures) {
          if (other.magic !== magic) expect(other.decode(bytes).ok).toBe(false);
        }
      }),
      { numRuns: 10 },
    );
  });
});

describe('the envelope', () => {
  test('a magic number stands in the file as its letters', () => {
    const bytes = new Uint8Array(16);
    writeEnvelope(bytes, magicNumber('RXab'));
    expect(Buffer.from(bytes.subarray(0, 4)).toString('latin1')).toBe('RXab');
    const magics = new Set(structures.map(({ magic }) => magic));
    expect(magics.size).toBe(structures.length);
  });

  test('a structure of more than 65,535 bytes states the length 0', () => {
    const magic = magicNumber('RXab');
    for (const [length, stated] of [
      [0xffff, 0xffff],
      [0x10000, 0],
      [0x10008, 0],
    ] as const) {
      const bytes = new Uint8Array(length);
      writeEnvelope(bytes, magic);
      expect(viewOf(bytes).getUint16(6, true)).toBe(stated);
      expect(envelopeFailure(bytes, magic)).toBeUndefined();
    }
  });

  test('what is shorter than head and checksum is refused', () => {
    const magic = magicNumber('RXab');
    const bytes = new Uint8Array(15);
    viewOf(bytes).setUint32(0, magic, true);
    viewOf(bytes).setUint16(4, FORMAT_VERSION, true);
    viewOf(bytes).setUint16(6, 15, true);
    expect(envelopeFailure(bytes, magic)).toEqual({ ok: false, check: 'length' });
  });
});

test('the clean mark is as long as it says', () => {
  fc.assert(
    fc.property(cleanMarks, (mark) => {
      expect(encodeCleanMark(mark).byteLength).toBe(CLEAN_MARK_BYTES);
    }),
    { numRuns: 5 },
  );
});
