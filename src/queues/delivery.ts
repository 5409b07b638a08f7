/** A message in the hands of a consumer, who settles it. */
import { rejected } from '../channel/append-side.js';
import { checkInteger, checkType } from '../channel/option-checks.js';
import type { Durability } from '../channel/record-input.js';
import { checkDurability } from './enqueue-input.js';
import { MAX_DELAY_MS } from './queue-options.js';
import { tokenOf } from './delivery-token.js';
import type { Lease } from './lease.js';
import type { Origin } from './queue-records.js';

export interface AckOptions {
  /**
   * `written`: a power cut may bring the message back, a kill does not. `synced`: nothing does.
   * Default: `written`.
   */
  readonly durability?: Durability | undefined;
}

export interface NackOptions {
  /** Milliseconds until it is delivered again. Default: the backoff of the queue. */
  readonly delayMs?: number | undefined;
  /** Kept with the message, the last few of them. */
  readonly error?: unknown;
  /** False: the delivery does not count towards `maxDeliveries`. Default: true. */
  readonly count?: boolean | undefined;
}

/** Takes part in a commit of the QueueStore: the message is acknowledged with the rest of it. */
export class Acking {
  readonly lease: Lease;
  readonly host: SettlementHost;

  constructor(host: SettlementHost, lease: Lease) {
    this.host = host;
    this.lease = lease;
  }
}

/** What a delivery asks of its queue. */
export interface SettlementHost {
  readonly name: string;
  readonly epoch: number;
  /** Throws LEASE_LOST, CLOSED; rejects with LEASE_LOST, IO, POISONED. */
  ack(lease: Lease, durability: Durability): Promise<void>;
  nack(lease: Lease, options: NackOptions): Promise<void>;
  reject(lease: Lease, reason: string | undefined): Promise<void>;
  attempt(lease: Lease): Promise<number>;
  extend(lease: Lease, ms: number): void;
  extendUntil(lease: Lease, untilMs: number): void;
  expiresAt(lease: Lease): number;
}

export class Delivery<T = Uint8Array> {
  readonly payload: T;
  readonly #lease: Lease;
  readonly #host: SettlementHost;

  /** For the queue, which hands it out. */
  constructor(host: SettlementHost, lease: Lease, payload: T) {
    this.#host = host;
    this.#lease = lease;
    this.payload = payload;
  }

  /** Of the message, in whichever queue it is. */
  get id(): string {
    return this.#lease.message.id;
  }

  /** Number of the message in its queue. */
  get seq(): number {
    return this.#lease.message.seq;
  }

  get headers(): Readonly<Record<string, string>> {
    return this.#lease.message.headers;
  }

  get key(): string | undefined {
    return this.#lease.message.header.key;
  }

  get priority(): number {
    return this.#lease.message.priority;
  }

  /** Which delivery of the message this is; the first is 1. */
  get deliveryCount(): number {
    return this.#lease.deliveryCount;
  }

  /** Unix milliseconds. */
  get enqueuedAt(): number {
    return this.#lease.message.enqueuedAt;
  }

  /** Where a dead letter comes from, and why. */
  get origin(): Origin | undefined {
    return this.#lease.message.header.origin;
  }

  /** The group that it was delivered to, in a queue with groups. */
  get group(): string {
    return this.#lease.group;
  }

  /** Names this delivery, for `Queue.delivery`; that of another one of the message is another. */
  get token(): string {
    return tokenOf(this.#host.epoch, this.#lease);
  }

  /** Unix milliseconds at which it fails if it is not settled; later if the process is blocked. */
  get leaseExpiresAt(): number {
    return this.#host.expiresAt(this.#lease);
  }

  /** Aborted when the delivery ends without being settled: expired, claimed, cancelled, purged. */
  get signal(): AbortSignal {
    return this.#lease.signal;
  }

  /** It is done with. The same again resolves, too. Rejects with LEASE_LOST, CLOSED, IO. */
  ack(options: AckOptions = {}): Promise<void> {
    try {
      const { durability = 'written' } = options;
      checkDurability(durability);
      return this.#host.ack(this.#lease, durability);
    } catch (error) {
      return rejected(error);
    }
  }

  /** It failed: the message is delivered again later, or is a dead letter after the last time. */
  async nack(options: NackOptions = {}): Promise<void> {
    checkType('delayMs', options.delayMs, 'number');
    checkInteger('delayMs', options.delayMs, 0, MAX_DELAY_MS);
    checkType('count', options.count, 'boolean');
    return this.#host.nack(this.#lease, options);
  }

  /** It will never succeed: the message is a dead letter now. */
  async reject(reason?: string): Promise<void> {
    if (reason !== undefined && typeof reason !== 'string') {
      throw new TypeError('reason must be a string');
    }
    return this.#host.reject(this.#lease, reason);
  }

  /** It was not tried: the message is in its place again, as if it had not been delivered. */
  release(): Promise<void> {
    return this.#host.nack(this.#lease, { count: false, delayMs: 0 });
  }

  /**
   * It is tried, so it counts from now on even when it is released. Called again, the message is
   * tried again within this delivery, which counts as one more. Resolves to how often it was
   * delivered so far, this included. Rejects with LEASE_LOST, IO, CLOSED.
   */
  attempt(): Promise<number> {
    return this.#host.attempt(this.#lease);
  }

  /**
   * It takes longer: from now on `ms` until it fails, or until a time. Nothing is written. Throws
   * LEASE_LOST.
   */
  extend(ms: number | Date): void {
    if (ms instanceof Date) {
      checkInteger('a time', ms.getTime(), 0, Number.MAX_SAFE_INTEGER);
      this.#host.extendUntil(this.#lease, ms.getTime());
      return;
    }
    checkInteger('ms', ms, 0, MAX_DELAY_MS);
    this.#host.extend(this.#lease, ms);
  }

  /** For the queue: whether it has handed it out. */
  isOf(host: SettlementHost): boolean {
    return this.#host === host;
  }

  /** For `QueueStore.commit`: acknowledged together with what else is in it. */
  acking(): Acking {
    return new Acking(this.#host, this.#lease);
  }
}
