/**
 * The parts of one open queue, and what each of them may ask of the others. What users hold is the
 * Queue; this is what its parts hold.
 */
import type { Logger, Runtime } from '../core/runtime.js';
import type { BlockedKeys } from './blocked-keys.js';
import { Enqueuing } from './enqueuing.js';
import { blockOperations } from './group-blocks.js';
import { GroupLag } from './group-lag.js';
import { GroupReceiver } from './group-receiver.js';
import type { GroupState } from './group-state.js';
import { Lease, type DecodedPayload, type LeasedMessage } from './lease.js';
import { LeaseTable } from './lease-table.js';
import type { Picked, Unfit } from './message-picker.js';
import type { Doomed, GivenBack, Missing, QueueContext } from './queue-context.js';
import { noGroup, queueClosed } from './queue-errors.js';
import { noCounts, type QueueCounts } from './queue-counters.js';
import type { QueueLog } from './queue-log.js';
import type { StoredQueueOptions } from './queue-options.js';
import { QueueMeter } from './queue-meter.js';
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

export interface QueueCoreParts {
  readonly name: string;
  readonly log: QueueLog;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly moves: QueueMoves;
  readonly blockedKeys: BlockedKeys;
  readonly segmentBytes: number;
  /** What its codec, if it has one, makes of a payload. Throws for one that it does not take. */
  readonly decode: (payload: Uint8Array) => DecodedPayload | undefined;
}

export class QueueCore implements QueueContext {
  readonly name: string;
  readonly log: QueueLog;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly moves: QueueMoves;
  readonly blockedKeys: BlockedKeys;
  readonly leases: LeaseTable;
  readonly settlement: Settlement;
  readonly counters: QueueCounts = noCounts();
  readonly meter: QueueMeter;
  readonly #decode: QueueCoreParts['decode'];
  readonly #receivers = new Map<string, GroupReceiver>();
  isClosed = false;
  #isWoken = false;
  readonly #onTurn = (): void => this.#wakeNow();
  /** Settles when it is closed, once it is being closed. */
  closing: Promise<void> | undefined;
  readonly enqueuing: Enqueuing;
  readonly reclaim: QueueReclaim;
  readonly lag: GroupLag;

  constructor(parts: QueueCoreParts) {
    this.name = parts.name;
    this.log = parts.log;
    this.runtime = parts.runtime;
    this.logger = parts.logger;
    this.moves = parts.moves;
    this.blockedKeys = parts.blockedKeys;
    this.#decode = parts.decode;
    this.meter = new QueueMeter(parts.runtime, this.counters);
    this.settlement = new Settlement(this);
    this.enqueuing = new Enqueuing(this);
    this.reclaim = new QueueReclaim(this, parts.segmentBytes);
    this.lag = new GroupLag(this);
    this.leases = new LeaseTable(parts.runtime, (leases) => {
      void this.settlement.expire(leases);
    });
  }

  get state(): QueueState {
    return this.log.state;
  }

  get options(): StoredQueueOptions {
    return this.state.options;
  }

  /** Deliveries of a message that may fail. */
  maxDeliveriesOf({ max }: MessageHeader): number {
    const { deadLetter, maxDeliveries } = this.options;
    return deadLetter === false ? Infinity : (max ?? maxDeliveries);
  }

  isLast({ message, deliveryCount }: Lease): boolean {
    return deliveryCount >= this.maxDeliveriesOf(message.header);
  }

  base(
    options: StoredQueueOptions = this.options,
    paused: boolean = this.state.isPaused,
    missing?: Missing,
  ): OperationContent[] {
    const { tag, epoch, groups, sparseBelow, goneMs: before } = this.state;
    const places = [...groups.values()].map(({ name, settled, activeMs: active }) => {
      return { name, start: settled.floor, active };
    });
    const { sparse, goneMs } = missing ?? { sparse: sparseBelow, goneMs: before };
    const own = { tag, epoch, options, paused, groups: places, sparse, goneMs };
    const base: OperationContent = { o: 'base', ...own };
    return options.onDead === 'block' ? [base, ...blockOperations(groups.values())] : [base];
  }

  async onGone(messages: readonly LeasedMessage[]): Promise<void> {
    if (messages.some(({ header }) => header.holds !== undefined)) {
      await this.blockedKeys.onGone(this, messages);
    }
  }

  /** Runs work that may not meet a compaction. */
  reclaiming<T>(work: () => Promise<T>): Promise<T> {
    return this.reclaim.exclusive(work);
  }

  requireOpen(): void {
    if (this.isClosed) throw queueClosed(this.name);
  }

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
    this.lag.onAsked(group.name);
    let receiver = this.#receivers.get(group.name);
    if (receiver === undefined) {
      receiver = new GroupReceiver(this, group);
      this.#receivers.set(group.name, receiver);
    }
    return receiver;
  }

  isAsked(group: string): boolean {
    return this.#receivers.get(group)?.isAsked === true;
  }

  /** Once for all that happens in a turn. */
  wake(): void {
    if (this.#isWoken) return;
    this.#isWoken = true;
    this.runtime.defer(this.#onTurn);
  }

  #wakeNow(): void {
    this.#isWoken = false;
    for (const receiver of this.#receivers.values()) receiver.wake();
    this.lag.onProgress();
    this.meter.note();
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

  unfitness(message: LeasedMessage, deliveries: number, isSuspect: boolean): DeadCause | undefined {
    const { seq, header, payload } = message;
    const { until } = header;
    if (until !== undefined && seq >= this.state.keptBefore && until <= this.log.clock.now()) {
      return 'expired';
    }
    if (deliveries >= this.maxDeliveriesOf(header)) return isSuspect ? 'crash' : 'attempts';
    try {
      const decoded = this.#decode(payload);
      if (decoded !== undefined) message.decoded = decoded;
      return undefined;
    } catch {
      return 'decode';
    }
  }

  reserve(group: GroupState, { seq, size, priority, header }: LeasedMessage): void {
    const { key, at = 0 } = header;
    // Behind another one of its key it goes on its own, and lets nothing go when it is settled.
    const isFirst = key !== undefined && group.lanes.claim(key, seq);
    group.dropDue(seq, at, this.log.clock.now());
    group.lease(seq, size, isFirst ? key : undefined, priority);
    const attempt = group.attempts.get(seq);
    if (attempt !== undefined) attempt.count--;
  }

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
    else this.meter.onDelivered(this.log.clock.now() - dueOf(message));
    this.meter.note();
    return lease;
  }

  bury(group: string, doomed: readonly Doomed[]): Promise<void> {
    return this.moves.bury(this, group, doomed);
  }

  setAside(group: string, unfit: readonly Unfit[]): Promise<void> {
    return this.settlement.setAside(group, unfit);
  }

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
    this.enqueuing.onRoom();
  }
}

/** Unix milliseconds since when a message could be delivered. */
function dueOf({ enqueuedAt, header: { at = 0, origin } }: LeasedMessage): number {
  return Math.max(origin?.deadAt ?? enqueuedAt, at);
}
