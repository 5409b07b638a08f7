/**
 * All that a queue knows of itself, as the records of its channel say: what each group has before
 * it, what is remembered of dedup keys, how much there is. Nothing here asks a clock or decides
 * anything: the same records give the same state, live and after a crash.
 */
import type { LogRecord } from '../core/record.js';
import { Arrivals } from './arrivals.js';
import { DedupTable } from './dedup-table.js';
import { comeBack, forgetBlocks, hold, unblock } from './group-blocks.js';
import type { Settled } from './group-changes.js';
import { GroupState } from './group-state.js';
import { IdIndex } from './id-index.js';
import { strangeQueueRecord } from './queue-errors.js';
import type { StoredQueueOptions } from './queue-options.js';
import {
  bodyOf,
  decodeOperation,
  eachSeq,
  headerOf,
  MESSAGE,
  OPERATION,
  type MessageHeader,
  type Operation,
  type Recount,
} from './queue-records.js';
import { SeqSet } from './seq-set.js';
import { Updates } from './updates.js';

/** The group of a work queue. */
export const WORK_GROUP = '';

type WideOperation = Extract<
  Operation,
  { readonly o: 'purge' | 'group' | 'ungroup' | 'seek' | 'pass' }
>;

/** How an operation names its group. */
export function groupField(group: string): string | undefined {
  return group === WORK_GROUP ? undefined : group;
}

export class QueueState {
  options: StoredQueueOptions;
  /** Begins the ids of messages that are enqueued here. */
  readonly tag: string;
  isPaused = false;
  /** How often the queue was opened. */
  epoch = 0;
  /** Seq of the last record that says that the queue was closed; not part of a checkpoint. */
  closedSeq = -1;
  /** Unix milliseconds: the latest time that a record speaks of. */
  seenMs = 0;
  /** Messages below do not expire: the clock has jumped since they came. */
  keptBefore = 0;
  /** Messages that are not done with for all groups, and the bytes of their payloads. */
  messages = 0;
  bytes = 0;
  dedup: DedupTable;
  readonly groups: Map<string, GroupState> = new Map();
  readonly updated: Updates = new Updates();
  /** The records by which windows of messages began again last; no part of a checkpoint. */
  renewed: Map<number, number> = new Map();
  /** Messages below that are done with may be missing from the log. */
  sparseBelow = 0;
  /** Unix milliseconds: messages that are gone came before. */
  goneMs = 0;
  /** Messages that have come from other queues, for as long as they are in the log. */
  moved: IdIndex = new IdIndex();
  /** How much has come, up to where; only in a queue that keeps what is done with. */
  arrivals: Arrivals = new Arrivals();
  /** Messages that are about to be changed: nobody may get them. No part of a checkpoint. */
  readonly held: Set<number> = new Set();
  /** Seq of the newest record that says all that is not said of single messages. */
  baseSeq = -1;
  /** Messages that are done with whatever groups there are or will be. */
  gone: SeqSet = new SeqSet();

  constructor(options: StoredQueueOptions, tag: string) {
    this.options = options;
    this.tag = tag;
    this.dedup = new DedupTable(options.dedupWindowMs);
    if (options.mode === 'work') this.addGroup(WORK_GROUP, 0);
  }

  /** A group that gets every message from `start` on. */
  addGroup(name: string, start: number): void {
    if (!this.groups.has(name)) this.setGroup(new GroupState(name, start));
  }

  /** The group, in the place of one of its name. */
  setGroup(group: GroupState): void {
    group.held = this.held;
    this.groups.set(group.name, group);
  }

  /** Everything below is done with; as long as there is no group, nothing else is. */
  get floor(): number {
    if (this.groups.size === 0) return this.gone.floor;
    let floor = Infinity;
    for (const { settled } of this.groups.values()) floor = Math.min(floor, settled.floor);
    return Math.max(floor, this.gone.floor);
  }

  isSettled(seq: number): boolean {
    if (this.gone.has(seq)) return true;
    if (this.groups.size === 0) return false;
    for (const { settled } of this.groups.values()) if (!settled.has(seq)) return false;
    return true;
  }

  /** Applies a record of the log. Throws CORRUPT for one that is none of a queue. */
  applyRecord(channel: string, record: LogRecord): void {
    const { seq, type } = record;
    if (type === MESSAGE) {
      const header = headerOf(record);
      if (header === undefined) throw strangeQueueRecord(channel, seq, 'a message without header');
      this.applyMessage(seq, header, bodyOf(record).length, record.timestamp);
      return;
    }
    const operation = type === OPERATION ? decodeOperation(record) : undefined;
    if (operation === undefined) throw strangeQueueRecord(channel, seq, 'no record of a queue');
    if (!this.apply(seq, operation)) {
      throw strangeQueueRecord(channel, seq, `an operation ${operation.o} of a newer version`);
    }
  }

