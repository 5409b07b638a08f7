/**
 * Goal: whatever one flip, cut, or misplaced frame does to a dat file, a walk over it yields the
 * records before the damage, as they were written, and stops where the damage is.
 * Method: whole files whose every unit is known, walked from the file header by the parser that
 * recovery and reading use.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import { DAT_MAGIC, encodeFileHeader, FILE_HEADER_BYTES } from '../../src/format/file-header.js';
import { FrameEncoder } from '../../src/format/frame-encoder.js';
import { BLOCK_LIST_AT, FRAME_HEADER_BYTES } from '../../src/format/unit.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import type { FileHandle } from '../../src/fs/file-system.js';
import { findNextUnit, surveyRemains } from '../../src/segment/resync.js';
import {
  acceptedFlip,
  contentOf,
  DatBuilder,
  datImages,
  fileHeaders,
  flipBit,
  frameRecords,
  halves,
  isSame,
  payloadBytes,
  reseal,
  walkDat,
  type DatImage,
  type FileFrame,
  type ModelRecord,
  type Walk,
} from '../support/format-arbitraries.js';

/** Whether a walk found exactly the first `count` records of the file. */
function found({ records }: Walk, image: DatImage, count: number): boolean {
  if (records.length !== count) return false;
  return records.every((record, i) => {
    const written = image.records[i];
    return written !== undefined && isSame(record, written);
  });
}

/** Whether a walk stopped at the unit with this byte, having found what is before it. */
function stoppedAt(walk: Walk, image: DatImage, byte: number): boolean {
  const unit = image.units.find(({ end }) => byte < end);
  if (unit === undefined || walk.ended !== 'failed') return false;
  return walk.position === unit.start && found(walk, image, unit.recordsBefore);
}

function endOf({ place, bytes }: FileFrame): number {
  return place.position + bytes.byteLength;
}

function expectNoFlip(image: DatImage): void {
  const { bytes } = image;
  const wrong = acceptedFlip(bytes, (flipped, bit) => {
    return !stoppedAt(walkDat(flipped), image, bit >> 3);
  });
  expect(wrong).toBeUndefined();
}

describe('a dat file', () => {
  test.each(['small', 'large'] as const)('of %s frames is read as it was written', (size) => {
    fc.assert(
      fc.property(datImages(size), (image) => {
        const whole = walkDat(image.bytes);
        expect(whole.ended).not.toBe('failed');
        expect(whole.position).toBe(image.bytes.byteLength);
        expect(found(whole, image, image.records.length)).toBe(true);
        const inPieces = walkDat(image.bytes, true);
        expect(inPieces.ended).toBe(whole.ended);
        expect(found(inPieces, image, image.records.length)).toBe(true);
      }),
    );
  });

  test('with any bit flipped is read up to the unit with that bit', () => {
    fc.assert(fc.property(datImages('small'), expectNoFlip), { numRuns: 25 });
  });

  test('with any bit of a frame of blocks flipped is read up to that block', () => {
    fc.assert(fc.property(datImages('large'), expectNoFlip), { numRuns: 1 });
  });

  test('that was cut at any byte is read up to the last whole frame', () => {
    const sizes = fc.constantFrom<'small' | 'large'>('small', 'small', 'small', 'large');
    fc.assert(
      fc.property(sizes.chain(datImages), fc.boolean(), (image, inPieces) => {
        for (let length = 0; length < image.bytes.byteLength; length++) {
          const walk = walkDat(image.bytes.subarray(0, length), inPieces);
          const whole = image.frames.filter((frame) => endOf(frame) <= length);
          const last = whole.at(-1);
          const end = last === undefined ? FILE_HEADER_BYTES : endOf(last);
          const atEdge = length === end;
          expect(walk.ended).toBe(atEdge ? 'end' : 'failed');
          expect(walk.position).toBe(length < FILE_HEADER_BYTES ? 0 : end);
          const count = whole.reduce((sum, { records }) => sum + records.length, 0);
          expect(found(walk, image, count)).toBe(true);
        }
      }),
      { numRuns: 15 },
    );
  });

  test('that ends in zeros is read up to the last whole unit', () => {
    fc.assert(
      fc.property(datImages('small'), fc.nat(200), (image, more) => {
        const { bytes } = image;
        for (let at = 0; at < bytes.byteLength; at += 8) {
          // Zeros over zeros change nothing.
          const changed = bytes.findIndex((byte, index) => index >= at && byte !== 0);
          if (changed < 0) continue;
          const zeroed = new Uint8Array(bytes.byteLength + more);
          zeroed.set(bytes.subarray(0, at));
          const walk = walkDat(zeroed);
          expect(stoppedAt(walk, image, changed)).toBe(true);
        }
      }),
      { numRuns: 15 },
    );
  });

  test('followed by noise is read up to there', () => {
    fc.assert(
      fc.property(datImages('small'), fc.uint8Array({ minLength: 1 }), (image, noise) => {
        const walk = walkDat(new Uint8Array([...image.bytes, ...noise]));
        expect(found(walk, image, image.records.length)).toBe(true);
        expect(['failed', 'seal']).toContain(walk.ended);
        expect(walk.position).toBe(image.bytes.byteLength);
      }),
    );
  });
});

