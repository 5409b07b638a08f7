/** What the parts of the contract of a QueueStore share. */
import type { Delivery } from '../queues/delivery.js';
import type { Queue } from '../queues/queue.js';
import type { QueueMessage } from '../queues/queue-browser.js';
import type { OpenQueueOptions, QueueStore } from '../queues/queue-store.js';
import type { Redex } from '../store/redex.js';
import { rejectionCodeOf, type TestRunner } from './contract-support.js';

export interface QueueSubject {
  readonly queues: QueueStore;
  /** Lets time pass for the store, and everything happen that comes due. */
  readonly elapse: (ms: number) => Promise<void>;
  /** Unix milliseconds, as the store sees them. */
  readonly now: () => number;
  /** What the queues are in, for commits with other channels; absent where it cannot be had. */
  readonly redex?: Redex;
  /** Closes it and opens it again; absent where nothing outlives a close. */
  readonly reopen?: () => Promise<QueueStore>;
  /** The next process after this one was killed; absent where nothing outlives it. */
  readonly kill?: () => Promise<QueueStore>;
  readonly cleanup?: () => void | Promise<void>;
}

export interface QueueContractOptions {
  readonly name: string;
  /** Called for each test: an empty store. */
  readonly make: () => QueueSubject | Promise<QueueSubject>;
}

/** Declares one test on a store of its own. */
export type QueueTest = (name: string, body: (subject: QueueSubject) => Promise<void>) => void;

/** One part of the contract. */
export interface QueueContractPart extends TestRunner {
  readonly check: QueueTest;
  readonly checks: QueueChecks;
}

export class QueueChecks {
  readonly #expect: TestRunner['expect'];

  constructor(expect: TestRunner['expect']) {
    this.#expect = expect;
  }

  async code(action: Promise<unknown>, code: string): Promise<void> {
    this.#expect(await rejectionCodeOf(action)).toBe(code);
  }

  /** The delivery cannot be settled any more, for this reason. */
  async lost(action: Promise<unknown>, reason: string): Promise<void> {
    let found: unknown = 'no error';
    try {
      await action;
    } catch (error) {
      const { code, reason: why } = error as { code?: unknown; reason?: unknown };
      found = [code, why];
    }
    this.#expect(found).toEqual(['LEASE_LOST', reason]);
  }

  /** Refused as a mistake of the caller, with this class of error, and nothing is enqueued. */
  async mistake(action: () => unknown, kind: 'TypeError' | 'RangeError'): Promise<void> {
    let found = 'no error';
    try {
      await action();
    } catch (error) {
      found = error instanceof Error ? error.name : String(error);
    }
    this.#expect(found).toBe(kind);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const texts: { encode(text: string): Uint8Array; decode(bytes: Uint8Array): string } = {
  encode: (text) => {
    if (typeof text !== 'string') throw new TypeError('a text is a string');
    return encoder.encode(text);
  },
  decode: (bytes) => decoder.decode(bytes),
};

/** The queue `q`, unless told, of texts. */
export function textQueue(
  queues: QueueStore,
  options: Omit<OpenQueueOptions<string>, 'codec'> = {},
  name = 'q',
): Promise<Queue<string>> {
  return queues.queue(name, { ...options, codec: texts });
}

export function textsOf(
  messages: readonly (Delivery<string> | QueueMessage<string>)[],
): (string | undefined)[] {
  return messages.map(({ payload }) => payload);
}

/** In an order that does not depend on that of the queue. */
export function sorted(found: readonly (string | undefined)[]): string[] {
  return found.map((text) => text ?? '').toSorted();
}

/** Takes up to so many messages, acknowledges them, and returns their texts. */
export async function drained(
  queue: Queue<string>,
  options: { readonly max?: number; readonly group?: string } = {},
): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = [];
  for (let left = options.max ?? 1000; left > 0;) {
    const deliveries = await queue.receive({ ...options, max: left });
    if (deliveries.length === 0) break;
    left -= deliveries.length;
    found.push(...textsOf(deliveries));
    for (const { ok, code } of await queue.ackMany(deliveries)) {
      if (!ok) throw new Error(`a delivery was not acknowledged: ${code}`);
    }
  }
  return found;
}

/** The only message that there is now. Throws when there is none. */
export async function received(
  queue: Queue<string>,
  options: { readonly group?: string; readonly consumer?: string } = {},
): Promise<Delivery<string>> {
  const [delivery] = await queue.receive(options);
  if (delivery === undefined) throw new Error('there is no message');
  return delivery;
}

/** Everything that there is to be seen, in the order of the log. */
export async function browsed(
  queue: Queue<string>,
  options: Parameters<Queue<string>['browse']>[0] = {},
): Promise<QueueMessage<string>[]> {
  const messages: QueueMessage<string>[] = [];
  for await (const message of queue.browse(options)) messages.push(message);
  return messages;
}
