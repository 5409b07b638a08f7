/**
 * How many records of a segment a trim hides. With gaps between its seqs that takes its index, or,
 * where there is none that goes far enough, a walk over dat: whoever is about to hide records, or
 * finds some hidden, has it made first, so that a count can be told at once and is right.
 */
import { FILE_HEADER_BYTES } from '../format/file-header.js';
import { visitRecordKeys } from '../format/unit-records.js';
import type { OpenSegment } from '../segment/open-segment.js';
import { walkSegment } from '../segment/segment-walk.js';
import { isDense, type Segment } from '../segment/segment.js';

interface Hidden {
  readonly head: Segment;
  readonly firstSeq: number;
  readonly count: number;
}

export interface SegmentLender {
  borrow(segment: Segment): OpenSegment;
  release(open: OpenSegment): void;
}

export class HiddenRecords {
  readonly #lender: SegmentLender;
  /** The last one, and the one before it, which holds until the manifest is replaced. */
  #known: readonly Hidden[] = [];

  constructor(lender: SegmentLender) {
    this.#lender = lender;
  }

  /** Records of a segment below `firstSeq`; as long as nobody can say, none. */
  below(segment: Segment, firstSeq: number): number {
    const { baseSeq, nextSeq, recordCount } = segment;
    if (firstSeq <= baseSeq) return 0;
    if (firstSeq >= nextSeq) return recordCount;
    if (isDense(segment)) return firstSeq - baseSeq;
    return this.#find(segment, firstSeq) ?? this.#askIndex(segment, firstSeq) ?? 0;
  }

  /** Makes sure that `below` can say. Never rejects: what cannot be read is not counted. */
  async learn(segment: Segment, firstSeq: number): Promise<void> {
    const { baseSeq, nextSeq } = segment;
    if (firstSeq <= baseSeq || firstSeq >= nextSeq || isDense(segment)) return;
    if (this.#find(segment, firstSeq) !== undefined) return;
    if (this.#askIndex(segment, firstSeq) !== undefined) return;
    try {
      const open = this.#lender.borrow(segment);
      try {
        await open.rebuildIndex();
        if (this.#askIndex(segment, firstSeq) !== undefined) return;
        const count = await countBelow(open, segment, firstSeq);
        this.#remember({ head: segment, firstSeq, count });
      } finally {
        this.#lender.release(open);
      }
    } catch {
      // Reads are told what is wrong with the segment.
    }
  }

  #find(head: Segment, firstSeq: number): number | undefined {
    return this.#known.find((known) => known.head === head && known.firstSeq === firstSeq)?.count;
  }

  #remember(hidden: Hidden): void {
    this.#known = [...this.#known.slice(-1), hidden];
  }

  #askIndex(head: Segment, firstSeq: number): number | undefined {
    try {
      const open = this.#lender.borrow(head);
      try {
        const count = open.rankOf(firstSeq);
        if (count !== undefined) this.#remember({ head, firstSeq, count });
        return count;
      } finally {
        this.#lender.release(open);
      }
    } catch {
      return undefined;
    }
  }
}

async function countBelow(open: OpenSegment, head: Segment, firstSeq: number): Promise<number> {
  let count = 0;
  await walkSegment(open.dat, head, FILE_HEADER_BYTES, {
    records: (view, at, unit) => {
      if (unit.baseSeq >= firstSeq) return false;
      visitRecordKeys(view, at, unit, (seq) => {
        if (seq < firstSeq) count++;
      });
      return true;
    },
  });
  return count;
}
