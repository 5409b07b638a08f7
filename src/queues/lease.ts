/**
 * A message that was handed out, and nobody else may have until it is settled. It lives in this
 * process alone: the log knows that the message was delivered, not until when.
 *
 * Invariants: of a message and a group there is at most one lease that has not ended; a lease that
 * is being settled does not expire meanwhile.
 */
import type { Codec } from '../channel/codec.js';
import type { LeaseLoss } from './queue-errors.js';
import type { MessageHeader } from './queue-records.js';

export interface LeasedMessage {
  readonly seq: number;
  readonly id: string;
  readonly header: MessageHeader;
  /** What was enqueued, or what has taken its place. */
  readonly payload: Uint8Array;
  /** Bytes of what was enqueued, whatever has taken its place. */
  readonly size: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly priority: number;
  /** Unix milliseconds. */
  readonly enqueuedAt: number;
  /** Made when it was chosen, for who gets it first: nobody else shares the value. */
  decoded?: DecodedPayload | undefined;
}

export interface DecodedPayload {
  readonly codec: Codec<unknown>;
  readonly value: unknown;
}

export class Lease {
  readonly group: string;
  readonly message: LeasedMessage;
  readonly consumer: string | undefined;
  /** Which delivery of the message this is; the first is 1. */
  deliveryCount: number;
  /** Of them, those that its consumer has said to make. */
  attempts = 0;
  /** Never that of another lease of this process. */
  readonly number: number;
  /** On the clock of leases. */
  deadline: number;
  /** On the clock of leases: when it was handed out. */
  readonly since: number;
  readonly isSuspect: boolean;
  isSettling = false;
  /** The settlement that was asked for, for who asks for the same again. */
  acknowledged: Promise<void> | undefined;
  #loss: LeaseLoss | undefined;
  #abort: AbortController | undefined;

  constructor(init: {
    readonly group: string;
    readonly message: LeasedMessage;
    readonly consumer: string | undefined;
    readonly deliveryCount: number;
    readonly number: number;
    readonly since: number;
    readonly deadline: number;
    readonly isSuspect: boolean;
  }) {
    this.group = init.group;
    this.message = init.message;
    this.consumer = init.consumer;
    this.deliveryCount = init.deliveryCount;
    this.number = init.number;
    this.since = init.since;
    this.deadline = init.deadline;
    this.isSuspect = init.isSuspect;
  }

  /** Why it has ended; undefined while it has not. */
  get loss(): LeaseLoss | undefined {
    return this.#loss;
  }

  /** Aborted when it ends in another way than by being settled. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      this.#abortIfLost();
    }
    return this.#abort.signal;
  }

  end(loss: LeaseLoss): void {
    if (this.#loss !== undefined) return;
    this.#loss = loss;
    this.#abortIfLost();
  }

  #abortIfLost(): void {
    if (this.#loss === undefined || this.#loss === 'settled') return;
    this.#abort?.abort(
      new Error(`the delivery of message ${this.message.id} ended: ${this.#loss}`),
    );
  }
}
