/**
 * What becomes of messages that were delivered: acknowledgements of one turn are one operation;
 * what failed waits again or is a dead letter; what nobody settles in time has failed.
 */
import type { Durability } from '../channel/record-input.js';
import { backoffMs } from './attempt.js';
import type { NackOptions, SettlementHost } from './delivery.js';
import type { Lease, LeasedMessage } from './lease.js';
import { leaseOperation } from './lease-operation.js';
import type { Unfit } from './message-picker.js';
import { leaseLost } from './queue-errors.js';
import type { QueueCore } from './queue-core.js';
import { runsOf, type DeadCause } from './queue-records.js';
import { groupField } from './queue-state.js';

/** Acknowledgements that are written together. */
class AckBatch {
  readonly leases: Lease[] = [];
  readonly promise: Promise<void>;
  #settle: (promise: Promise<void>) => void = () => {};

  constructor() {
    this.promise = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  become(promise: Promise<void>): void {
    this.#settle(promise);
  }
}

/** A message on its way to the dead letters: reserved, or leased. */
export interface Doomed {
  readonly message: LeasedMessage;
  readonly cause: DeadCause;
  readonly reason?: string | undefined;
  readonly lease?: Lease | undefined;
}

export class Settlement implements SettlementHost {
  readonly core: QueueCore;
  readonly #batches: Record<Durability, Map<string, AckBatch>> = {
    written: new Map(),
    synced: new Map(),
  };

  constructor(core: QueueCore) {
    this.core = core;
  }

  get name(): string {
    return this.core.name;
  }

  get epoch(): number {
    return this.core.state.epoch;
  }

  expiresAt({ deadline }: Lease): number {
    const { log, leases } = this.core;
    return log.clock.now() + Math.floor(deadline - leases.clock.now());
  }

  /** Throws LEASE_LOST, CLOSED. */
  requireHeld(lease: Lease): void {
    this.core.requireOpen();
    const { loss, message } = lease;
    if (loss !== undefined) throw leaseLost(this.name, message.id, loss);
    if (lease.isSettling) throw leaseLost(this.name, message.id, 'settled');
  }

  ack(lease: Lease, durability: Durability): Promise<void> {
    if (lease.acknowledged !== undefined) return lease.acknowledged;
    try {
      this.requireHeld(lease);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    lease.isSettling = true;
    const batches = this.#batches[durability];
    let batch = batches.get(lease.group);
    if (batch === undefined) {
      batch = new AckBatch();
      batches.set(lease.group, batch);
      const begun = batch;
      this.core.runtime.defer(() => {
        batches.delete(lease.group);
        begun.become(this.#write(begun.leases, durability));
      });
    }
    batch.leases.push(lease);
    lease.acknowledged = batch.promise;
    return batch.promise;
  }

  async #write(leases: readonly Lease[], durability: Durability): Promise<void> {
    const { log } = this.core;
    try {
      const g = groupField(leases[0]?.group ?? '');
      const s = runsOf(leases.map(({ message }) => message.seq));
      await log.run(() => log.operate({ o: 'done', g, s, why: 'ack' }, durability));
    } catch (error) {
      for (const lease of leases) {
        lease.isSettling = false;
        lease.acknowledged = undefined;
      }
      throw error;
    }
    this.#onAcknowledged(leases);
  }

  #onAcknowledged(leases: readonly Lease[]): void {
    for (const lease of leases) this.core.leases.end(lease, 'settled');
    this.core.counters.acknowledged += leases.length;
    this.core.wake();
  }

  /** What a commit has acknowledged. */
  onCommitted(leases: readonly Lease[]): void {
    this.#onAcknowledged(leases);
  }

  async nack(lease: Lease, { delayMs, error, count: isFailed = true }: NackOptions): Promise<void> {
    this.requireHeld(lease);
    // What was tried counts, even if it is released.
    const count = isFailed || lease.attempts > 0;
    const { counters, options, runtime, log } = this.core;
    lease.isSettling = true;
    const reason = error === undefined ? undefined : textOf(error);
    if (count) counters.failed++;
    else counters.released++;
    if (count && this.core.isLast(lease)) {
      await this.#bury([{ message: lease.message, cause: 'attempts', reason, lease }], lease.group);
      return;
    }
    const delay = delayMs ?? (count ? backoffMs(options, lease.deliveryCount, drawn(runtime)) : 0);
    const dueMs = delay > 0 ? log.clock.now() + delay : 0;
    const given = { dueMs, isUndone: !count, error: count ? (reason ?? 'failed') : undefined };
    await this.#return([lease], given, 'settled');
  }

