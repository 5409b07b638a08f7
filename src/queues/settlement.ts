/**
 * What becomes of messages that were delivered: acknowledgements of one turn are one operation;
 * what failed waits again or is a dead letter; what nobody settles in time has failed.
 */
import { checkInteger, checkKnown, checkType } from '../channel/option-checks.js';
import type { Durability } from '../channel/record-input.js';
import type { RedexError } from '../core/errors.js';
import { backoffMs } from './attempt.js';
import type { NackOptions, SettlementHost } from './delivery.js';
import type { Lease } from './lease.js';
import { leaseOperation } from './lease-operation.js';
import type { Unfit } from './message-picker.js';
import { leaseLost } from './queue-errors.js';
import type { Doomed, QueueContext } from './queue-context.js';
import { MAX_DELAY_MS } from './queue-options.js';
import { runsOf } from './queue-records.js';
import { reportQueue } from './queue-report.js';
import { groupField } from './queue-state.js';

const NACK: ReadonlySet<string> = new Set(['delayMs', 'error', 'count']);

/** Acknowledgements of one operation: the smallest journal takes the record of so many. */
const MOST_AT_ONCE = 4096;

/** Acknowledgements that are written together. */
class AckBatch {
  readonly leases: Lease[] = [];
  /** Those that had ended before it was written. */
  readonly lost: Promise<ReadonlySet<Lease>>;
  #settle: (lost: Promise<ReadonlySet<Lease>>) => void = () => {};

  constructor() {
    this.lost = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  become(lost: Promise<ReadonlySet<Lease>>): void {
    this.#settle(lost);
  }
}

const NONE: ReadonlySet<Lease> = new Set();

export class Settlement implements SettlementHost {
  readonly core: QueueContext;
  readonly #batches: Record<Durability, Map<string, AckBatch>> = {
    written: new Map(),
    synced: new Map(),
  };

  constructor(core: QueueContext) {
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
    const { loss, message } = lease;
    if (loss !== undefined) throw leaseLost(this.name, message.id, loss);
    if (lease.isSettling) throw leaseLost(this.name, message.id, 'settled');
    this.core.requireOpen();
  }

  ack(lease: Lease, durability: Durability): Promise<void> {
    if (lease.acknowledged !== undefined) return lease.acknowledged;
    this.requireHeld(lease);
    lease.isSettling = true;
    const batches = this.#batches[durability];
    let batch = batches.get(lease.group);
    if (batch === undefined || batch.leases.length === MOST_AT_ONCE) {
      batch = new AckBatch();
      batches.set(lease.group, batch);
      const begun = batch;
      this.core.runtime.defer(() => {
        if (batches.get(lease.group) === begun) batches.delete(lease.group);
        begun.become(this.#write(begun.leases, durability));
      });
    }
    batch.leases.push(lease);
    lease.acknowledged = batch.lost.then((lost) => {
      if (lost.has(lease)) throw this.#lossOf(lease);
    });
    return lease.acknowledged;
  }

  #lossOf({ message, loss }: Lease): RedexError {
    return leaseLost(this.name, message.id, loss ?? 'unknown');
  }

