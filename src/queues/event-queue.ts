/**
 * A queue of events in memory by the names of an older contract: what is popped is done with.
 * Everything is done by Queue; errors are its errors.
 */
import type { Codec } from '../channel/codec.js';
import type { Runtime } from '../core/runtime.js';
import { POLL_MS } from './durable-event-queue.js';
import type { Queue } from './queue.js';
import { QueueStore } from './queue-store.js';

export interface EventQueueOptions<T> {
  /** Between events and their bytes. Default: events are bytes. */
  readonly codec?: Codec<T> | undefined;
  readonly runtime?: Runtime | undefined;
}

export class EventQueue<T = Uint8Array> {
  readonly #queues: QueueStore;
  readonly #queue: Queue<T>;

  private constructor(queues: QueueStore, queue: Queue<T>) {
    this.#queues = queues;
    this.#queue = queue;
  }

  static async open<T = Uint8Array>(options: EventQueueOptions<T> = {}): Promise<EventQueue<T>> {
    const { codec, runtime } = options;
    const queues = await QueueStore.memory({ runtime });
    return new EventQueue(queues, await queues.queue('events', { codec }));
  }

  async push(event: T): Promise<void> {
    await this.#queue.enqueue(event);
  }

  /** Before all others: of several, the one that came last is the first. */
  async push_front(event: T): Promise<void> {
    await this.#queue.pushFront(event);
  }

  /** The first event, taken out. Null: there is none. */
  pop(): Promise<T | null> {
    return this.#next(0);
  }

  /** The same, and waits for one up to 100 ms. */
  poll(): Promise<T | null> {
    return this.#next(POLL_MS);
  }

  async #next(waitMs: number): Promise<T | null> {
    const [delivery] = await this.#queue.receive({ max: 1, waitMs });
    await delivery?.ack();
    return delivery?.payload ?? null;
  }

  async len(): Promise<number> {
    return (await this.#queue.stats()).messages;
  }

  async is_empty(): Promise<boolean> {
    return (await this.len()) === 0;
  }

  /** Its events are gone. */
  close(): Promise<void> {
    return this.#queues.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
