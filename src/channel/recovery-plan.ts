/**
 * The decision of a recovery, free of I/O: what of the unfinished suffix is kept, what is a torn
 * tail and what is damage (RULES C1 to C4). W is the highest witness of what was synced. At the
 * first bad byte, with q the seq expected there: from W on nothing was known to be synced, so it
 * is a torn tail; below W it is damage, which is reported and never cut.
 */
import type { FailedCheck } from '../core/errors.js';

/** One unfinished segment as its scan found it. */
export interface ScannedSegment {
  readonly baseSeq: number;
  /** The seq expected where its whole frames end. */
  readonly nextSeq: number;
  /** Where its whole frames end; 0 when not even the file header is good. */
  readonly position: number;
  readonly sealed: boolean;
  /** Why its whole frames end before the file does. */
  readonly check: FailedCheck | undefined;
}

export interface Evidence {
  /** Highest seq that headers, frames, seals, clean marks and file names prove to be synced. */
  readonly proven: number;
  /**
   * `firstSeq` and `nextSeqFloor` of the manifest: witnesses as well, but the records below them
   * may rightly be gone, so an end of the log below them is no damage.
   */
  readonly floor: number;
}

export type RecoveryPlan =
  | { readonly kind: 'keep'; readonly nextSeq: number }
  | {
      readonly kind: 'cut';
      /** Segments that stay, the last of them cut at its `position`; all later ones go. */
      readonly keptCount: number;
      readonly check: FailedCheck;
      readonly nextSeq: number;
    }
  | {
      readonly kind: 'damaged';
      /** Index of the segment with the damage; -1 when it is a file that is missing. */
      readonly index: number;
      readonly check: FailedCheck;
      /** The first seq that cannot be read; up to `nextSeq` they are known to have been synced. */
      readonly fromSeq: number;
      readonly nextSeq: number;
    };

/**
 * `scans` are the unfinished segments in order; there may be none. `endOfFinished` is the next seq
 * of the finished ones before them, undefined when there are none.
 */
export function planRecovery(
  scans: readonly ScannedSegment[],
  endOfFinished: number | undefined,
  evidence: Evidence,
): RecoveryPlan {
  const { proven, floor } = evidence;
  const witness = Math.max(proven, floor);
  let end = endOfFinished ?? floor;
  const first = scans[0];
  if (first !== undefined && first.baseSeq > Math.max(end, witness)) {
    // The segments before it are missing, and were not all known to be synced.
    return judge({ check: 'missing', end, index: -1, keptCount: 0 }, witness, floor);
  }
  for (const [index, scan] of scans.entries()) {
    end = scan.nextSeq;
    const check = failureOf(scan, scans[index + 1]);
    if (check === undefined) continue;
    const keptCount = scan.position === 0 ? index : index + 1;
    return judge({ check, end, index, keptCount }, witness, floor);
  }
  if (end < proven && proven > floor) {
    const index = scans.length - 1;
    return { kind: 'damaged', index, check: 'missing', fromSeq: end, nextSeq: witness };
  }
  return { kind: 'keep', nextSeq: Math.max(end, floor) };
}

interface BadByte {
  readonly check: FailedCheck;
  /** The seq expected there. */
  readonly end: number;
  readonly index: number;
  readonly keptCount: number;
}

/** A torn tail, or damage: that depends on what was known to be synced, and on nothing else. */
function judge(bad: BadByte, witness: number, floor: number): RecoveryPlan {
  const { check, end, index, keptCount } = bad;
  return end < witness
    ? { kind: 'damaged', index, check, fromSeq: end, nextSeq: witness }
    : { kind: 'cut', keptCount, check, nextSeq: Math.max(end, floor) };
}

function failureOf(
  scan: ScannedSegment,
  next: ScannedSegment | undefined,
): FailedCheck | undefined {
  // Behind a seal nothing belongs to the log: bytes there come from a write that failed before it.
  if (!scan.sealed && scan.check !== undefined) return scan.check;
  if (next === undefined) return undefined;
  if (!scan.sealed) return 'missing';
  return scan.nextSeq === next.baseSeq ? undefined : 'sequence';
}

/**
 * How much of a segment a sync is known to have covered: the end of the first frame that reaches
 * the witness. What lies behind may be in the page cache only, from a process whose sync failed,
 * and has to be written again before a sync may count it (RULES S4).
 */
export function coveredEnd(
  frameEnds: readonly number[],
  frameNextSeqs: readonly number[],
  baseSeq: number,
  witness: number,
): number {
  if (witness <= baseSeq) return 0;
  const index = frameNextSeqs.findIndex((nextSeq) => nextSeq >= witness);
  return frameEnds[index] ?? frameEnds.at(-1) ?? 0;
}

/** The seq behind the frames that end at `position` or before; 0 when none does. */
export function seqBehind(
  frameEnds: readonly number[],
  frameNextSeqs: readonly number[],
  position: number,
): number {
  const index = frameEnds.findLastIndex((end) => end <= position);
  return frameNextSeqs[index] ?? 0;
}
