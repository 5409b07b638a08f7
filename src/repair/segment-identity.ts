/**
 * Whose file a dat file is, when its name or its header may be wrong. What a good header of the
 * channel says counts more than the name. In the place of a damaged one stands, in this order: the
 * header without one bit, idx or ts, and the nonce that the units themselves are bound to, which is
 * 64 random bits that no two of them share by chance.
 */
import type { FailedCheck } from '../core/errors.js';
import { ZERO_NANOS, type Nanos } from '../core/nanos.js';
import { versionError } from '../channel/damaged-file.js';
import { viewOf } from '../format/bytes.js';
import {
  bindToNonce,
  checksumOf,
  readChecksum,
  sameChecksum,
  type Checksum,
} from '../format/checksum.js';
import {
  CHANNEL_ID_BYTES,
  DAT_MAGIC,
  decodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
} from '../format/file-header.js';
import {
  BLOCK_HEADER_BYTES,
  BLOCK_LIST_AT,
  coveredBytes,
  decodeUnitHeader,
} from '../format/unit.js';
import type { FileHandle } from '../fs/file-system.js';
import { readAt } from '../fs/whole-file.js';
import type { IndexOwner } from '../segment/segment-index.js';
import { standInHeader } from '../segment/stand-in-header.js';
import { withoutOneBit } from './single-bit.js';

/** Of units that are looked at for a nonce. */
const MAX_GUESSES = 4096;
const WINDOW_BYTES = 256 * 1024;
const NONCE_AT = 32;

/** Who a segment is, and what says so. */
export interface SegmentIdentity {
  readonly baseSeq: number;
  readonly nonce: Checksum;
  /** Where the chain begins, if anything says so. */
  readonly link: Checksum | undefined;
  readonly timestampFloor: Nanos;
  readonly durableSeq: number;
  /** What is wrong with the header; undefined when it is good. */
  readonly check: FailedCheck | undefined;
  /** Nothing but the place of the file says that it belongs to the channel. */
  readonly isByPlace: boolean;
}

export interface IdentityRequest {
  readonly owner: IndexOwner;
  /** Of the generation. */
  readonly directory: string;
  /** As its name says. */
  readonly baseSeq: number;
  /** What the journal says that units of the segment are bound to. */
  readonly journaled: Checksum | undefined;
}

/** Why nobody knows whose file it is, or who it is. Throws FORMAT_VERSION. */
export function identify(
  file: FileHandle,
  request: IdentityRequest,
): SegmentIdentity | FailedCheck {
  const { owner, directory, baseSeq } = request;
  const bytes = readAt(file, 0, FILE_HEADER_BYTES);
  const decoded = decodeFileHeader(DAT_MAGIC, bytes);
  if (decoded.ok) {
    return isOf(decoded.value, owner) ? fromHeader(decoded.value, undefined) : 'identity';
  }
  const known = withoutOneBit(bytes, (tried) => decodeFileHeader(DAT_MAGIC, tried));
  if (known === undefined && decoded.check === 'version') {
    throw versionError(file.path, decoded.found);
  }
  const check = decoded.check === 'version' ? 'fields' : decoded.check;
  if (known !== undefined) return isOf(known, owner) ? fromHeader(known, check) : 'identity';
  const header = standInHeader(owner, directory, file, baseSeq);
  if (header !== undefined) return fromHeader(header, check);
  return byUnits(file, bytes, request, check);
}

function isOf({ channelId }: FileHeader, owner: IndexOwner): boolean {
  return Buffer.compare(channelId, owner.channelId) === 0;
}

function fromHeader(header: FileHeader, check: FailedCheck | undefined): SegmentIdentity {
  const { baseSeq, nonce, checksum: link, timestampFloor, durableSeq } = header;
  return { baseSeq, nonce, link, timestampFloor, durableSeq, check, isByPlace: false };
}

/** By what the units are bound to, and what is left of the header. */
function byUnits(
  file: FileHandle,
  header: Uint8Array,
  { owner, baseSeq, journaled }: IdentityRequest,
  check: FailedCheck,
): SegmentIdentity | FailedCheck {
  const isWhole = header.byteLength === FILE_HEADER_BYTES;
  const id = header.subarray(8, 8 + CHANNEL_ID_BYTES);
  const isOwn = isWhole && Buffer.compare(id, owner.channelId) === 0;
  const stated = isWhole ? [readChecksum(viewOf(header), NONCE_AT)] : [];
  if (journaled !== undefined) stated.push(journaled);
  const nonce = commonNonce(file, stated);
  if (nonce === undefined) return check;
  const isJournaled = journaled !== undefined && sameChecksum(journaled, nonce);
  return {
    baseSeq,
    nonce,
    link: undefined,
    timestampFloor: ZERO_NANOS,
    durableSeq: 0,
    check,
    isByPlace: !isOwn && !isJournaled,
  };
}

/** The nonce that two units agree on, or one and a `stated` one. */
function commonNonce(file: FileHandle, stated: readonly Checksum[]): Checksum | undefined {
  const seen: Checksum[] = [...stated];
  const end = file.sizeSync();
  const window = new Uint8Array(Math.min(WINDOW_BYTES, end));
  const view = viewOf(window);
  for (let start = FILE_HEADER_BYTES; start + BLOCK_HEADER_BYTES <= end;) {
    const length = file.readSync(window, 0, Math.min(window.byteLength, end - start), start);
    for (let at = 0; at + BLOCK_HEADER_BYTES <= length; at += 8) {
      const unit = decodeUnitHeader(view, at, start + at, end - start - at);
      if (typeof unit === 'string') continue;
      const implied = impliedNonce(file, start + at, end);
      if (implied === undefined) continue;
      if (seen.some((nonce) => sameChecksum(nonce, implied))) return implied;
      if (seen.length === MAX_GUESSES) return undefined;
      seen.push(implied);
    }
    const step = Math.floor((length - BLOCK_HEADER_BYTES) / 8) * 8 + 8;
    if (length < BLOCK_HEADER_BYTES) return undefined;
    start += step;
  }
  return undefined;
}

/** What the unit in `bytes`, which stands at a position, is bound to. */
export function nonceIn(bytes: Uint8Array, position: number): Checksum | undefined {
  if (bytes.byteLength < BLOCK_HEADER_BYTES) return undefined;
  const view = viewOf(bytes);
  const unit = decodeUnitHeader(view, 0, position, bytes.byteLength);
  if (typeof unit === 'string') return undefined;
  const covered = coveredBytes(view, 0, unit);
  if (covered === undefined || covered > bytes.byteLength) return undefined;
  return bindToNonce(checksumOf(bytes, 8, covered - 8), unit.checksum);
}

/** What the unit at a place would be bound to, if it is one. */
function impliedNonce(file: FileHandle, position: number, end: number): Checksum | undefined {
  const head = readAt(file, position, Math.min(BLOCK_LIST_AT, end - position));
  const unit = decodeUnitHeader(viewOf(head), 0, position, end - position);
  if (typeof unit === 'string' || head.byteLength < Math.min(BLOCK_LIST_AT, unit.byteLength)) {
    return undefined;
  }
  const covered = coveredBytes(viewOf(head), 0, unit);
  if (covered === undefined) return undefined;
  const bytes = readAt(file, position, covered);
  if (bytes.byteLength < covered) return undefined;
  return bindToNonce(checksumOf(bytes, 8, covered - 8), unit.checksum);
}
