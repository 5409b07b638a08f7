/**
 * The parts of one open queue, and what each of them may ask of the others. What users hold is the
 * Queue; this is what its parts hold.
 */
import type { Logger, Runtime } from '../core/runtime.js';
import { Enqueuing } from './enqueuing.js';
import { GroupReceiver } from './group-receiver.js';
import type { GroupState } from './group-state.js';
import { Lease, type LeasedMessage } from './lease.js';
import { LeaseTable } from './lease-table.js';
import type { Picked, PickerHost } from './message-picker.js';
import { noGroup, queueClosed } from './queue-errors.js';
import { QueueCounters } from './queue-counters.js';
import type { QueueLog } from './queue-log.js';
import type { StoredQueueOptions } from './queue-options.js';
import { QueueReclaim } from './queue-reclaim.js';
import {
  runsOf,
  type DeadCause,
  type MessageHeader,
  type OperationContent,
} from './queue-records.js';
import { groupField, WORK_GROUP, type QueueState } from './queue-state.js';
import { Settlement } from './settlement.js';
import type { QueueMoves } from './queue-moves.js';

/** How messages wait again. */
export interface GivenBack {
  readonly dueMs?: number | undefined;
  readonly isUndone?: boolean | undefined;
  readonly error?: string | undefined;
}

export interface QueueCoreParts {
  readonly name: string;
  readonly log: QueueLog;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly moves: QueueMoves;
  readonly segmentBytes: number;
  /** Throws for a payload that its codec does not take. */
  readonly checkPayload: (payload: Uint8Array) => void;
}

export class QueueCore implements PickerHost {
  readonly name: string;
  readonly log: QueueLog;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly moves: QueueMoves;
  readonly leases: LeaseTable;
  readonly settlement: Settlement;
  readonly counters: QueueCounters = new QueueCounters();
  readonly #checkPayload: (payload: Uint8Array) => void;
  readonly #receivers = new Map<string, GroupReceiver>();
  /** Messages before it do not expire: the clock has jumped since they came. */
  readonly #keptBefore: number;
  isClosed = false;
  /** Settles when it is closed, once it is being closed. */
  closing: Promise<void> | undefined;
  readonly enqueuing: Enqueuing;
  readonly reclaim: QueueReclaim;

  constructor(parts: QueueCoreParts) {
    this.name = parts.name;
    this.log = parts.log;
    this.runtime = parts.runtime;
    this.logger = parts.logger;
    this.moves = parts.moves;
    this.#checkPayload = parts.checkPayload;
    this.#keptBefore = parts.log.clock.jumpedMs > 0 ? parts.log.channel.nextSeq : 0;
    this.settlement = new Settlement(this);
    this.enqueuing = new Enqueuing(this);
    this.reclaim = new QueueReclaim(this, parts.segmentBytes);
    this.leases = new LeaseTable(parts.runtime, (leases) => this.settlement.expire(leases));
  }

  get state(): QueueState {
    return this.log.state;
  }

  get options(): StoredQueueOptions {
    return this.state.options;
  }

  get maxDeliveries(): number {
    return this.options.deadLetter === false ? Infinity : this.options.maxDeliveries;
  }

  /** What says all that is not said of single messages. */
  base(
    options: StoredQueueOptions = this.options,
    paused: boolean = this.state.isPaused,
  ): OperationContent & { readonly o: 'base' } {
    const { tag, groups } = this.state;
    const places = [...groups.values()].map(({ name, settled }) => {
      return { name, start: settled.floor };
    });
    return { o: 'base', tag, options, paused, groups: places };
  }

  /** Runs work that may not meet a compaction. */
  reclaiming<T>(work: () => Promise<T>): Promise<T> {
    return this.reclaim.exclusive(work);
  }

  requireOpen(): void {
    if (this.isClosed) throw queueClosed(this.name);
  }

