/**
 * How fast a queue goes: what happened in the last minute, and how long messages waited from when
 * they were due until they were delivered. Memory and time do not depend on how much there was.
 */
import type { Runtime } from '../core/runtime.js';
import type { QueueCounts } from './queue-counters.js';

/** Of the last 60 seconds, or since the queue was opened, if that is less. */
export interface QueueRates {
  readonly enqueued: number;
  readonly delivered: number;
  readonly acknowledged: number;
}

/** Milliseconds from when messages were due, or came, to their first delivery, since the open. */
export interface QueueLag {
  readonly count: number;
  readonly maxMs: number;
  /** At most so long waited a half, 90 and 99 of 100: the ends of the buckets they are in. */
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  /** How many waited up to so long and longer than the bucket before; none that is empty. */
  readonly buckets: readonly { readonly upToMs: number; readonly count: number }[];
}

const WINDOW_SECONDS = 60;
/** One for 0 ms, and one for each power of two up to a time that is longer than any. */
const BUCKETS = 44;

interface Second {
  readonly second: number;
  /** What had happened before it. */
  readonly before: QueueRates;
}

export class QueueMeter {
  readonly #runtime: Runtime;
  readonly #counts: QueueCounts;
  /** Seconds in which something happened, oldest first, and one before the window. */
  #seconds: Second[] = [];
  #last: QueueRates = { enqueued: 0, delivered: 0, acknowledged: 0 };
  #second = -1;
  readonly #lags = new Float64Array(BUCKETS);
  #lagCount = 0;
  #maxLagMs = 0;

  constructor(runtime: Runtime, counts: QueueCounts) {
    this.#runtime = runtime;
    this.#counts = counts;
  }

  /** Something may have happened. */
  note(): void {
    const second = Math.floor(this.#runtime.monotonic() / 1000);
    const { enqueued, delivered, acknowledged } = this.#counts;
    if (second !== this.#second) {
      this.#second = second;
      this.#seconds.push({ second, before: this.#last });
      const first = this.#seconds.findLastIndex((each) => each.second <= second - WINDOW_SECONDS);
      if (first > 0) this.#seconds = this.#seconds.slice(first);
    }
    this.#last = { enqueued, delivered, acknowledged };
  }

  /** A message was delivered for the first time. */
  onDelivered(lagMs: number): void {
    const ms = Math.max(0, lagMs);
    const bucket = ms < 1 ? 0 : Math.ceil(Math.log2(ms)) + 1;
    const at = Math.min(bucket, BUCKETS - 1);
    this.#lags[at] = (this.#lags[at] ?? 0) + 1;
    this.#lagCount++;
    if (ms > this.#maxLagMs) this.#maxLagMs = ms;
  }

  lastMinute(): QueueRates {
    this.note();
    const from = this.#second - WINDOW_SECONDS;
    const first = this.#seconds.find(({ second }) => second > from);
    const { enqueued, delivered, acknowledged } = first?.before ?? this.#last;
    return {
      enqueued: this.#last.enqueued - enqueued,
      delivered: this.#last.delivered - delivered,
      acknowledged: this.#last.acknowledged - acknowledged,
    };
  }

  lag(): QueueLag {
    const buckets = [...this.#lags].flatMap((count, bucket) =>
      count === 0 ? [] : [{ upToMs: bucket === 0 ? 0 : 2 ** (bucket - 1), count }],
    );
    const shareMs = (share: number): number => {
      let left = Math.ceil(this.#lagCount * share);
      for (const { upToMs, count } of buckets) {
        left -= count;
        if (left <= 0) return Math.min(upToMs, this.#maxLagMs);
      }
      return 0;
    };
    return {
      count: this.#lagCount,
      maxMs: this.#maxLagMs,
      p50Ms: shareMs(0.5),
      p90Ms: shareMs(0.9),
      p99Ms: shareMs(0.99),
      buckets,
    };
  }
}
