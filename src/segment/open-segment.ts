/**
 * A segment with its files open for reading. Finds records by seq and by time: idx and ts say
 * where to look, dat decides. A hint that dat does not confirm makes the derived files be rebuilt;
 * where that is not possible, or dat itself is damaged, the search walks dat.
 */
import { markAsUntransferable } from 'node:worker_threads';
import type { SeqRange } from '../core/errors.js';
import { compareNanos, type Nanos } from '../core/nanos.js';
import type { LogRecord } from '../core/record.js';
import { alignTo8, viewOf } from '../format/bytes.js';
import { FILE_HEADER_BYTES } from '../format/file-header.js';
import {
  BLOCK_HEADER_BYTES,
  decodeUnitHeader,
  FLAG_BLOCKS,
  SEAL_MAGIC,
  verifyUnit,
  type UnitHeader,
} from '../format/unit.js';
import { checkRecordTable, findRecord } from '../format/unit-records.js';
import type { FileHandle } from '../fs/file-system.js';
import { IndexRebuild } from './index-rebuild.js';
import type { IndexOwner, SegmentIndex } from './segment-index.js';
import type { Segment } from './segment.js';
import { walkSegment } from './segment-walk.js';
import { searchTime } from './time-search.js';

const FIRST_BYTES = 4096;
const SLAB_BYTES = 8192;
const NO_SLAB = new ArrayBuffer(0);

/** Memory that the lookups of one channel share. What it holds lives until the next lookup. */
export class ReadScratch {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = viewOf(this.bytes);

  #slab: ArrayBuffer = NO_SLAB;
  #slabUsed = SLAB_BYTES + 1;

  reserve(byteLength: number): void {
    if (byteLength <= this.bytes.byteLength) return;
    this.bytes = new Uint8Array(Math.max(FIRST_BYTES, byteLength));
    this.view = viewOf(this.bytes);
  }

  /**
   * The same record over bytes that nothing writes again. Small ones share an allocation, like
   * Buffers do: an ArrayBuffer of its own costs more than reading the record.
   */
  keep(record: LogRecord): LogRecord {
    const { byteLength } = record;
    if (byteLength > SLAB_BYTES / 2) return record.copy();
    if (this.#slabUsed + byteLength > SLAB_BYTES) {
      this.#slab = newSlab();
      this.#slabUsed = 0;
    }
    const target = new Uint8Array(this.#slab, this.#slabUsed, byteLength);
    this.#slabUsed += alignTo8(byteLength);
    return record.copyTo(target);
  }
}

/** Memory that several records share, so that no one of them may take it to another thread. */
function newSlab(): ArrayBuffer {
  const slab = new ArrayBuffer(SLAB_BYTES);
  markAsUntransferable(slab);
  return slab;
}

export class OpenSegment {
  readonly segment: Segment;
  readonly dat: FileHandle;
  readonly index: SegmentIndex;
  /** Readers that are using it; it is not closed before they are done. */
  users = 0;
  readonly #owner: IndexOwner;
  readonly #scratch: ReadScratch;
  readonly #indexMode: 'read' | 'write';
  #rebuilt = false;
  #closed = false;
  #rebuilding: Promise<void> | undefined;

  constructor(
    owner: IndexOwner,
    segment: Segment,
    dat: FileHandle,
    index: SegmentIndex,
    scratch: ReadScratch,
  ) {
    this.segment = segment;
    this.dat = dat;
    this.index = index;
    this.#owner = owner;
    this.#scratch = scratch;
    this.#indexMode = segment.sealed ? 'read' : 'write';
  }

