/**
 * The iterators behind read and readBatches. Made by hand: an async generator costs about twice as
 * much for each record. Steps that are asked for before the last one has settled wait for it.
 */
import { RedexError } from '../core/errors.js';
import type { LogRecord } from '../core/record.js';
import type { BatchCursor } from './batch-cursor.js';
import type { ReadOptions } from './read-options.js';
import type { ReadRange, RecordReader } from './record-reader.js';

/** Records that a reverse read fetches at once: more while they are small, fewer when large. */
const FIRST_WINDOW = 16;
const LARGEST_WINDOW = 512;
const WINDOW_BYTES = 1024 * 1024;

/** Delivers batches of records until the range, the limit or the byte limit is used up. */
class BatchSource {
  readonly #reader: RecordReader;
  readonly #options: ReadOptions;
  #range: ReadRange | undefined;
  #cursor: BatchCursor | undefined;
  #recordsLeft: number;
  #bytesLeft: number;
  #started = false;
  #window = FIRST_WINDOW;
  #done = false;

  constructor(reader: RecordReader, options: ReadOptions) {
    this.#reader = reader;
    this.#options = options;
    this.#recordsLeft = options.limit ?? Infinity;
    this.#bytesLeft = options.maxBytes ?? Infinity;
  }

  /** The next batch, never empty; undefined at the end. */
  async next(): Promise<LogRecord[] | undefined> {
    if (this.#done) return undefined;
    try {
      this.#options.signal?.throwIfAborted();
      const batch = await this.#read(this.#range ?? (await this.#start()));
      this.#options.signal?.throwIfAborted();
      if (batch === undefined && this.#range?.endsPoisoned === true) {
        throw this.#reader.health.poisonedError();
      }
      if (batch === undefined) this.end();
      return batch === undefined ? undefined : this.#withinLimits(batch);
    } catch (error) {
      this.end();
      throw error;
    }
  }

  async #start(): Promise<ReadRange> {
    const range = await this.#reader.begin(this.#options);
    this.#range = range;
    // Its first record would be one that nobody can vouch for.
    if (range.endsPoisoned && this.#options.reverse === true) {
      throw this.#reader.health.poisonedError();
    }
    return range;
  }

  async #read(range: ReadRange): Promise<LogRecord[] | undefined> {
    const limited = this.#poisonedRange(range);
    if (this.#options.reverse === true) return this.#readBackward(limited);
    this.#cursor ??= this.#reader.cursor(limited, this.#options.copy === true);
    const batch = await this.#reader.step(this.#cursor, this.#recordsLeft, limited.to);
    // The records of a batch are in memory: only what comes after it is still needed.
    if (!this.#done) this.#reader.chain.pass(range.snapshot, this.#cursor.nextSeq);
    return batch;
  }

  /** A channel that is poisoned meanwhile vouches only for what is durable. */
  #poisonedRange(range: ReadRange): ReadRange {
    const end = this.#reader.durableEnd;
    if (end === undefined || end >= range.to) return range;
    this.#range = { ...range, to: end, endsPoisoned: true };
    return this.#range;
  }

