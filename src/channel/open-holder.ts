/** The descriptors of one segment, opened and closed together, as their limit sees them. */
import type { FileHolder } from '../fs/open-files.js';
import type { OpenSegment } from '../segment/open-segment.js';
import type { Segment } from '../segment/segment.js';
import type { SegmentWriter } from '../segment/segment-writer.js';

/** dat, idx and ts. */
export const READER_FILES: number = 3;
/** And the second descriptor of dat. */
export const WRITER_FILES: number = 4;

/** What the chain has to know of the side that writes. */
export interface WritingSide {
  /** Nothing depends on the descriptors of this writer. */
  isIdle(writer: SegmentWriter): boolean;
  /** No sync will come for any of the channel's writers. */
  isLost(): boolean;
  /** The active segment has no descriptors any more. */
  onParked(): void;
  /** It has them again. */
  onResumed(writer: SegmentWriter): void;
  /** Begins a sync unless one is running that was begun for this; false when that helps nobody. */
  settle(): boolean;
  settleNow(): void;
}

/** Who has opened them. */
interface HoldingChain {
  readonly writingSide: WritingSide | undefined;
  tryClose(holder: OpenHolder): boolean;
}

/** The open descriptors of one segment. */
export class OpenHolder implements FileHolder {
  used = true;
  readonly segment: Segment;
  readonly open: OpenSegment;
  writer: SegmentWriter | undefined;
  readonly #chain: HoldingChain;

  /** Its files count their descriptors themselves. */
  readonly #isPooled: boolean;

  constructor(
    chain: HoldingChain,
    open: OpenSegment,
    writer: SegmentWriter | undefined,
    isPooled: boolean = false,
  ) {
    this.#chain = chain;
    this.#isPooled = isPooled;
    this.segment = open.segment;
    this.open = open;
    this.writer = writer;
  }

  get fileCount(): number {
    if (this.#isPooled) return 0;
    return this.writer === undefined ? READER_FILES : WRITER_FILES;
  }

  tryClose(): boolean {
    return this.#chain.tryClose(this);
  }

  settle(): boolean {
    return this.writer !== undefined && this.#chain.writingSide?.settle() === true;
  }

  settleNow(): void {
    if (this.writer !== undefined) this.#chain.writingSide?.settleNow();
  }
}
