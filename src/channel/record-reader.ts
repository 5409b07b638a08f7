/**
 * All reads of a channel: what is visible, where it stands, and the errors for what cannot be
 * read. Nothing here syncs or waits for a sync.
 */
import type { RedexError } from '../core/errors.js';
import { compareNanos, type Nanos } from '../core/nanos.js';
import type { LogRecord } from '../core/record.js';
import type { ChunkSource } from '../segment/chunk.js';
import type { OpenSegment } from '../segment/open-segment.js';
import { corruption, segmentPath, type Segment } from '../segment/segment.js';
import { BatchCursor, chunksFor, missingHead } from './batch-cursor.js';
import type { ChannelContext } from './channel-context.js';
import type { Health } from './health.js';
import { ioError } from './io-error.js';
import { outOfRange } from './out-of-range.js';
import { nanosOfTime, type ReadOptions } from './read-options.js';
import type { ChainSnapshot } from './chain-snapshots.js';
import { indexIn, type SegmentChain } from './segment-chain.js';

export interface Visibility {
  readonly firstSeq: number;
  /** End of what readers see. */
  readonly visibleSeq: number;
}

/**
 * Beside another process that writes, a read may fail because the files are others by now. Asked
 * with the error, and how often it was asked before, whether the read is to be tried once more.
 */
export type Recheck = (error: RedexError, attempt: number) => Promise<boolean>;

/** Where a read begins and ends, fixed when it starts. */
export interface ReadRange {
  readonly from: number;
  readonly to: number;
  /** The read was asked to go beyond what a poisoned channel can vouch for. */
  readonly endsPoisoned: boolean;
  /** To be let go when the read is over. */
  readonly snapshot: ChainSnapshot;
}

export class RecordReader {
  readonly chain: SegmentChain;
  readonly health: Health;
  /** Sees what another process has written since the last read. */
  beforeRead: (() => Promise<void>) | undefined;
  readonly #context: ChannelContext;
  readonly #visibility: Visibility;
  readonly #recheck: Recheck | undefined;

  constructor(
    context: ChannelContext,
    chain: SegmentChain,
    health: Health,
    visibility: Visibility,
    recheck?: Recheck,
  ) {
    this.#context = context;
    this.chain = chain;
    this.health = health;
    this.#visibility = visibility;
    this.#recheck = recheck;
  }

  /** See Channel.get. */
  async get(seq: number): Promise<LogRecord | undefined> {
    if (this.beforeRead !== undefined) await this.beforeRead();
    const refusal = this.#refusal(seq);
    if (refusal !== undefined) throw refusal;
    if (seq >= this.#visibility.visibleSeq) return undefined;
    const { chain } = this;
    const segment = chain.all[chain.indexOf(seq)];
    if (segment === undefined || segment.damage !== undefined) return this.#search(seq);
    return this.#reading(() => this.#recordIn(segment, seq)) ?? this.#search(seq);
  }

  /** The record when the index leads to it. */
  #recordIn(segment: Segment, seq: number): LogRecord | undefined {
    const { chain } = this;
    const open = chain.borrow(segment);
    try {
      return open.recordAt(seq);
    } finally {
      chain.release(open);
    }
  }

