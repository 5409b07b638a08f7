/**
 * The iterators behind tail and tailBatches. Steps that are asked for before the last one has
 * settled are served in their order.
 */
import type { LogRecord } from '../core/record.js';
import type { TailConsumer, TailFeed } from './tail-feed.js';

interface PendingStep<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

const NO_RECORDS: readonly LogRecord[] = [];

abstract class TailSteps<T> implements AsyncIterableIterator<T, undefined>, TailConsumer {
  readonly #feed: TailFeed;
  #pending: PendingStep<T>[] = [];
  /** What was delivered and not yet asked for: the records from `at` on. */
  protected batch: readonly LogRecord[] = NO_RECORDS;
  protected at = 0;

  constructor(feed: TailFeed) {
    this.#feed = feed;
  }

  /** The next value out of the batch; undefined when that is used up. */
  protected abstract pull(): T | undefined;

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#pending.length === 0 && !this.#feed.isInterrupted) {
      this.#dropLetGo();
      const value = this.pull();
      if (value !== undefined) return Promise.resolve({ value, done: false });
    }
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      if (this.#pending.length === 1) this.#serve();
    });
  }

  #serve(): void {
    while (this.#pending.length > 0) {
      this.#dropLetGo();
      if (this.#feed.isInterrupted) this.#dropInvisible();
      const value = this.pull();
      if (value === undefined) {
        this.#feed.take(this);
        return;
      }
      this.#pending.shift()?.resolve({ value, done: false });
    }
  }

  /** Records that were let go since they were delivered: the tail is overtaken. */
  #dropLetGo(): void {
    const record = this.batch[this.at];
    if (record !== undefined && this.#feed.isOvertaken(record.seq)) this.batch = NO_RECORDS;
  }

  #dropInvisible(): void {
    this.batch = this.batch.slice(this.at).filter(({ seq }) => this.#feed.isVisible(seq));
    this.at = 0;
  }

  onBatch(records: readonly LogRecord[]): void {
    this.batch = records;
    this.at = 0;
    this.#serve();
  }

  onEnd(): void {
    for (const step of this.#pending.splice(0)) step.resolve({ value: undefined, done: true });
  }

  onError(error: unknown): void {
    this.#pending.shift()?.reject(error);
    this.onEnd();
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#feed.end();
    this.onEnd();
    this.batch = NO_RECORDS;
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Yields records one by one. */
export class RecordTail extends TailSteps<LogRecord> {
  protected pull(): LogRecord | undefined {
    const record = this.batch[this.at];
    if (record !== undefined) this.at++;
    else this.batch = NO_RECORDS;
    return record;
  }
}

/** Yields arrays of records, each of them the caller's own. */
export class BatchTail extends TailSteps<LogRecord[]> {
  protected pull(): LogRecord[] | undefined {
    if (this.at >= this.batch.length) return undefined;
    const records = this.batch.slice(this.at);
    this.batch = NO_RECORDS;
    this.at = 0;
    return records;
  }
}
