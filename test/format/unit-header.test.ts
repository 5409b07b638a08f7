/** Goal: a unit's header is refused for what is wrong with it, by the check that names it. */
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import { FrameEncoder } from '../../src/format/frame-encoder.js';
import {
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
  SEAL_MAGIC,
  tableBytes,
  unitHeaderBytes,
} from '../../src/format/unit.js';

const POSITION = 4096;

function witness(): DataView {
  const encoder = new FrameEncoder();
  const nonce = { hi: 1, lo: 2 };
  const place = { position: POSITION, attempt: 3, link: nonce, nonce, durableSeq: 7 };
  encoder.encodeWitness(7, { hi: 8, lo: 9 }, place);
  return viewOf(encoder.bytes.slice(0, encoder.byteLength));
}

describe('the header of a unit', () => {
  test('that is good is decoded', () => {
    expect(decodeUnitHeader(witness(), 0, POSITION, 64)).toMatchObject({
      magic: FRAME_MAGIC,
      byteLength: 64,
      baseSeq: 7,
      timestampHi: 8,
      timestampLo: 9,
      position: POSITION,
      recordCount: 0,
      attempt: 3,
      flags: 0,
      link: { hi: 1, lo: 2 },
      durableSeq: 7,
    });
  });

  test.each([
    ['magic', (view: DataView) => view.setUint8(8, 0)],
    ['length', (view: DataView) => view.setUint32(12, 56, true)],
    ['length', (view: DataView) => view.setUint32(12, 68, true)],
    ['length', (view: DataView) => view.setUint32(12, 136, true)],
    ['length', (view: DataView) => view.setUint32(12, 0xfffffff8, true)],
    ['position', (view: DataView) => view.setUint32(32, POSITION + 8, true)],
    ['fields', (view: DataView) => view.setUint16(44, 16, true)],
    ['fields', (view: DataView) => view.setUint16(44, 0x8000, true)],
    ['fields', (view: DataView) => view.setBigUint64(16, 2n ** 53n, true)],
    ['fields', (view: DataView) => view.setBigUint64(56, 2n ** 53n, true)],
  ])('is refused for its %s (%#)', (check, change) => {
    const view = witness();
    change(view);
    expect(decodeUnitHeader(view, 0, POSITION, 128)).toBe(check);
  });

  test('is refused where the file has no room for it', () => {
    for (let available = 0; available < FRAME_HEADER_BYTES; available++) {
      expect(decodeUnitHeader(witness(), 0, POSITION, available)).toBe('length');
    }
    expect(decodeUnitHeader(witness(), 0, POSITION, FRAME_HEADER_BYTES)).not.toBe('length');
  });

  test('of a block is shorter', () => {
    const view = witness();
    view.setUint32(8, BLOCK_MAGIC, true);
    view.setUint32(12, BLOCK_HEADER_BYTES, true);
    const short = new DataView(view.buffer, 0, BLOCK_HEADER_BYTES);
    expect(decodeUnitHeader(short, 0, POSITION, BLOCK_HEADER_BYTES)).toMatchObject({
      magic: BLOCK_MAGIC,
      link: { hi: 0, lo: 0 },
      durableSeq: 0,
    });
    expect([FRAME_MAGIC, SEAL_MAGIC, BLOCK_MAGIC].map(unitHeaderBytes)).toEqual([64, 64, 48]);
  });
});

describe('what a checksum covers', () => {
  function withBlocks(magic: number, byteLength: number, blocks: number): number | undefined {
    const view = new DataView(new ArrayBuffer(256));
    view.setUint32(8, magic, true);
    view.setUint32(12, byteLength, true);
    view.setUint16(44, FLAG_BLOCKS, true);
    view.setUint32(64, blocks, true);
    const unit = decodeUnitHeader(view, 0, 0, 256);
    if (typeof unit === 'string') throw new Error(unit);
    return coveredBytes(view, 0, unit);
  }

  test('is the whole unit, but of a frame of blocks the head with its list', () => {
    expect(withBlocks(FRAME_MAGIC, 256, 2)).toBe(BLOCK_LIST_AT + 16);
    expect(withBlocks(FRAME_MAGIC, 256, 23)).toBe(256);
    expect(withBlocks(FRAME_MAGIC, 256, 24)).toBeUndefined();
    expect(withBlocks(FRAME_MAGIC, 256, 0xffffffff)).toBeUndefined();
    expect(withBlocks(FRAME_MAGIC, 64, 0)).toBeUndefined();
    expect(withBlocks(SEAL_MAGIC, 256, 2)).toBe(256);
    expect(withBlocks(BLOCK_MAGIC, 48, 2)).toBe(48);
  });

  test('is not looked for behind the end of the bytes', () => {
    const view = witness();
    view.setUint16(44, FLAG_BLOCKS, true);
    const unit = decodeUnitHeader(view, 0, POSITION, FRAME_HEADER_BYTES);
    if (typeof unit === 'string') throw new Error(unit);
    expect(view.byteLength).toBe(FRAME_HEADER_BYTES);
    expect(coveredBytes(view, 0, unit)).toBeUndefined();
  });
});

test('each column adds its width to the record table', () => {
  const all = FLAG_TYPES | FLAG_TIMESTAMPS | FLAG_SEQS;
  expect([0, FLAG_TYPES, FLAG_TIMESTAMPS, FLAG_SEQS, all].map((f) => tableBytes(3, f))).toEqual([
    12, 18, 36, 24, 54,
  ]);
  expect(tableBytes(0xffffffff, all)).toBe(18 * 0xffffffff);
});
