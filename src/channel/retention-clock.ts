/**
 * Looks at the channels that keep their records for a time only. One timer for all of them, and
 * none when there are none: a channel without appends has to let go too, and costs no timer.
 */
import type { Cancel, Runtime } from '../core/runtime.js';

const SHORTEST_MS = 1000;
const LONGEST_MS = 60_000;

/** A channel with an age limit. */
export interface AgingChannel {
  /** Undefined when there is no limit any more. */
  readonly maxAgeMs: number | undefined;
  onAge(): void;
}

export class RetentionClock {
  readonly #runtime: Runtime;
  readonly #channels = new Set<AgingChannel>();
  #timer: { readonly dueMs: number; readonly cancel: Cancel } | undefined;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** From now on the channel is looked at; again when its limit has changed. */
  watch(channel: AgingChannel): void {
    const { maxAgeMs } = channel;
    if (maxAgeMs === undefined) {
      this.unwatch(channel);
      return;
    }
    this.#channels.add(channel);
    this.#wakeWithin(maxAgeMs);
  }

  unwatch(channel: AgingChannel): void {
    if (!this.#channels.delete(channel) || this.#channels.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /**
   * So often that little stays for more than a quarter longer than it should. A timer that is due
   * before stays: however often channels come and go, it is not put off.
   */
  #wakeWithin(maxAgeMs: number): void {
    const delayMs = Math.max(SHORTEST_MS, Math.min(LONGEST_MS, maxAgeMs / 4));
    const dueMs = this.#runtime.monotonic() + delayMs;
    if (this.#timer !== undefined && this.#timer.dueMs <= dueMs) return;
    this.#timer?.cancel();
    this.#timer = { dueMs, cancel: this.#runtime.schedule(() => this.#onTimer(), delayMs) };
  }

  #onTimer(): void {
    this.#timer = undefined;
    let shortestMs = Infinity;
    for (const channel of this.#channels) {
      shortestMs = Math.min(shortestMs, channel.maxAgeMs ?? Infinity);
      channel.onAge();
    }
    if (this.#channels.size > 0) this.#wakeWithin(shortestMs);
  }
}
