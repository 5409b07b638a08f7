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
  #cancel: Cancel | undefined;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** From now on the channel is looked at; again when its limit has changed. */
  watch(channel: AgingChannel): void {
    if (channel.maxAgeMs === undefined) this.#channels.delete(channel);
    else this.#channels.add(channel);
    this.#set();
  }

  unwatch(channel: AgingChannel): void {
    if (this.#channels.delete(channel)) this.#set();
  }

  /** So often that little stays for more than a quarter longer than it should. */
  #set(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#channels.size === 0) return;
    let delayMs = LONGEST_MS;
    for (const { maxAgeMs = Infinity } of this.#channels) delayMs = Math.min(delayMs, maxAgeMs / 4);
    this.#cancel = this.#runtime.schedule(
      () => {
        for (const channel of this.#channels) channel.onAge();
        this.#set();
      },
      Math.max(SHORTEST_MS, delayMs),
    );
  }
}
