/**
 * Appends that wait: their records gathered in columns, and who has to be told. One queue fills
 * while another is being written.
 */
import type { RedexError } from '../core/errors.js';
import { Gather } from './gather.js';
import type { SyncGroup } from './sync-worker.js';

/** One append or batch. */
export interface Waiter {
  readonly firstSeq: number;
  readonly endSeq: number;
  /** Resolves only when synced. */
  readonly synced: boolean;
  resolve(): void;
  reject(error: RedexError): void;
}

export class AppendQueue {
  readonly gather: Gather;
  /** The first frame that has not been written. */
  nextFrame = 0;
  #waiters: Waiter[] = [];
  #settled = 0;

  constructor(maxFrameBytes: number) {
    this.gather = new Gather(maxFrameBytes);
  }

  get isEmpty(): boolean {
    return this.gather.isEmpty;
  }

  push(waiter: Waiter): void {
    this.#waiters.push(waiter);
  }

  /**
   * Everything below `writtenSeq` has been written: tells who waited for that, and returns those
   * who wait for a sync as one group.
   */
  settleWritten(writtenSeq: number): SyncGroup | undefined {
    const synced: Waiter[] = [];
    while (this.#settled < this.#waiters.length) {
      const waiter = this.#waiters[this.#settled];
      if (waiter === undefined || waiter.endSeq > writtenSeq) break;
      this.#settled++;
      if (waiter.synced) synced.push(waiter);
      else waiter.resolve();
    }
    const first = synced[0];
    if (first === undefined) return undefined;
    return {
      firstSeq: first.firstSeq,
      endSeq: synced.at(-1)?.endSeq ?? first.endSeq,
      settle: (error) => {
        for (const waiter of synced) {
          if (error === undefined) waiter.resolve();
          else waiter.reject(error);
        }
      },
    };
  }

  /** None of the rest is in the log. */
  rejectRest(error: RedexError): void {
    const rest = this.#waiters.slice(this.#settled);
    this.clear();
    for (const waiter of rest) waiter.reject(error);
  }

  clear(): void {
    this.gather.clear();
    this.nextFrame = 0;
    this.#waiters = [];
    this.#settled = 0;
  }
}
