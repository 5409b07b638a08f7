/**
 * Turns gathered records into the bytes of one frame. One encoder per writer: it keeps its output
 * buffer, so a frame costs no allocation. The bytes live until the next call.
 */
import { clearList } from '../core/lists.js';
import { alignTo8, viewOf, writeSafeU64 } from './bytes.js';
import { bindToNonce, checksumOf, writeChecksum, type Checksum } from './checksum.js';
import type { Nanos } from '../core/nanos.js';
import {
  BLOCK_HEADER_BYTES,
  BLOCK_LIST_AT,
  BLOCK_MAGIC,
  FLAG_BLOCKS,
  FLAG_SEQS,
  FLAG_TIMESTAMPS,
  FLAG_TYPES,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  LENGTH_MASK,
  SEAL_BYTES,
  SEAL_MAGIC,
  tableBytes,
} from './unit.js';

/** A frame of several records that would be longer than this is stored as blocks. */
export const INLINE_FRAME_BYTES = 8192;
/** Blocks are filled up to about this size; a record is never split. */
export const BLOCK_TARGET_BYTES = 8192;
/** An output buffer that grew beyond this is not kept. */
const KEPT_BUFFER_BYTES = 4 * 1024 * 1024;

/** Records in columns. Record i of the frame is entry `first + i` of each column. */
export interface FrameContent {
  readonly first: number;
  readonly recordCount: number;
  /** Byte lengths, with BATCH_END on the last record of each batch. */
  readonly lengths: Uint32Array;
  /** Seq of each record; only when they are not consecutive. Rising. */
  readonly seqs: Float64Array | undefined;
  /** Only when some are not 0. */
  readonly types: Uint16Array | undefined;
  /** Low and high half for each record; only when they differ. */
  readonly timestamps: Uint32Array | undefined;
  /** Seq and time of the first record. */
  readonly baseSeq: number;
  readonly timestamp: Nanos;
  /** The payloads in order, without gaps, from `payloadStart`. */
  readonly payloads: Uint8Array;
  readonly payloadStart: number;
  readonly payloadBytes: number;
}

/** Where a frame goes and what binds it to that place. */
export interface FramePlace {
  readonly position: number;
  readonly attempt: number;
  readonly link: Checksum;
  readonly nonce: Checksum;
  readonly durableSeq: number;
}

/** A unit of the last encoded frame that holds records: what the index needs to know of it. */
export interface EncodedUnit {
  readonly position: number;
  readonly byteLength: number;
  readonly check: number;
  readonly recordCount: number;
}

/** A channel that is only looked at never needs more. */
const FIRST_BUFFER_BYTES = 2048;

export class FrameEncoder {
  bytes: Uint8Array = new Uint8Array(FIRST_BUFFER_BYTES);
  byteLength = 0;
  /** Checksum of the last frame: the link of the next one. */
  checksum: Checksum = { hi: 0, lo: 0 };
  readonly units: EncodedUnit[] = [];
  #view: DataView = viewOf(this.bytes);

  /** Encodes records as one frame. */
  encode(content: FrameContent, place: FramePlace): void {
    const { recordCount, payloadBytes } = content;
    const flags =
      (content.types === undefined ? 0 : FLAG_TYPES) |
      (content.timestamps === undefined ? 0 : FLAG_TIMESTAMPS) |
      (content.seqs === undefined ? 0 : FLAG_SEQS);
    const inlineBytes = FRAME_HEADER_BYTES + tableBytes(recordCount, flags) + payloadBytes;
    clearList(this.units);
    if (recordCount === 1 || inlineBytes <= INLINE_FRAME_BYTES) {
      this.#encodeInline(content, place, flags, alignTo8(inlineBytes));
    } else {
      this.#encodeBlocks(content, place, flags);
    }
  }

  /** Encodes a frame without records: a witness that states `durableSeq`. */
  encodeWitness(nextSeq: number, timestamp: Nanos, place: FramePlace): void {
    this.#encodeBare(FRAME_MAGIC, nextSeq, 0, timestamp, place);
  }

  /** Encodes the seal of a segment with `recordCount` records. */
  encodeSeal(nextSeq: number, recordCount: number, timestamp: Nanos, place: FramePlace): void {
    this.#encodeBare(SEAL_MAGIC, nextSeq, recordCount, timestamp, place);
  }

