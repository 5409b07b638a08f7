/**
 * What retention lets go: whole segments at the head, never the active one, and never a record that
 * is not known to be synced, or that a fold still needs. Pure decisions.
 */
import { compareNanos, nanosFromMs, type Nanos } from '../core/nanos.js';
import type { Segment } from '../segment/segment.js';

/** What a channel keeps; what exceeds any of it goes. Whole segments go, so somewhat more stays. */
export interface RetentionPolicy {
  /** Milliseconds: a segment goes when its newest record is older. */
  readonly maxAgeMs?: number | undefined;
  /** Bytes of dat files that stay at least; the oldest segments beyond them go. */
  readonly maxBytes?: number | undefined;
  /** Records that stay at least; the oldest segments beyond them go. */
  readonly maxRecords?: number | undefined;
  /**
   * Names of folds and indexes: what one of them has not put into a durable checkpoint stays,
   * whatever the limits say. One that has no checkpoint keeps everything, open or not.
   */
  readonly waitFor?: readonly string[] | undefined;
}

export interface RetentionState {
  readonly segments: readonly Segment[];
  readonly firstSeq: number;
  readonly durableSeq: number;
  /** What is not below it stays: some fold still needs it. */
  readonly heldFrom: number;
  /** Unix milliseconds. */
  readonly nowMs: number;
}

/** The first seq that is kept. */
export function retainedFrom(policy: RetentionPolicy, state: RetentionState): number {
  const { segments, durableSeq } = state;
  const mayGo = Math.min(durableSeq, state.heldFrom);
  const { maxAgeMs, maxBytes = Infinity, maxRecords = Infinity } = policy;
  const oldest = cutoff(maxAgeMs, state.nowMs);
  let bytes = segments.reduce((sum, segment) => sum + durableBytes(segment, durableSeq), 0);
  let records = segments.reduce((sum, segment) => sum + durableRecords(segment, durableSeq), 0);
  let { firstSeq } = state;
  for (const [i, segment] of segments.entries()) {
    const isActive = i === segments.length - 1;
    bytes -= durableBytes(segment, durableSeq);
    records -= durableRecords(segment, durableSeq);
    const isOld = oldest !== undefined && compareNanos(segment.lastTimestamp, oldest) < 0;
    // The active segment keeps its file; when all its records are too old, they are hidden.
    const isSpare = !isActive && (bytes >= maxBytes || records >= maxRecords);
    if (!isOld && !isSpare) break;
    if (segment.nextSeq > mayGo) break;
    firstSeq = Math.max(firstSeq, segment.nextSeq);
  }
  return firstSeq;
}

/** What a power cut could take pushes nothing out: it is not counted (RULES G1). */
function durableRecords({ nextSeq, recordCount }: Segment, durableSeq: number): number {
  return Math.max(0, recordCount - Math.max(0, nextSeq - durableSeq));
}

/** Where the synced part of a segment ends is not known, so only a wholly synced one counts. */
function durableBytes({ nextSeq, datLength }: Segment, durableSeq: number): number {
  return nextSeq <= durableSeq ? datLength : 0;
}

/** Bytes of dat files that stay only because of `heldFrom`. */
export function heldBytes(policy: RetentionPolicy, state: RetentionState): number {
  const from = retainedFrom(policy, state);
  const to = retainedFrom(policy, { ...state, heldFrom: Infinity });
  const sealed = state.segments.slice(0, -1);
  const held = sealed.filter(({ nextSeq }) => nextSeq > from && nextSeq <= to);
  return held.reduce((sum, { datLength }) => sum + datLength, 0);
}

function cutoff(maxAgeMs: number | undefined, nowMs: number): Nanos | undefined {
  return maxAgeMs === undefined || nowMs <= maxAgeMs ? undefined : nanosFromMs(nowMs - maxAgeMs);
}