describe('a frame that does not belong there', () => {
  test('from another file of the same place is not read', () => {
    fc.assert(
      fc.property(fileHeaders, halves, frameRecords('small'), (header, nonce, records) => {
        const base = { ...header, baseSeq: 0 };
        const own = new DatBuilder(base).frame(records, 0).build();
        const other = new DatBuilder({ ...base, nonce }).frame(records, 0).build();
        if (nonce.hi === header.nonce.hi && nonce.lo === header.nonce.lo) return;
        const mixed = own.bytes.slice();
        mixed.set(other.bytes.subarray(FILE_HEADER_BYTES), FILE_HEADER_BYTES);
        expect(walkDat(mixed)).toMatchObject({ records: [], position: FILE_HEADER_BYTES });
      }),
    );
  });

  test('from a file with the same nonce and another header does not chain', () => {
    fc.assert(
      fc.property(fileHeaders, frameRecords('small'), (header, records) => {
        const base = { ...header, baseSeq: 0, durableSeq: 0 };
        const { bytes } = new DatBuilder(base).frame(records, 0).build();
        bytes.set(encodeFileHeader(DAT_MAGIC, { ...base, durableSeq: 1 }));
        const walk = walkDat(bytes);
        expect(walk).toMatchObject({ records: [], ended: 'failed', check: 'chain' });
      }),
    );
  });

  test('left over behind a rewritten frame does not chain, whatever the rewritten one is', () => {
    fc.assert(
      fc.property(fileHeaders, frameRecords('small'), frameRecords('small'), (header, a, b) => {
        const second = renumbered(b, (a.at(-1)?.seq ?? 0) + 1);
        const builder = new DatBuilder({ ...header, baseSeq: 0 }).frame(a, 0).frame(second, 0);
        const { bytes, frames } = builder.build();
        const [first] = frames;
        if (first === undefined) throw new Error('no frame');
        const encoder = new FrameEncoder();
        encoder.encode(contentOf(a), { ...first.place, attempt: 3 });
        const rewritten = bytes.slice();
        rewritten.set(encoder.bytes.subarray(0, encoder.byteLength), FILE_HEADER_BYTES);
        const walk = walkDat(rewritten);
        expect(walk).toMatchObject({ ended: 'failed', check: 'chain' });
        expect(walk.records.length).toBe(a.length);
        expect(walk.position).toBe(first.place.position + first.bytes.byteLength);
      }),
    );
  });

  test('left over from a failed write is not read as a block without its head', () => {
    const record = (seq: number, length: number): ModelRecord => ({
      seq,
      type: 0,
      timestampNs: 1n,
      payload: payloadBytes(length, seq),
      batchEnd: true,
    });
    const [header] = fc.sample(fileHeaders, { numRuns: 1, seed: 1 });
    if (header === undefined) throw new Error('no sample');
    // Attempt 1: a frame of blocks that was written in part and cut back.
    const blocks = Array.from({ length: 25 }, (_, i) => record(i, 1000));
    const failed = new DatBuilder({ ...header, baseSeq: 0 }).frame(blocks, 0).build();
    const { start, recordsBefore } = failed.units[3] ?? { start: 0, recordsBefore: 0 };
    expect(recordsBefore).toBe(8);
    // Attempt 2: one record that ends exactly where the second block starts.
    const first = failed.frames[0]?.place;
    if (first === undefined) throw new Error('no frame');
    const encoder = new FrameEncoder();
    const alone = record(0, start - first.position - FRAME_HEADER_BYTES - 4);
    encoder.encode(contentOf([alone]), { ...first, attempt: 2 });
    const image = failed.bytes.slice();
    image.set(encoder.bytes.subarray(0, encoder.byteLength), first.position);
    const walk = walkDat(image);
    expect(walk.records.map(({ seq }) => seq)).toEqual([0]);
    expect(walk).toMatchObject({ ended: 'failed', position: start, check: 'chain' });
  });

  test('that goes back in seqs is not read', () => {
    fc.assert(
      fc.property(fileHeaders, frameRecords('small'), (header, records) => {
        const builder = new DatBuilder({ ...header, baseSeq: 0 }).frame(records, 0);
        const image = builder.frame(records, 0).build();
        const walk = walkDat(image.bytes);
        expect(walk).toMatchObject({ ended: 'failed', check: 'sequence' });
        expect(found(walk, image, records.length)).toBe(true);
      }),
    );
  });

  test('is not read for a block of another one, of the same file', () => {
    const records = (seed: number): ModelRecord[] =>
      Array.from({ length: 25 }, (_, i) => ({
        seq: i,
        type: 0,
        timestampNs: 1n,
        payload: payloadBytes(1000, seed + i),
        batchEnd: true,
      }));
    const [header] = fc.sample(fileHeaders, { numRuns: 1, seed: 1 });
    if (header === undefined) throw new Error('no sample');
    const base = { ...header, baseSeq: 0 };
    const image = new DatBuilder(base).frame(records(0), 0).build();
    const other = new DatBuilder(base).frame(records(100), 0).build();
    expect(image.units.length).toBe(other.units.length);
    for (const { start, end, recordsBefore } of image.units.slice(2)) {
      const mixed = image.bytes.slice();
      mixed.set(other.bytes.subarray(start, end), start);
      const walk = walkDat(mixed);
      expect(walk).toMatchObject({ ended: 'failed', position: start, check: 'chain' });
      expect(found(walk, image, recordsBefore)).toBe(true);
    }
    expect(image.units[1]?.end).toBe(FILE_HEADER_BYTES + BLOCK_LIST_AT + 8 * 4);
  });
});

