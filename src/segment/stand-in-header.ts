/**
 * Who a finished segment is when the header of its dat file is damaged: its idx and ts say the
 * same, channel, base seq and nonce, under a checksum of their own, and the dat file has to confirm
 * it. So the records behind the header are not lost with it.
 *
 * This is safe because the header decides nothing about bytes. Every unit has a checksum that is
 * bound to its place and to the nonce, 64 random bits that no other segment has: with a wrong nonce
 * nothing verifies, and nothing that was written for another file ever does. Only the start of the
 * chain is not checked: it is taken from the link of the first frame, which is under that frame's
 * checksum. From there on the chain is checked as always. It is no way to go on writing, and says
 * nothing of what was synced: `durableSeq` is 0.
 */
import { viewOf } from '../format/bytes.js';
import { readChecksum, type Checksum } from '../format/checksum.js';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  IDX_MAGIC,
  TS_MAGIC,
  type FileHeader,
} from '../format/file-header.js';
import { segmentFileName } from '../format/file-name.js';
import {
  BLOCK_LIST_AT,
  coveredBytes,
  decodeUnitHeader,
  FRAME_HEADER_BYTES,
  verifyUnit,
} from '../format/unit.js';
import type { FileHandle } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import { readSeal } from './seal.js';
import type { IndexOwner } from './segment-index.js';

const LINK_AT = 48;

/** The header that `file` should have, or undefined when nothing proves who the segment is. */
export function standInHeader(
  owner: IndexOwner,
  directory: string,
  file: FileHandle,
  baseSeq: number,
): FileHeader | undefined {
  for (const [kind, magic] of [
    ['idx', IDX_MAGIC],
    ['ts', TS_MAGIC],
  ] as const) {
    const path = `${directory}/${segmentFileName(baseSeq, kind)}`;
    const header = readDerivedHeader(owner, path, magic);
    if (header?.baseSeq !== baseSeq || !confirms(file, header.nonce)) continue;
    return { ...header, durableSeq: 0, checksum: firstLink(file) };
  }
  return undefined;
}

/** The header of a derived file of this channel. */
function readDerivedHeader(
  { fs, channelId }: IndexOwner,
  path: string,
  magic: number,
): FileHeader | undefined {
  const bytes = new Uint8Array(FILE_HEADER_BYTES);
  try {
    const file = fs.openSync(path, 'read');
    try {
      file.readSync(bytes, 0, FILE_HEADER_BYTES, 0);
    } finally {
      file.closeSync();
    }
  } catch (error) {
    const code = systemCodeOf(error);
    // It may be there: this says nothing about the segment.
    if (code === 'EMFILE' || code === 'ENFILE') throw error;
    return undefined;
  }
  const header = decodeFileHeader(magic, bytes);
  if (!header.ok || Buffer.compare(header.value.channelId, channelId) !== 0) return undefined;
  return header.value;
}

/** Whether the seal, or where that is damaged too the first unit, is bound to the nonce. */
function confirms(file: FileHandle, nonce: Checksum): boolean {
  const size = file.sizeSync();
  return readSeal(file, nonce, size) !== undefined || startsWithUnit(file, nonce, size);
}

function startsWithUnit(file: FileHandle, nonce: Checksum, size: number): boolean {
  const available = size - FILE_HEADER_BYTES;
  const head = readBehindHeader(file, Math.min(BLOCK_LIST_AT, available));
  if (head === undefined || head.byteLength < FRAME_HEADER_BYTES) return false;
  const unit = decodeUnitHeader(viewOf(head), 0, FILE_HEADER_BYTES, available);
  if (typeof unit === 'string') return false;
  // A frame of blocks has more than its header, or it is none.
  if (unit.byteLength > FRAME_HEADER_BYTES && head.byteLength < BLOCK_LIST_AT) return false;
  const covered = coveredBytes(viewOf(head), 0, unit);
  const bytes = covered === undefined ? undefined : readBehindHeader(file, covered);
  if (covered === undefined || bytes === undefined) return false;
  return verifyUnit(bytes, 0, covered, unit.checksum, nonce) === undefined;
}

/** What the first frame says that stands before it. */
function firstLink(file: FileHandle): Checksum {
  const bytes = readBehindHeader(file, FRAME_HEADER_BYTES) ?? new Uint8Array(FRAME_HEADER_BYTES);
  return readChecksum(viewOf(bytes), LINK_AT);
}

function readBehindHeader(file: FileHandle, length: number): Uint8Array | undefined {
  if (length < 0) return undefined;
  const bytes = new Uint8Array(length);
  return file.readSync(bytes, 0, length, FILE_HEADER_BYTES) === length ? bytes : undefined;
}
