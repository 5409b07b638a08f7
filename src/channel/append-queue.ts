/**
 * Appends that wait: their records gathered in columns, and who has to be told. One queue fills
 * while another is being written.
 */
import type { RedexError } from '../core/errors.js';
import { clearList } from '../core/lists.js';
import { Gather } from './gather.js';
import type { SyncGroup } from './sync-worker.js';

/** An append or batch as the queue sees it. */
export interface PendingAppend {
  readonly firstSeq: number;
  readonly endSeq: number;
  /** Is told only when synced. */
  readonly synced: boolean;
  settle(error: RedexError | undefined): void;
}

/**
 * One append or batch. It may be settled before anybody has asked for its promise: then no
 * promise machinery is needed at all.
 */
export class Waiter<T> implements PendingAppend {
  readonly firstSeq: number;
  readonly endSeq: number;
  readonly synced: boolean;
  readonly #value: T;
  #resolve: ((value: T) => void) | undefined;
  #reject: ((error: RedexError) => void) | undefined;
  #isDone = false;
  #error: RedexError | undefined;

  constructor(firstSeq: number, endSeq: number, synced: boolean, value: T) {
    this.firstSeq = firstSeq;
    this.endSeq = endSeq;
    this.synced = synced;
    this.#value = value;
  }

  /** The error it was rejected with, if it was. */
  get error(): RedexError | undefined {
    return this.#error;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  settle(error: RedexError | undefined): void {
    this.#isDone = true;
    this.#error = error;
    if (error !== undefined) this.#reject?.(error);
    else this.#resolve?.(this.#value);
  }

  promise(): Promise<T> {
    if (this.#isDone) {
      return this.#error === undefined ? Promise.resolve(this.#value) : Promise.reject(this.#error);
    }
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }
}

/** Appends whose records are written and that wait for the same sync. */
class WaiterGroup implements SyncGroup {
  readonly #waiters: PendingAppend[];

  constructor(waiters: PendingAppend[]) {
    this.#waiters = waiters;
  }

  get firstSeq(): number {
    return this.#waiters[0]?.firstSeq ?? 0;
  }

  get endSeq(): number {
    return this.#waiters.at(-1)?.endSeq ?? 0;
  }

  settle(error: RedexError | undefined): void {
    for (const waiter of this.#waiters) waiter.settle(error);
  }
}

export class AppendQueue {
  readonly gather: Gather;
  /** The first frame that has not been written. */
  nextFrame = 0;
  readonly #waiters: PendingAppend[] = [];
  #settled = 0;
  #writtenAwaited = false;

  constructor(maxFrameBytes: number) {
    this.gather = new Gather(maxFrameBytes);
  }

  get isEmpty(): boolean {
    return this.gather.isEmpty;
  }

  /** Somebody here is to be told as soon as it is written. */
  get isWrittenAwaited(): boolean {
    return this.#writtenAwaited;
  }

  push(waiter: PendingAppend): void {
    if (!waiter.synced) this.#writtenAwaited = true;
    this.#waiters.push(waiter);
  }

  /**
   * Everything below `writtenSeq` has been written: tells who waited for that, and returns those
   * who wait for a sync as one group.
   */
  settleWritten(writtenSeq: number): SyncGroup | undefined {
    let first: PendingAppend | undefined;
    let synced: PendingAppend[] | undefined;
    while (this.#settled < this.#waiters.length) {
      const waiter = this.#waiters[this.#settled];
      if (waiter === undefined || waiter.endSeq > writtenSeq) break;
      this.#settled++;
      if (!waiter.synced) waiter.settle(undefined);
      else if (first === undefined) first = waiter;
      else if (synced === undefined) synced = [first, waiter];
      else synced.push(waiter);
    }
    return synced === undefined ? first : new WaiterGroup(synced);
  }

  /** None of the rest is in the log. */
  rejectRest(error: RedexError): void {
    const rest = this.#waiters.slice(this.#settled);
    this.clear();
    for (const waiter of rest) waiter.settle(error);
  }

  clear(): void {
    this.gather.clear();
    this.nextFrame = 0;
    clearList(this.#waiters);
    this.#settled = 0;
    this.#writtenAwaited = false;
  }
}
