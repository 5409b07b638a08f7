/** What is done with a queue beside enqueuing and receiving. */
import type { Codec } from '../channel/codec.js';
import { checkInteger, checkKnown, checkType } from '../channel/option-checks.js';
import { checkSeq, type Durability } from '../channel/record-input.js';
import { redexError } from '../core/errors.js';
import { tokenOf } from './delivery-token.js';
import { bytesOf, checkDurability, checkHeaders } from './enqueue-input.js';
import { FRONT, isPriority } from './group-state.js';
import type { LeasedMessage } from './lease.js';
import { lastMessages } from './last-messages.js';
import { readMessage } from './message-picker.js';
import { passGroup } from './passing.js';
import { findMessage, QueueBrowser, type QueueMessage } from './queue-browser.js';
import { closeQueue, type QueueHost } from './queue-closing.js';
import type { QueueCore } from './queue-core.js';
import { noMessage, noQueue } from './queue-errors.js';
import {
  checkQueueOptions,
  MAX_DELAY_MS,
  QUEUE_OPTION_NAMES,
  type QueueOptions,
} from './queue-options.js';
import { runsOf } from './queue-records.js';
import { arrivalsIn } from './recount.js';
import { reportQueue } from './queue-report.js';
import { changedOptions } from './stored-options.js';

/** A delivery that is not settled. */
export interface PendingDelivery {
  readonly id: string;
  readonly seq: number;
  readonly group: string;
  readonly consumer: string | undefined;
  readonly deliveryCount: number;
  /** Milliseconds since it was handed out, without those in which this process was blocked. */
  readonly ageMs: number;
  /** Milliseconds until it fails. */
  readonly leftMs: number;
  /** Names the delivery, for `Queue.delivery`. */
  readonly token: string;
}

export interface PendingOptions {
  /** Default: all groups. */
  readonly group?: string | undefined;
  /** Only the deliveries of the message with this seq. Default: all messages. */
  readonly seq?: number | undefined;
}

export interface MessageChange<T> {
  readonly payload?: T;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly priority?: number | undefined;
  /** Milliseconds from now before which it is not delivered; 0: now. */
  readonly delayMs?: number | undefined;
}

export interface RedriveOptions<T> {
  /** Which messages are moved. Default: all. */
  readonly filter?: ((message: QueueMessage<T>) => boolean) | undefined;
  readonly limit?: number | undefined;
  /** The name of the queue that they go to. */
  readonly to?: string | undefined;
  /** Messages a second at most. */
  readonly ratePerSecond?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface AckUpToOptions {
  /** In a queue with groups, which. */
  readonly group?: string | undefined;
  /** As of `ack`. Default: `written`. */
  readonly durability?: Durability | undefined;
}

export interface PopOptions {
  readonly max?: number | undefined;
  readonly durability?: Durability | undefined;
}

const PENDING: ReadonlySet<string> = new Set(['group', 'seq']);
const ACK_UP_TO: ReadonlySet<string> = new Set(['group', 'durability']);
const CONFIGURE = new Set(QUEUE_OPTION_NAMES.filter((name) => name !== 'mode'));
const CHANGE: ReadonlySet<string> = new Set(['payload', 'headers', 'priority', 'delayMs']);
const REDRIVE: ReadonlySet<string> = new Set(['filter', 'limit', 'to', 'ratePerSecond', 'signal']);

export class QueueManager<T> {
  readonly #core: QueueCore;
  readonly #host: QueueHost;
  readonly #codec: Codec<T> | undefined;
  readonly #browser: QueueBrowser<T>;

  constructor(core: QueueCore, host: QueueHost, codec: Codec<T> | undefined) {
    this.#core = core;
    this.#host = host;
    this.#codec = codec;
    this.#browser = new QueueBrowser(core, codec);
  }

  pending(options: PendingOptions): PendingDelivery[] {
    this.#core.requireOpen();
    checkKnown(options, PENDING);
    const { group, seq } = options;
    const { leases, state } = this.#core;
    const nowMs = leases.clock.now();
    const of = group === undefined ? undefined : this.#core.group(group).name;
    const found = seq === undefined ? leases.some(of) : leases.ofMessage(of, seq);
    return found
      .map((lease) => ({
        id: lease.message.id,
        seq: lease.message.seq,
        group: lease.group,
        consumer: lease.consumer,
        deliveryCount: lease.deliveryCount,
        ageMs: nowMs - lease.since,
        leftMs: lease.deadline - nowMs,
        token: tokenOf(state.epoch, lease),
      }))
      .toSorted((a, b) => b.ageMs - a.ageMs);
  }

