/**
 * What is checked of a segment whether its records are read or not: who its dat file says that it
 * is, and what stands behind its end. Here is also what every check of a segment is told, and what
 * it tells.
 */
import type { FailedCheck } from '../core/errors.js';
import type { Nanos } from '../core/nanos.js';
import { sameChecksum, type Checksum } from '../format/checksum.js';
import { segmentFileName } from '../format/file-name.js';
import type { FileHandle } from '../fs/file-system.js';
import type { ChunkSource } from '../segment/chunk.js';
import type { IndexOwner } from '../segment/segment-index.js';
import { readDatHeader } from '../segment/segment-scan.js';
import type { Segment } from '../segment/segment.js';
import { standInHeader } from '../segment/stand-in-header.js';
import { missingSegment, problemOf, rangeOf } from './verify-problem.js';
import type { ProblemList, VerifyProblem } from './verify-report.js';

export interface SegmentJob {
  readonly owner: IndexOwner;
  /** For this segment alone until it is verified. */
  readonly chunks: ChunkSource;
  /** As it was when the verification began; nothing else changes it. */
  readonly segment: Segment;
  /** Base seq of the segment behind it. */
  readonly nextBase: number | undefined;
  /** The channel holds nothing below it. */
  readonly firstSeq: number;
  /** No record may be older. */
  readonly notBefore: Nanos;
  /** Whether idx and ts must have all entries, and no more; asked when they have been read. */
  readonly mustBeIndexed: () => boolean;
  /** Bytes behind the accepted end are left over; otherwise a writer may be writing them. */
  readonly endIsFinal: boolean;
  /** Called before each piece that is read; what it throws ends the verification. */
  readonly onPiece: (position: number) => void;
}

/** What the bytes of a segment say. */
export interface SegmentVerdict {
  readonly problems: ProblemList;
  readonly recordCount: number;
  readonly byteCount: number;
  readonly lastTime: Nanos;
  /** How the segment ends when all of it is whole; undefined behind damage. */
  readonly end: SegmentEndState | undefined;
}

interface SegmentEndState {
  readonly nextSeq: number;
  readonly frameCount: number;
  readonly lastChecksum: Checksum | undefined;
}

/** The nonce is known: its units can be told from those of other files. */
export function hasNonce({ nonce }: Segment): boolean {
  return nonce.hi !== 0 || nonce.lo !== 0;
}

/** Recovery has found damage below what was synced, and dropped what is behind it. */
export function isSuffixDamage({ segment, nextBase }: SegmentJob): boolean {
  return segment.damage !== undefined && nextBase === undefined;
}

/** The seq that is expected behind the last record. */
export function expectedNext({ segment, nextBase }: SegmentJob): number {
  return nextBase ?? segment.nextSeq;
}

export interface BadHeader {
  /** Undefined for one of a newer version. */
  readonly check: FailedCheck | undefined;
  readonly what: string;
  /** Records below it cannot be read because of it. */
  readonly nextSeq: number;
}

/** What is wrong with the header of a dat file, if anything is. Throws what the disk reports. */
export function badHeaderOf(job: SegmentJob, file: FileHandle): BadHeader | undefined {
  const { segment, owner } = job;
  const read = readDatHeader(file);
  if (read.ok) {
    const { channelId, baseSeq, checksum } = read.header;
    const isOwn = Buffer.compare(channelId, owner.channelId) === 0;
    if (isOwn && baseSeq === segment.baseSeq && sameChecksum(checksum, segment.headerChecksum)) {
      return undefined;
    }
  }
  const failed = read.ok ? 'identity' : read.failure.check;
  if (failed === 'version') {
    const what = `${file.path} has the header of a newer format version`;
    return { check: undefined, what, nextSeq: expectedNext(job) };
  }
  const what = `the file header of ${file.path} is damaged (${failed})`;
  const nextSeq = canDoWithout(job, file) ? segment.baseSeq : expectedNext(job);
  return { check: failed, what, nextSeq };
}

/** An open that finds the segment finished reads its records without the file header. */
function canDoWithout({ owner, segment, nextBase }: SegmentJob, file: FileHandle): boolean {
  if (nextBase === undefined) return false;
  return standInHeader(owner, segment.directory, file, segment.baseSeq) !== undefined;
}

/** Of a segment that ends at `from`, and is followed by one that begins at `to`. */
export function missingBehind(
  { segment, firstSeq }: SegmentJob,
  from: number,
  to: number,
): VerifyProblem {
  const path = `${segment.directory}/${segmentFileName(from, 'dat')}`;
  return missingSegment(path, rangeOf(from, to, firstSeq));
}

/** Bytes behind the end of the log, which is at `position` of `size` bytes. */
export function tailBehind(
  path: string,
  position: number,
  size: number,
): VerifyProblem | undefined {
  if (size <= position) return undefined;
  const what = `${size - position} bytes behind the end of the log in ${path} are no part of it`;
  return problemOf('note', 'tail', { path, position }, what);
}
