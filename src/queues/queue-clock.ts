/**
 * The time of a queue: Unix milliseconds that never go back, and that a wall clock set wrong does
 * not drag along. It starts from the wall clock or from the latest time that the queue has seen,
 * whichever is later, and goes on with the monotonic clock; when the wall clock is ahead of that,
 * because the machine slept, it follows, but not by more than a year.
 */
import type { Logger, Runtime } from '../core/runtime.js';

const MINUTE_MS = 60_000;
/** The wall clock may be so far ahead before it is followed. */
const SLACK_MS = 1000;
/** A queue that nobody has opened for longer has more likely met a wrong clock. */
const IMPLAUSIBLE_MS = 366 * 86_400_000;

export class QueueClock {
  readonly #runtime: Runtime;
  readonly #logger: Logger;
  readonly #queue: string;
  #baseMs: number;
  #baseMonotonic: number;
  #warnedAheadMs = 0;
  /** The wall clock is so far ahead of what the queue has seen that it is more likely wrong. */
  readonly jumpedMs: number;

  /** `seenMs`: the latest time that the queue's records speak of; 0 for a new queue. */
  constructor(queue: string, runtime: Runtime, logger: Logger, seenMs: number) {
    this.#runtime = runtime;
    this.#logger = logger;
    this.#queue = queue;
    const wallMs = runtime.now();
    this.#baseMonotonic = runtime.monotonic();
    this.#baseMs = Math.max(wallMs, seenMs);
    const aheadMs = seenMs === 0 ? 0 : wallMs - seenMs;
    this.jumpedMs = aheadMs > IMPLAUSIBLE_MS ? aheadMs : 0;
    if (aheadMs < -MINUTE_MS || this.jumpedMs > 0) {
      const message =
        aheadMs < 0
          ? 'the clock is behind the times in a queue'
          : 'the clock is more than a year ahead of the times in a queue';
      logger.warn(message, { queue, aheadMs });
    }
  }

  /** Unix milliseconds, an integer. */
  now(): number {
    const passedMs = this.#baseMs + (this.#runtime.monotonic() - this.#baseMonotonic);
    const aheadMs = this.#runtime.now() - passedMs;
    if (aheadMs <= SLACK_MS) return Math.floor(passedMs);
    if (aheadMs <= IMPLAUSIBLE_MS) {
      this.#baseMs = passedMs + aheadMs;
      this.#baseMonotonic = this.#runtime.monotonic();
      return Math.floor(this.#baseMs);
    }
    if (aheadMs > 2 * this.#warnedAheadMs) {
      this.#warnedAheadMs = aheadMs;
      this.#logger.warn('the clock has jumped ahead, a queue does not follow it', {
        queue: this.#queue,
        aheadMs,
      });
    }
    return Math.floor(passedMs);
  }
}

/**
 * The clock of leases: goes as the monotonic one does, but stands still while this process does
 * nothing, so that a blocked event loop or a machine that slept does not let deliveries fail whose
 * handlers had no chance.
 */
export class LeaseClock {
  readonly #runtime: Runtime;
  #lostMs = 0;
  #expectedAt: number | undefined;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  now(): number {
    return this.#runtime.monotonic() - this.#lostMs;
  }

  /** A turn of the event loop is expected after `delayMs`. */
  expect(delayMs: number): void {
    this.#expectedAt = this.#runtime.monotonic() + delayMs;
  }

  /** It has come: what it was late is time in which nothing could be done. */
  onTurn(): void {
    if (this.#expectedAt === undefined) return;
    this.#lostMs += Math.max(0, this.#runtime.monotonic() - this.#expectedAt);
    this.#expectedAt = undefined;
  }
}
