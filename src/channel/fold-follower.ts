/** Takes what a feed has for a fold, one batch after the other, until no more is wanted. */
import type { LogRecord } from '../core/record.js';
import type { TailConsumer, TailFeed } from './tail-feed.js';

interface FollowerEvents extends Required<Omit<TailConsumer, 'onBatch'>> {
  /** False when no more is wanted. */
  onBatch(records: readonly LogRecord[]): boolean;
}

/** Takes batch after batch, in a loop and not one inside of the other. */
export class Follower implements TailConsumer {
  readonly #feed: TailFeed;
  readonly #events: FollowerEvents;
  #isRunning = false;
  #wantsMore = false;

  constructor(feed: TailFeed, events: FollowerEvents) {
    this.#feed = feed;
    this.#events = events;
  }

  run(): void {
    this.#wantsMore = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (this.#wantsMore) {
      this.#wantsMore = false;
      this.#feed.take(this);
    }
    this.#isRunning = false;
  }

  onBatch(records: readonly LogRecord[]): void {
    if (this.#events.onBatch(records)) this.run();
  }

  onSkipped(): void {
    this.#events.onSkipped();
  }

  onEnd(): void {
    this.#events.onEnd();
  }

  onError(error: unknown): void {
    this.#events.onError(error);
  }
}
