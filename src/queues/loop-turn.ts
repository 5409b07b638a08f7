/**
 * Tells who does one thing after the other, each begun by the promise of the one before, that the
 * event loop has had no turn for long: no timer, no input and no signal is handled meanwhile.
 */
import type { Runtime } from '../core/runtime.js';

/** Milliseconds that others wait. */
const LONG_MS = 10;

export class LoopTurn {
  readonly #runtime: Runtime;
  /** When it was first asked in this turn, on the monotonic clock. */
  #since: number | undefined;
  readonly #onNext = (): void => {
    this.#since = undefined;
  };

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** This turn has gone on for long since this was first asked in it. */
  get isLong(): boolean {
    const now = this.#runtime.monotonic();
    if (this.#since === undefined) {
      this.#since = now;
      this.#runtime.schedule(this.#onNext, 0);
    }
    return now - this.#since >= LONG_MS;
  }

  /** Resolves in the next turn. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#runtime.schedule(resolve, 0, true);
    });
  }
}
