/**
 * Units: what a dat file consists of after its header. Each stands at a multiple of eight bytes,
 * says how long it is and where it stands, and has a checksum over all the rest of it, bound to
 * the nonce of the segment. Three kinds:
 *
 * - a frame: one or more whole batches. It is in the log when all of it verifies, and links to
 *   the frame before it. A small frame carries its records under its own checksum.
 * - a block: part of a large frame, so that reading one record verifies kilobytes, not megabytes.
 *   The frame's head lists the checksums of its blocks under its own.
 * - a seal: the last unit of a segment that is written no more.
 *
 *   0 u64 checksum  8 u32 magic  12 u32 length  16 u64 base seq  24 u64 timestamp
 *  32 u32 position  36 u32 records  40 u32 attempt  44 u16 flags  46 u16 zero
 *   frame and seal also:  48 u64 link  56 u64 durableSeq
 *   frame of blocks then: 64 u32 blocks  68 u32 zero  72 u64 checksum of each block
 */
import type { FailedCheck } from '../core/errors.js';
import { readSafeU64, UNSAFE } from './bytes.js';
import { bindToNonce, checksumOf, readChecksum, sameChecksum, type Checksum } from './checksum.js';
import { magicNumber } from './envelope.js';

export const FRAME_MAGIC: number = magicNumber('RXFR');
export const BLOCK_MAGIC: number = magicNumber('RXBK');
export const SEAL_MAGIC: number = magicNumber('RXSL');

export const BLOCK_HEADER_BYTES = 48;
export const FRAME_HEADER_BYTES = 64;
export const SEAL_BYTES = 64;
/** Header and block count of a frame of blocks; the list follows. */
export const BLOCK_LIST_AT: number = FRAME_HEADER_BYTES + 8;

/** The records stand in blocks behind the frame's head. */
export const FLAG_BLOCKS = 1;
/** A column of types: some are not 0. */
export const FLAG_TYPES = 2;
/** A column of timestamps: they are not all the unit's. */
export const FLAG_TIMESTAMPS = 4;
/** A column of seqs: they are not consecutive. */
export const FLAG_SEQS = 8;
const KNOWN_FLAGS = FLAG_BLOCKS | FLAG_TYPES | FLAG_TIMESTAMPS | FLAG_SEQS;

/** Set in the length of a record that is the last of its batch. */
export const BATCH_END = 0x80000000;
export const LENGTH_MASK = 0x7fffffff;

export interface UnitHeader {
  readonly magic: number;
  readonly byteLength: number;
  readonly checksum: Checksum;
  /** Seq of the first record; of a frame without records and of a seal, the next seq. */
  readonly baseSeq: number;
  readonly timestampHi: number;
  readonly timestampLo: number;
  readonly position: number;
  readonly recordCount: number;
  readonly attempt: number;
  readonly flags: number;
  /** Checksum of the frame before, or of the file header. Frames and seals only. */
  readonly link: Checksum;
  /** A witness: every record below it was covered by a sync finished before this was written. */
  readonly durableSeq: number;
}

const NO_LINK: Checksum = { hi: 0, lo: 0 };

/** Bytes of a unit's header, by its kind. */
export function unitHeaderBytes(magic: number): number {
  return magic === BLOCK_MAGIC ? BLOCK_HEADER_BYTES : FRAME_HEADER_BYTES;
}

/**
 * Reads the header at `at` of `view`. `position` is the place in the file that `at` stands for,
 * `available` how many bytes the file has from there. Nothing is verified but that the numbers
 * can be used: no length leads outside of the file.
 */
export function decodeUnitHeader(
  view: DataView,
  at: number,
  position: number,
  available: number,
): UnitHeader | FailedCheck {
  if (available < BLOCK_HEADER_BYTES) return 'length';
  const magic = view.getUint32(at + 8, true);
  const isBlock = magic === BLOCK_MAGIC;
  if (!isBlock && magic !== FRAME_MAGIC && magic !== SEAL_MAGIC) return 'magic';
  const headerBytes = isBlock ? BLOCK_HEADER_BYTES : FRAME_HEADER_BYTES;
  const byteLength = view.getUint32(at + 12, true);
  if (byteLength < headerBytes || byteLength % 8 !== 0 || byteLength > available) return 'length';
  if (view.getUint32(at + 32, true) !== position) return 'position';
  const flags = view.getUint16(at + 44, true);
  if ((flags & ~KNOWN_FLAGS) !== 0) return 'fields';
  const baseSeq = readSafeU64(view, at + 16);
  const durableSeq = isBlock ? 0 : readSafeU64(view, at + 56);
  if (baseSeq === UNSAFE || durableSeq === UNSAFE) return 'fields';
  return {
    magic,
    byteLength,
    checksum: readChecksum(view, at),
    baseSeq,
    timestampHi: view.getUint32(at + 28, true),
    timestampLo: view.getUint32(at + 24, true),
    position,
    recordCount: view.getUint32(at + 36, true),
    attempt: view.getUint32(at + 40, true),
    flags,
    link: isBlock ? NO_LINK : readChecksum(view, at + 48),
    durableSeq,
  };
}

/**
 * How many bytes from the start of the unit its own checksum covers: all of it, but of a frame of
 * blocks only the head with the list. Undefined when the unit is too short for what it says.
 */
export function coveredBytes(view: DataView, at: number, unit: UnitHeader): number | undefined {
  if ((unit.flags & FLAG_BLOCKS) === 0 || unit.magic !== FRAME_MAGIC) return unit.byteLength;
  if (unit.byteLength < BLOCK_LIST_AT) return undefined;
  const covered = BLOCK_LIST_AT + 8 * view.getUint32(at + FRAME_HEADER_BYTES, true);
  return covered <= unit.byteLength ? covered : undefined;
}

/**
 * Whether the `covered` bytes at `at` are what was written: undefined, or the check that failed.
 * All of them must be in `bytes`.
 */
export function verifyUnit(
  bytes: Uint8Array,
  at: number,
  covered: number,
  stored: Checksum,
  nonce: Checksum,
): FailedCheck | undefined {
  const actual = bindToNonce(checksumOf(bytes, at + 8, covered - 8), nonce);
  return sameChecksum(actual, stored) ? undefined : 'checksum';
}

/** Bytes of the record table: the columns in front of the payloads. */
export function tableBytes(recordCount: number, flags: number): number {
  let perRecord = 4;
  if ((flags & FLAG_TYPES) !== 0) perRecord += 2;
  if ((flags & FLAG_TIMESTAMPS) !== 0) perRecord += 8;
  if ((flags & FLAG_SEQS) !== 0) perRecord += 4;
  return recordCount * perRecord;
}
