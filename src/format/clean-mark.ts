/**
 * The clean mark says that everything up to a place in the last segment is written and synced, so
 * that the next open needs no scan. Its file has two slots of one sector each, written in turn and
 * in place: a write that a power cut tears leaves the other one, and no name changes.
 *
 *   slot:  0 u32 magic  4 u16 version  6 u16 length  8 channel id (16)  24 u64 counter
 *  32 u64 generation  40 u64 base seq  48 u64 dat length  56 u64 nextSeq  64 u64 last checksum
 *  72 u64 last timestamp  80 u64 records in segment  88 u64 frames in segment
 *  96 zeros (24)  120 u64 checksum
 */
import type { Nanos } from '../core/nanos.js';
import { readSafeU64, UNSAFE, viewOf, writeSafeU64 } from './bytes.js';
import { readChecksum, writeChecksum, type Checksum } from './checksum.js';
import { decoded, failed, type Decoded } from './decoded.js';
import { envelopeFailure, magicNumber, writeEnvelope } from './envelope.js';
import { CHANNEL_ID_BYTES } from './file-header.js';

export const CLEAN_MARK_BYTES = 128;
export const CLEAN_SLOT_BYTES = 512;
export const CLEAN_FILE_BYTES: number = 2 * CLEAN_SLOT_BYTES;
export const CLEAN_MAGIC: number = magicNumber('RXCL');

export interface CleanMark {
  readonly channelId: Uint8Array;
  /** Counts the marks of a channel; the higher one of two slots is the newer. */
  readonly counter: number;
  readonly generation: number;
  /** Base seq of the last segment. */
  readonly baseSeq: number;
  /** Bytes of that segment's dat file. */
  readonly datLength: number;
  /** A witness: everything below it is synced. */
  readonly nextSeq: number;
  /** Where the chain of frames goes on. */
  readonly lastChecksum: Checksum;
  readonly lastTimestamp: Nanos;
  /** Records and frames of that segment. */
  readonly recordCount: number;
  readonly frameCount: number;
}

export function encodeCleanMark(mark: CleanMark): Uint8Array {
  const bytes = new Uint8Array(CLEAN_MARK_BYTES);
  const view = viewOf(bytes);
  bytes.set(mark.channelId, 8);
  writeSafeU64(view, 24, mark.counter);
  writeSafeU64(view, 32, mark.generation);
  writeSafeU64(view, 40, mark.baseSeq);
  writeSafeU64(view, 48, mark.datLength);
  writeSafeU64(view, 56, mark.nextSeq);
  writeChecksum(view, 64, mark.lastChecksum);
  writeChecksum(view, 72, mark.lastTimestamp);
  writeSafeU64(view, 80, mark.recordCount);
  writeSafeU64(view, 88, mark.frameCount);
  writeEnvelope(bytes, CLEAN_MAGIC);
  return bytes;
}

export function decodeCleanMark(bytes: Uint8Array): Decoded<CleanMark> {
  const failure = envelopeFailure(bytes, CLEAN_MAGIC);
  if (failure !== undefined) return failure;
  if (bytes.byteLength !== CLEAN_MARK_BYTES) return failed('length');
  const view = viewOf(bytes);
  const mark: CleanMark = {
    channelId: bytes.slice(8, 8 + CHANNEL_ID_BYTES),
    counter: readSafeU64(view, 24),
    generation: readSafeU64(view, 32),
    baseSeq: readSafeU64(view, 40),
    datLength: readSafeU64(view, 48),
    nextSeq: readSafeU64(view, 56),
    lastChecksum: readChecksum(view, 64),
    lastTimestamp: readChecksum(view, 72),
    recordCount: readSafeU64(view, 80),
    frameCount: readSafeU64(view, 88),
  };
  const { counter, generation, baseSeq, datLength, nextSeq, recordCount, frameCount } = mark;
  const numbers = [counter, generation, baseSeq, datLength, nextSeq, recordCount, frameCount];
  return numbers.includes(UNSAFE) ? failed('fields') : decoded(mark);
}

/** The newer of the two slots, and where the next mark goes. */
export function decodeCleanFile(bytes: Uint8Array): {
  mark: CleanMark | undefined;
  /** Set when a slot was written by a newer version. */
  newerVersion: number | undefined;
} {
  let mark: CleanMark | undefined;
  let newerVersion: number | undefined;
  for (let at = 0; at + CLEAN_MARK_BYTES <= bytes.byteLength; at += CLEAN_SLOT_BYTES) {
    const slot = decodeCleanMark(bytes.subarray(at, at + CLEAN_MARK_BYTES));
    if (slot.ok && slot.value.counter >= (mark?.counter ?? 0)) mark = slot.value;
    if (!slot.ok && slot.check === 'version') newerVersion = slot.found;
  }
  return { mark, newerVersion };
}

/** The byte position of the slot that a mark with this counter is written to. */
export function cleanSlotPosition(counter: number): number {
  return (counter % 2) * CLEAN_SLOT_BYTES;
}