  /** Without the help of the index, or because of a gap: reads up to the place. */
  async #search(seq: number): Promise<LogRecord | undefined> {
    const chunks = chunksFor(true);
    const cursor = new BatchCursor(this.chain, { from: seq, to: seq + 1, chunks });
    return (await this.step(cursor, 1))?.[0];
  }

  /** The error for a read at `seq` that is refused whatever is there. */
  #refusal(seq: number): RedexError | undefined {
    if (this.health.isClosed) return this.health.closedError();
    const { firstSeq, visibleSeq: nextSeq } = this.#visibility;
    if (seq < firstSeq) return outOfRange(seq, firstSeq, nextSeq);
    const poisoned = this.health.isPoisoned && seq >= nextSeq;
    return poisoned ? this.health.poisonedError() : undefined;
  }

  /** A read that starts now. Throws OUT_OF_RANGE, POISONED, CLOSED. */
  async begin(options: ReadOptions): Promise<ReadRange> {
    if (this.beforeRead !== undefined) await this.beforeRead();
    const { firstSeq } = this.#visibility;
    const given = options.from;
    let from = given === undefined || given === 'start' ? firstSeq : given;
    const refusal = this.#refusal(from);
    if (refusal !== undefined) throw refusal;
    // From here on nothing that it was promised can be let go.
    const snapshot = this.chain.hold(from);
    if (options.fromTime !== undefined) {
      try {
        from = Math.max(from, await this.#seekTime(nanosOfTime(options.fromTime)));
      } catch (error) {
        this.chain.letGo(snapshot);
        throw error;
      }
      this.chain.pass(snapshot, from);
    }
    const { visibleSeq } = this.#visibility;
    const to = Math.min(options.to ?? visibleSeq, visibleSeq);
    const endsPoisoned = this.health.isPoisoned && (options.to ?? Infinity) > visibleSeq;
    return { from, to, endsPoisoned, snapshot };
  }

  cursor({ from, to, snapshot }: ReadRange, ownBytes: boolean): BatchCursor {
    return new BatchCursor(this.chain, { from, to, snapshot, chunks: chunksFor(ownBytes) });
  }

  /** A cursor whose steps say how far they may go. */
  openCursor(from: number, chunks: () => ChunkSource): BatchCursor {
    return new BatchCursor(this.chain, { from, to: from, chunks });
  }

  /** End of what a poisoned channel can vouch for; undefined while it is not poisoned. */
  get durableEnd(): number | undefined {
    return this.health.isPoisoned ? this.#visibility.visibleSeq : undefined;
  }

  /** One step of a cursor, with the errors of the file system as IO. */
  async step(cursor: BatchCursor, limit: number, to?: number): Promise<LogRecord[] | undefined> {
    if (this.health.isClosed) throw this.health.closedError();
    for (let attempt = 0; ; attempt++) {
      try {
        return await (to === undefined ? cursor.next(limit) : cursor.next(limit, to));
      } catch (error) {
        this.#refuseOvertaken(cursor);
        await this.#checkAgain(error, attempt);
        const refusal = this.#refusal(cursor.restart());
        if (refusal !== undefined) throw refusal;
      }
    }
  }

  /** What a read failed with is of no interest when the records are gone that it is to read. */
  #refuseOvertaken(cursor: BatchCursor): void {
    const { firstSeq, visibleSeq } = this.#visibility;
    const { nextSeq, isLive } = cursor;
    // What another process lets go is gone, whoever still reads it.
    const isKept = !isLive && this.#recheck === undefined;
    if (!isKept && nextSeq < firstSeq) throw outOfRange(nextSeq, firstSeq, visibleSeq);
  }

  /** Throws what a read failed with, unless it is to be tried again. */
  async #checkAgain(error: unknown, attempt: number): Promise<void> {
    const failure = this.#readError(error);
    if (this.#recheck === undefined || !(await this.#recheck(failure, attempt))) throw failure;
  }

  /** Undefined also where a search would look again at what has failed. */
  #reading<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (this.#recheck !== undefined) return undefined;
      throw this.#readError(error);
    }
  }

  #readError(error: unknown): RedexError {
    if (this.health.isClosed) return this.health.closedError();
    return ioError('read', this.#context.directory, error, 'absent');
  }

  /** The seq of the first record at or after a time; the end when there is none. */
  async seqAt(time: Nanos): Promise<number> {
    if (this.beforeRead !== undefined) await this.beforeRead();
    return this.#seekTime(time);
  }

  async #seekTime(time: Nanos): Promise<number> {
    if (this.health.isClosed) throw this.health.closedError();
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#seqAt(time);
      } catch (error) {
        await this.#checkAgain(error, attempt);
      }
    }
  }

  async #seqAt(time: Nanos): Promise<number> {
    const snapshot = this.chain.hold(this.#visibility.firstSeq);
    try {
      return await this.#seqIn(snapshot, time);
    } finally {
      this.chain.letGo(snapshot);
    }
  }

  async #seqIn(snapshot: ChainSnapshot, time: Nanos): Promise<number> {
    const { segments } = snapshot;
    const { firstSeq, visibleSeq } = this.#visibility;
    const { chain } = this;
    const head = segments[0]?.baseSeq ?? firstSeq;
    if (firstSeq < Math.min(head, visibleSeq) && !isOlder(segments, -1, time)) {
      throw missingHead(segments, firstSeq);
    }
    for (let i = Math.max(0, chain.indexOf(firstSeq)); i < segments.length; i++) {
      const segment = segments[i];
      if (segment === undefined || segment.baseSeq >= visibleSeq) break;
      const { damage, baseSeq, nextSeq } = segment;
      // What is missing from a damaged one may be newer than what is there.
      const isPast = damage === undefined && compareNanos(segment.lastTimestamp, time) < 0;
      if (isPast || isOlder(segments, i, time)) continue;
      if (damage?.fromSeq === baseSeq) {
        const range = { firstSeq: baseSeq, nextSeq };
        throw corruption(segmentPath(segment, 'dat'), damage.position, damage.check, range);
      }
      const open = chain.borrow(segment);
      try {
        const seq = await open.seqAt(time, { firstSeq, nextSeq: visibleSeq });
        if (seq >= Math.min(segment.nextSeq, visibleSeq)) continue;
        if (seq >= this.#visibility.firstSeq) return seq;
      } finally {
        chain.release(open);
      }
      // It is hidden, or has been let go meanwhile: those behind it are no older.
      return this.#firstVisible(snapshot);
    }
    if (this.health.isPoisoned) throw this.health.poisonedError();
    return visibleSeq;
  }

  /** The seq of the first record that is visible; with none, of the next one. */
  async #firstVisible(snapshot: ChainSnapshot): Promise<number> {
    const { firstSeq: from, visibleSeq: to } = this.#visibility;
    const chunks = chunksFor(false);
    const cursor = new BatchCursor(this.chain, { from, to, snapshot, chunks });
    const records = await cursor.next(1);
    return records?.[0]?.seq ?? to;
  }

  /**
   * Where a window of about `count` records that ends before `to` begins: by the index when it can
   * say, else by distance.
   */
  windowStart(to: number, count: number, { segments }: ChainSnapshot): number {
    const segment = segments[indexIn(segments, to - 1)];
    if (segment === undefined) return Math.max(0, to - count);
    if (segment.damage !== undefined) return Math.max(segment.baseSeq, to - count);
    let open: OpenSegment;
    try {
      open = this.chain.borrow(segment);
    } catch {
      // What is wrong with it is told by the read of the window.
      return Math.max(segment.baseSeq, to - count);
    }
    try {
      return open.windowStart(to, count);
    } finally {
      this.chain.release(open);
    }
  }
}

/** Whether the next readable segment proves that all records up to this one's end are older. */
function isOlder(segments: readonly Segment[], index: number, time: Nanos): boolean {
  for (let i = index + 1; i < segments.length; i++) {
    const next = segments[i];
    if (next === undefined || next.damage?.fromSeq === next.baseSeq) continue;
    return compareNanos(next.timestampFloor, time) < 0;
  }
  return false;
}
