/**
 * How far a verification is, as its caller is told: over all starts never less than before, and
 * never more than all.
 */
import { catchRejection } from '../core/late-rejection.js';
import type { VerifyOptions } from './verify-report.js';

const PROGRESS_BYTES = 1024 * 1024;

export class Progress {
  readonly #onProgress: VerifyOptions['onProgress'];
  #bytesTotal = 0;
  #bytesDone = 0;
  #bytesTold = 0;
  /** The most that the caller was told, of 1. */
  #share = 0;
  /** What a promise of the caller has rejected with. */
  failure: { readonly reason: unknown } | undefined;

  constructor({ onProgress }: VerifyOptions) {
    this.#onProgress = onProgress;
  }

  /** From the beginning, of so many bytes. */
  start(bytesTotal: number): void {
    this.#bytesTotal = bytesTotal;
    this.#bytesDone = 0;
    this.#bytesTold = 0;
  }

  /** Returns whether it is time to tell. */
  reach(bytesDone: number): boolean {
    this.#bytesDone = Math.max(this.#bytesDone, bytesDone);
    return this.#bytesDone - this.#bytesTold >= PROGRESS_BYTES;
  }

  /** Tells it, if it is news. Throws what the caller throws. */
  tell(path: string): void {
    const bytesDone = this.#bytesDone;
    const bytesTotal = this.#bytesTotal;
    this.#bytesTold = bytesDone;
    const share = bytesTotal === 0 ? 1 : bytesDone / bytesTotal;
    if (share < this.#share) return;
    this.#share = share;
    const answer: unknown = this.#onProgress?.({ bytesDone, bytesTotal, path });
    catchRejection(answer, (reason) => {
      this.failure ??= { reason };
    });
  }
}
