/**
 * All that a queue knows of itself, as the records of its channel say: what each group has before
 * it, what is remembered of dedup keys, how much there is. Nothing here asks a clock or decides
 * anything: the same records give the same state, live and after a crash.
 */
import type { LogRecord } from '../core/record.js';
import { DedupTable } from './dedup-table.js';
import { GroupState, type Settled } from './group-state.js';
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
import { StateReader, StateWriter } from './state-bytes.js';

/** The group of a work queue. */
export const WORK_GROUP = '';

type WideOperation = Extract<Operation, { readonly o: 'purge' | 'group' | 'ungroup' | 'seek' }>;

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
  /** The seq that takes the place of a message, by its seq: messages that were updated. */
  readonly updated: Map<number, number> = new Map();
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
    if (!this.groups.has(name)) this.groups.set(name, new GroupState(name, start));
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
    if (of !== undefined) {
      this.#onUpdate(seq, of);
      return;
    }
    if (nowMs > this.seenMs) this.seenMs = nowMs;
    if (dedup !== undefined) this.dedup.set(dedup, seq, this.seenMs);
    // A purge, or a group that begins later, may have come before the message was durable.
    if (this.gone.has(seq)) return;
    let isOpen = this.groups.size === 0;
    for (const group of this.groups.values()) {
      if (group.settled.has(seq)) continue;
      group.onMessage(seq, header);
      isOpen = true;
    }
    if (!isOpen) return;
    this.messages++;
    this.bytes += size;
  }

  #onUpdate(seq: number, of: number): void {
    this.skip(seq);
    if (!this.isSettled(of)) this.updated.set(of, seq);
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
        this.#onDone(operation);
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
        this.#settleGone(group, operation.start, seq);
        this.groups.set(operation.name, group);
        this.#recount(operation);
        return;
      }
      case 'ungroup':
        this.groups.delete(operation.name);
        this.#recount(operation);
        return;
      case 'seek':
        this.#onSeek(seq, operation);
    }
  }

  #onSeek(seq: number, operation: Operation & { readonly o: 'seek' }): void {
    const group = this.groups.get(operation.g ?? WORK_GROUP);
    group?.seek(operation.to, seq, operation.open);
    if (group !== undefined) this.#settleGone(group, operation.to, seq);
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
    const { options, paused, groups, epoch } = operation;
    this.baseSeq = seq;
    this.epoch = epoch;
    this.options = options;
    this.isPaused = paused;
    this.dedup.windowMs = options.dedupWindowMs;
    const known = new Set(groups.map(({ name }) => name));
    for (const name of this.groups.keys()) if (!known.has(name)) this.groups.delete(name);
    for (const { name, start } of groups) this.addGroup(name, start);
  }

  #group(name: string | undefined): GroupState {
    const key = name ?? WORK_GROUP;
    let group = this.groups.get(key);
    if (group === undefined) {
      // The record that made it is gone: one that says which groups there are comes later.
      group = new GroupState(key, 0);
      this.groups.set(key, group);
    }
    return group;
  }

  #onLease({ g, s, z, k = [], p = [] }: Operation & { readonly o: 'lease' }): void {
    const group = this.#group(g);
    const keys = new Map(k);
    const priorities = new Map(p);
    eachSeq(s, (seq, index) => {
      group.lease(seq, z[index] ?? 0, keys.get(seq), priorities.get(seq) ?? 0);
    });
  }

  #onDone({ g, s, z = [], at = [], t }: Operation & { readonly o: 'done' }): void {
    const group = this.#group(g);
    eachSeq(s, (seq, index) => {
      const how = { nowMs: t, dueMs: at[index] ?? 0, key: undefined };
      this.#onSettled(seq, group.settle(seq, z[index] ?? 0, how));
    });
  }

  #onSettled(seq: number, size: number | undefined): void {
    if (size === undefined || !this.isSettled(seq)) return;
    this.messages--;
    this.bytes -= size;
    this.updated.delete(seq);
  }

  #onBack({ g, s, at = 0, undo, error, t }: Operation & { readonly o: 'back' }): void {
    const group = this.#group(g);
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

  /** What was leased is not any more, which no record says yet. */
  abandonLeases(nowMs: number): void {
    for (const group of this.groups.values()) group.abandon(nowMs);
  }

  /** What a checkpoint holds. */
  encode(): Uint8Array {
    const writer = new StateWriter();
    writer.string(JSON.stringify(this.options));
    writer.string(this.tag);
    writer.bool(this.isPaused);
    for (const value of [this.epoch, this.seenMs, this.messages, this.bytes]) writer.f64(value);
    writer.f64(this.baseSeq);
    writer.f64(this.keptBefore);
    this.gone.encodeTo(writer);
    this.dedup.encodeTo(writer);
    writer.u32(this.updated.size);
    for (const [seq, by] of this.updated) {
      writer.f64(seq);
      writer.f64(by);
    }
    writer.u32(this.groups.size);
    for (const group of this.groups.values()) group.encodeTo(writer);
    return writer.finish();
  }

  /** Throws for what `encode` has not made. */
  static decode(bytes: Uint8Array): QueueState {
    const reader = new StateReader(bytes);
    const options = JSON.parse(reader.string()) as StoredQueueOptions;
    const state = new QueueState(options, reader.string());
    state.isPaused = reader.bool();
    state.epoch = reader.f64();
    state.seenMs = reader.f64();
    state.messages = reader.f64();
    state.bytes = reader.f64();
    state.baseSeq = reader.f64();
    state.keptBefore = reader.f64();
    state.gone = SeqSet.decode(reader);
    state.dedup = DedupTable.decode(reader);
    for (let left = reader.u32(); left > 0; left--) {
      const seq = reader.f64();
      state.updated.set(seq, reader.f64());
    }
    state.groups.clear();
    for (let left = reader.u32(); left > 0; left--) {
      const group = GroupState.decode(reader);
      state.groups.set(group.name, group);
    }
    reader.done();
    return state;
  }
}
