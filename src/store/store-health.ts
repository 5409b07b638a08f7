/**
 * Whether the store still takes work. A failed sync of a directory that all channels depend on
 * poisons all of it: nobody can say any more which names are on the disk (RULES S3).
 */
import { redexError, type RedexError } from '../core/errors.js';
import { diagnostics, type Logger } from '../core/runtime.js';

/** The sync that failed. */
interface Poison {
  readonly path: string;
  readonly cause: unknown;
}

export class StoreHealth {
  /** Told once, when the store is poisoned. */
  onPoisoned: (path: string, cause: unknown) => void = () => undefined;
  readonly #path: string;
  readonly #readOnly: boolean;
  readonly #logger: Logger;
  #poison: Poison | undefined;
  #closed = false;

  constructor(path: string, readOnly: boolean, logger: Logger) {
    this.#path = path;
    this.#readOnly = readOnly;
    this.#logger = logger;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  get failedSync(): Poison | undefined {
    return this.#poison;
  }

  close(): void {
    this.#closed = true;
  }

  /** The first failure counts. Returns the error for who was waiting. */
  poison(path: string, cause: unknown): RedexError {
    if (this.#poison === undefined) {
      this.#poison = { path, cause };
      this.#logger.error('a sync failed; the store is poisoned', { path, cause });
      if (diagnostics.poison.hasSubscribers) {
        diagnostics.poison.publish({ channel: undefined, path, cause });
      }
      this.onPoisoned(path, cause);
    }
    return this.#poisonedError(this.#poison);
  }

  /** Throws CLOSED. */
  requireOpen(): void {
    if (!this.#closed) return;
    const resource = `store ${this.#path}`;
    throw redexError('CLOSED', `${resource} is closed`, { resource });
  }

  /** Throws POISONED. */
  requireUnpoisoned(): void {
    if (this.#poison !== undefined) throw this.#poisonedError(this.#poison);
  }

  /** Throws CLOSED, READ_ONLY or POISONED. */
  requireWritable(): void {
    this.requireOpen();
    if (this.#readOnly) {
      const message = `${this.#path} was opened with readOnly`;
      throw redexError('READ_ONLY', message, { path: this.#path });
    }
    this.requireUnpoisoned();
  }

  /** POISONED, of a store that is. */
  poisonedError(): RedexError {
    return this.#poisonedError(this.#poison ?? { path: this.#path, cause: undefined });
  }

  #poisonedError(poison: Poison): RedexError {
    const { path, cause } = poison;
    const message = `a sync of ${path} failed: names may be lost; open the store again`;
    return redexError('POISONED', message, { path, outcome: 'unknown' }, cause);
  }
}
