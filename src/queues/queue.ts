/**
 * A durable queue: messages are delivered at least once, each to one consumer at a time, until it
 * is acknowledged or a dead letter. This class is what users hold: it checks what it is given and
 * leaves the work to its parts.
 */
import { rejected } from '../channel/append-side.js';
import type { Codec } from '../channel/codec.js';
import { decodedValue } from '../channel/codec.js';
import { checkKnown } from '../channel/option-checks.js';
import { millisecondsOf } from '../channel/record-input.js';
import { cancelMessages } from './cancelling.js';
import { claimLeases } from './claiming.js';
import { takeMessage, type TakeOptions } from './certain-message.js';
import { leaseOf } from './delivery-token.js';
import { Delivery, type AckOptions } from './delivery.js';
import { Enqueued } from './enqueued.js';
import type { EnqueueResult } from './enqueue-plan.js';
import {
  checkDurability,
  checkMessage,
  checkMessages,
  type CheckedMessage,
  type CheckedMessages,
  type EnqueueInput,
  type EnqueueOptions,
} from './enqueue-input.js';
import type { Lease } from './lease.js';
import type { QueueHost } from './queue-closing.js';
import type { QueueCore } from './queue-core.js';
import { leaseLost } from './queue-errors.js';
import { QueueGroups } from './queue-groups.js';
import { QueueKeys } from './queue-keys.js';
import type { QueueOptions, StoredQueueOptions } from './queue-options.js';
import { checkSignal, receiveRequest, type ReceiveOptions } from './receive-options.js';
import { QueueBrowser, type BrowseOptions, type QueueMessage } from './queue-browser.js';
import {
  QueueManager,
  type AckUpToOptions,
  type MessageChange,
  type PendingDelivery,
  type PendingOptions,
  type RedriveOptions,
} from './queue-manager.js';
import { queueStats, type QueueStats } from './queue-stats.js';

/** What became of one delivery of many. */
export interface SettleResult {
  readonly id: string;
  readonly ok: boolean;
  /** Of the error, when it has one. */
  readonly code?: string | undefined;
}

const TAKE: ReadonlySet<string> = new Set(['group', 'consumer']);
const LONG_POLL_MS = 60_000;

export class Queue<T = Uint8Array> {
  readonly #core: QueueCore;
  readonly #host: QueueHost;
  readonly #codec: Codec<T> | undefined;
  readonly #browser: QueueBrowser<T>;
  readonly #manager: QueueManager<T>;
  /** The groups of consumers of a queue whose mode is `fanout`. */
  readonly groups: QueueGroups;
  /** The keys that wait for a dead letter. */
  readonly keys: QueueKeys;

  /** For the QueueStore, which opens it. */
  constructor(core: QueueCore, host: QueueHost, codec: Codec<T> | undefined) {
    this.#core = core;
    this.#host = host;
    this.#codec = codec;
    this.#browser = new QueueBrowser(core, codec);
    this.#manager = new QueueManager(core, host, codec);
    this.groups = new QueueGroups(core);
    this.keys = new QueueKeys(core);
  }

  get name(): string {
    return this.#core.name;
  }

  /** The options that are stored with the queue. */
  get options(): StoredQueueOptions {
    return this.#core.options;
  }

  get isPaused(): boolean {
    return this.#core.state.isPaused;
  }