  /** Lets go of the output, for a writer that still uses it while the next frame is encoded. */
  detach(): Uint8Array {
    const { bytes } = this;
    this.#replaceBuffer(64 * 1024);
    return bytes;
  }

  /** Takes back what was detached, once nobody reads it: it would be garbage for each frame. */
  reuse(bytes: Uint8Array): void {
    if (bytes.byteLength <= this.bytes.byteLength || bytes.byteLength > KEPT_BUFFER_BYTES) return;
    this.bytes = bytes;
    this.#view = viewOf(bytes);
  }

  /** Gives an unusually large buffer back. */
  release(): void {
    if (this.bytes.byteLength > KEPT_BUFFER_BYTES) this.#replaceBuffer(64 * 1024);
  }

  #replaceBuffer(byteLength: number): void {
    this.bytes = new Uint8Array(byteLength);
    this.#view = viewOf(this.bytes);
  }

  #reserve(byteLength: number): void {
    this.byteLength = byteLength;
    if (byteLength <= this.bytes.byteLength) return;
    const usual = Math.max(64 * 1024, Math.min(2 * byteLength, KEPT_BUFFER_BYTES));
    this.#replaceBuffer(Math.max(byteLength, usual));
  }

  #encodeBare(
    magic: number,
    nextSeq: number,
    recordCount: number,
    timestamp: Nanos,
    place: FramePlace,
  ): void {
    clearList(this.units);
    this.#reserve(SEAL_BYTES);
    this.#writeHeader(0, magic, SEAL_BYTES, nextSeq, recordCount, 0, timestamp, place);
    this.#writeLink(place);
    this.checksum = this.#seal(0, SEAL_BYTES, place.nonce);
  }

  #encodeInline(content: FrameContent, place: FramePlace, flags: number, byteLength: number): void {
    const { baseSeq, recordCount, timestamp } = content;
    this.#reserve(byteLength);
    this.#writeHeader(0, FRAME_MAGIC, byteLength, baseSeq, recordCount, flags, timestamp, place);
    this.#writeLink(place);
    const { payloadStart, payloadBytes } = content;
    const end = this.#writeTable(FRAME_HEADER_BYTES, content, 0, recordCount, baseSeq);
    this.#writePayloads(end, content, payloadStart, payloadBytes);
    this.#pad(end + payloadBytes, byteLength);
    this.checksum = this.#seal(0, byteLength, place.nonce);
    const { position } = place;
    this.units.push({ position, byteLength, check: this.checksum.lo, recordCount });
  }

  #encodeBlocks(content: FrameContent, place: FramePlace, frameFlags: number): void {
    const { baseSeq, recordCount, timestamp } = content;
    const blocks = partition(content, frameFlags);
    const headBytes = BLOCK_LIST_AT + 8 * blocks.length;
    const byteLength = blocks.reduce((sum, block) => sum + block.byteLength, headBytes);
    this.#reserve(byteLength);
    let at = headBytes;
    let first = 0;
    let payloadAt = content.payloadStart;
    for (const [i, block] of blocks.entries()) {
      const checksum = this.#encodeBlock(content, place, frameFlags, block, at, first, payloadAt);
      writeChecksum(this.#view, BLOCK_LIST_AT + 8 * i, checksum);
      this.units.push({
        position: place.position + at,
        byteLength: block.byteLength,
        check: checksum.lo,
        recordCount: block.recordCount,
      });
      at += block.byteLength;
      first += block.recordCount;
      payloadAt += block.payloadBytes;
    }
    const flags = frameFlags | FLAG_BLOCKS;
    this.#writeHeader(0, FRAME_MAGIC, byteLength, baseSeq, recordCount, flags, timestamp, place);
    this.#writeLink(place);
    this.#view.setUint32(FRAME_HEADER_BYTES, blocks.length, true);
    this.#view.setUint32(FRAME_HEADER_BYTES + 4, 0, true);
    this.checksum = this.#seal(0, headBytes, place.nonce);
  }

  #encodeBlock(
    content: FrameContent,
    place: FramePlace,
    flags: number,
    block: BlockPlan,
    at: number,
    first: number,
    payloadAt: number,
  ): Checksum {
    const { recordCount, payloadBytes, byteLength } = block;
    const column = content.first + first;
    const baseSeq = content.seqs?.[column] ?? content.baseSeq + first;
    const { timestamps } = content;
    const timestamp =
      timestamps === undefined
        ? content.timestamp
        : { lo: timestamps[2 * column] ?? 0, hi: timestamps[2 * column + 1] ?? 0 };
    this.#writeHeader(at, BLOCK_MAGIC, byteLength, baseSeq, recordCount, flags, timestamp, place);
    const end = this.#writeTable(at + BLOCK_HEADER_BYTES, content, first, recordCount, baseSeq);
    this.#writePayloads(end, content, payloadAt, payloadBytes);
    this.#pad(end + payloadBytes, at + byteLength);
    return this.#seal(at, byteLength, place.nonce);
  }

  #writeHeader(
    at: number,
    magic: number,
    byteLength: number,
    baseSeq: number,
    recordCount: number,
    flags: number,
    timestamp: Nanos,
    place: FramePlace,
  ): void {
    const view = this.#view;
    view.setUint32(at + 8, magic, true);
    view.setUint32(at + 12, byteLength, true);
    writeSafeU64(view, at + 16, baseSeq);
    view.setUint32(at + 24, timestamp.lo, true);
    view.setUint32(at + 28, timestamp.hi, true);
    view.setUint32(at + 32, place.position + at, true);
    view.setUint32(at + 36, recordCount, true);
    view.setUint32(at + 40, place.attempt, true);
    view.setUint32(at + 44, flags, true);
  }

  #writeLink(place: FramePlace): void {
    writeChecksum(this.#view, 48, place.link);
    writeSafeU64(this.#view, 56, place.durableSeq);
  }

  #writeTable(
    at: number,
    content: FrameContent,
    first: number,
    recordCount: number,
    baseSeq: number,
  ): number {
    const view = this.#view;
    const { lengths, seqs, types, timestamps } = content;
    const start = content.first + first;
    const end = start + recordCount;
    let to = at;
    if (timestamps !== undefined) {
      for (let i = 2 * start; i < 2 * end; i++, to += 4)
        view.setUint32(to, timestamps[i] ?? 0, true);
    }
    for (let i = start; i < end; i++, to += 4) view.setUint32(to, lengths[i] ?? 0, true);
    if (seqs !== undefined) {
      for (let i = start; i < end; i++, to += 4) view.setUint32(to, (seqs[i] ?? 0) - baseSeq, true);
    }
    if (types !== undefined) {
      for (let i = start; i < end; i++, to += 2) view.setUint16(to, types[i] ?? 0, true);
    }
    return to;
  }

  #writePayloads(at: number, content: FrameContent, start: number, byteLength: number): void {
    const { payloads } = content;
    const from = payloads.byteOffset + start;
    this.bytes.set(new Uint8Array(payloads.buffer, from, byteLength), at);
  }

  /** Zeros up to the next multiple of eight; a call of `fill` would cost more. */
  #pad(from: number, to: number): void {
    for (let i = from; i < to; i++) this.bytes[i] = 0;
  }

  #seal(at: number, covered: number, nonce: Checksum): Checksum {
    const checksum = bindToNonce(checksumOf(this.bytes, at + 8, covered - 8), nonce);
    writeChecksum(this.#view, at, checksum);
    return checksum;
  }
}

interface BlockPlan {
  readonly recordCount: number;
  readonly payloadBytes: number;
  readonly byteLength: number;
}

/** Which records go into which block: as many as fit, and a larger record alone. */
function partition(content: FrameContent, flags: number): BlockPlan[] {
  const blocks: BlockPlan[] = [];
  const perRecord = tableBytes(1, flags);
  let recordCount = 0;
  let payloadBytes = 0;
  const close = (): void => {
    const byteLength = BLOCK_HEADER_BYTES + recordCount * perRecord + payloadBytes;
    blocks.push({ recordCount, payloadBytes, byteLength: alignTo8(byteLength) });
    recordCount = 0;
    payloadBytes = 0;
  };
  for (let i = 0; i < content.recordCount; i++) {
    const length = (content.lengths[content.first + i] ?? 0) & LENGTH_MASK;
    const filled = recordCount * perRecord + payloadBytes;
    if (recordCount > 0 && filled + perRecord + length > BLOCK_TARGET_BYTES) close();
    recordCount++;
    payloadBytes += length;
  }
  close();
  return blocks;
}
