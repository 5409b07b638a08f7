/**
 * The derived files of one segment together: idx to find a record by seq, ts to find one by time.
 * Answers are hints. Who asks verifies them against dat and reports a wrong one, and the files
 * are rebuilt.
 */
import type { Nanos } from '../core/nanos.js';
import { encodeFileHeader, IDX_MAGIC, TS_MAGIC } from '../format/file-header.js';
import { segmentFileName } from '../format/file-name.js';
import type { EncodedUnit } from '../format/frame-encoder.js';
import {
  IDX_ENTRY_BYTES,
  readIndexEntry,
  TS_ENTRY_BYTES,
  writeIndexEntry,
  type IndexEntry,
} from '../format/index-entry.js';
import type { FileSystem } from '../fs/file-system.js';
import type { EntryPages } from './entry-pages.js';
import { DerivedFile } from './derived-file.js';
import { isDense, segmentPath, type Segment } from './segment.js';

/** The keys of the records of one frame, in the columns of the frame's content. */
export interface RecordKeys {
  readonly first: number;
  readonly baseSeq: number;
  readonly timestamp: Nanos;
  readonly seqs: Float64Array | undefined;
  readonly timestamps: Uint32Array | undefined;
}

export interface IndexOwner {
  readonly fs: FileSystem;
  readonly channelId: Uint8Array;
  readonly pages: EntryPages;
  /** Derived files are not rebuilt: nothing on disk may change. */
  readonly readOnly: boolean;
}

/** The headers of a segment's derived files: the dat file's identity under another magic. */
export function derivedHeader(owner: IndexOwner, segment: Segment, magic: number): Uint8Array {
  return encodeFileHeader(magic, {
    channelId: owner.channelId,
    baseSeq: segment.baseSeq,
    nonce: segment.nonce,
    durableSeq: 0,
    timestampFloor: segment.timestampFloor,
  });
}

export class SegmentIndex {
  readonly #segment: Segment;
  readonly #idx: DerivedFile;
  readonly #ts: DerivedFile;
  readonly #readOnly: boolean;
  /** The state of the segment that the files were last looked at for. */
  #seenCount: number;
  #seenSealed: boolean;

