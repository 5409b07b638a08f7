/** What is known of one message of a group that was delivered or put off, and is not done with. */
import type { FailedDelivery } from './queue-records.js';

export interface Attempt {
  /** Deliveries so far, this one included while it is leased. */
  count: number;
  /** Bytes of the payload. */
  size: number;
  /** Unix milliseconds before which it is not delivered; 0: now. */
  dueMs: number;
  priority: number;
  isLeased: boolean;
  /** It was being handled when a process died, perhaps because of it. */
  isSuspect: boolean;
  key: string | undefined;
  /** The last few deliveries that failed, oldest first. */
  errors: FailedDelivery[];
}

export function newAttempt(size: number, priority: number, key: string | undefined): Attempt {
  return {
    count: 0,
    size,
    dueMs: 0,
    priority,
    isLeased: false,
    isSuspect: false,
    key,
    errors: [],
  };
}

export const MAX_ERRORS = 5;
/** Characters of an error that are kept. */
export const MAX_ERROR_LENGTH = 500;

/** Adds an error to the history, which keeps the last few. */
export function noteError(attempt: Attempt, error: string, atMs: number): void {
  const { count: deliveryCount } = attempt;
  const short = error.slice(0, MAX_ERROR_LENGTH);
  attempt.errors = [...attempt.errors, { deliveryCount, at: atMs, error: short }].slice(
    -MAX_ERRORS,
  );
}

/** The delay before the next delivery: doubled with each, and drawn from all up to that. */
export function backoffMs(
  { backoffMs: first, maxBackoffMs }: { readonly backoffMs: number; readonly maxBackoffMs: number },
  count: number,
  random: number,
): number {
  const ceiling = Math.min(maxBackoffMs, first * 2 ** Math.min(count - 1, 60));
  // Never at once: a message that fails immediately would fail again and again in one turn.
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}
