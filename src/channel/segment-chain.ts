/**
 * The channel's segments in order, the active one last, and the file descriptors that are open on
 * them. Readers borrow an open segment; when there are too many, the least recently used ones that
 * nobody borrows are closed.
 */
import type { FileHandle } from '../fs/file-system.js';
import { OpenSegment, ReadScratch } from '../segment/open-segment.js';
import { SegmentIndex } from '../segment/segment-index.js';
import { corruption, segmentPath, type Segment } from '../segment/segment.js';
import type { SegmentWriter } from '../segment/segment-writer.js';
import type { ChannelContext } from './channel-context.js';

/** dat, idx and ts. */
const FILES_PER_SEGMENT = 3;

export class SegmentChain {
  readonly scratch: ReadScratch = new ReadScratch();
  readonly #context: ChannelContext;
  #segments: Segment[];
  /** Open for reading, least recently used first. */
  readonly #open = new Map<Segment, OpenSegment>();
  /** Of segments that are no longer in the chain, and still used. */
  readonly #retired = new Set<OpenSegment>();
  /** Open for writing: the active segment and sealed ones that are not synced yet. */
  readonly #writers = new Map<Segment, SegmentWriter>();

  constructor(context: ChannelContext, segments: Segment[]) {
    this.#context = context;
    this.#segments = segments;
  }

  get all(): readonly Segment[] {
    return this.#segments;
  }

  get last(): Segment | undefined {
    return this.#segments.at(-1);
  }

  /** The chain consists of these segments from now on; who reads others goes on to read them. */
  replace(segments: readonly Segment[]): void {
    this.#segments = [...segments];
    const kept = new Set(segments);
    for (const [segment, open] of this.#open) {
      if (kept.has(segment)) continue;
      this.#open.delete(segment);
      if (open.users === 0) this.#closeQuietly(() => open.close());
      else this.#retired.add(open);
    }
  }

  /** A segment that is written to from now on. */
  addWriter(writer: SegmentWriter): void {
    const { segment } = writer;
    if (this.#segments.at(-1) !== segment) this.#segments.push(segment);
    this.#writers.set(segment, writer);
  }

  /** The segment is sealed and synced: from now on it is only read. */
  endWriter(writer: SegmentWriter): void {
    this.#writers.delete(writer.segment);
    this.#closeQuietly(() => writer.syncHandle.closeSync());
    this.#open.set(writer.segment, writer.open);
    this.#closeSpare();
  }

  /** Index of the segment that holds or would hold `seq`; -1 when all begin above it. */
  indexOf(seq: number): number {
    let low = -1;
    let high = this.#segments.length;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#segments[middle]?.baseSeq ?? Infinity) <= seq) low = middle;
      else high = middle;
    }
    return low;
  }

  /**
   * Opens a segment for reading, or takes the open one. `release` must follow. Throws CORRUPT when
   * nothing of it can be read.
   */
  borrow(segment: Segment): OpenSegment {
    const open = this.#writers.get(segment)?.open ?? this.#take(segment);
    open.users++;
    // Not before it is counted as used: it may be the only one that nobody else uses.
    this.#closeSpare();
    return open;
  }

  #take(segment: Segment): OpenSegment {
    const present = this.#open.get(segment);
    if (present !== undefined) {
      // Most recently used last.
      this.#open.delete(segment);
      this.#open.set(segment, present);
      return present;
    }
    const { damage, nextSeq, baseSeq } = segment;
    if (damage !== undefined && damage.fromSeq === baseSeq) {
      const range = { firstSeq: baseSeq, nextSeq };
      throw corruption(segmentPath(segment, 'dat'), damage.position, damage.check, range);
    }
    const { fs, owner } = this.#context;
    const dat: FileHandle = fs.openSync(segmentPath(segment, 'dat'), 'read');
    const index = new SegmentIndex(owner, segment);
    if (segment.recordCount > 0) index.openExisting('read');
    const open = new OpenSegment(owner, segment, dat, index, this.scratch);
    this.#open.set(segment, open);
    return open;
  }

  release(open: OpenSegment): void {
    open.users--;
    if (open.users > 0) return;
    if (this.#retired.delete(open)) this.#closeQuietly(() => open.close());
    this.#closeSpare();
  }

  #closeSpare(): void {
    const limit = Math.max(1, Math.floor(this.#context.settings.maxOpenFiles / FILES_PER_SEGMENT));
    if (this.#open.size <= limit) return;
    for (const [segment, open] of this.#open) {
      if (this.#open.size <= limit) return;
      if (open.users > 0) continue;
      this.#open.delete(segment);
      this.#closeQuietly(() => open.close());
    }
  }

  /** What a descriptor was used for is synced, or has failed already: nothing depends on this. */
  #closeQuietly(close: () => void): void {
    try {
      close();
    } catch (error) {
      const { name, settings } = this.#context;
      settings.logger.warn('a descriptor could not be closed', { channel: name, error });
    }
  }

  /** Closes everything, what readers still use as well: their next read fails. */
  close(): void {
    for (const writer of this.#writers.values()) {
      this.#closeQuietly(() => writer.open.close());
      this.#closeQuietly(() => writer.syncHandle.closeSync());
    }
    for (const open of [...this.#open.values(), ...this.#retired]) {
      this.#closeQuietly(() => open.close());
    }
    this.#writers.clear();
    this.#open.clear();
    this.#retired.clear();
  }
}