describe('a frame that verifies and makes no sense', () => {
  const [header] = fc.sample(fileHeaders, { numRuns: 1, seed: 1 });
  if (header === undefined) throw new Error('no sample');
  const base = { ...header, baseSeq: 0 };
  const record = (seq: number, length: number): ModelRecord => ({
    seq,
    type: 0,
    timestampNs: 1n,
    payload: payloadBytes(length, seq),
    batchEnd: true,
  });
  const blocks = Array.from({ length: 25 }, (_, i) => record(i, 1000));
  const image = new DatBuilder(base).frame(blocks, 0).build();
  const { nonce } = image;
  const headEnd = image.units[1]?.end ?? 0;

  test('because its seqs do not rise, is not read', () => {
    for (const delta of [0, 2, 3]) {
      const records = [record(0, 1), record(2, 1), record(5, 1)];
      const { bytes, frames } = new DatBuilder(base).frame(records, 0).build();
      const table = FILE_HEADER_BYTES + FRAME_HEADER_BYTES + 12;
      viewOf(bytes).setUint32(table + 8, delta, true);
      reseal(bytes, FILE_HEADER_BYTES, frames[0]?.bytes.byteLength ?? 0, nonce);
      const walk = walkDat(bytes);
      if (delta === 3) expect(walk).toMatchObject({ ended: 'end', records: [{}, {}, { seq: 3 }] });
      else expect(walk).toMatchObject({ ended: 'failed', check: 'sequence', records: [] });
    }
  });

  test('because its blocks do not fill it, is read up to the last of them', () => {
    const bytes = new Uint8Array(image.bytes.byteLength + 8);
    bytes.set(image.bytes);
    viewOf(bytes).setUint32(FILE_HEADER_BYTES + 12, bytes.byteLength - FILE_HEADER_BYTES, true);
    reseal(bytes, FILE_HEADER_BYTES, headEnd - FILE_HEADER_BYTES, nonce);
    const walk = walkDat(bytes);
    expect(walk).toMatchObject({ ended: 'failed', check: 'length' });
    expect(walk.position).toBe(image.units.at(-1)?.start);
  });

  test('because a block reaches beyond it, is read up to that block', () => {
    const bytes = image.bytes.slice();
    const third = image.units[4];
    const length = (third?.end ?? 0) - 8 - FILE_HEADER_BYTES;
    viewOf(bytes).setUint32(FILE_HEADER_BYTES + 12, length, true);
    reseal(bytes, FILE_HEADER_BYTES, headEnd - FILE_HEADER_BYTES, nonce);
    const walk = walkDat(bytes);
    expect(walk).toMatchObject({ ended: 'failed', check: 'length', position: third?.start });
  });

  test('because another frame stands where its next block should, is read up to there', () => {
    const bytes = image.bytes.slice();
    const position = image.units[3]?.start ?? 0;
    const link = image.frames[0]?.checksum ?? nonce;
    const encoder = new FrameEncoder();
    const place = { position, attempt: 9, link, nonce, durableSeq: 0 };
    encoder.encode(contentOf([record(50, 8)]), place);
    bytes.set(encoder.bytes.subarray(0, encoder.byteLength), position);
    const walk = walkDat(bytes);
    expect(walk).toMatchObject({ ended: 'failed', check: 'chain', position });
    expect(found(walk, image, 8)).toBe(true);
  });

  test('because it lists no block, is not read', () => {
    const bytes = image.bytes.slice();
    viewOf(bytes).setUint32(FILE_HEADER_BYTES + FRAME_HEADER_BYTES, 0, true);
    reseal(bytes, FILE_HEADER_BYTES, BLOCK_LIST_AT, nonce);
    const refused = { ended: 'failed', check: 'fields', position: FILE_HEADER_BYTES };
    expect(walkDat(bytes)).toMatchObject(refused);
  });
});