  async #readBackward(range: ReadRange): Promise<LogRecord[] | undefined> {
    let { to } = range;
    while (to > range.from) {
      const count = Math.min(this.#window, this.#recordsLeft);
      const from = Math.max(range.from, this.#reader.windowStart(to, count, range.snapshot));
      const { batch, begin } = await this.#collectBehindDamage({ ...range, from, to });
      this.#resizeWindow(batch);
      to = begin;
      this.#range = { ...range, to };
      if (batch.length > 0) return batch.toReversed();
    }
    return undefined;
  }

  #resizeWindow(batch: readonly LogRecord[]): void {
    const bytes = batch.reduce((sum, record) => sum + record.byteLength, 0);
    this.#window =
      bytes > WINDOW_BYTES
        ? Math.max(1, Math.floor(this.#window / 8))
        : Math.min(LARGEST_WINDOW, 2 * this.#window);
  }

  /**
   * The records of a window; of one with damage in it those behind the damage. It is told when
   * they have been delivered.
   */
  async #collectBehindDamage(
    window: ReadRange,
  ): Promise<{ readonly batch: LogRecord[]; readonly begin: number }> {
    for (let begin = window.from; ;) {
      try {
        return { batch: await this.#collect({ ...window, from: begin }), begin };
      } catch (error) {
        const behind = RedexError.is(error, 'CORRUPT') ? error.seqRange?.nextSeq : undefined;
        if (behind === undefined || behind <= begin || behind >= window.to) throw error;
        begin = behind;
      }
    }
  }

  async #collect(range: ReadRange): Promise<LogRecord[]> {
    const cursor = this.#reader.cursor(range, true);
    const records: LogRecord[] = [];
    for (;;) {
      const batch = await this.#reader.step(cursor, Infinity);
      if (batch === undefined) return records;
      for (const record of batch) records.push(record);
    }
  }

  #withinLimits(batch: LogRecord[]): LogRecord[] {
    let count = Math.min(batch.length, this.#recordsLeft);
    if (this.#bytesLeft !== Infinity) {
      let fitting = 0;
      for (const record of batch) {
        const isFirst = !this.#started && fitting === 0;
        if (!isFirst && record.byteLength > this.#bytesLeft) break;
        this.#bytesLeft -= record.byteLength;
        fitting++;
      }
      if (fitting < batch.length) this.#recordsLeft = 0;
      count = Math.min(count, fitting);
    }
    this.#started = true;
    this.#recordsLeft -= count;
    if (this.#recordsLeft <= 0) this.end();
    return count === batch.length ? batch : batch.slice(0, count);
  }

  end(): void {
    this.#done = true;
    this.#cursor = undefined;
    if (this.#range !== undefined) this.#reader.chain.letGo(this.#range.snapshot);
  }
}

/** Yields arrays of records. The fastest way to read much. */
export class BatchIterator implements AsyncIterableIterator<LogRecord[]> {
  readonly #source: BatchSource;
  #last: Promise<unknown> = Promise.resolve();

  constructor(reader: RecordReader, options: ReadOptions) {
    this.#source = new BatchSource(reader, options);
  }

  next(): Promise<IteratorResult<LogRecord[]>> {
    const step = this.#last.then(
      () => this.#step(),
      () => this.#step(),
    );
    this.#last = step;
    return step;
  }

  async #step(): Promise<IteratorResult<LogRecord[]>> {
    const value = await this.#source.next();
    // An empty batch is what is left when the byte limit ended a read.
    return value === undefined || value.length === 0
      ? { value: undefined, done: true }
      : { value, done: false };
  }

  async return(): Promise<IteratorResult<LogRecord[]>> {
    await this.#last.catch(() => undefined);
    this.#source.end();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Yields records one by one. */
export class RecordIterator implements AsyncIterableIterator<LogRecord> {
  readonly #batches: BatchIterator;
  #batch: LogRecord[] = [];
  #at = 0;
  #pending: Promise<IteratorResult<LogRecord>> | undefined;
  #returned = false;
  readonly #reader: RecordReader;
  readonly #signal: AbortSignal | undefined;

  constructor(reader: RecordReader, options: ReadOptions) {
    this.#reader = reader;
    this.#signal = options.signal;
    this.#batches = new BatchIterator(reader, options);
  }

  /** Records that were read before an abort or a close are not delivered after it. */
  get #isInterrupted(): boolean {
    return this.#returned || this.#signal?.aborted === true || this.#reader.health.isClosed;
  }

  next(): Promise<IteratorResult<LogRecord>> {
    const value = this.#batch[this.#at];
    if (value !== undefined && this.#pending === undefined && !this.#isInterrupted) {
      this.#at++;
      return Promise.resolve({ value, done: false });
    }
    const before = this.#pending ?? Promise.resolve();
    const step = before.then(
      () => this.#step(),
      () => this.#step(),
    );
    this.#pending = step;
    const settled = (): void => {
      if (this.#pending === step) this.#pending = undefined;
    };
    step.then(settled, settled);
    return step;
  }

  async #step(): Promise<IteratorResult<LogRecord>> {
    if (this.#returned) return { value: undefined, done: true };
    if (this.#at >= this.#batch.length) {
      const result = await this.#batches.next();
      this.#batch = result.done === true ? [] : result.value;
      this.#at = 0;
    }
    if (this.#returned) return { value: undefined, done: true };
    if (this.#at < this.#batch.length && this.#isInterrupted) {
      await this.return();
      this.#signal?.throwIfAborted();
      throw this.#reader.health.closedError();
    }
    const value = this.#batch[this.#at++];
    return value === undefined ? { value: undefined, done: true } : { value, done: false };
  }

  async return(): Promise<IteratorResult<LogRecord>> {
    this.#returned = true;
    await this.#batches.return();
    this.#batch = [];
    this.#at = 0;
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
