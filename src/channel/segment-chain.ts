/**
 * The channel's segments in order, the active one last, and the descriptors that are open on them.
 * Readers borrow an open segment. What nobody borrows, and has no byte that a sync still has to
 * cover, is closed when others need its descriptors, and opened again when it is needed.
 */
import type { FileHandle } from '../fs/file-system.js';
import { OpenSegment } from '../segment/open-segment.js';
import { SegmentIndex } from '../segment/segment-index.js';
import { corruption, segmentPath, type Segment } from '../segment/segment.js';
import { SegmentWriter } from '../segment/segment-writer.js';
import { ChainSnapshots, type ChainSnapshot } from './chain-snapshots.js';
import { isJournaled, type ChannelContext } from './channel-context.js';
import { HiddenRecords } from './hidden-records.js';
import { OpenHolder, READER_FILES, WRITER_FILES, type WritingSide } from './open-holder.js';

export class SegmentChain {
  #isClosed = false;
  /** Told when a read is over, or further on: what it held may go now. */
  onLetGo: () => void = () => undefined;
  /** Absent for a channel that is only read. */
  writingSide: WritingSide | undefined;
  readonly #context: ChannelContext;
  #segments: Segment[];
  readonly #open = new Map<Segment, OpenHolder>();
  /** The active segment while no descriptor is open on it, and the last attempt number used. */
  #parked: { readonly segment: Segment; readonly attempt: number } | undefined;
  readonly #snapshots = new ChainSnapshots();
  readonly #hidden = new HiddenRecords(this);
  /** Of segments that are no longer in the chain, and still used. */
  readonly #retired = new Map<OpenSegment, OpenHolder>();

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

  /** Records from `firstSeq` on. */
  recordsFrom(firstSeq: number): number {
    let count = 0;
    for (const segment of this.#segments) {
      count += segment.recordCount - this.#hidden.below(segment, firstSeq);
    }
    return count;
  }

  /** Makes sure that `recordsFrom(firstSeq)` can be told; at most one segment is read for it. */
  async learnHidden(firstSeq: number): Promise<void> {
    const head = this.#segments.find(({ nextSeq }) => nextSeq > firstSeq);
    if (head === undefined) return;
    const wasOpen = this.#open.has(head);
    await this.#hidden.learn(head, firstSeq);
    const holder = this.#open.get(head);
    if (!wasOpen && holder !== undefined) this.tryClose(holder);
  }

