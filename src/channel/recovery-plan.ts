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
      /** Index of the segment that is cut at its `position`; all later ones are dropped. */
      readonly index: number;
      readonly check: FailedCheck;
      readonly nextSeq: number;
    }
  | {
      readonly kind: 'damaged';
      /** Index of the segment with the damage; one past the last when a file is missing. */
      readonly index: number;
      readonly check: FailedCheck;
      /** The first seq that cannot be read; up to `nextSeq` they are known to have been synced. */
      readonly fromSeq: number;
      readonly nextSeq: number;
    };

/** `scans` are the unfinished segments in order; there may be none. */
export function planRecovery(
  scans: readonly ScannedSegment[],
  endOfFinished: number,
  evidence: Evidence,
): RecoveryPlan {
  const { proven, floor } = evidence;
  const witness = Math.max(proven, floor);
  let end = endOfFinished;
  for (const [index, scan] of scans.entries()) {
    end = scan.nextSeq;
    const check = failureOf(scan, scans[index + 1]);
    if (check === undefined) continue;
    if (end < witness) {
      return { kind: 'damaged', index, check, fromSeq: end, nextSeq: witness };
    }
    return { kind: 'cut', index, check, nextSeq: Math.max(end, floor) };
  }
  if (end < proven && proven > floor) {
    const index = Math.max(0, scans.length - 1);
    return { kind: 'damaged', index, check: 'missing', fromSeq: end, nextSeq: witness };
  }
  return { kind: 'keep', nextSeq: Math.max(end, floor) };
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
