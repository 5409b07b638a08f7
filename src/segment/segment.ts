/**
 * What is known of one segment: its identity from the file header, and how far it goes. The owner
 * of the channel changes it as it writes; readers take the numbers they need when they start.
 */
import type { FailedCheck, SeqRange } from '../core/errors.js';
import { redexError, type RedexErrorOf } from '../core/errors.js';
import type { Nanos } from '../core/nanos.js';
import type { Checksum } from '../format/checksum.js';
import { segmentFileName, type SegmentFileKind } from '../format/file-name.js';
import type { SeqMarks } from './seq-marks.js';

/** Damage found when a segment was opened; reads that touch it fail with it. */
interface SegmentDamage {
  readonly check: FailedCheck;
  readonly position: number;
  /** The first seq that cannot be vouched for. */
  readonly fromSeq: number;
}

export interface Segment {
  /** Directory of its generation. */
  readonly directory: string;
  readonly baseSeq: number;
  readonly nonce: Checksum;
  /** No record of it is older. */
  readonly timestampFloor: Nanos;
  /** Checksum of the file header, where the chain starts. */
  readonly headerChecksum: Checksum;
  /** Seq after the last record; of a sealed segment, the base seq of the next one. */
  nextSeq: number;
  recordCount: number;
  frameCount: number;
  /** Bytes of dat that hold accepted frames; what may stand behind them is not part of the log. */
  datLength: number;
  lastTimestamp: Nanos;
  /** Checksum of the last frame or seal. */
  lastChecksum: Checksum;
  sealed: boolean;
  damage: SegmentDamage | undefined;
  /** Places in dat, kept by who looks at a segment that another process still writes. */
  marks: SeqMarks | undefined;
}

export function segmentPath(segment: Segment, kind: SegmentFileKind): string {
  return `${segment.directory}/${segmentFileName(segment.baseSeq, kind)}`;
}

/** The same in another directory. */
export function movedSegment(segment: Segment, directory: string): Segment {
  return { ...segment, directory };
}

/** A segment with nothing in it yet. */
export function emptySegment(
  directory: string,
  baseSeq: number,
  nonce: Checksum,
  timestampFloor: Nanos,
): Segment {
  const headerChecksum = { hi: 0, lo: 0 };
  return {
    directory,
    baseSeq,
    nonce,
    timestampFloor,
    headerChecksum,
    nextSeq: baseSeq,
    recordCount: 0,
    frameCount: 0,
    datLength: 0,
    lastTimestamp: timestampFloor,
    lastChecksum: headerChecksum,
    sealed: false,
    damage: undefined,
    marks: undefined,
  };
}

/** Whether every seq from base to next has a record, so that entry n is seq base + n. */
export function isDense(segment: Segment): boolean {
  return segment.nextSeq - segment.baseSeq === segment.recordCount;
}

export function corruption(
  path: string,
  position: number,
  check: FailedCheck,
  seqRange?: SeqRange,
): RedexErrorOf<'CORRUPT'> {
  const records =
    seqRange === undefined
      ? ''
      : `; records ${seqRange.firstSeq} to ${seqRange.nextSeq - 1} cannot be read`;
  return redexError('CORRUPT', `${path} is damaged at byte ${position} (${check})${records}`, {
    path,
    position,
    check,
    ...(seqRange === undefined ? {} : { seqRange }),
  });
}
