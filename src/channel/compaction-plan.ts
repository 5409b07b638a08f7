/**
 * Which segments of a channel a compaction rewrites, and which of them become one. Neighbours are
 * joined so that segments do not become more with each compaction; what loses nothing is joined
 * only while it is small, so that the cost stays that of what has changed. Pure decisions.
 */
import { MAX_SEQ_DELTA } from '../format/index-entry.js';
import type { Segment } from '../segment/segment.js';

/** What a record takes besides its payload, about, and no less than it is. */
const RECORD_OVERHEAD = 48;
/** As many small ones in a row are joined, although none of them loses anything. */
const MIN_JOINED = 4;

/** A segment and what of it survives. */
export interface Source {
  readonly segment: Segment;
  /** The first seq that was looked at. */
  readonly from: number;
  /** For each record in its order, whether it survives; undefined when all do. */
  readonly decisions: Uint8Array | undefined;
  readonly survivors: number;
  /** Of their payloads. */
  readonly survivingBytes: number;
  readonly dropped: number;
}

/** Neighbours that become one segment, which begins where the first of them does. */
interface Group {
  readonly sources: Source[];
  bytes: number;
  dropped: number;
}

/** What is done with the sources, in their order: one is linked, or some are rewritten as one. */
export type Step =
  { readonly linked: Segment } | { readonly joined: readonly [Source, ...Source[]] };

/** Empty when there is nothing to do: nothing is dropped, and nothing worth joining. */
export function planCompaction(sources: readonly Source[], segmentBytes: number): Step[] {
  const steps: Step[] = [];
  let isWorthIt = false;
  for (const group of groupsOf(sources, segmentBytes)) {
    const [first, ...others] = group.sources;
    if (first === undefined) continue;
    if (group.dropped > 0 || group.sources.length >= MIN_JOINED) {
      isWorthIt = true;
      steps.push({ joined: [first, ...others] });
    } else steps.push(...group.sources.map(({ segment }) => ({ linked: segment })));
  }
  return isWorthIt ? steps : [];
}

function groupsOf(sources: readonly Source[], segmentBytes: number): Group[] {
  const groups: Group[] = [];
  for (const source of sources) {
    const bytes = bytesOf(source);
    const last = groups.at(-1);
    if (last !== undefined && joins(last, source, bytes, segmentBytes)) {
      last.sources.push(source);
      last.bytes += bytes;
      last.dropped += source.dropped;
    } else groups.push({ sources: [source], bytes, dropped: source.dropped });
  }
  return groups;
}

function joins(group: Group, source: Source, bytes: number, segmentBytes: number): boolean {
  const base = group.sources[0]?.segment.baseSeq ?? 0;
  if (source.segment.nextSeq - base > MAX_SEQ_DELTA) return false;
  // What is rewritten anyway, and what has nothing that would have to be, costs no more together.
  const isFree =
    (group.dropped > 0 || group.bytes === 0) && (source.dropped > 0 || source.survivors === 0);
  return group.bytes + bytes <= (isFree ? segmentBytes : segmentBytes / 2);
}

function bytesOf({ survivors, survivingBytes }: Source): number {
  return survivingBytes + survivors * RECORD_OVERHEAD;
}
