/**
 * What the tails of one channel share. While tails wait at the end, whatever becomes visible is
 * read once and given to all of them. A tail that is behind takes from a window of what was read
 * last, or reads by itself until it gets there. Nobody is sent anything that was not asked for, so
 * there are no queues, and a tail that waits costs neither a timer nor a descriptor.
 */
import type { RedexError } from '../core/errors.js';
import type { LogRecord } from '../core/record.js';
import type { Runtime } from '../core/runtime.js';
import type { BatchCursor } from './batch-cursor.js';
import type { RecordReader, Visibility } from './record-reader.js';
import { TailChunks } from './tail-chunks.js';
import { TailWindow, WINDOW_BYTES, type TailBatch } from './tail-window.js';

/** Records that are read at once for all, about. */
const BATCH_RECORDS = 1024;
/** A tail that is at most so far behind is served by the hub, if nobody else is. */
const NEAR_BYTES = 256 * 1024;
/** Chunks of all tails that read by themselves; each has up to two. */
const CHUNK_BUDGET_BYTES = 16 * 1024 * 1024;
const SMALLEST_CHUNK_BYTES = 16 * 1024;
const LARGEST_CHUNK_BYTES = 512 * 1024;

/** What tails follow. */
export interface TailSource extends Visibility {
  /** Why nobody can see any more what there is: told to tails that are at the end. */
  readonly failure?: RedexError | undefined;
  /** Where what is visible has to be looked for: makes `firstSeq` and `visibleSeq` up to date. */
  look?(): Promise<void>;
  /**
   * Tails wait for more from now on, or none does any more. Both may come often, by turns; an owner
   * that has to look for more by itself looks in between.
   */
  onWaiting(): void;
  onIdle(): void;
}

/** A tail that waits for what comes next. */
export interface WaitingTail {
  readonly nextSeq: number;
  /** Offers what was read; true when the tail does not wait for more of it. */
  offer(batch: TailBatch): boolean;
  /** The tail no longer waits, because all may be over: it has to look. */
  wake(): void;
  /** The tail no longer waits, because the hub cannot read on: its next records are up to it. */
  readAlone(): void;
}

export class TailHub {
  readonly source: TailSource;
  readonly reader: RecordReader;
  readonly #runtime: Runtime;
  readonly #window = new TailWindow();
  readonly #chunks = new TailChunks();
  /** Where the hub reads on; undefined before the first tail waits. */
  #cursor: BatchCursor | undefined;
  #waiting = new Set<WaitingTail>();
  #isAnnounced = false;
  #isScheduled = false;
  #isReading = false;
  #isFinishing = false;
  #reading: Promise<void> | undefined;
  /** Tails that have begun and not ended. */
  #liveTails = 0;
  /** Tails that have a cursor of their own. */
  #ownCursors = 0;
  #epoch = 0;
  #placesEpoch = 0;

  constructor(reader: RecordReader, source: TailSource, runtime: Runtime) {
    this.reader = reader;
    this.source = source;
    this.#runtime = runtime;
  }

  /** Changes when records may be others than those that were seen. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Changes when places in files mean nothing any more. */
  get placesEpoch(): number {
    return this.#placesEpoch;
  }

  /** Bytes that the window of recent records keeps in memory, about. */
  get heldBytes(): number {
    return this.#window.heldBytes;
  }