  async ackUpTo(seq: number, options: AckUpToOptions): Promise<number> {
    this.#core.requireOpen();
    checkKnown(options, ACK_UP_TO);
    const { group: name, durability = 'written' } = options;
    checkSeq('seq', seq);
    checkDurability(durability);
    const { log, counters, blockedKeys } = this.#core;
    const group = this.#core.group(name);
    const { firstSeq, nextSeq } = log.channel;
    if (seq >= nextSeq) {
      const message = `queue ${this.#core.name} ends at ${nextSeq}: there is no seq ${seq}`;
      throw redexError('OUT_OF_RANGE', message, { seq, firstSeq, nextSeq });
    }
    const how = { below: seq + 1, most: Infinity, why: 'settled', durability } as const;
    const count = await passGroup(this.#core, group, how);
    counters.acknowledged += count;
    reportQueue(this.#core.name, 'settled', count);
    if (count > 0) await blockedKeys.reviewOf(this.#core.name);
    return count;
  }

  async pop(options: PopOptions, end: 'first' | 'last'): Promise<QueueMessage<T>[]> {
    this.#core.requireOpen();
    checkKnown(options, new Set(['max', 'durability']));
    const { max = 1, durability = 'synced' } = options;
    checkInteger('max', max, 1, 100_000);
    checkDurability(durability);
    return end === 'first' ? this.#popFirst(max, durability) : this.#popLast(max, durability);
  }

  async #popFirst(max: number, durability: Durability): Promise<QueueMessage<T>[]> {
    const group = this.#core.group(undefined);
    const request = { max, maxBytes: Infinity, waitMs: 0, signal: undefined, consumer: undefined };
    const leases = await this.#core.receiver(group).receive(request);
    const messages = leases.map(({ message }) => message);
    const views = messages.map((message) => this.#browser.view(message, undefined));
    for (const lease of leases) lease.isSettling = true;
    try {
      await this.#take(messages, durability);
    } finally {
      for (const lease of leases) {
        lease.isSettling = false;
        if (group.settled.has(lease.message.seq)) this.#core.leases.end(lease, 'settled');
        else await this.#core.settlement.nack(lease, { count: false });
      }
    }
    return views;
  }

  async #take(messages: readonly LeasedMessage[], durability: Durability): Promise<void> {
    if (messages.length === 0) return;
    const { log } = this.#core;
    const s = runsOf(messages.map(({ seq }) => seq));
    const z = messages.map(({ size }) => size);
    await log.run(() => log.operate({ o: 'done', s, why: 'pop', z }, durability));
    await this.#core.onGone(messages);
    this.#core.wake();
  }

  async #popLast(max: number, durability: Durability): Promise<QueueMessage<T>[]> {
    const core = this.#core;
    const messages = await core.log.run(() => lastMessages(core, max));
    const views = messages.map((message) => this.#browser.view(message, undefined));
    try {
      await this.#take(messages, durability);
    } catch (error) {
      const seqs = messages.map(({ seq }) => seq);
      await core.log.run(() => core.giveBack('', seqs, { isUndone: false }));
      throw error;
    }
    return views;
  }

  async purge(): Promise<number> {
    this.#core.requireOpen();
    const { log, state, leases } = this.#core;
    const count = await log.alone(async () => {
      const { messages } = state;
      await log.operate({ o: 'purge', to: log.channel.nextSeq }, 'synced');
      leases.endAll(undefined, 'purged');
      return messages;
    });
    await this.#core.blockedKeys.reviewOf(this.#core.name);
    this.#core.wake();
    return count;
  }

  async update(idOrSeq: string | number, change: MessageChange<T>): Promise<void> {
    this.#core.requireOpen();
    checkChange(change);
    const { log, state, options } = this.#core;
    const found = await findMessage(this.#core, idOrSeq);
    if (found === undefined) throw noMessage(this.#core.name, String(idOrSeq));
    const { seq, header } = found;
    const { priority, delayMs } = change;
    const isMoved = priority !== undefined || delayMs !== undefined;
    if (isMoved && header.key !== undefined && options.ordering === 'strict') {
      throw new TypeError('a message with a key may have neither delay nor priority');
    }
    const isChanged = 'payload' in change || change.headers !== undefined;
    const given = 'payload' in change ? bytesOf(change.payload, this.#codec) : undefined;
    const write = async (): Promise<void> => {
      // What is not given stays as it is now, whoever has changed it since.
      const message = isChanged ? ((await readMessage(this.#core, seq)) ?? found) : found;
      if (state.isSettled(seq)) throw noMessage(this.#core.name, message.id);
      const isFront = header.front === true;
      const was = [header.at ?? 0, isFront ? FRONT : message.priority] as const;
      const dueMs = (delayMs ?? 0) > 0 ? log.clock.now() + (delayMs ?? 0) : 0;
      const at = delayMs === undefined ? undefined : dueMs;
      const { headers = message.headers } = change;
      const { until } = message.header;
      const payload = given ?? message.payload;
      this.#core.enqueuing.requireBytes(payload.length - message.payload.length);
      await log.write(
        isMoved ? [{ o: 'edit', s: seq, z: message.size, at, priority, was }] : [],
        isChanged ? [{ header: { of: seq, z: message.size, headers, until }, payload }] : [],
        'synced',
      );
    };
    await (isChanged ? log.alone(write) : log.run(write));
    this.#core.wake();
  }

  async setPaused(isPaused: boolean): Promise<void> {
    this.#core.requireOpen();
    const { log, options } = this.#core;
    await log.alone(() => log.operateAll(this.#core.base(options, isPaused), 'synced'));
    this.#core.wake();
  }

  async configure(options: Omit<QueueOptions, 'mode'>): Promise<void> {
    this.#core.requireOpen();
    checkQueueOptions(options, this.#core.name, CONFIGURE);
    const { deadLetter } = options;
    if (deadLetter !== undefined) await this.#host.refuseCycle(this.#core.name, deadLetter);
    const { log, state, reclaim } = this.#core;
    // What is to be kept from now on does not go meanwhile.
    await this.#core.reclaiming(() =>
      log.alone(async () => {
        const { keepMs } = state.options;
        const changed = changedOptions(state.options, options);
        const begins = keepMs === 0 && changed.keepMs !== 0;
        const arrivals = begins ? await arrivalsIn(log.channel) : undefined;
        await log.operateAll(this.#core.base(changed), 'synced');
        if (arrivals !== undefined) state.arrivals = arrivals;
      }),
    );
    reclaim.lookAgain();
    this.#core.wake();
  }

  async deadLetters(): Promise<QueueCore> {
    this.#core.requireOpen();
    const { deadLetter } = this.#core.options;
    if (deadLetter === false) throw noQueue(`${this.#core.name}: it has no dead letters`);
    return this.#host.openForDeadLetters(deadLetter);
  }

  async redrive(options: RedriveOptions<T>): Promise<number> {
    this.#core.requireOpen();
    checkKnown(options, REDRIVE);
    const { filter, limit = Infinity, to, ratePerSecond = Infinity, signal } = options;
    checkType('filter', filter, 'function');
    if (limit !== Infinity) checkInteger('limit', limit, 1, Number.MAX_SAFE_INTEGER);
    checkType('ratePerSecond', ratePerSecond, 'number');
    if (!(ratePerSecond > 0)) throw new RangeError('ratePerSecond must be above 0');
    signal?.throwIfAborted();
    const isOfDead = this.#core.options.deadLetter === false;
    const source = isOfDead ? this.#core : await this.deadLetters();
    const own = isOfDead ? undefined : this.#core;
    const target = to === undefined ? own : await this.#host.openQueue(to);
    if (target === source) throw new TypeError('messages are moved to the queue that they are in');
    const group = source.group(undefined);
    // Without a target, what was enqueued here and not moved has nowhere to go.
    const isMeant = ({ header: { origin } }: LeasedMessage): boolean =>
      own === undefined ? target !== undefined || origin !== undefined : origin?.queue === own.name;
    return this.#core.moves.redrive(source, {
      filter: (message) =>
        isMeant(message) && (filter?.(this.#browser.view(message, group)) ?? true),
      limit,
      most: Math.max(1, Math.floor(ratePerSecond)),
      target,
      pace: (moved) => this.#pause((moved * 1000) / ratePerSecond, signal),
    });
  }

  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (ms === 0) return;
    let onAbort = (): void => {};
    await new Promise<void>((resolve) => {
      const cancel = this.#core.runtime.schedule(resolve, ms, true);
      onAbort = () => {
        cancel();
        resolve();
      };
      signal?.addEventListener('abort', onAbort);
    });
    signal?.removeEventListener('abort', onAbort);
    signal?.throwIfAborted();
  }

  close(): Promise<void> {
    return closeQueue(this.#core, this.#host);
  }
}

function checkChange(change: object): void {
  checkKnown(change, CHANGE);
  const { headers, priority, delayMs } = change as MessageChange<unknown>;
  checkHeaders(headers);
  checkType('delayMs', delayMs, 'number');
  checkInteger('delayMs', delayMs, 0, MAX_DELAY_MS);
  if (priority !== undefined && !isPriority(priority)) {
    throw new RangeError(`priority must be an integer from 0 to 15, not ${String(priority)}`);
  }
}
