/** When a segment ends. A pure decision. */
import { MAX_SEQ_DELTA } from '../format/index-entry.js';
import type { Segment } from '../segment/segment.js';

/**
 * Frames of a segment. It bounds the time of a scan after a crash, which costs about as much for a
 * small frame as for a large one.
 */
export const MAX_SEGMENT_FRAMES = 200_000;

export interface RollRequest {
  readonly segmentBytes: number;
  /** 0: no age limit. */
  readonly segmentMs: number;
  /** Milliseconds since the segment was created. */
  readonly ageMs: number;
  /** The frame that is to be written. */
  readonly frameBytes: number;
  readonly lastSeq: number;
}

export function mustRoll(segment: Segment, request: RollRequest): boolean {
  const { segmentBytes, segmentMs, ageMs, frameBytes, lastSeq } = request;
  // The next one would have its base and name, whatever witnesses there are.
  if (isUnused(segment)) return lastSeq - segment.baseSeq > MAX_SEQ_DELTA;
  return (
    segment.datLength + frameBytes > segmentBytes ||
    segment.frameCount >= MAX_SEGMENT_FRAMES ||
    (segmentMs > 0 && ageMs >= segmentMs) ||
    lastSeq - segment.baseSeq > MAX_SEQ_DELTA
  );
}

/** No seq has been given out in it. */
export function isUnused({ baseSeq, nextSeq }: Segment): boolean {
  return nextSeq === baseSeq;
}
