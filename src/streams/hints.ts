/**
 * Hints that something has changed in a stream. A hint says no more than that: who gets one reads
 * on. However much happens before it is taken, one is kept; none is missed that came after the
 * subscription.
 */

interface Waiter {
  readonly resolve: (result: IteratorResult<void>) => void;
  readonly reject: (error: unknown) => void;
}

/** Ends with the stream, or rejects with the reason of the signal. */
export class HintIterator implements AsyncIterableIterator<void> {
  #hasHint = false;
  #isDone = false;
  #failure: { readonly reason: unknown } | undefined;
  #waiting: Waiter[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #onEnd: (hints: HintIterator) => void;
  readonly #onAbort = (): void => {
    this.#failure = { reason: this.#signal?.reason };
    this.end();
  };

  constructor(signal: AbortSignal | undefined, onEnd: (hints: HintIterator) => void) {
    this.#signal = signal;
    this.#onEnd = onEnd;
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Something has changed. */
  hint(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#hasHint = true;
    else next.resolve({ done: false, value: undefined });
  }

  /** There will be no more. A hint that is kept is still given. */
  end(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#onEnd(this);
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (this.#failure === undefined) resolve({ done: true, value: undefined });
      else reject(this.#failure.reason);
    }
  }

  next(): Promise<IteratorResult<void>> {
    if (this.#failure !== undefined) return failed(this.#failure.reason);
    if (this.#hasHint) {
      this.#hasHint = false;
      return Promise.resolve({ done: false, value: undefined });
    }
    if (this.#isDone) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<void>> {
    this.#hasHint = false;
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

async function failed(reason: unknown): Promise<never> {
  throw reason;
}

/** The subscriptions of all streams, by id. A stream that nobody waits for costs nothing. */
export class Hints {
  readonly #byStream = new Map<number, Set<HintIterator>>();

  subscribe(id: number, signal: AbortSignal | undefined): HintIterator {
    const all = this.#byStream.get(id) ?? new Set();
    const hints = new HintIterator(signal, (ended) => {
      all.delete(ended);
      if (all.size === 0 && this.#byStream.get(id) === all) this.#byStream.delete(id);
    });
    if (signal?.aborted === true) return hints;
    all.add(hints);
    this.#byStream.set(id, all);
    return hints;
  }

  /** How many streams somebody waits for. */
  get size(): number {
    return this.#byStream.size;
  }

  notify(id: number): void {
    const all = this.#byStream.get(id);
    if (all !== undefined) for (const hints of all) hints.hint();
  }

  /** The stream is gone: who waits is woken, and then finds the end. */
  end(id: number): void {
    for (const hints of this.#byStream.get(id) ?? []) {
      hints.hint();
      hints.end();
    }
  }

  endAll(): void {
    for (const id of this.#byStream.keys()) this.end(id);
  }
}