  /** Bytes of the dat files. */
  get byteCount(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.datLength, 0);
  }

  /** Bytes of those whose records all lie below `seq`, but the last one. */
  bytesBelow(seq: number): number {
    let bytes = 0;
    for (const segment of this.#segments.slice(0, -1)) {
      if (segment.nextSeq > seq) break;
      bytes += segment.datLength;
    }
    return bytes;
  }

  /** The active segment, when it has to be opened before it can be written to. */
  get parked(): Segment | undefined {
    return this.#parked?.segment;
  }

  /** For a read that begins now at `from`; `letGo` when it is over. */
  hold(from: number): ChainSnapshot {
    return this.#snapshots.hold(this.#segments, from);
  }

  /** The read goes on in what there is now: what it had cannot be read any more. */
  renew(snapshot: ChainSnapshot): void {
    snapshot.segments = this.#segments;
  }

  /** The read has come to `from` and does not go back. */
  pass(snapshot: ChainSnapshot, from: number): void {
    snapshot.from = from;
    this.onLetGo();
  }

  letGo(snapshot: ChainSnapshot): void {
    this.#snapshots.letGo(snapshot);
    this.onLetGo();
  }

  /** Whether a read that is under way has still to come to this segment. */
  isHeld(segment: Segment): boolean {
    return this.#snapshots.isHeld(segment);
  }

  /**
   * Takes the segments off the head whose records all lie below `firstSeq`, the last one never,
   * and those not yet that somebody still writes to or needs for something else.
   * Returns them: their files can go once no read holds them.
   */
  dropBelow(firstSeq: number, isNeeded = (_segment: Segment): boolean => false): Segment[] {
    const last = this.#segments.length - 1;
    const kept = this.#segments.findIndex(
      (segment, i) =>
        i === last || segment.nextSeq > firstSeq || this.#isWritten(segment) || isNeeded(segment),
    );
    if (kept <= 0) return [];
    const dropped = this.#segments.slice(0, kept);
    this.#segments = this.#segments.slice(kept);
    return dropped;
  }

  #isWritten(segment: Segment): boolean {
    return this.#open.get(segment)?.writer !== undefined;
  }

  /** Closes a segment that is not in the chain any more. Its files are about to go. */
  forget(segment: Segment): void {
    const holder = this.#open.get(segment);
    if (holder === undefined) return;
    this.#open.delete(segment);
    if (holder.open.users > 0) this.#retired.set(holder.open, holder);
    else this.#closeHolder(holder);
  }

  /** What waits in memory of the entries of all open segments is in their files. */
  flushIndexes(): void {
    for (const { open } of this.#open.values()) open.index.flush();
  }

  /**
   * The channel consists of these segments from now on, the last one active unless it is sealed.
   * Everything is synced and nobody writes; reads that are under way go on in the old ones.
   */
  exchange(segments: readonly Segment[]): void {
    const before = this.#segments.at(-1);
    const writer = before === undefined ? undefined : this.#open.get(before)?.writer;
    const attempt = writer?.attempt ?? this.#parked?.attempt ?? 0;
    if (writer !== undefined) this.writingSide?.onParked();
    this.replace(segments);
    const last = this.last;
    this.#parked = last === undefined || last.sealed ? undefined : { segment: last, attempt };
  }

  /** The chain consists of these segments from now on; who reads others goes on to read them. */
  replace(segments: readonly Segment[]): void {
    this.#segments = [...segments];
    const kept = new Set(segments);
    for (const [segment, holder] of this.#open) {
      if (kept.has(segment)) continue;
      this.#open.delete(segment);
      if (holder.open.users > 0) this.#retired.set(holder.open, holder);
      else this.#closeHolder(holder);
    }
  }

  /** A segment that is written to from now on. */
  addWriter(writer: SegmentWriter): void {
    const { segment } = writer;
    if (this.#segments.at(-1) !== segment) this.#segments.push(segment);
    const isPooled = isJournaled(this.#context);
    const holder = new OpenHolder(this, writer.open, writer, isPooled);
    this.#open.set(segment, holder);
    if (!isPooled) this.#context.shared.files.added(holder);
  }

  /** The last segment goes on being written to, from when somebody first needs it. */
  park(segment: Segment, attempt: number): void {
    this.#parked = { segment, attempt };
  }

  /** Opens the parked segment for writing, if there is one. */
  resume(): void {
    const parked = this.#parked;
    if (parked === undefined) return;
    const { owner, shared } = this.#context;
    const writer = SegmentWriter.reopen(owner, parked.segment, shared.scratch, parked.attempt);
    this.#parked = undefined;
    this.addWriter(writer);
    this.writingSide?.onResumed(writer);
  }

  /** The segment is sealed and synced: from now on it is only read. */
  endWriter(writer: SegmentWriter): void {
    const holder = this.#open.get(writer.segment);
    if (holder?.writer !== writer) return;
    const { files } = this.#context.shared;
    files.removed(holder);
    holder.writer = undefined;
    this.#closeQuietly(() => writer.syncHandle.closeSync());
    if (holder.fileCount > 0) files.added(holder);
    else this.tryClose(holder);
  }

  /** Closes the descriptors of a segment, if nothing depends on them. */
  tryClose(holder: OpenHolder): boolean {
    const { open, writer, segment } = holder;
    if (open.users > 0) return false;
    if (writer !== undefined) {
      const side = this.writingSide;
      const isActive = segment === this.last && !segment.sealed;
      if (side === undefined || !(isActive ? side.isIdle(writer) : side.isLost())) return false;
      if (isActive) {
        this.#parked = { segment, attempt: writer.attempt };
        side.onParked();
      }
    }
    this.#open.delete(segment);
    this.#closeHolder(holder);
    return true;
  }

  #closeHolder(holder: OpenHolder): void {
    const { open, writer } = holder;
    this.#context.shared.files.removed(holder);
    this.#closeQuietly(() => open.close());
    if (writer !== undefined) this.#closeQuietly(() => writer.syncHandle.closeSync());
  }

  /**
   * The active segment is opened again by its next use. Everything of it is synced; who reads it
   * goes on with what was open.
   */
  reopenActive(): void {
    const holder = this.last === undefined ? undefined : this.#open.get(this.last);
    if (holder?.writer === undefined) return;
    const { segment, writer, open } = holder;
    this.#parked = { segment, attempt: writer.attempt };
    this.writingSide?.onParked();
    this.#open.delete(segment);
    if (open.users > 0) this.#retired.set(open, holder);
    else this.#closeHolder(holder);
  }

  /** Gives back the descriptors of the active segment, if nothing depends on them. */
  parkActive(): void {
    const holder = this.last === undefined ? undefined : this.#open.get(this.last);
    if (holder?.writer !== undefined) this.tryClose(holder);
  }

  /** Index of the segment that holds or would hold `seq`; -1 when all begin above it. */
  indexOf(seq: number): number {
    return indexIn(this.#segments, seq);
  }

  /**
   * Opens a segment for reading, or takes the open one. `release` must follow. Throws CORRUPT when
   * nothing of it can be read.
   */
  borrow(segment: Segment): OpenSegment {
    // Whoever asks is told CLOSED for it.
    if (this.#isClosed) throw new Error('the channel is closed');
    const present = this.#open.get(segment);
    if (present !== undefined) {
      present.used = true;
      present.open.users++;
      return present.open;
    }
    const { files } = this.#context.shared;
    if (segment === this.#parked?.segment && this.writingSide?.isLost() !== true) {
      files.makeRoom(isJournaled(this.#context) ? 1 : WRITER_FILES);
      this.resume();
    } else {
      files.makeRoom(READER_FILES);
      this.#openReader(segment);
    }
    return this.borrow(segment);
  }

  #openReader(segment: Segment): void {
    const { damage, nextSeq, baseSeq } = segment;
    if (damage !== undefined && damage.fromSeq === baseSeq) {
      const range = { firstSeq: baseSeq, nextSeq };
      throw corruption(segmentPath(segment, 'dat'), damage.position, damage.check, range);
    }
    const { fs, owner, shared } = this.#context;
    const dat: FileHandle = fs.openSync(segmentPath(segment, 'dat'), 'read');
    const index = new SegmentIndex(owner, segment);
    if (segment.recordCount > 0) index.openExisting('read');
    const open = new OpenSegment(owner, segment, dat, index, shared.scratch);
    const holder = new OpenHolder(this, open, undefined);
    this.#open.set(segment, holder);
    shared.files.added(holder);
  }

  release(open: OpenSegment): void {
    open.users--;
    if (open.users > 0) return;
    const retired = this.#retired.get(open);
    if (retired !== undefined) {
      this.#retired.delete(open);
      this.#closeHolder(retired);
    } else if (this.writingSide === undefined) this.#closeReplaced(open);
    else this.#closeEnded(open);
    this.#context.shared.files.onMayClose();
  }

  /** A segment that was written by way of the journal, and is only read now, opens another way. */
  #closeEnded({ segment }: OpenSegment): void {
    const holder = this.#open.get(segment);
    if (holder?.writer === undefined && holder?.fileCount === 0) this.tryClose(holder);
  }

  /** What another process has replaced takes room on the disk for as long as it is open here. */
  #closeReplaced({ segment }: OpenSegment): void {
    const holder = this.#open.get(segment);
    if (holder === undefined || this.#segments[this.indexOf(segment.baseSeq)] === segment) return;
    this.#open.delete(segment);
    this.#closeHolder(holder);
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
    this.#isClosed = true;
    for (const holder of [...this.#open.values(), ...this.#retired.values()]) {
      this.#closeHolder(holder);
    }
    this.#open.clear();
    this.#retired.clear();
    this.#parked = undefined;
    this.#context.shared.files.onMayClose();
  }
}

/** Index of the segment that holds or would hold `seq`; -1 when all begin above it. */
export function indexIn(segments: readonly Segment[], seq: number): number {
  let low = -1;
  let high = segments.length;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if ((segments[middle]?.baseSeq ?? Infinity) <= seq) low = middle;
    else high = middle;
  }
  return low;
}
