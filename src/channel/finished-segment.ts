/**
 * Finished segments are not scanned: header, seal and length are checked, and damage inside is
 * found by reads. Bad ones do not stop appends; what they hold fails where it is read (RULES C9).
 * A damaged header costs no record while idx or ts prove whose file it is.
 */
import type { FailedCheck } from '../core/errors.js';
import { sameChecksum, type Checksum } from '../format/checksum.js';
import type { FileHeader } from '../format/file-header.js';
import { segmentFileName } from '../format/file-name.js';
import type { UnitHeader } from '../format/unit.js';
import type { FileHandle } from '../fs/file-system.js';
import { readSeal } from '../segment/seal.js';
import { readDatHeader, segmentFromHeader } from '../segment/segment-scan.js';
import type { Segment } from '../segment/segment.js';
import { standInHeader } from '../segment/stand-in-header.js';
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

export function openFinished(
  context: ChannelContext,
  baseSeq: number,
  nextBaseSeq: number,
): Segment {
  const directory = context.generationDirectory;
  const file = context.fs.openSync(`${directory}/${segmentFileName(baseSeq, 'dat')}`, 'read');
  try {
    const own = readOwnHeader(context, file, baseSeq);
    const header = typeof own === 'string' ? standIn(context, file, baseSeq, own) : own;
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

/** What the derived files prove in the place of a damaged header, or what is wrong with it. */
function standIn(
  context: ChannelContext,
  file: FileHandle,
  baseSeq: number,
  check: FailedCheck,
): FileHeader | FailedCheck {
  const { owner, generationDirectory, name, settings } = context;
  const header = standInHeader(owner, generationDirectory, file, baseSeq);
  if (header === undefined) return check;
  const { path } = file;
  settings.logger.warn('a file header is damaged', { channel: name, path, check });
  return header;
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