  applyMessage(seq: number, header: MessageHeader, size: number, nowMs: number): void {
    const { dedup, of } = header;
    if (nowMs > this.seenMs) this.seenMs = nowMs;
    if (of !== undefined) {
      this.#onUpdate(seq, of, size - (header.z ?? size));
      if (dedup !== undefined) this.#renew(seq, dedup, of);
      return;
    }
    if (dedup !== undefined) this.dedup.set(dedup, seq, this.seenMs);
    if (header.id !== undefined) this.moved.add(header.id, seq);
    if (this.options.keepMs !== 0) this.arrivals.note(seq, size);
    // A purge, or a group that begins later, may have come before the message was durable.
    if (this.gone.has(seq)) return;
    let isOpen = this.groups.size === 0;
    for (const group of this.groups.values()) {
      if (group.settled.has(seq)) continue;
      group.onMessage(seq, header);
      isOpen = true;
    }
    if (header.fills !== undefined) comeBack(this, seq, header);
    if (!isOpen) return;
    this.messages++;
    this.bytes += size;
  }

  #renew(seq: number, key: string, of: number): void {
    this.dedup.set(key, of, this.seenMs, seq);
    this.renewed.set(of, Math.max(seq, this.renewed.get(of) ?? 0));
  }

  /** `grown`: bytes that the message has more than it was enqueued with. */
  #onUpdate(seq: number, of: number, grown: number): void {
    this.skip(seq);
    if (this.isSettled(of)) return;
    this.bytes += grown - this.updated.grownBy(of);
    this.updated.set(of, seq, grown);
  }

  /** The record is no message that anybody gets. */
  skip(seq: number): void {
    this.gone.add(seq);
    for (const group of this.groups.values()) group.settled.add(seq);
  }

  /** There are no such records in the log: what they were is done with. */
  skipRange(from: number, to: number): void {
    this.gone.addRange(from, to);
    for (const group of this.groups.values()) group.settled.addRange(from, to);
  }

  /** The log begins here. */
  skipBelow(seq: number): void {
    this.gone.addBelow(seq);
    for (const group of this.groups.values()) group.settled.addBelow(seq);
  }

  /** Applies an operation; false when it is not known. */
  apply(seq: number, operation: Operation): boolean {
    const { t } = operation;
    if (t > this.seenMs) this.seenMs = t;
    for (const group of this.groups.values()) group.takeDue(t);
    const isKnown = this.#applyContent(seq, operation);
    // Behind it, because groups may have come or begun again with it.
    this.skip(seq);
    return isKnown;
  }

  #applyContent(seq: number, operation: Operation): boolean {
    switch (operation.o) {
      case 'open':
        this.epoch = operation.epoch;
        if (operation.jumped === true) this.onJump(seq, operation.t);
        for (const group of this.groups.values()) group.abandon(operation.t);
        return true;
      case 'close':
        this.closedSeq = seq;
        return true;
      case 'base':
        this.#onBase(seq, operation);
        return true;
      case 'lease':
        this.#onLease(operation);
        return true;
      case 'done':
        hold(this.#group(operation.g), operation.h, operation.to);
        this.#onDone(operation);
        return true;
      case 'renew':
        this.#renew(seq, operation.k, operation.s);
        return true;
      case 'blocks':
        hold(this.#group(operation.g), operation.h, operation.to);
        return true;
      case 'unblock':
        unblock(this.#group(operation.g), operation.k, operation.s);
        return true;
      case 'back':
        this.#onBack(operation);
        return true;
      case 'cancel':
        eachSeq(operation.s, (each, index) => {
          const { z, at, k, t: nowMs } = operation;
          const how = { nowMs, dueMs: at[index] ?? 0, key: k[index] ?? undefined };
          this.#cancel(each, z[index] ?? 0, how);
        });
        return true;
      case 'edit': {
        const { s, z, at: dueMs, priority, was, t: nowMs } = operation;
        const [wasDueMs, wasPriority] = was;
        const edit = { dueMs, priority, wasDueMs, wasPriority, nowMs };
        for (const group of this.groups.values()) group.edit(s, z, edit);
        return true;
      }
      case 'purge':
      case 'group':
      case 'ungroup':
      case 'seek':
      case 'pass':
        this.#applyWide(seq, operation);
        return true;
    }
    // Of a newer version.
    return false;
  }

  /** Nothing that is here ends, or is forgotten, because the clock is wrong now or was before. */
  onJump(seq: number, nowMs: number): void {
    this.keptBefore = seq;
    this.dedup.rebase(nowMs);
  }

  /** Operations on all messages, or on a group as a whole. */
  #applyWide(seq: number, operation: WideOperation): void {
    switch (operation.o) {
      case 'purge':
        this.gone.addBelow(operation.to);
        for (const group of this.groups.values()) group.purge(operation.to);
        this.updated.clear();
        this.messages = 0;
        this.bytes = 0;
        return;
      case 'group': {
        const group = new GroupState(operation.name, operation.start);
        group.seek(operation.start, seq, operation.open);
        group.activeMs = operation.t;
        this.#settleGone(group, operation.start, seq);
        this.setGroup(group);
        this.#recount(operation);
        return;
      }
      case 'ungroup':
        this.groups.delete(operation.name);
        this.#recount(operation);
        return;
      case 'seek':
        this.#onSeek(seq, operation);
        return;
      case 'pass':
        this.#onPass(operation);
    }
  }

  #onSeek(seq: number, operation: Operation & { readonly o: 'seek' }): void {
    const group = this.groups.get(operation.g ?? WORK_GROUP);
    group?.seek(operation.to, seq, operation.open);
    if (group !== undefined) {
      this.#settleGone(group, operation.to, seq);
      group.activeMs = operation.t;
    }
    this.#recount(operation);
  }

  #onPass(operation: Operation & { readonly o: 'pass' }): void {
    const { g, to, open, t } = operation;
    const group = this.groups.get(g ?? WORK_GROUP);
    if (group !== undefined) group.pass(to, open, t);
    else if (g === undefined) this.gone.addBelow(to);
    this.#recount(operation);
  }

  /** What is gone for all is so for a group that begins here, or nothing below it ever would be. */
  #settleGone({ settled }: GroupState, from: number, to: number): void {
    for (let seq = Math.max(from, settled.floor); seq < to;) {
      const end = Math.min(this.gone.nextMissing(seq), to);
      if (end > seq) settled.addRange(seq, end);
      // This one is not gone.
      seq = end + 1;
    }
  }

  #recount({ total: [messages, bytes] }: Recount): void {
    this.messages = messages;
    this.bytes = bytes;
  }

  #onBase(seq: number, operation: Operation & { readonly o: 'base' }): void {
    const { options, paused, groups, epoch, sparse, goneMs } = operation;
    this.baseSeq = seq;
    this.epoch = epoch;
    this.options = options;
    this.isPaused = paused;
    this.dedup.windowMs = options.dedupWindowMs;
    const known = new Set(groups.map(({ name }) => name));
    for (const name of this.groups.keys()) if (!known.has(name)) this.groups.delete(name);
    for (const { name, start, active } of groups) {
      this.addGroup(name, start);
      this.#group(name, active);
    }
    this.sparseBelow = Math.max(this.sparseBelow, sparse);
    this.goneMs = Math.max(this.goneMs, goneMs);
    if (options.keepMs === 0) this.arrivals = new Arrivals();
    // Which keys wait is said behind it.
    for (const group of this.groups.values()) forgetBlocks(group, options.onDead === 'unblock');
  }

  /** `activeMs`: it gets or settles something. */
  #group(name: string | undefined, activeMs = 0): GroupState {
    const key = name ?? WORK_GROUP;
    let group = this.groups.get(key);
    if (group === undefined) {
      // The record that made it is gone: one that says which groups there are comes later.
      group = new GroupState(key, 0);
      this.setGroup(group);
    }
    if (activeMs > group.activeMs) group.activeMs = activeMs;
    return group;
  }

  #onLease({ g, s, z, k, p, t }: Operation & { readonly o: 'lease' }): void {
    const group = this.#group(g, t);
    const keys = k === undefined ? undefined : new Map(k);
    const priorities = p === undefined ? undefined : new Map(p);
    eachSeq(s, (seq, index) => {
      group.lease(seq, z[index] ?? 0, keys?.get(seq), priorities?.get(seq) ?? 0);
    });
  }

  #onDone({ g, s, z, at, t }: Operation & { readonly o: 'done' }): void {
    const group = this.#group(g, t);
    const atOnce = { nowMs: t, dueMs: 0, key: undefined };
    eachSeq(s, (seq, index) => {
      const how = at === undefined ? atOnce : { ...atOnce, dueMs: at[index] ?? 0 };
      this.#onSettled(seq, group.settle(seq, z?.[index] ?? 0, how));
    });
  }

  #onSettled(seq: number, size: number | undefined): void {
    if (size === undefined || !this.isSettled(seq)) return;
    this.messages--;
    this.bytes -= size + this.updated.grownBy(seq);
  }

  #onBack({ g, s, at = 0, undo, error, t }: Operation & { readonly o: 'back' }): void {
    const group = this.#group(g, t);
    const how = { dueMs: at, isUndone: undo === true, error, nowMs: t };
    eachSeq(s, (seq) => group.giveBack(seq, how));
  }

  #cancel(seq: number, size: number, how: Settled): void {
    const wasSettled = this.isSettled(seq);
    // A group that begins before it does not get it either.
    this.gone.add(seq);
    if (wasSettled) return;
    for (const group of this.groups.values()) group.settle(seq, size, how);
    this.#onSettled(seq, size);
  }
}
