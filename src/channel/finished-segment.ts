/**
 * Finished segments are not scanned: header, seal and length are checked, and damage inside is
 * found by reads. Bad ones do not stop appends; what they hold fails where it is read (RULES C9).
 */
import type { FailedCheck } from '../core/errors.js';
import { viewOf } from '../format/bytes.js';
import { sameChecksum, type Checksum } from '../format/checksum.js';
import { FILE_HEADER_BYTES, type FileHeader } from '../format/file-header.js';
import { segmentFileName } from '../format/file-name.js';
import {
  decodeUnitHeader,
  SEAL_BYTES,
  SEAL_MAGIC,
  verifyUnit,
  type UnitHeader,
} from '../format/unit.js';
import type { FileHandle } from '../fs/file-system.js';
import { readDatHeader, segmentFromHeader } from '../segment/segment-scan.js';
import type { Segment } from '../segment/segment.js';
import type { ChannelContext } from './channel-context.js';
import { versionError } from './damaged-file.js';

/** Later than any other, so that a search by time looks into the segment. */
const UNKNOWN_TIME = { hi: 0xffffffff, lo: 0xffffffff };

/** The header of a segment of this channel and base; FORMAT_VERSION is thrown. */
export function readOwnHeader(
  context: ChannelContext,
  file: FileHandle,
  baseSeq: number,
): FileHeader | FailedCheck {
  const read = readDatHeader(file);
  if (!read.ok) {
    const { failure } = read;
    if (failure.check === 'version') throw versionError(file.path, failure.found);
    return failure.check;
  }
  const { header } = read;
  const isOwn = Buffer.compare(header.channelId, context.channelId) === 0;
  return isOwn && header.baseSeq === baseSeq ? header : 'identity';
}

/** The seal that ends a file of `size` bytes, if it does. */
function readSeal(file: FileHandle, nonce: Checksum, size: number): UnitHeader | undefined {
  const position = size - SEAL_BYTES;
  if (position < FILE_HEADER_BYTES) return undefined;
  const bytes = new Uint8Array(SEAL_BYTES);
  if (file.readSync(bytes, 0, SEAL_BYTES, position) < SEAL_BYTES) return undefined;
  const unit = decodeUnitHeader(viewOf(bytes), 0, position, SEAL_BYTES);
  if (typeof unit === 'string' || unit.magic !== SEAL_MAGIC) return undefined;
  const failure = verifyUnit(bytes, 0, SEAL_BYTES, unit.checksum, nonce);
  return failure === undefined ? unit : undefined;
}

export function openFinished(
  context: ChannelContext,
  baseSeq: number,
  nextBaseSeq: number,
): Segment {
  const directory = context.generationDirectory;
  const file = context.fs.openSync(`${directory}/${segmentFileName(baseSeq, 'dat')}`, 'read');
  try {
    const header = readOwnHeader(context, file, baseSeq);
    const size = file.sizeSync();
    if (typeof header === 'string') return unreadable(directory, baseSeq, nextBaseSeq, header);
    const segment = segmentFromHeader(directory, header);
    segment.sealed = true;
    segment.datLength = size;
    segment.nextSeq = nextBaseSeq;
    const seal = readSeal(file, header.nonce, size);
    if (seal === undefined) {
      // How many records there are is not known; reads find out whether any is missing.
      segment.recordCount = nextBaseSeq - baseSeq;
      segment.lastTimestamp = UNKNOWN_TIME;
      return segment;
    }
    applySeal(segment, seal);
    segment.nextSeq = nextBaseSeq;
    if (seal.baseSeq !== nextBaseSeq) {
      segment.damage = { check: 'missing', position: size, fromSeq: seal.baseSeq };
    }
    return segment;
  } finally {
    file.closeSync();
  }
}

/** Takes over what a seal says of its segment. */
function applySeal(segment: Segment, seal: UnitHeader): void {
  segment.sealed = true;
  segment.nextSeq = seal.baseSeq;
  segment.recordCount = seal.recordCount;
  segment.lastChecksum = seal.checksum;
  segment.lastTimestamp = { hi: seal.timestampHi, lo: seal.timestampLo };
}

/** A segment whose file cannot be read at all. */
export function unreadable(
  directory: string,
  baseSeq: number,
  nextSeq: number,
  check: FailedCheck,
): Segment {
  const none = { hi: 0, lo: 0 };
  return {
    directory,
    baseSeq,
    nonce: none,
    timestampFloor: none,
    headerChecksum: none,
    nextSeq,
    recordCount: 0,
    frameCount: 0,
    datLength: 0,
    lastTimestamp: UNKNOWN_TIME,
    lastChecksum: none,
    sealed: true,
    damage: { check, position: 0, fromSeq: baseSeq },
    marks: undefined,
  };
}

/** Whether a clean mark's segment ends as the mark says, with its last frame or with a seal. */
export function endsInSeal(
  file: FileHandle,
  nonce: Checksum,
  size: number,
  lastChecksum: Checksum,
): boolean {
  const seal = readSeal(file, nonce, size);
  return seal !== undefined && sameChecksum(seal.checksum, lastChecksum);
}