  async #return(
    leases: readonly Lease[],
    how: { dueMs: number; isUndone: boolean; error: string | undefined },
    loss: 'settled' | 'expired',
  ): Promise<void> {
    const { log, leases: table } = this.core;
    const group = leases[0]?.group ?? '';
    const seqs = leases.map(({ message }) => message.seq);
    await log.run(async () => {
      await this.core.giveBack(group, seqs, how);
      for (const lease of leases) table.end(lease, loss);
    });
    this.core.wake();
  }

  async reject(lease: Lease, reason: string | undefined): Promise<void> {
    this.requireHeld(lease);
    lease.isSettling = true;
    const { message, group } = lease;
    await this.#bury([{ message, cause: 'rejected', reason, lease }], group);
  }

  async #bury(doomed: readonly Doomed[], group: string): Promise<void> {
    await this.core.moves.bury(this.core, group, doomed);
    for (const { lease } of doomed) {
      if (lease !== undefined) this.core.leases.end(lease, 'settled');
    }
    this.core.wake();
  }

  /** Messages that were chosen and may not be delivered. Never rejects. */
  async setAside(group: string, unfit: readonly Unfit[]): Promise<void> {
    this.core.counters.expired += unfit.filter(({ cause }) => cause === 'expired').length;
    await this.#bury(unfit, group);
  }

  async attempt(lease: Lease): Promise<number> {
    this.requireHeld(lease);
    // The first one was counted when it was handed out.
    if (lease.attempts > 0) {
      const { log } = this.core;
      lease.isSettling = true;
      try {
        await log.run(() => log.operate(leaseOperation(lease.group, [lease.message])));
      } finally {
        lease.isSettling = false;
      }
      lease.deliveryCount++;
    }
    lease.attempts++;
    return lease.deliveryCount;
  }

  extend(lease: Lease, ms: number): void {
    this.requireHeld(lease);
    lease.deadline = this.core.leases.clock.now() + ms;
  }

  extendUntil(lease: Lease, untilMs: number): void {
    this.extend(lease, untilMs - this.core.log.clock.now());
  }

  /** Ends those whose time is over by then; resolves to how many, when that is written. */
  async expireUntil(atMs: number = this.core.log.clock.now()): Promise<number> {
    this.core.requireOpen();
    const isOver = (lease: Lease): boolean => !lease.isSettling && this.expiresAt(lease) <= atMs;
    const leases = [...this.core.leases.all()].filter((lease) => isOver(lease));
    await this.expire(leases);
    return leases.length;
  }

  /** Their time is over. */
  async expire(leases: readonly Lease[]): Promise<void> {
    const groups = new Map<string, Lease[]>();
    for (const lease of leases) {
      lease.isSettling = true;
      const of = groups.get(lease.group);
      if (of === undefined) groups.set(lease.group, [lease]);
      else of.push(lease);
    }
    await Promise.all([...groups].map(([group, of]) => this.#expireOf(group, of)));
  }

  async #expireOf(group: string, leases: readonly Lease[]): Promise<void> {
    const { core } = this;
    core.counters.timedOut += leases.length;
    const last = leases.filter((lease) => core.isLast(lease));
    // Its handler is told at once; the message is somebody else's when that is written.
    for (const lease of leases) lease.end('expired');
    const again = leases.filter((lease) => !core.isLast(lease));
    if (again.length > 0) {
      const error = 'it was not settled in time';
      await this.#return(again, { dueMs: 0, isUndone: false, error }, 'expired');
    }
    if (last.length === 0) return;
    await this.#bury(
      last.map((lease) => ({ message: lease.message, cause: 'timeout', lease })),
      group,
    );
  }
}

function drawn(runtime: { random(bytes: Uint8Array): Uint8Array }): number {
  const bytes = runtime.random(new Uint8Array(4));
  return new DataView(bytes.buffer).getUint32(0) / 2 ** 32;
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