  async #write(leases: readonly Lease[], durability: Durability): Promise<ReadonlySet<Lease>> {
    const { log, leases: table } = this.core;
    let held = leases;
    try {
      await log.run(async () => {
        // They may have been purged, or their group sought, while this waited for that.
        held = leases.filter((lease) => table.holds(lease));
        if (held.length === 0) return;
        const g = groupField(held[0]?.group ?? '');
        const s = runsOf(held.map(({ message }) => message.seq));
        await log.operate({ o: 'done', g, s, why: 'ack' }, durability);
      });
    } catch (error) {
      // What cannot be written now is kept, and its message with it.
      if (await log.reserve.turn(error)) return this.#write(leases, durability);
      for (const lease of leases) {
        lease.isSettling = false;
        lease.acknowledged = undefined;
      }
      throw error;
    }
    this.#onAcknowledged(held);
    if (held.some(({ message }) => message.header.holds !== undefined)) await this.#onGone(held);
    if (held.length === leases.length) return NONE;
    const acknowledged = new Set(held);
    return new Set(leases.filter((lease) => !acknowledged.has(lease)));
  }

  #onAcknowledged(leases: readonly Lease[]): void {
    for (const lease of leases) this.core.leases.end(lease, 'settled');
    this.core.counters.acknowledged += leases.length;
    reportQueue(this.name, 'settled', leases.length);
    this.core.wake();
  }

  /** Throws LEASE_LOST for one that has ended since it was checked. Only in `run`. */
  requireHeldStill(leases: readonly Lease[]): void {
    const lost = leases.find((lease) => !this.core.leases.holds(lease));
    if (lost !== undefined) throw this.#lossOf(lost);
  }

  /** What a commit has acknowledged. */
  async onCommitted(leases: readonly Lease[]): Promise<void> {
    this.#onAcknowledged(leases);
    await this.#onGone(leases);
  }

  #onGone(leases: readonly Lease[]): Promise<void> {
    return this.core.onGone(leases.map(({ message }) => message));
  }

  async nack(lease: Lease, options: NackOptions): Promise<void> {
    checkNack(options);
    this.requireHeld(lease);
    await this.#fail(lease, options);
  }

  async #fail(
    lease: Lease,
    { delayMs, error, count: isFailed = true }: NackOptions,
  ): Promise<void> {
    // What was tried counts, even if it is released.
    const count = isFailed || lease.attempts > 0;
    const { counters, options, runtime, log } = this.core;
    // Before it is being settled: an error may be any value, and throw when it is looked at.
    const reason = error === undefined ? undefined : textOf(error);
    lease.isSettling = true;
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
    if (lease.loss !== 'settled') throw this.#lossOf(lease);
  }

  async #return(
    leases: readonly Lease[],
    how: { dueMs: number; isUndone: boolean; error: string | undefined },
    loss: 'settled' | 'expired',
  ): Promise<void> {
    const { log, leases: table } = this.core;
    const group = leases[0]?.group ?? '';
    await log.run(async () => {
      const held = leases.filter((lease) => table.holds(lease));
      const seqs = held.map(({ message }) => message.seq);
      if (seqs.length > 0) await this.core.giveBack(group, seqs, how);
      for (const lease of held) table.end(lease, loss);
    });
    this.core.wake();
  }

  async reject(lease: Lease, reason: string | undefined): Promise<void> {
    if (reason !== undefined && typeof reason !== 'string') {
      throw new TypeError('reason must be a string');
    }
    this.requireHeld(lease);
    lease.isSettling = true;
    const { message, group } = lease;
    await this.#bury([{ message, cause: 'rejected', reason, lease }], group);
  }

  async #bury(doomed: readonly Doomed[], group: string): Promise<void> {
    await this.core.bury(group, doomed);
    for (const { lease } of doomed) {
      if (lease !== undefined) this.core.leases.end(lease, 'settled');
    }
    this.core.wake();
  }

  /** Messages that were chosen and may not be delivered. Never rejects. */
  async setAside(group: string, unfit: readonly Unfit[]): Promise<void> {
    const expired = unfit.filter(({ cause }) => cause === 'expired').length;
    this.core.counters.expired += expired;
    reportQueue(this.name, 'expired', expired);
    await this.#bury(unfit, group);
  }

  /** Who was to get it cannot read it. */
  onUndecodable(lease: Lease): void {
    lease.isSettling = true;
    void this.#bury([{ message: lease.message, cause: 'decode', lease }], lease.group);
  }

  async attempt(lease: Lease): Promise<number> {
    this.requireHeld(lease);
    // The first one was counted when it was handed out.
    if (lease.attempts > 0) {
      const { log } = this.core;
      lease.isSettling = true;
      try {
        await log.run(() => {
          this.requireHeldStill([lease]);
          return log.operate(leaseOperation(lease.group, [lease.message]));
        });
      } finally {
        lease.isSettling = false;
      }
      lease.deliveryCount++;
    }
    lease.attempts++;
    return lease.deliveryCount;
  }

  extend(lease: Lease, ms: number): void {
    checkType('ms', ms, 'number');
    checkInteger('ms', ms, 1, MAX_DELAY_MS);
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
    reportQueue(this.name, 'timed-out', leases.length);
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

function checkNack(options: NackOptions): void {
  checkKnown(options, NACK);
  checkType('delayMs', options.delayMs, 'number');
  checkInteger('delayMs', options.delayMs, 0, MAX_DELAY_MS);
  checkType('count', options.count, 'boolean');
}

function drawn(runtime: { random(bytes: Uint8Array): Uint8Array }): number {
  const bytes = runtime.random(new Uint8Array(4));
  return new DataView(bytes.buffer).getUint32(0) / 2 ** 32;
}

function textOf(error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  } catch {
    return 'an error that has no text';
  }
}