/** The same records with seqs from `first` on. */
function renumbered(records: readonly ModelRecord[], first: number): ModelRecord[] {
  const shift = first - (records[0]?.seq ?? 0);
  return records.map((record) => ({ ...record, seq: record.seq + shift }));
}

function fileOf(bytes: Uint8Array): FileHandle {
  const fs = new MemoryFs();
  const file = fs.openSync('dat', 'create');
  file.writeSync(bytes, 0, bytes.byteLength, 0);
  return file;
}

describe('looking for the next unit behind damage', () => {
  test('finds the frame behind a damaged one, and what it states', async () => {
    const choices = fc.tuple(fc.nat(3), fc.nat(10_000));
    await fc.assert(
      fc.asyncProperty(datImages('small'), choices, async (image, [choice, bit]) => {
        const { bytes, nonce, frames } = image;
        const victim = frames[choice % frames.length];
        if (victim === undefined) throw new Error('no frame');
        const { position } = victim.place;
        flipBit(bytes, 8 * position + (bit % (8 * victim.bytes.byteLength)));
        const end = bytes.byteLength;
        const behind = frames.filter((frame) => frame.place.position > position);
        const next = await findNextUnit(fileOf(bytes), { nonce, position, end });
        expect(next?.position).toBe(behind[0]?.place.position);
        const remains = await surveyRemains(fileOf(bytes), { nonce, position, end });
        expect(remains).toEqual({
          durableSeq: Math.max(0, ...behind.map((frame) => frame.place.durableSeq)),
          recordCount: behind.reduce((sum, frame) => sum + frame.records.length, 0),
        });
      }),
    );
  });

  test('does not take a copy of a frame in a payload for a frame', async () => {
    await fc.assert(
      fc.asyncProperty(fileHeaders, frameRecords('small'), async (header, records) => {
        const base = { ...header, baseSeq: 0 };
        const copied = new DatBuilder(base).frame(records, 0).build().frames[0];
        if (copied === undefined) throw new Error('no frame');
        const seq = (records.at(-1)?.seq ?? 0) + 1;
        // Each record starts four bytes behind a multiple of eight: this puts the copies on one.
        const payload = new Uint8Array(
          Buffer.concat([Buffer.alloc(4), copied.bytes, copied.bytes]),
        );
        const outer = { seq, type: 0, timestampNs: 1n, payload, batchEnd: true };
        const last = { ...outer, seq: seq + 1, payload: new Uint8Array(3) };
        const builder = new DatBuilder(base).frame(records, 0).frame([outer], 0).frame([last], 0);
        const { bytes, nonce, frames } = builder.build();
        const position = frames[1]?.place.position ?? 0;
        const copyAt = Buffer.from(bytes).indexOf(copied.bytes, position);
        expect(copyAt % 8).toBe(0);
        bytes.fill(0xff, position, position + 16);
        const end = bytes.byteLength;
        const next = await findNextUnit(fileOf(bytes), { nonce, position, end });
        expect(next?.position).toBe(frames[2]?.place.position);
        const walk = walkDat(bytes);
        expect(walk).toMatchObject({ ended: 'failed', position });
        expect(walk.records.length).toBe(records.length);
      }),
    );
  });
});