  /**
   * The record `seq`, read at once and with bytes of its own, when the index leads straight to it;
   * undefined means only that `locate` has to be asked.
   */
  recordAt(seq: number): LogRecord | undefined {
    this.index.refresh();
    const ordinal = this.index.ordinalAtOrBelow(seq);
    if (ordinal === undefined || ordinal < 0) return undefined;
    const unit = this.#unitOf(ordinal);
    if (unit === undefined) return undefined;
    const record = findRecord(this.#scratch.bytes, this.#scratch.view, 0, unit, seq);
    return record === undefined ? undefined : this.#scratch.keep(record);
  }

  /** The verified unit that the index names for a record, in the scratch memory. */
  #unitOf(ordinal: number): UnitHeader | undefined {
    const entry = this.index.entry(ordinal);
    if (entry === undefined) return undefined;
    const { position, byteLength, check } = entry;
    const end = this.segment.datLength;
    if (position < FILE_HEADER_BYTES || byteLength < BLOCK_HEADER_BYTES) return undefined;
    if (position + byteLength > end) return undefined;
    const scratch = this.#scratch;
    scratch.reserve(byteLength);
    const length = this.dat.readSync(scratch.bytes, 0, byteLength, position);
    if (length < byteLength) return undefined;
    const unit = decodeUnitHeader(scratch.view, 0, position, end - position);
    if (typeof unit === 'string' || unit.byteLength !== byteLength) return undefined;
    if (unit.checksum.lo !== check || unit.magic === SEAL_MAGIC) return undefined;
    if ((unit.flags & FLAG_BLOCKS) !== 0) return undefined;
    const { nonce } = this.segment;
    const failure =
      verifyUnit(scratch.bytes, 0, byteLength, unit.checksum, nonce) ??
      checkRecordTable(scratch.view, 0, unit);
    return failure === undefined ? unit : undefined;
  }

  /** How many records are below `seq`, when the index can say and dat confirms both sides of it. */
  rankOf(seq: number): number | undefined {
    this.index.refresh();
    const ordinal = this.index.ordinalAtOrBelow(seq - 1);
    if (ordinal === undefined) return undefined;
    const rank = ordinal + 1;
    const isBelow = ordinal < 0 || this.#confirms(ordinal, (found) => found < seq);
    const isEnd = rank === this.segment.recordCount;
    return isBelow && (isEnd || this.#confirms(rank, (found) => found >= seq)) ? rank : undefined;
  }

  /** Whether dat has the record that the index has at `ordinal`, and its seq is as it should be. */
  #confirms(ordinal: number, isRight: (seq: number) => boolean): boolean {
    const entry = this.index.entry(ordinal);
    const unit = this.#unitOf(ordinal);
    if (entry === undefined || unit === undefined) return false;
    const seq = this.segment.baseSeq + entry.seqDelta;
    const { bytes, view } = this.#scratch;
    return isRight(seq) && findRecord(bytes, view, 0, unit, seq) !== undefined;
  }

  /** The unit that the index names for the last record at or below `seq`, when dat confirms it. */
  #hintedStart(seq: number): UnitHeader | undefined {
    const ordinal = this.index.ordinalAtOrBelow(seq);
    if (ordinal === undefined || ordinal < 0) return undefined;
    const unit = this.#unitOf(ordinal);
    return unit !== undefined && unit.baseSeq <= seq ? unit : undefined;
  }

  /**
   * Where a walk that has to find `seq` starts: the position of the last verified unit whose base
   * is at or below it, or of the first unit.
   */
  async locate(seq: number): Promise<number> {
    this.index.refresh();
    const hinted = this.#hintedStart(seq)?.position;
    const marked = this.segment.marks?.atOrBelow(seq)?.position;
    if (hinted !== undefined && (marked === undefined || this.index.covers(seq))) return hinted;
    // From here it may be some way, and damage on it is none of the record's.
    if (marked !== undefined) return this.#walkTo(seq, Math.max(marked, hinted ?? 0));
    if (seq <= this.segment.baseSeq) return FILE_HEADER_BYTES;
    await this.rebuildIndex();
    const rebuilt = this.#hintedStart(seq);
    return rebuilt === undefined ? this.#walkTo(seq, FILE_HEADER_BYTES) : rebuilt.position;
  }

