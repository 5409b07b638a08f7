/**
 * The same queues by the names of an older contract, whose operations are called in snake_case and
 * name deliveries by ids. Everything is done by QueueStore; errors are its errors. What is
 * pending is what the queues have handed out, through this or not.
 *
 * A message id is the seq of a message. A work queue has one group, without a name: `''`. What is
 * asked of a queue that is not there is answered as by an empty one.
 */
import { decodedValue, type Codec } from '../channel/codec.js';
import { RedexError, redexError } from '../core/errors.js';
import type { Delivery } from './delivery.js';
import { leaseLost, noMessage } from './queue-errors.js';
import type { Queue } from './queue.js';
import type { QueueMessage } from './queue-browser.js';
import { storedQueueOptions } from './stored-options.js';
import type { QueueStore } from './queue-store.js';

/** From which end messages are listed: `Left` is where the next one to be delivered is. */
export type SeedQueueSide = 'Left' | 'Right';

export interface SeedBumpedAttempt {
  /** Deliveries of the message so far, this one included. */
  readonly attempts: number;
  readonly queue: string;
  readonly message_id: number;
}

export interface SeedPendingDelivery {
  readonly delivery_id: string;
  readonly queue: string;
  readonly message_id: number;
  readonly group: string;
  readonly deadline: Date;
}

export interface SeedQueueStore<T = Uint8Array> {
  /** Messages that nobody has, for whichever group, and that could be delivered now. */
  available_messages(queue: string, side: SeedQueueSide): Promise<number[]>;
  /** Those that this group has before it, whatever others have done with them. */
  available_messages_for_group(
    queue: string,
    group: string,
    side: SeedQueueSide,
  ): Promise<number[]>;
  /** Null when the group does not have the message in hand. */
  find_pending_by_key(queue: string, message_id: number, group: string): Promise<string | null>;
  /**
   * Hands the message out until the deadline (a Date or unix milliseconds). When the group has it
   * already, it is the same delivery, with this deadline. Rejects with NOT_FOUND, and with BUSY
   * when it cannot be delivered now.
   */
  mark_pending(
    queue: string,
    message_id: number,
    group: string,
    deadline: Date | number,
  ): Promise<string>;
  /** It waits again: not counted, unless its attempt was. An unknown id is nothing to do. */
  release_pending(delivery_id: string): Promise<void>;
  /** The message is done with, for all groups; durable. Rejects with LEASE_LOST, as do these: */
  ack_pending(delivery_id: string): Promise<void>;
  /** The message is done with for this group; durable. */
  retire_for_group(delivery_id: string): Promise<void>;
  /**
   * Counts an attempt. The first one of a delivery was counted, in the log, when it was handed out:
   * who dies with it in hand has tried it.
   */
  bump_attempt(delivery_id: string): Promise<SeedBumpedAttempt>;
  /** Attempts that may fail; Infinity in a queue without dead letters. */
  read_max_attempts(queue: string, message_id: number): Promise<number>;
  /** Puts a payload into a queue of dead letters, which is made when there is none; durable. */
  enqueue_dlq(dlq_target: string, original: T): Promise<void>;
  /** Null for a delivery that has ended, or never was. */
  read_lock_deadline(delivery_id: string): Promise<Date | null>;
  /** Null for a message that is done with, or never was. Rejects with what its codec throws. */
  read_message(queue: string, message_id: number): Promise<T | null>;
  read_pending_payload(delivery_id: string): Promise<T | null>;
  /** Ends the deliveries with a deadline up to `now`. Each has failed, and counts. */
  reclaim_expired(queue: string, now: Date | number): Promise<void>;
  /** Resolves to how many messages are gone, those that somebody had included; durable. */
  purge_queue(queue: string): Promise<number>;
  /** What is in somebody's hands, longest first. */
  pending_deliveries_for_queue(queue: string): Promise<SeedPendingDelivery[]>;
}

/** The queues of a store by those names. There is nothing of it to close. */
export function seedQueueStore(queues: QueueStore): SeedQueueStore;
export function seedQueueStore<T>(queues: QueueStore, codec: Codec<T>): SeedQueueStore<T>;
export function seedQueueStore<T>(queues: QueueStore, codec?: Codec<T>): SeedQueueStore<T> {
  const access = new SeedQueues(queues, codec);
  return { ...looking(access), ...pending(access), ...settling(access), ...whole(access) };
}

