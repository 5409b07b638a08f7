/**
 * A work queue by the names of an older contract: events have numbers, are taken until they are
 * acknowledged or given back by number, and come again when the process ends before. Everything is
 * done by Queue; errors are its errors.
 *
 * An id is a seq: it grows, is never used twice, and not every number is one. Nobody's time runs
 * out: what was taken stays so until this queue is closed. An event that its codec does not take
 * becomes a dead letter when its turn comes, and the next one is delivered.
 */
import { checkCodec, decodedValue, type Codec } from '../channel/codec.js';
import { checkKnown, checkType } from '../channel/option-checks.js';
import { RedexError } from '../core/errors.js';
import type { Redex } from '../store/redex.js';
import { noMessage } from './queue-errors.js';
import { MAX_DELAY_MS, MAX_DELIVERIES, type QueueOptions } from './queue-options.js';
import type { Queue } from './queue.js';
import { QueueStore } from './queue-store.js';

export interface DurableEvent<T> {
  readonly id: number;
  readonly event: T;
}

/** An event that its codec does not take, with what the codec throws. */
export interface UndecodedEvent {
  readonly id: number;
  readonly error: unknown;
}

export interface DurableEventQueueOptions<T> {
  /** Between events and their bytes. Default: events are bytes. */
  readonly codec?: Codec<T> | undefined;
  /** Of the queue in its store. Default: `events`. */
  readonly name?: string | undefined;
  /** Either way nothing is read or decoded before it is asked for. Default: false. */
  readonly lazy?: boolean | undefined;
}

const KNOWN: ReadonlySet<string> = new Set(['codec', 'name', 'lazy']);
/** An event is taken for as long and as often as it takes. */
const STORED: QueueOptions = {
  mode: 'work',
  visibilityTimeoutMs: MAX_DELAY_MS,
  maxDeliveries: MAX_DELIVERIES,
  maxInFlight: 1_000_000,
};
/** How long `poll` waits. */
export const POLL_MS = 100;

export class DurableEventQueue<T = Uint8Array> {
  readonly #queue: Queue<T>;
  readonly #codec: Codec<T> | undefined;
  readonly #owned: QueueStore | undefined;

  private constructor(queue: Queue<T>, codec: Codec<T> | undefined, owned: QueueStore | undefined) {
    this.#queue = queue;
    this.#codec = codec;
    this.#owned = owned;
  }

  /**
   * The queue in a data directory or a QueueStore, made when there is none. A path is opened, and
   * closed again by `close()`. Rejects with OPTIONS_CONFLICT for a queue that was made otherwise,
   * LOCKED, CORRUPT, IO.
   */
  static async open<T = Uint8Array>(
    target: QueueStore | Redex | string,
    options: DurableEventQueueOptions<T> = {},
  ): Promise<DurableEventQueue<T>> {
    checkKnown(options, KNOWN);
    const { codec, name = 'events', lazy } = options;
    checkType('lazy', lazy, 'boolean');
    if (codec !== undefined) checkCodec(codec);
    const owned = target instanceof QueueStore ? undefined : await QueueStore.open(target);
    const queues = target instanceof QueueStore ? target : owned;
    try {
      if (queues === undefined) throw new TypeError('a QueueStore, a Redex or a path is needed');
      const queue = await queues.queue(name, { ...STORED, codec });
      return new DurableEventQueue(queue, codec, owned);
    } catch (error) {
      await owned?.close();
      throw error;
    }
  }

  /** Durable when it resolves. Pushes at once share their syncs. */
  async push(event: T): Promise<DurableEvent<T>> {
    const { seq } = await this.#queue.enqueue(event);
    return { id: seq, event };
  }

  /** An unacknowledged event, which is not taken by this. Null: there is none. */
  async get(id: number): Promise<DurableEvent<T> | null> {
    const message = await this.#queue.get(id);
    return message === undefined ? null : { id, event: this.#eventOf(message.bytes) };
  }

  /** Takes the next event, and waits for one up to 100 ms. */
  poll(): Promise<DurableEvent<T> | null> {
    return this.#next(POLL_MS);
  }

  /** Takes the next event. Null: there is none. */
  pop(): Promise<DurableEvent<T> | null> {
    return this.#next(0);
  }

  async #next(waitMs: number): Promise<DurableEvent<T> | null> {
    const [delivery] = await this.#queue.receive({ max: 1, waitMs });
    return delivery === undefined ? null : { id: delivery.seq, event: delivery.payload };
  }

  /** The event is done with, whether it was taken or not; durable. An unknown id succeeds. */
  async ack(id: number): Promise<void> {
    await this.#queue.cancel(id);
  }

  /** The same for many, in one step: all of them or, when it rejects, none. */
  async ack_many(ids: Iterable<number>): Promise<void> {
    await this.#queue.cancelMany([...ids]);
  }

  /**
   * An event that was taken is in its place again, before all later ones. One that was not stays
   * there. Rejects with NOT_FOUND for an unknown id.
   */
  async nack(id: number): Promise<void> {
    const [held] = this.#queue.pending({ seq: id });
    try {
      if (held !== undefined) await this.#queue.delivery(held.token).nack({ delayMs: 0 });
    } catch (error) {
      // Somebody else was first.
      if (!RedexError.is(error, 'LEASE_LOST')) throw error;
    }
    if (held === undefined && (await this.#queue.get(id)) === undefined) {
      throw noMessage(this.#queue.name, String(id));
    }
  }

  /** Unacknowledged events, at no cost. */
  async len(): Promise<number> {
    return (await this.#queue.stats()).messages;
  }

  /** Events that are there to be taken, at no cost. */
  async ready_len(): Promise<number> {
    return (await this.#queue.stats()).ready;
  }

  async is_empty(): Promise<boolean> {
    return (await this.len()) === 0;
  }

  /** All unacknowledged events, by id. One that does not decode does not end it. */
  async *iterator(): AsyncGenerator<DurableEvent<T> | UndecodedEvent, void, undefined> {
    for await (const { seq: id, bytes } of this.#queue.browse()) {
      let found: DurableEvent<T> | UndecodedEvent;
      try {
        found = { id, event: this.#eventOf(bytes) };
      } catch (error) {
        found = { id, error };
      }
      yield found;
    }
  }

  #eventOf(bytes: Uint8Array): T {
    return this.#codec === undefined ? (bytes as T) : decodedValue(this.#codec, bytes);
  }

  /** What was taken and not acknowledged comes again when it is opened. */
  async close(): Promise<void> {
    await this.#queue.close();
    await this.#owned?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