  /** The group of a call. Throws TypeError in a work queue with one, NOT_FOUND. */
  group(name: string | undefined): GroupState {
    const { groups, options } = this.state;
    if (options.mode === 'work' && name !== undefined && name !== WORK_GROUP) {
      throw new TypeError(`queue ${this.name} is a work queue: it has no groups`);
    }
    if (options.mode === 'fanout' && (name === undefined || name === '')) {
      throw new TypeError(`queue ${this.name} has groups: say which`);
    }
    const group = groups.get(name ?? WORK_GROUP);
    if (group === undefined) throw noGroup(this.name, name ?? '');
    return group;
  }

  receiver(group: GroupState): GroupReceiver {
    let receiver = this.#receivers.get(group.name);
    if (receiver === undefined) {
      receiver = new GroupReceiver(this, group);
      this.#receivers.set(group.name, receiver);
    }
    return receiver;
  }

  /** There may be something for those who wait. */
  wake(): void {
    for (const receiver of this.#receivers.values()) receiver.wake();
    this.enqueuing.onRoom();
    this.reclaim.onProgress();
  }

  /** Groups begin elsewhere, or are gone: nothing of what was read ahead counts. */
  resetReceiver(group: string, error?: Error): void {
    const receiver = this.#receivers.get(group);
    receiver?.reset();
    if (error === undefined) return;
    this.#receivers.delete(group);
    receiver?.close(error);
  }

  idOf(seq: number, { id }: MessageHeader): string {
    return id ?? `${this.state.tag}-${seq}`;
  }

  unfitness(
    { seq, header, payload }: LeasedMessage,
    deliveries: number,
    isSuspect: boolean,
  ): DeadCause | undefined {
    const { until } = header;
    if (until !== undefined && seq >= this.#keptBefore && until <= this.log.clock.now()) {
      return 'expired';
    }
    if (deliveries >= this.maxDeliveries) return isSuspect ? 'crash' : 'attempts';
    try {
      this.#checkPayload(payload);
      return undefined;
    } catch {
      return 'decode';
    }
  }

  /** The message is kept for what is done with it next: nobody else gets it. */
  reserve(group: GroupState, { seq, countedBytes, header, priority }: LeasedMessage): void {
    // Another one of its key may be in somebody's hands, and keeps the lane.
    const ownsLane = header.key !== undefined && group.lanes.claim(header.key, seq);
    group.lease(seq, countedBytes, ownsLane ? header.key : undefined, priority);
    const attempt = group.attempts.get(seq);
    if (attempt !== undefined) attempt.count--;
  }

  /** A message that was written down as delivered is somebody's now. */
  lease(group: string, { message }: Picked, consumer: string | undefined): Lease | undefined {
    const attempt = this.state.groups.get(group)?.attempts.get(message.seq);
    // Cancelled or purged in the meantime.
    if (attempt?.isLeased !== true) return undefined;
    const since = this.leases.clock.now();
    const lease = new Lease({
      group,
      message,
      consumer,
      deliveryCount: attempt.count,
      number: this.leases.nextNumber(),
      since,
      deadline: since + this.options.visibilityTimeoutMs,
      isSuspect: attempt.isSuspect,
    });
    this.leases.add(lease);
    this.counters.delivered++;
    if (attempt.count > 1) this.counters.redelivered++;
    return lease;
  }

  /**
   * Messages wait again. When that cannot be written they do all the same: the log takes them for
   * delivered, which a crash makes of them anyway. Never rejects.
   */
  async giveBack(group: string, seqs: readonly number[], how: GivenBack): Promise<void> {
    const { dueMs = 0, isUndone = false, error } = how;
    try {
      await this.log.operate({
        o: 'back',
        g: groupField(group),
        s: runsOf(seqs),
        at: dueMs > 0 ? dueMs : undefined,
        undo: isUndone ? true : undefined,
        error,
      });
    } catch (failure) {
      const details = { queue: this.name, messages: seqs.length, error: failure };
      this.logger.warn('messages of a queue wait again, which could not be written', details);
      const nowMs = this.log.clock.now();
      const state = this.state.groups.get(group);
      for (const seq of seqs) state?.giveBack(seq, { dueMs, isUndone, error, nowMs });
    }
    this.wake();
  }

  close(): void {
    this.isClosed = true;
    const error = queueClosed(this.name);
    for (const receiver of this.#receivers.values()) receiver.close(error);
  }
}
