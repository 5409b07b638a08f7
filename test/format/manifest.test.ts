/** Goal: a manifest is decoded as it was encoded; a number that cannot be one is refused. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import { writeEnvelope } from '../../src/format/envelope.js';
import {
  decodeManifest,
  encodeManifest,
  MANIFEST_BYTES,
  MANIFEST_MAGIC,
  type Manifest,
} from '../../src/format/manifest.js';
import { channelIds, safeIntegers, valueOf } from '../support/format-arbitraries.js';

const manifests: fc.Arbitrary<Manifest> = fc.record({
  channelId: channelIds,
  generation: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  firstSeq: safeIntegers,
  redoSeq: safeIntegers,
  redoSegment: safeIntegers,
  redoPosition: safeIntegers,
  nextSeqFloor: safeIntegers,
  recoveryEpoch: safeIntegers,
});

const plain: Manifest = {
  channelId: new Uint8Array(16),
  generation: 1,
  firstSeq: 0,
  redoSeq: 0,
  redoSegment: 0,
  redoPosition: 0,
  nextSeqFloor: 0,
  recoveryEpoch: 0,
};

describe('a manifest', () => {
  test('is decoded as it was encoded, and fits into one sector', () => {
    expect(MANIFEST_BYTES).toBeLessThanOrEqual(512);
    fc.assert(
      fc.property(manifests, (manifest) => {
        const bytes = encodeManifest(manifest);
        expect(bytes.byteLength).toBe(MANIFEST_BYTES);
        expect(valueOf(decodeManifest(bytes))).toEqual(manifest);
        expect([...bytes.subarray(80, 120)]).toEqual(Array.from({ length: 40 }, () => 0));
      }),
    );
  });

  test.each([24, 32, 40, 48, 56, 64, 72])('an unsafe integer at %i is refused', (at) => {
    const bytes = encodeManifest(plain);
    viewOf(bytes).setBigUint64(at, 2n ** 53n, true);
    writeEnvelope(bytes, MANIFEST_MAGIC);
    expect(decodeManifest(bytes)).toEqual({ ok: false, check: 'fields' });
  });

  test('generation 0 is refused', () => {
    const bytes = encodeManifest({ ...plain, generation: 0 });
    expect(decodeManifest(bytes)).toEqual({ ok: false, check: 'fields' });
  });
});