  /**
   * Puts a message into the queue; resolves when it is as durable as was asked for, which is before
   * anybody gets it. The payload is copied before this returns. Rejects with LIMIT, IO, POISONED,
   * CLOSED: it is not in the queue then, but where the error says that its outcome is unknown.
   */
  enqueue(payload: T, options: EnqueueOptions = {}): Promise<EnqueueResult> {
    try {
      this.#core.requireOpen();
      const { durability = 'synced' } = options;
      const checked = checkMessage(payload, options, this.#core.options, this.#codec);
      return this.#core.enqueuing.enqueueOne(checked, durability);
    } catch (error) {
      return rejected(error);
    }
  }

  /** Puts messages into the queue, all of them or none, in this order. */
  async enqueueMany(
    messages: readonly EnqueueInput<T>[],
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<EnqueueResult[]> {
    this.#core.requireOpen();
    checkSignal(signal);
    signal?.throwIfAborted();
    const { checked, durability } = this.#checked(messages);
    return this.#core.enqueuing.enqueue(checked, durability, signal);
  }

  #checked(messages: readonly EnqueueInput<T>[]): CheckedMessages {
    return checkMessages(messages, this.#core.options, this.#codec);
  }

  /** For `QueueStore.commit`: enqueued together with what else is in it. */
  enqueuing(payload: T, options: EnqueueOptions = {}): Enqueued {
    const { checked } = this.#checked([{ ...options, payload }]);
    return new Enqueued(this.#core, checked);
  }

  /**
   * Takes messages, which nobody else gets until they are settled or their time is over. Resolves
   * to none when there are none in time. Rejects with NOT_FOUND for a group, CORRUPT, IO, POISONED,
   * CLOSED, the reason of the signal.
   */
  async receive(options: ReceiveOptions = {}): Promise<Delivery<T>[]> {
    this.#core.requireOpen();
    const request = receiveRequest(options);
    const group = this.#core.group(options.group);
    return this.#deliveries(await this.#core.receiver(group).receive(request));
  }

  /** Those that the codec of this view does not decode are nobody's then. */
  #deliveries(leases: readonly Lease[]): Delivery<T>[] {
    const deliveries: Delivery<T>[] = [];
    for (const lease of leases) {
      try {
        deliveries.push(this.#delivery(lease));
      } catch {
        this.#core.settlement.onUndecodable(lease);
      }
    }
    return deliveries;
  }

  #delivery(lease: Lease): Delivery<T> {
    const { message } = lease;
    const { payload, decoded } = message;
    if (decoded !== undefined) message.decoded = undefined;
    let value: unknown = payload;
    if (this.#codec !== undefined) {
      const isMine = decoded?.codec === this.#codec;
      value = isMine ? decoded?.value : decodedValue(this.#codec, payload);
    }
    return new Delivery(this.#core.settlement, lease, value as T);
  }

  /** Deliveries one after the other, for as long as they are asked for. */
  async *deliveries(
    options: Omit<ReceiveOptions, 'max' | 'waitMs'> = {},
  ): AsyncGenerator<Delivery<T>, void, undefined> {
    for (;;) {
      const [delivery] = await this.receive({ ...options, max: 1, waitMs: LONG_POLL_MS });
      if (delivery === undefined) continue;
      let isUsed = false;
      try {
        yield delivery;
        isUsed = true;
      } finally {
        // Who leaves the loop with it in hand has not settled it, or has: then this is nothing.
        if (!isUsed) await delivery.release().catch(() => undefined);
      }
    }
  }

  /** Acknowledges each that can be; resolves to what became of each, in the same order. */
  async ackMany(
    deliveries: readonly Delivery<T>[],
    options: AckOptions = {},
  ): Promise<SettleResult[]> {
    checkDurability(options.durability);
    if (!Array.isArray(deliveries) || !deliveries.every((each) => each instanceof Delivery)) {
      throw new TypeError('deliveries must be an array of them');
    }
    const { settlement, name } = this.#core;
    const acks = await Promise.allSettled(
      deliveries.map((delivery: Delivery<T>) =>
        delivery.isOf(settlement)
          ? delivery.ack(options)
          : Promise.reject(leaseLost(name, delivery.id, 'unknown')),
      ),
    );
    return acks.map((ack, index) => {
      const id = deliveries[index]?.id ?? '';
      if (ack.status === 'fulfilled') return { id, ok: true };
      return { id, ok: false, code: (ack.reason as { code?: string }).code };
    });
  }

  /** The next messages that are delivered, which stay where they are. */
  peek(count = 1, group?: string): Promise<QueueMessage<T>[]> {
    return this.#browser.peek(count, group);
  }

  /** All messages that are not done with, in the order in which they came. */
  browse(options: BrowseOptions = {}): AsyncIterableIterator<QueueMessage<T>> {
    return this.#browser.browse(options);
  }

  /** A message by its id or seq; undefined when it is done with, or never was. */
  get(idOrSeq: string | number): Promise<QueueMessage<T> | undefined> {
    return this.#browser.get(idOrSeq);
  }

  /**
   * Takes one certain message, by its id or seq. Resolves to undefined when it is not there, or not
   * to be had now: somebody has it, or another one of its key, or it is not due.
   */
  async take(
    idOrSeq: string | number,
    options: TakeOptions = {},
  ): Promise<Delivery<T> | undefined> {
    checkKnown(options, TAKE);
    const lease = await takeMessage(this.#core, idOrSeq, options);
    if (lease === undefined) return undefined;
    try {
      return this.#delivery(lease);
    } catch (error) {
      this.#core.settlement.onUndecodable(lease);
      throw error;
    }
  }

  /**
   * The delivery with a token, for who has passed the token on and settles it here. Throws
   * LEASE_LOST when it has ended: with `queue closed` in an earlier process, otherwise `unknown`.
   */
  delivery(token: string): Delivery<T> {
    this.#core.requireOpen();
    return this.#delivery(leaseOf(this.#core, token));
  }

  /**
   * Ends deliveries whose time is over at `at` (default: now), as happens by itself soon after:
   * they have failed. Resolves to how many, when their messages may be delivered again.
   */
  async expire(at?: Date | number): Promise<number> {
    return this.#core.settlement.expireUntil(at === undefined ? undefined : millisecondsOf(at));
  }

  /**
   * Acknowledges every message up to a seq and including it, for one group, whether it was
   * delivered or not: in one record, however many they are. Resolves to how many. Rejects with
   * OUT_OF_RANGE, NOT_FOUND for a group, IO, POISONED, CLOSED.
   */
  ackUpTo(seq: number, options: AckUpToOptions = {}): Promise<number> {
    return this.#manager.ackUpTo(seq, options);
  }

  /** Deliveries that are not settled, longest first. */
  pending(options: PendingOptions = {}): PendingDelivery[] {
    return this.#manager.pending(options);
  }

  /** Takes over deliveries that their consumers have had for long; these lose them. */
  async claim(
    options: ReceiveOptions & { readonly minIdleMs?: number | undefined } = {},
  ): Promise<Delivery<T>[]> {
    const { minIdleMs = 0, ...rest } = options;
    const request = receiveRequest(rest);
    return this.#deliveries(await claimLeases(this.#core, request, rest.group, minIdleMs));
  }

  /**
   * Takes messages that are done with when this resolves: a crash of who has asked loses them.
   * `synced` (the default): none of them comes back.
   */
  pop(
    options: { readonly max?: number; readonly durability?: 'synced' | 'written' } = {},
  ): Promise<QueueMessage<T>[]> {
    return this.#manager.pop(options, 'first');
  }

  /** The same from the other end: the messages that came last, whatever their priority. */
  popRight(
    options: { readonly max?: number; readonly durability?: 'synced' | 'written' } = {},
  ): Promise<QueueMessage<T>[]> {
    return this.#manager.pop(options, 'last');
  }

  /** Puts a message before all others: of several the one that came last is delivered first. */
  async pushFront(
    payload: T,
    options: Omit<EnqueueOptions, 'delayMs' | 'runAt' | 'priority' | 'key'> = {},
  ): Promise<EnqueueResult> {
    this.#core.requireOpen();
    const { checked, durability } = this.#checked([{ ...options, payload }]);
    const front = checked.map((message): CheckedMessage => {
      const { priority, key } = message.header;
      if (priority !== undefined || key !== undefined || message.delayMs !== undefined) {
        throw new TypeError('what is put to the front has neither delay, priority nor key');
      }
      return atFront(message);
    });
    const [result] = await this.#core.enqueuing.enqueue(front, durability);
    if (result === undefined) throw new Error('a message without a result');
    return result;
  }

  /** All messages are done with, those under way included. Resolves to how many; durable. */
  purge(): Promise<number> {
    return this.#manager.purge();
  }

  /** A message is done with for all; a handler that has it is told. False: there was none. */
  async cancel(idOrSeq: string | number): Promise<boolean> {
    const [isCancelled = false] = await cancelMessages(this.#core, [idOrSeq]);
    return isCancelled;
  }

  /** The same for many: all of them, or, when it rejects, none. */
  cancelMany(idsOrSeqs: readonly (string | number)[]): Promise<boolean[]> {
    return cancelMessages(this.#core, idsOrSeqs);
  }

  /** Changes a message that is not done with; one that is under way, for the next time. */
  update(idOrSeq: string | number, change: MessageChange<T>): Promise<void> {
    return this.#manager.update(idOrSeq, change);
  }

  /** Nothing is delivered any more until `resume`, also after a restart. */
  pause(): Promise<void> {
    return this.#manager.setPaused(true);
  }

  resume(): Promise<void> {
    return this.#manager.setPaused(false);
  }

  /** Changes stored options; those that are not given stay. Rejects with IO, POISONED, CLOSED. */
  configure(options: Omit<QueueOptions, 'mode'>): Promise<void> {
    return this.#manager.configure(options);
  }

  /** The queue that takes this one's dead letters, made if there is none yet. */
  async deadLetters(): Promise<Queue<T>> {
    return new Queue(await this.#manager.deadLetters(), this.#host, this.#codec);
  }

  /**
   * Moves dead letters back: this queue's into it, or, in a queue of dead letters, each to where it
   * came from. Their deliveries count from the start. Resolves to how many; what is moved is
   * durable with each hundred.
   */
  redrive(options: RedriveOptions<T> = {}): Promise<number> {
    return this.#manager.redrive(options);
  }

  /** How much there is, at no cost, and what has happened since the queue was opened. */
  stats(): Promise<QueueStats> {
    return queueStats(this.#core);
  }

  /** Gives back the space of messages that are done with, which otherwise happens by itself. */
  async reclaim(): Promise<void> {
    this.#core.requireOpen();
    await this.#core.reclaim.run();
  }

  /**
   * Releases what is under way, as if it had not been delivered, and closes the queue. Those who
   * wait in `receive` are rejected with CLOSED. Later calls return the same promise.
   */
  close(): Promise<void> {
    return this.#manager.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function atFront(message: CheckedMessage): CheckedMessage {
  return { ...message, header: { ...message.header, front: true } };
}