  constructor(owner: IndexOwner, segment: Segment) {
    this.#segment = segment;
    this.#readOnly = owner.readOnly;
    this.#seenCount = segment.recordCount;
    this.#seenSealed = segment.sealed;
    this.#idx = new DerivedFile({
      fs: owner.fs,
      path: segmentPath(segment, 'idx'),
      magic: IDX_MAGIC,
      entryBytes: IDX_ENTRY_BYTES,
      header: () => derivedHeader(owner, segment, IDX_MAGIC),
      pages: owner.pages,
    });
    this.#ts = new DerivedFile({
      fs: owner.fs,
      path: segmentPath(segment, 'ts'),
      magic: TS_MAGIC,
      entryBytes: TS_ENTRY_BYTES,
      header: () => derivedHeader(owner, segment, TS_MAGIC),
      pages: owner.pages,
    });
  }

  /**
   * Opens the files of a segment that has records. False when they are missing, of another
   * segment or shorter than the segment is: they have to be rebuilt.
   */
  openExisting(mode: 'read' | 'write'): boolean {
    const { recordCount } = this.#segment;
    const idx = this.#idx.openExisting(this.#segment, recordCount, mode);
    const ts = this.#ts.openExisting(this.#segment, recordCount, mode);
    return idx && ts && this.isComplete;
  }

  /** Nothing is read from the files or added to them before they have been rebuilt. */
  giveUp(): void {
    this.#idx.unusable = true;
    this.#ts.unusable = true;
  }

  /**
   * Beside another process that writes, takes up what it has added to the files; once for each
   * state of the segment.
   */
  refresh(): void {
    const { recordCount, sealed } = this.#segment;
    if (!this.#readOnly || (recordCount === this.#seenCount && sealed === this.#seenSealed)) return;
    this.#seenCount = recordCount;
    this.#seenSealed = sealed;
    if (recordCount === 0) return;
    this.#idx.lookAgain(this.#segment, recordCount);
    this.#ts.lookAgain(this.#segment, recordCount);
  }

  /** Whether both files have an entry for every record. */
  get isComplete(): boolean {
    const { recordCount } = this.#segment;
    const usable = !this.#idx.unusable && !this.#ts.unusable;
    return usable && this.#idx.count === recordCount && this.#ts.count === recordCount;
  }

  /** Takes up the records of a frame that has been written. Never throws. */
  append(units: readonly EncodedUnit[], keys: RecordKeys): void {
    let offset = 0;
    for (const unit of units) {
      this.#appendPositions(unit, keys, offset);
      this.#appendTimes(unit.recordCount, keys, offset);
      offset += unit.recordCount;
    }
  }

  #appendPositions(unit: EncodedUnit, keys: RecordKeys, offset: number): void {
    const { position, byteLength, check, recordCount } = unit;
    const { seqs } = keys;
    const first = keys.first + offset;
    const firstDelta = keys.baseSeq + offset - this.#segment.baseSeq;
    let at = this.#idx.reserve(recordCount);
    const { view } = this.#idx;
    for (let i = 0; i < recordCount; i++, at += IDX_ENTRY_BYTES) {
      const delta =
        seqs === undefined ? firstDelta + i : (seqs[first + i] ?? 0) - this.#segment.baseSeq;
      writeIndexEntry(view, at, delta, position, byteLength, check);
    }
  }

  #appendTimes(recordCount: number, keys: RecordKeys, offset: number): void {
    const { timestamps, timestamp } = keys;
    let column = 2 * (keys.first + offset);
    let at = this.#ts.reserve(recordCount);
    const { view } = this.#ts;
    for (let i = 0; i < recordCount; i++, at += TS_ENTRY_BYTES, column += 2) {
      view.setUint32(at, timestamps === undefined ? timestamp.lo : (timestamps[column] ?? 0), true);
      const hi = timestamps === undefined ? timestamp.hi : (timestamps[column + 1] ?? 0);
      view.setUint32(at + 4, hi, true);
    }
  }

  flush(): void {
    this.#idx.flush();
    this.#ts.flush();
  }

  /** The entry of record `ordinal`, when it can be read. */
  entry(ordinal: number): IndexEntry | undefined {
    const found = this.#idx.entry(ordinal);
    return found === undefined ? undefined : readIndexEntry(found.view, found.at);
  }

  timestamp(ordinal: number): Nanos | undefined {
    const found = this.#ts.entry(ordinal);
    if (found === undefined) return undefined;
    const { view, at } = found;
    return { hi: view.getUint32(at + 4, true), lo: view.getUint32(at, true) };
  }

  /** Entries that can be asked for. */
  get count(): number {
    return Math.min(this.#idx.count, this.#ts.count);
  }

  /**
   * The ordinal of the last record whose seq is at most `seq`, as far as idx can say; -1 when
   * there is none, undefined when idx cannot be read.
   */
  ordinalAtOrBelow(seq: number): number | undefined {
    const delta = seq - this.#segment.baseSeq;
    const { count } = this.#idx;
    if (this.#idx.unusable) return undefined;
    if (isDense(this.#segment) && count === this.#segment.recordCount) {
      return Math.min(delta, count - 1);
    }
    let low = -1;
    let high = count;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      const entry = this.entry(middle);
      if (entry === undefined) return undefined;
      if (entry.seqDelta <= delta) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Whether idx goes as far as `seq`, so that what it leads to is the last unit at or below it. */
  covers(seq: number): boolean {
    return this.isComplete || (this.ordinalAtOrBelow(seq) ?? Infinity) < this.#idx.count - 1;
  }

  /** The derived files are being rebuilt up to `count` records; later ones wait in memory. */
  hold(count: number): void {
    this.#idx.holdFrom(count);
    this.#ts.holdFrom(count);
  }

  /** The rebuilt files are in place, with as many entries as they have. */
  release(mode: 'read' | 'write', count: number): void {
    for (const file of [this.#idx, this.#ts]) {
      const waiting = file.tailCount;
      file.held = false;
      const opened = file.openExisting(this.#segment, count, mode);
      if (!opened || file.flushedCount !== count) file.unusable = true;
      file.tailCount = file.unusable ? 0 : waiting;
    }
  }

  close(): void {
    this.flush();
    this.#idx.close();
    this.#ts.close();
  }
}

/** The names of a segment's derived files. */
export function derivedNames(baseSeq: number): string[] {
  return [segmentFileName(baseSeq, 'idx'), segmentFileName(baseSeq, 'ts')];
}
