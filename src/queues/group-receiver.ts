/**
 * Hands messages of a group to those who ask for them, first come, first served. Nobody who asks is
 * woken for nothing: messages are chosen for as many as there are, written down as delivered in one
 * operation, and handed over in one turn. Who has given up by then gets none. A consumer that asks
 * again as soon as it was served does not keep the event loop from its turns.
 */
import type { Cancel } from '../core/runtime.js';
import type { GroupState } from './group-state.js';
import type { Lease } from './lease.js';
import { leaseOperation } from './lease-operation.js';
import { LoopTurn } from './loop-turn.js';
import { MessagePicker, type Picked, type Unfit } from './message-picker.js';
import type { QueueContext } from './queue-context.js';
import { isTooMuch } from './queue-errors.js';
import { reportQueue } from './queue-report.js';

/** Messages that one operation hands out at most. */
const MOST_AT_ONCE = 4096;
/** Until it is tried again to hand out a message that cannot be. */
const RETRY_MS = 60_000;
/** A timer's longest delay: what is later is waited for in pieces. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;

export interface ReceiveRequest {
  readonly max: number;
  readonly maxBytes: number;
  readonly waitMs: number;
  readonly signal: AbortSignal | undefined;
  readonly consumer: string | undefined;
}

class Receiver {
  readonly request: ReceiveRequest;
  readonly promise: Promise<readonly Lease[]>;
  isDone = false;
  onDone: (() => void) | undefined;
  #resolve: (leases: readonly Lease[]) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(request: ReceiveRequest) {
    this.request = request;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  finish(leases: readonly Lease[]): void {
    if (this.isDone) return;
    this.isDone = true;
    this.onDone?.();
    this.#resolve(leases);
  }

  fail(error: unknown): void {
    if (this.isDone) return;
    this.isDone = true;
    this.onDone?.();
    this.#reject(error);
  }
}

export class GroupReceiver {
  readonly #core: QueueContext;
  readonly #group: GroupState;
  readonly #picker: MessagePicker;
  readonly #turn: LoopTurn;
  #waiting: Receiver[] = [];
  #isServing = false;
  #mayServe = false;
  /** Messages that one operation hands out at most, for now. */
  #most = MOST_AT_ONCE;
  #timer: { readonly dueMs: number; readonly cancel: Cancel } | undefined;

  constructor(core: QueueContext, group: GroupState) {
    this.#core = core;
    this.#group = group;
    this.#picker = new MessagePicker(core, group);
    this.#turn = new LoopTurn(core.runtime);
  }

  /** Resolves to none when there is nothing in time. Rejects with the signal's reason, CLOSED. */
  async receive(request: ReceiveRequest): Promise<readonly Lease[]> {
    const { signal, waitMs } = request;
    signal?.throwIfAborted();
    const receiver = new Receiver(request);
    this.#waiting.push(receiver);
    const onAbort = (): void => receiver.fail(signal?.reason);
    signal?.addEventListener('abort', onAbort);
    let cancel: Cancel | undefined;
    const { runtime } = this.#core;
    const wait = (leftMs: number): void => {
      const stepMs = Math.min(leftMs, LONGEST_WAIT_MS);
      const onStep = (): void => (leftMs > stepMs ? wait(leftMs - stepMs) : receiver.finish([]));
      cancel = runtime.schedule(onStep, stepMs, true);
    };
    if (waitMs > 0) wait(waitMs);
    receiver.onDone = () => {
      signal?.removeEventListener('abort', onAbort);
      cancel?.();
      this.#waiting = this.#waiting.filter((other) => !other.isDone);
    };
    this.wake();
    return receiver.promise;
  }

  /** Somebody waits for messages. */
  get isAsked(): boolean {
    return this.#waiting.length > 0;
  }

  /** There may be something for those who wait. */
  wake(): void {
    this.#mayServe = true;
    if (this.#isServing || this.#waiting.length === 0) return;
    this.#isServing = true;
    this.#core.runtime.defer(() => void this.#serve());
  }

  /** What was fetched is not what comes next. */
  reset(): void {
    this.#picker.reset();
  }

  /** Nobody gets anything any more. */
  close(error: unknown): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const receiver of Array.from(this.#waiting)) receiver.fail(error);
  }

  async #serve(): Promise<void> {
    try {
      while (this.#mayServe && this.#waiting.length > 0) {
        if (this.#turn.isLong) {
          await this.#turn.next();
          continue;
        }
        this.#mayServe = false;
        await this.#serveOnce();
      }
    } catch (error) {
      // Whoever comes first is told; the next one asks again.
      this.#waiting[0]?.fail(error);
      if (this.#waiting.length > 0) this.#mayServe = true;
    }
    this.#isServing = false;
    if (this.#mayServe) this.wake();
  }

  async #serveOnce(): Promise<void> {
    let unfit: readonly Unfit[] = [];
    await this.#core.log.run(async () => {
      unfit = await this.#handOut();
    });
    if (unfit.length > 0) {
      this.#mayServe = true;
      await this.#core.setAside(this.#group.name, unfit);
    }
    // Those who do not wait are told that there is nothing.
    for (const receiver of Array.from(this.#waiting)) {
      if (receiver.request.waitMs === 0 && !this.#mayServe) receiver.finish([]);
    }
    this.#setTimer();
  }

  /** Returns the messages that nobody gets any more: they are reserved for that. */
  async #handOut(): Promise<readonly Unfit[]> {
    const { core, group } = { core: this.#core, group: this.#group };
    const { state } = core.log;
    const room = state.options.maxInFlight - group.inFlight;
    const wanted = this.#waiting.reduce((sum, { request }) => sum + request.max, 0);
    const max = Math.min(wanted, room, this.#most);
    if (max <= 0 || state.isPaused || core.isClosed) return [];
    const maxBytes = this.#waiting.reduce((sum, { request }) => sum + request.maxBytes, 0);
    const allowsSuspect = !core.leases.hasSuspect(group.name);
    const { picked, unfit } = await this.#picker.pick({ max, maxBytes, allowsSuspect });
    for (const { message } of unfit) core.reserve(group, message);
    if (picked.length === 0) return unfit;
    if (this.#waiting.length === 0) {
      this.#picker.putBack(picked);
      return unfit;
    }
    try {
      const messages = picked.map(({ message }) => message);
      await core.log.operate(leaseOperation(group.name, messages));
    } catch (error) {
      if (!isTooMuch(error)) {
        this.#picker.putBack(picked);
        throw error;
      }
      await this.#onTooMuch(picked, error);
      return unfit;
    }
    this.#most = Math.min(2 * this.#most, MOST_AT_ONCE);
    await this.#giveTo(picked);
    return unfit;
  }

  /** That they were handed out takes more than the store writes at once: fewer are tried next. */
  async #onTooMuch(picked: readonly Picked[], error: unknown): Promise<void> {
    this.#mayServe = true;
    this.#most = Math.max(1, Math.floor(picked.length / 2));
    if (picked.length > 1) {
      this.#picker.putBack(picked);
      return;
    }
    const core = this.#core;
    for (const { message } of picked) {
      const { id, seq } = message;
      core.logger.error('a message cannot be delivered', { queue: core.name, id, error });
      core.reserve(this.#group, message);
      const dueMs = core.log.clock.now() + RETRY_MS;
      await core.giveBack(this.#group.name, [seq], { dueMs, error: 'it cannot be delivered' });
    }
  }

  /** In one turn: they are theirs, or, when all have given up, were never delivered. */
  async #giveTo(picked: readonly Picked[]): Promise<void> {
    const group = this.#group.name;
    let next = 0;
    for (const receiver of Array.from(this.#waiting)) {
      const leases: Lease[] = [];
      let bytes = 0;
      for (; next < picked.length && leases.length < receiver.request.max; next++) {
        const each = picked[next];
        if (each === undefined) break;
        bytes += each.message.payload.length;
        if (leases.length > 0 && bytes > receiver.request.maxBytes) break;
        const { consumer } = receiver.request;
        const lease = this.#core.lease(group, each, consumer);
        if (lease !== undefined) leases.push(lease);
      }
      reportQueue(this.#core.name, 'delivered', leases.length);
      if (leases.length > 0) receiver.finish(leases);
      if (next === picked.length) break;
    }
    // Others may still be served by what is left in the log.
    this.#mayServe = true;
    const left = picked.slice(next).map(({ message }) => message.seq);
    if (left.length > 0) await this.#core.giveBack(group, left, { isUndone: true });
  }

  /** The next message that was put off wakes those who wait then. */
  #setTimer(): void {
    const dueMs = this.#waiting.length === 0 ? undefined : this.#group.nextDueMs;
    if (this.#timer?.dueMs === dueMs) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (dueMs === undefined) return;
    const delayMs = Math.max(1, dueMs - this.#core.log.clock.now());
    const cancel = this.#core.runtime.schedule(
      () => {
        this.#timer = undefined;
        this.wake();
      },
      Math.min(delayMs, LONGEST_WAIT_MS),
    );
    this.#timer = { dueMs, cancel };
  }
}