  /** The position of the last unit whose base is at or below `seq`, from a unit's edge on. */
  async #walkTo(seq: number, start: number): Promise<number> {
    let found = start;
    await walkSegment(this.dat, this.segment, start, {
      records: (_view, _at, unit) => {
        if (unit.baseSeq <= seq && unit.recordCount > 0) found = unit.position;
        return unit.baseSeq <= seq;
      },
    });
    return found;
  }

  /** Rebuilds idx and ts from dat; once, because a second time would find the same. */
  async rebuildIndex(): Promise<void> {
    if (this.#owner.readOnly) return;
    if (this.#rebuilding === undefined && !this.#rebuilt) {
      this.#rebuilding = this.#rebuild().finally(() => {
        this.#rebuilding = undefined;
      });
    }
    await this.#rebuilding;
  }

  async #rebuild(): Promise<void> {
    const { segment } = this;
    this.#rebuilt = true;
    const { recordCount } = segment;
    this.index.hold(recordCount);
    const rebuild = new IndexRebuild(this.#owner, segment);
    try {
      await walkSegment(this.dat, { ...segment }, FILE_HEADER_BYTES, {
        records: (view, at, unit) => {
          rebuild.add(view, at, unit);
          return true;
        },
      });
      rebuild.finish(rebuild.count);
    } catch {
      rebuild.abandon();
    }
    if (!this.#closed) this.index.release(this.#indexMode, recordCount);
  }

  /**
   * The seq of the first record at or after `time`, or the segment's next seq. Throws CORRUPT when
   * it may be one of `wanted` that cannot be read.
   */
  async seqAt(time: Nanos, wanted: SeqRange): Promise<number> {
    this.index.refresh();
    const marked = this.segment.marks?.before(time) ?? FILE_HEADER_BYTES;
    let start = this.#hintedBefore(time);
    if (start === undefined) {
      await this.rebuildIndex();
      start = this.#hintedBefore(time) ?? FILE_HEADER_BYTES;
    }
    return searchTime(this.dat, this.segment, Math.max(start, marked), time, wanted);
  }

  /**
   * The position of a unit that has a record before `time`, and by ts the last such one; undefined
   * when the derived files cannot say or dat does not confirm it.
   */
  #hintedBefore(time: Nanos): number | undefined {
    const { count } = this.index;
    // Beside another process that writes, the files may have the entries of the first records only.
    if (count !== this.segment.recordCount && !this.#owner.readOnly) return undefined;
    let low = -1;
    let high = count;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      const stamp = this.index.timestamp(middle);
      if (stamp === undefined) return undefined;
      if (compareNanos(stamp, time) < 0) low = middle;
      else high = middle;
    }
    if (low < 0) return FILE_HEADER_BYTES;
    const unit = this.#unitOf(low);
    if (unit === undefined) return undefined;
    const first: Nanos = { hi: unit.timestampHi, lo: unit.timestampLo };
    return compareNanos(first, time) < 0 ? unit.position : undefined;
  }

  /**
   * Where a window of about `count` records that ends before `to` begins: by the index when it can
   * say, else by distance.
   */
  windowStart(to: number, count: number): number {
    const { index } = this;
    const { baseSeq, marks } = this.segment;
    index.refresh();
    const ordinal = index.ordinalAtOrBelow(to - 1);
    if (ordinal === undefined) return Math.max(baseSeq, to - count);
    const entry = ordinal < count ? undefined : index.entry(ordinal - count + 1);
    const start = entry === undefined ? baseSeq : baseSeq + entry.seqDelta;
    // Behind the end of an index that lags a window would be as long as the lag.
    const lags = marks !== undefined && ordinal === index.count - 1 && !index.isComplete;
    const marked = lags ? (marks.atOrBelow(to - 1)?.seq ?? baseSeq) : baseSeq;
    // A hint that points forward would lead nowhere.
    return start < to ? Math.max(start, marked) : baseSeq;
  }

  close(): void {
    this.#closed = true;
    this.index.close();
    this.dat.closeSync();
  }
}
