/**
 * The first 64 bytes of every dat, idx and ts file. They say whose file it is: the channel, the
 * base seq and a random nonce that is new for every segment. Frames are bound to the nonce, so a
 * file that was copied, renamed or recycled never passes for another one.
 *
 *   0 u32 magic   4 u16 version   6 u16 length   8 channel id (16)   24 u64 base seq
 *  32 u64 nonce  40 u64 durableSeq  48 u64 timestamp floor (ns)  56 u64 checksum
 */
import { readSafeU64, UNSAFE, viewOf, writeSafeU64 } from './bytes.js';
import { readChecksum, writeChecksum, type Checksum } from './checksum.js';
import { decoded, failed, type Decoded } from './decoded.js';
import { envelopeFailure, magicNumber, writeEnvelope } from './envelope.js';
import type { Nanos } from '../core/nanos.js';

export const FILE_HEADER_BYTES = 64;
export const CHANNEL_ID_BYTES = 16;

export const DAT_MAGIC: number = magicNumber('RXDT');
export const IDX_MAGIC: number = magicNumber('RXIX');
export const TS_MAGIC: number = magicNumber('RXTS');

export interface FileHeader {
  /** 16 random bytes, new for each creation of a channel. */
  readonly channelId: Uint8Array;
  /** The lowest seq that the segment can hold. */
  readonly baseSeq: number;
  readonly nonce: Checksum;
  /** A witness: every record below it was covered by a sync finished before this was written. */
  readonly durableSeq: number;
  /** No record of the segment is older. */
  readonly timestampFloor: Nanos;
  /** The header's own checksum, where the chain of frames starts. */
  readonly checksum: Checksum;
}

export function encodeFileHeader(magic: number, header: Omit<FileHeader, 'checksum'>): Uint8Array {
  const bytes = new Uint8Array(FILE_HEADER_BYTES);
  const view = viewOf(bytes);
  bytes.set(header.channelId, 8);
  writeSafeU64(view, 24, header.baseSeq);
  writeChecksum(view, 32, header.nonce);
  writeSafeU64(view, 40, header.durableSeq);
  writeChecksum(view, 48, header.timestampFloor);
  writeEnvelope(bytes, magic);
  return bytes;
}

export function decodeFileHeader(magic: number, bytes: Uint8Array): Decoded<FileHeader> {
  const failure = envelopeFailure(bytes, magic);
  if (failure !== undefined) return failure;
  if (bytes.byteLength !== FILE_HEADER_BYTES) return failed('length');
  const view = viewOf(bytes);
  const baseSeq = readSafeU64(view, 24);
  const durableSeq = readSafeU64(view, 40);
  if (baseSeq === UNSAFE || durableSeq === UNSAFE) return failed('fields');
  return decoded({
    channelId: bytes.slice(8, 8 + CHANNEL_ID_BYTES),
    baseSeq,
    nonce: readChecksum(view, 32),
    durableSeq,
    timestampFloor: readChecksum(view, 48),
    checksum: readChecksum(view, 56),
  });
}

/** Whether a dat file begins with a good header that is another segment's. */
export function isOtherSegment(bytes: Uint8Array, channelId: Uint8Array, baseSeq: number): boolean {
  const header = decodeFileHeader(DAT_MAGIC, bytes);
  if (!header.ok) return false;
  return (
    header.value.baseSeq !== baseSeq || Buffer.compare(header.value.channelId, channelId) !== 0
  );
}
