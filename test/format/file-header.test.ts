/** Goal: a file header says whose file it is, exactly, and refuses what cannot be used. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import { checksumOf, readChecksum } from '../../src/format/checksum.js';
import { writeEnvelope } from '../../src/format/envelope.js';
import {
  CHANNEL_ID_BYTES,
  DAT_MAGIC,
  decodeFileHeader,
  encodeFileHeader,
  FILE_HEADER_BYTES,
  IDX_MAGIC,
  TS_MAGIC,
} from '../../src/format/file-header.js';
import { fileHeaders, valueOf } from '../support/format-arbitraries.js';

describe('a file header', () => {
  test('is decoded as it was encoded', () => {
    const magics = fc.constantFrom(DAT_MAGIC, IDX_MAGIC, TS_MAGIC);
    fc.assert(
      fc.property(magics, fileHeaders, (magic, header) => {
        const bytes = encodeFileHeader(magic, header);
        expect(bytes.byteLength).toBe(FILE_HEADER_BYTES);
        const { checksum, ...rest } = valueOf(decodeFileHeader(magic, bytes));
        expect(rest).toEqual(header);
        expect(checksum).toEqual(readChecksum(viewOf(bytes), 56));
        expect(checksum).toEqual(checksumOf(bytes, 0, 56));
      }),
    );
  });

  test('the decoded id does not change with the bytes it was read from', () => {
    const header = fc.sample(fileHeaders, { numRuns: 1, seed: 1 })[0];
    if (header === undefined) throw new Error('no sample');
    const bytes = encodeFileHeader(DAT_MAGIC, header);
    const { channelId } = valueOf(decodeFileHeader(DAT_MAGIC, bytes));
    bytes.fill(0);
    expect(channelId).toEqual(header.channelId);
    expect(channelId.buffer.byteLength).toBe(CHANNEL_ID_BYTES);
  });

  test.each([
    ['base seq', 24],
    ['durableSeq', 40],
  ])('a %s that is no safe integer is refused', (_name, at) => {
    const bytes = encodeFileHeader(DAT_MAGIC, {
      channelId: new Uint8Array(CHANNEL_ID_BYTES),
      baseSeq: 1,
      nonce: { hi: 0, lo: 0 },
      durableSeq: 1,
      timestampFloor: { hi: 0, lo: 0 },
    });
    viewOf(bytes).setBigUint64(at, 2n ** 53n, true);
    writeEnvelope(bytes, DAT_MAGIC);
    expect(decodeFileHeader(DAT_MAGIC, bytes)).toEqual({ ok: false, check: 'fields' });
    viewOf(bytes).setBigUint64(at, 2n ** 53n - 1n, true);
    writeEnvelope(bytes, DAT_MAGIC);
    expect(decodeFileHeader(DAT_MAGIC, bytes).ok).toBe(true);
  });
});