type Looking = 'available_messages' | 'available_messages_for_group' | 'read_message';
type Pending =
  | 'find_pending_by_key'
  | 'mark_pending'
  | 'read_lock_deadline'
  | 'read_pending_payload'
  | 'pending_deliveries_for_queue';
type Settling = 'release_pending' | 'ack_pending' | 'retire_for_group' | 'bump_attempt';

class SeedQueues<T> {
  readonly #queues: QueueStore;
  readonly #codec: Codec<T> | undefined;
  readonly #marking = new Map<string, Promise<unknown>>();

  constructor(queues: QueueStore, codec: Codec<T> | undefined) {
    this.#queues = queues;
    this.#codec = codec;
  }

  /** Those who mark the same message together wait for the first of them. */
  async oneByOne<R>(key: string, work: () => Promise<R>): Promise<R> {
    while (this.#marking.has(key)) await this.#marking.get(key)?.catch(() => undefined);
    const marking = work();
    this.#marking.set(key, marking);
    try {
      return await marking;
    } finally {
      this.#marking.delete(key);
    }
  }

  /** Rejects with NOT_FOUND. */
  queue(name: string): Promise<Queue<T>> {
    return this.#queues.queue(name, { codec: this.#codec, createIfMissing: false });
  }

  async ifThere<R>(
    name: string,
    otherwise: R,
    ask: (queue: Queue<T>) => R | Promise<R>,
  ): Promise<R> {
    return (await this.#queues.has(name)) ? ask(await this.queue(name)) : otherwise;
  }

  async deadLetters(name: string): Promise<Queue<T>> {
    if (await this.#queues.has(name)) return this.queue(name);
    return this.#queues.queue(name, { codec: this.#codec, deadLetter: false });
  }

  /** Rejects with LEASE_LOST. */
  async held(id: string): Promise<{ readonly queue: Queue<T>; readonly delivery: Delivery<T> }> {
    const [name, token] = namesOf(id);
    if (!(await this.#queues.has(name))) throw leaseLost(name, id, 'unknown');
    const queue = await this.queue(name);
    return { queue, delivery: queue.delivery(token) };
  }

  async heldOrNull(id: string): Promise<Delivery<T> | null> {
    try {
      return (await this.held(id)).delivery;
    } catch (error) {
      if (RedexError.is(error, 'LEASE_LOST')) return null;
      throw error;
    }
  }

  payloadOf({ payload, bytes }: QueueMessage<T>): T {
    // What does not decode is told with what the codec throws.
    return this.#codec === undefined ? (payload as T) : decodedValue(this.#codec, bytes);
  }
}

function looking<T>(access: SeedQueues<T>): Pick<SeedQueueStore<T>, Looking> {
  const forGroup = async (queue: Queue<T>, group: string): Promise<number[]> => {
    const next = await queue.peek(Number.MAX_SAFE_INTEGER, groupOf(queue, group));
    return next.map(({ seq }) => seq);
  };
  return {
    available_messages: (name, side) =>
      access.ifThere<number[]>(name, [], async (queue) => {
        if (queue.options.mode === 'work') return from(side, await forGroup(queue, ''));
        const held = new Set(queue.pending().map(({ seq }) => seq));
        const seqs: number[] = [];
        for await (const { seq } of queue.browse()) if (!held.has(seq)) seqs.push(seq);
        return from(side, seqs);
      }),
    available_messages_for_group: (name, group, side) =>
      access.ifThere<number[]>(name, [], async (queue) => from(side, await forGroup(queue, group))),
    read_message: (name, seq) =>
      access.ifThere<T | null>(name, null, async (queue) => {
        const message = await queue.get(seq);
        return message === undefined ? null : access.payloadOf(message);
      }),
  };
}

function pending<T>(access: SeedQueues<T>): Pick<SeedQueueStore<T>, Pending> {
  return {
    find_pending_by_key: (name, seq, group) =>
      access.ifThere<string | null>(name, null, (queue) => {
        const [held] = queue.pending({ group: groupOf(queue, group), seq });
        return held === undefined ? null : deliveryIdOf(queue.name, held.token);
      }),
    mark_pending: (name, seq, group, deadline) =>
      access.oneByOne(JSON.stringify([name, seq, group]), async () => {
        const queue = await access.queue(name);
        const of = groupOf(queue, group);
        const until = new Date(deadline);
        const taken = await queue.take(seq, { group: of });
        const [held] = taken === undefined ? queue.pending({ group: of, seq }) : [taken];
        if (held === undefined) throw await notToBeHad(queue, seq);
        queue.delivery(held.token).extend(until);
        return deliveryIdOf(queue.name, held.token);
      }),
    read_lock_deadline: async (id) => {
      const delivery = await access.heldOrNull(id);
      return delivery === null ? null : new Date(delivery.leaseExpiresAt);
    },
    read_pending_payload: async (id) => (await access.heldOrNull(id))?.payload ?? null,
    pending_deliveries_for_queue: (name) =>
      access.ifThere<SeedPendingDelivery[]>(name, [], (queue) =>
        queue.pending().map(({ token, seq, group }) => ({
          delivery_id: deliveryIdOf(queue.name, token),
          queue: queue.name,
          message_id: seq,
          group,
          deadline: new Date(queue.delivery(token).leaseExpiresAt),
        })),
      ),
  };
}

function settling<T>(access: SeedQueues<T>): Pick<SeedQueueStore<T>, Settling> {
  return {
    release_pending: async (id) => {
      await (await access.heldOrNull(id))?.release();
    },
    ack_pending: async (id) => {
      const { queue, delivery } = await access.held(id);
      if (queue.options.mode === 'work') await delivery.ack({ durability: 'synced' });
      else await queue.cancel(delivery.seq);
    },
    retire_for_group: async (id) => {
      const { delivery } = await access.held(id);
      await delivery.ack({ durability: 'synced' });
    },
    bump_attempt: async (id) => {
      const { queue, delivery } = await access.held(id);
      return { attempts: await delivery.attempt(), queue: queue.name, message_id: delivery.seq };
    },
  };
}

function whole<T>(access: SeedQueues<T>): Omit<SeedQueueStore<T>, Looking | Pending | Settling> {
  return {
    read_max_attempts: (name, seq) =>
      access.ifThere(name, storedQueueOptions({}, name).maxDeliveries, async (queue) => {
        const { deadLetter, maxDeliveries } = queue.options;
        const { maxDeliveries: own } = (await queue.get(seq)) ?? {};
        return own ?? (deadLetter === false ? Infinity : maxDeliveries);
      }),
    enqueue_dlq: async (name, original) => {
      await (await access.deadLetters(name)).enqueue(original);
    },
    reclaim_expired: (name, now) =>
      access.ifThere<void>(name, undefined, async (queue) => {
        await queue.expire(now);
      }),
    purge_queue: (name) => access.ifThere(name, 0, (queue) => queue.purge()),
  };
}

function from(side: SeedQueueSide, seqs: number[]): number[] {
  if (side !== 'Left' && side !== 'Right') throw new TypeError("side must be 'Left' or 'Right'");
  return side === 'Left' ? seqs : seqs.toReversed();
}

/** What a Queue calls the group. */
function groupOf<T>({ options }: Queue<T>, group: string): string | undefined {
  return options.mode === 'work' && group === '' ? undefined : group;
}

async function notToBeHad<T>(queue: Queue<T>, seq: number): Promise<Error> {
  const message = await queue.get(seq);
  if (message === undefined) return noMessage(queue.name, String(seq));
  const text = `message ${message.id} of queue ${queue.name} cannot be delivered now`;
  return redexError('BUSY', text, { reason: 'message' });
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';

/** Opaque to callers: base32 of the queue's name and the token. */
function deliveryIdOf(queue: string, token: string): string {
  let id = '';
  let value = 0;
  let bits = 0;
  for (const byte of Buffer.from(JSON.stringify([queue, token]))) {
    value = ((value & 0x1f) << 8) | byte;
    bits += 8;
    for (; bits >= 5; bits -= 5) id += LETTERS[(value >> (bits - 5)) & 0x1f];
  }
  return bits === 0 ? id : id + LETTERS[(value << (5 - bits)) & 0x1f];
}

/** Throws LEASE_LOST for what is no id of a delivery. */
function namesOf(id: string): [queue: string, token: string] {
  if (typeof id !== 'string') throw new TypeError('the id of a delivery is a string');
  const bytes: number[] = [];
  let value = 0;
  let bits = 0;
  for (const letter of id) {
    value = ((value & 0xff) << 5) | (LETTERS.indexOf(letter) & 0x1f);
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 0xff);
  }
  try {
    const [queue, token] = JSON.parse(Buffer.from(bytes).toString()) as [string, string];
    if (typeof token === 'string' && deliveryIdOf(queue, token) === id) return [queue, token];
  } catch {
    // It is none.
  }
  throw leaseLost('', id, 'unknown');
}
