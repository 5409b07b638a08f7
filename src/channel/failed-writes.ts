/**
 * What a write that failed has left, and what becomes of it: it is cut off before anything else is
 * written, and where that cannot be done the channel is poisoned (RULES W2).
 */
import type { SegmentWriter } from '../segment/segment-writer.js';
import type { RedexError } from '../core/errors.js';
import type { AppenderParts } from './appender-parts.js';
import { FrameWriteFailure } from './frame-writer.js';

export class FailedWrites {
  readonly #parts: AppenderParts;
  /** Nothing is cut before a write in flight has returned. */
  readonly #isInFlight: () => boolean;
  /** The segment whose end has to be cut off. */
  #uncut: SegmentWriter | undefined;

  constructor(parts: AppenderParts, isInFlight: () => boolean) {
    this.#parts = parts;
    this.#isInFlight = isInFlight;
  }

  get isPending(): boolean {
    return this.#uncut !== undefined;
  }

  /** The channel is poisoned: nothing is written to it any more. */
  forget(): void {
    this.#uncut = undefined;
  }

  /** False while a write is in flight. */
  cutBack(): boolean {
    const writer = this.#uncut;
    if (writer === undefined) return true;
    if (this.#isInFlight()) return false;
    this.#uncut = undefined;
    try {
      writer.cutBack();
      return true;
    } catch (error) {
      this.#parts.worker.poison(writer.open.dat.path, error, 'cut');
      return false;
    }
  }

  /** Returns what those are rejected with who wait; undefined when the channel is poisoned. */
  take(error: unknown): RedexError | undefined {
    const { worker, context, unsynced } = this.#parts;
    if (!(error instanceof FrameWriteFailure)) {
      // The seal could not be taken back.
      worker.poison(context.generationDirectory, error, 'cut');
      return undefined;
    }
    this.#leave(error, unsynced.active);
    return error.error;
  }

  /** The same of a roll, which nobody waits for in the queue. `before` was active until then. */
  takeRoll(error: unknown, before: SegmentWriter | undefined): RedexError {
    const { worker, context, health, unsynced } = this.#parts;
    if (!(error instanceof FrameWriteFailure)) {
      worker.poison(context.generationDirectory, error, 'cut');
      return health.poisonedError();
    }
    this.#leave(error, unsynced.active ?? before);
    return error.error;
  }

  #leave(failure: FrameWriteFailure, writer: SegmentWriter | undefined): void {
    const { worker, context } = this.#parts;
    if (failure.partial && writer !== undefined) {
      this.#uncut = writer;
      this.cutBack();
    }
    if (failure.leftover) worker.poison(context.generationDirectory, failure.error, 'remove');
  }
}