  /** Bytes of a chunk of a tail that reads by itself: the more there are, the smaller. */
  readonly chunkBytes = (): number => {
    const share = Math.floor(CHUNK_BUDGET_BYTES / 2 / Math.max(1, this.#ownCursors));
    return Math.max(SMALLEST_CHUNK_BYTES, Math.min(LARGEST_CHUNK_BYTES, share));
  };

  addTail(): void {
    this.#liveTails++;
  }

  removeTail(tail: WaitingTail): void {
    this.#liveTails--;
    this.#waiting.delete(tail);
    if (this.#liveTails === 0) {
      this.#window.clear();
      this.#cursor = undefined;
    }
    this.#announce();
  }

  countCursor(change: 1 | -1): void {
    this.#ownCursors += change;
  }

  /** Visible records from `next` on that are in memory. */
  take(next: number): TailBatch | undefined {
    return this.#window.take(next, this.source.visibleSeq);
  }

  /**
   * Whether a tail gets what comes next from the hub: it is at the end, or the hub reads there
   * anyway, or is not far from the end, or has nobody else to serve while the tail is near it.
   */
  serves(next: number, lagBytes: (limit: number) => number): boolean {
    if (next >= this.source.visibleSeq) return true;
    const cursor = this.#cursor;
    const isBusy = this.#isReading || this.#waiting.size > 0;
    if (cursor !== undefined && next < cursor.nextSeq) return false;
    if (cursor !== undefined && (isNear(cursor) || (isBusy && next === cursor.nextSeq)))
      return true;
    return !isBusy && lagBytes(NEAR_BYTES) <= NEAR_BYTES;
  }

  /** From now on the tail is offered what becomes visible. */
  wait(tail: WaitingTail): void {
    this.#waiting.add(tail);
    const cursor = this.#cursor;
    const isAlone = !this.#isReading && this.#waiting.size === 1;
    if (cursor === undefined || (isAlone && cursor.nextSeq < tail.nextSeq && !isNear(cursor))) {
      this.#startAtWaiting();
    }
    // All wait at the end: nobody will ask for what was before.
    if (this.#waiting.size >= this.#liveTails) this.#window.clear();
    this.#announce();
    this.#readOn();
  }

  /**
   * Begins where the first of those who wait goes on; at the end at most, because a tail may wait
   * for a seq that is far above it, and others will come for those before.
   */
  #startAtWaiting(): BatchCursor {
    let seq = this.source.visibleSeq;
    for (const { nextSeq } of this.#waiting) seq = Math.min(seq, nextSeq);
    this.#window.clear();
    this.#cursor = this.reader.openCursor(seq, () => this.#chunks);
    return this.#cursor;
  }

  #announce(): void {
    const isWaiting = this.#waiting.size > 0;
    if (isWaiting === this.#isAnnounced) return;
    this.#isAnnounced = isWaiting;
    if (isWaiting) this.source.onWaiting();
    else this.source.onIdle();
  }

  /** Something may have become visible, or be over. Costs next to nothing when no tail waits. */
  onProgress(): void {
    if (this.#waiting.size === 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    this.#runtime.defer(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#isScheduled = false;
    if (this.#isOver) this.#dismiss(false);
    else this.#readOn();
  };

  get #isOver(): boolean {
    const { health } = this.reader;
    return health.isClosed || health.isPoisoned || this.source.failure !== undefined;
  }

  #readOn(): void {
    if (this.#isReading || this.#isOver) return;
    const next = this.#cursor?.nextSeq ?? -1;
    if (this.source.visibleSeq > next) this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    let failed = false;
    try {
      while (!this.#isOver && (this.#waiting.size > 0 || this.#isFinishing)) {
        const cursor = this.#cursor ?? this.#startAtWaiting();
        const from = cursor.nextSeq;
        const { visibleSeq } = this.source;
        if (from >= visibleSeq) break;
        const records = await this.reader.step(cursor, BATCH_RECORDS, visibleSeq);
        if (this.#cursor === cursor) this.#share(from, cursor.nextSeq, records ?? []);
      }
    } catch {
      // Whoever gets there by itself is told why.
      failed = true;
      this.#cursor = undefined;
      this.#window.clear();
    }
    this.#isReading = false;
    if (failed || this.#isOver) this.#dismiss(failed);
  }

  #share(from: number, to: number, records: readonly LogRecord[]): void {
    const batch = { from, to, records };
    this.#window.push(batch);
    const waiting = this.#waiting;
    // Tails that are satisfied may come back while the others are told.
    this.#waiting = new Set();
    for (const tail of waiting) if (!tail.offer(batch)) this.#waiting.add(tail);
    this.#announce();
  }

  #dismiss(failed: boolean): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const tail of waiting) {
      if (failed) tail.readAlone();
      else tail.wake();
    }
    this.#announce();
  }

  /**
   * Before a close: what was visible then is read, if it is not much, for tails that are near.
   * Who waits gets it now, the others find it in the window.
   */
  async finish(): Promise<void> {
    const cursor = this.#cursor;
    if (cursor === undefined) return;
    this.#isFinishing = this.#waiting.size > 0 || cursor.lagBytes(WINDOW_BYTES) <= WINDOW_BYTES;
    this.#readOn();
    while (this.#isReading) await this.#reading;
  }

  /** Records that were seen may have been taken back, and others be in their place. */
  reset(): void {
    this.#epoch++;
    this.#window.clear();
    this.resetPlaces();
  }

  /** Places in files mean nothing any more; what was read from them was right. */
  resetPlaces(): void {
    this.#placesEpoch++;
    this.#cursor = undefined;
    this.onProgress();
  }
}

function isNear(cursor: BatchCursor): boolean {
  return cursor.lagBytes(NEAR_BYTES) <= NEAR_BYTES;
}
