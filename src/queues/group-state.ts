/**
 * What one group of consumers has done with the messages of a queue, and in which order it gets
 * those that are left. In a work queue there is one group, without a name.
 *
 * Invariants: a message is settled, or leased, or waits in one of the heaps, or in a lane, or comes
 * when the cursor meets it. Heaps may hold a message that has gone elsewhere since, never the other
 * way round: whoever takes one out asks whether it `mayBeDelivered`.
 */
import { AttemptTable } from './attempt-table.js';
import { newAttempt, noteError, type Attempt } from './attempt.js';
import { DueHeap } from './due-heap.js';
import type { GroupEdit, Return, Settled } from './group-changes.js';
import { KeyLanes, type NextOfLane } from './key-lanes.js';
import type { MessageHeader } from './queue-records.js';
import { SeqHeap } from './seq-heap.js';
import { SeqSet } from './seq-set.js';
import type { StateReader, StateWriter } from './state-bytes.js';

/** Highest priority of a message, and that of those that were put before all others. */
const HIGHEST = 15;
export const FRONT = 16;

export class GroupState {
  readonly name: string;
  /** Settled for this group. Seqs of operations are in it, too. */
  settled: SeqSet = new SeqSet();
  attempts: AttemptTable = new AttemptTable();
  lanes: KeyLanes = new KeyLanes();
  /** The next seq that is looked at for a message that nobody has met. */
  cursor: number;
  /** Messages before it that do not simply come in their order are placed by the cursor. */
  placedFrom: number;
  /** Unix milliseconds: when it got or settled something last. */
  activeMs = 0;
  /** Messages that are not settled. */
  open = 0;
  inFlight = 0;
  /** Messages that are about to be handed out, which the log does not say; no part of the state. */
  readonly taken: Set<number> = new Set();
  /** Messages that are about to be changed, of the queue. */
  held: ReadonlySet<number> = new Set();
  readonly isOpen = (seq: number): boolean => !this.settled.has(seq);
  /** Those of the open ones that are put off. */
  putOff = 0;
  /** By priority; those of 0 beside what the cursor meets. */
  readonly #bands: SeqHeap[] = Array.from({ length: FRONT + 1 }, () => new SeqHeap());
  /** No band above holds anything. */
  #highest = -1;
  #delayed = new DueHeap();
  /** By deliveries: those that were delivered least are suspected least. */
  #suspects = new DueHeap();

  constructor(name: string, start: number) {
    this.name = name;
    this.cursor = start;
    this.placedFrom = start;
    this.settled.addBelow(start);
  }

  /** Unix milliseconds at which the next message that is put off comes. */
  get nextDueMs(): number | undefined {
    return this.#delayed.peekDue();
  }

  get hasSuspects(): boolean {
    return this.#suspects.size > 0;
  }

  /** A message has come, at the end of the log. */
  onMessage(seq: number, header: MessageHeader): void {
    this.open++;
    if (seq >= this.placedFrom && !comesInOrder(header)) this.place(seq, header);
  }

  /** Puts a message to where it waits that does not simply come in its order. */
  place(seq: number, { at, priority, front }: MessageHeader): void {
    if (at === undefined) this.pushReady(seq, front === true ? FRONT : (priority ?? 0));
    else this.#putOff(seq, at);
  }

  /** Whether the message was placed, if it is one that has to be. */
  #isPlaced(seq: number): boolean {
    return seq >= this.placedFrom || seq < this.cursor;
  }

  #putOff(seq: number, dueMs: number): void {
    this.putOff++;
    this.#delayed.push(dueMs, seq);
  }

  #band(priority: number): SeqHeap {
    const band = this.#bands[Math.min(priority, FRONT)];
    if (band === undefined) throw new RangeError(`no priority ${priority}`);
    return band;
  }

  /** A message is taken before it is due: if it was put off by its header, it is not any more. */
  dropDue(seq: number, dueMs: number, nowMs: number): void {
    this.takeDue(nowMs);
    const isFresh = this.attempts.get(seq) === undefined && !this.settled.has(seq);
    if (isFresh && dueMs > nowMs && this.#isPlaced(seq)) this.putOff--;
  }

  /** The message is handed out. False when it is settled. */
  lease(seq: number, size: number, key: string | undefined, priority: number): boolean {
    this.taken.delete(seq);
    if (this.settled.has(seq)) return false;
    let attempt = this.attempts.get(seq);
    if (attempt === undefined) {
      attempt = newAttempt(size, priority, key);
      this.attempts.set(seq, attempt);
    }
    if (!attempt.isLeased) this.inFlight++;
    if (attempt.dueMs > 0) this.putOff--;
    attempt.count++;
    attempt.isLeased = true;
    attempt.dueMs = 0;
    attempt.size = size;
    attempt.key = key;
    if (key !== undefined) this.lanes.claim(key, seq);
    return true;
  }

  /** The message is done with; returns its bytes, undefined when it was before. */
  settle(seq: number, size: number, { dueMs, nowMs, key }: Settled): number | undefined {
    if (!this.settled.add(seq)) return undefined;
    this.taken.delete(seq);
    this.open--;
    const attempt = this.attempts.get(seq);
    if (attempt === undefined) {
      if (dueMs > nowMs && this.#isPlaced(seq)) this.putOff--;
      // Its turn may have come, and nobody had got it yet.
      this.#leaveLane(seq, key ?? this.lanes.keyOf(seq));
      return size;
    }
    this.attempts.delete(seq);
    if (attempt.isLeased) this.inFlight--;
    else if (attempt.dueMs > nowMs) this.putOff--;
    this.#leaveLane(seq, attempt.key ?? this.lanes.keyOf(seq));
    return attempt.size;
  }

  /** The next message of the key comes when the cursor had met it. */
  #leaveLane(seq: number, key: string | undefined): void {
    if (key === undefined) return;
    this.goOn(this.lanes.leave(key, seq, this.isOpen));
  }

  /** A lane has another owner, which is delivered now. */
  goOn(next: NextOfLane | undefined): void {
    if (next !== undefined) this.#comesNow(next.seq, next.priority);
  }

  /** The message waits for a consumer. */
  pushReady(seq: number, priority: number): void {
    this.#band(priority).push(priority === FRONT ? Number.MAX_SAFE_INTEGER - seq : seq);
    if (priority > this.#highest) this.#highest = priority;
  }

  /** A message that is leased waits again, in its place. */
  giveBack(seq: number, { dueMs, isUndone, error, nowMs }: Return): void {
    const attempt = this.attempts.get(seq);
    if (attempt?.isLeased !== true) return;
    attempt.isLeased = false;
    attempt.isSuspect = false;
    this.inFlight--;
    if (error !== undefined) noteError(attempt, error, nowMs);
    if (isUndone) attempt.count--;
    this.#wait(seq, attempt, dueMs, nowMs);
  }

  #wait(seq: number, attempt: Attempt, dueMs: number, nowMs: number): void {
    attempt.dueMs = dueMs > nowMs ? dueMs : 0;
    if (dueMs > nowMs) this.#putOff(seq, dueMs);
    else this.pushReady(seq, attempt.priority);
  }

  /** The process that had messages in flight is gone: each may have been what ended it. */
  abandon(nowMs: number): void {
    for (const [seq, attempt] of this.attempts.entries()) {
      if (!attempt.isLeased) continue;
      attempt.isLeased = false;
      attempt.isSuspect = true;
      noteError(attempt, 'the process ended before it was settled', nowMs);
      this.#suspects.push(attempt.count, seq);
    }
    this.inFlight = 0;
  }

  /** Another due time or priority for a message that waits. */
  edit(seq: number, size: number, edit: GroupEdit): void {
    if (this.settled.has(seq)) return;
    const known = this.attempts.get(seq);
    const attempt = known ?? newAttempt(size, edit.wasPriority, undefined);
    attempt.priority = edit.priority ?? attempt.priority;
    if (attempt.isLeased) return;
    const { wasDueMs, nowMs } = edit;
    const dueMs = edit.dueMs ?? (known === undefined ? wasDueMs : known.dueMs);
    const isOff = known === undefined ? wasDueMs > nowMs && this.#isPlaced(seq) : known.dueMs > 0;
    if (isOff) this.putOff--;
    this.attempts.set(seq, attempt);
    this.#wait(seq, attempt, dueMs, nowMs);
  }

  /** Everything below is settled. Keys that wait for a dead letter go on waiting. */
  purge(to: number): void {
    this.settled.addBelow(to);
    this.cursor = Math.max(this.cursor, to);
    this.placedFrom = Math.max(this.placedFrom, to);
    this.lanes.clearMessages();
    this.#forget();
  }

  /** Everything below is settled, which was not said of each before; `open` messages are left. */
  pass(to: number, open: number, nowMs: number): void {
    for (const seq of this.#delayed.seqs()) {
      // What has an entry is counted there.
      if (seq < to && this.isOpen(seq) && this.attempts.get(seq) === undefined) this.putOff--;
    }
    for (const [seq, { isLeased, dueMs }] of this.attempts.entries()) {
      if (seq >= to) continue;
      this.attempts.delete(seq);
      if (isLeased) this.inFlight--;
      else if (dueMs > nowMs) this.putOff--;
    }
    this.settled.addBelow(to);
    for (const [seq, key] of this.lanes.owners()) if (seq < to) this.#leaveLane(seq, key);
    for (const seq of this.taken) if (seq < to) this.taken.delete(seq);
    this.cursor = Math.max(this.cursor, to);
    this.open = open;
  }

  /** Begins again from a seq; `open` messages come from there on. */
  seek(to: number, end: number, open: number): void {
    this.settled = new SeqSet();
    this.settled.addBelow(to);
    this.cursor = to;
    this.placedFrom = Math.max(to, end);
    this.lanes.clear();
    this.#forget();
    this.open = open;
  }

  #forget(): void {
    this.attempts.clear();
    for (const band of this.#bands) band.clear();
    this.#delayed.clear();
    this.#suspects.clear();
    this.taken.clear();
    this.open = 0;
    this.inFlight = 0;
    this.putOff = 0;
  }

  /** Those that were put off until now wait for a consumer. */
  takeDue(nowMs: number): void {
    for (;;) {
      const seq = this.#delayed.popDue(nowMs);
      if (seq === undefined) return;
      if (this.settled.has(seq)) continue;
      const attempt = this.attempts.get(seq);
      if (attempt !== undefined && (attempt.isLeased || attempt.dueMs > nowMs)) continue;
      if (attempt?.dueMs === 0) continue;
      this.putOff--;
      if (attempt !== undefined) attempt.dueMs = 0;
      // What was never delivered says its priority in its header, which is read for it.
      this.#comesNow(seq, 0);
    }
  }

  /** The message is open and nobody has it, whether it is put off or not. */
  isFree(seq: number): boolean {
    if (this.settled.has(seq) || this.taken.has(seq) || this.held.has(seq)) return false;
    return this.attempts.get(seq)?.isLeased !== true;
  }

  /** The message is open and nobody has it, now. */
  mayBeDelivered(seq: number, nowMs: number): boolean {
    if (this.settled.has(seq) || this.taken.has(seq) || this.held.has(seq)) return false;
    const attempt = this.attempts.get(seq);
    return attempt === undefined || (!attempt.isLeased && attempt.dueMs <= nowMs);
  }

  /** The suspect that is delivered next, taken out. */
  popSuspect(nowMs: number): number | undefined {
    for (;;) {
      const seq = this.#suspects.popDue(Infinity);
      if (seq === undefined) return undefined;
      if (this.attempts.get(seq)?.isSuspect === true && this.mayBeDelivered(seq, nowMs)) return seq;
    }
  }

  /** Messages that were being handled when a process ended, and wait. */
  *suspects(): IterableIterator<number> {
    if (!this.hasSuspects) return;
    for (const [seq, { isSuspect, isLeased }] of this.attempts.entries()) {
      if (isSuspect && !isLeased) yield seq;
    }
  }

  /** The first message of the highest priority that waits in a heap; not taken out. */
  peekReady(nowMs: number): { readonly seq: number; readonly priority: number } | undefined {
    for (; this.#highest >= 0; this.#highest--) {
      const seq = this.#firstOf(this.#highest, nowMs);
      if (seq !== undefined) return { seq, priority: this.#highest };
    }
    return undefined;
  }

  #firstOf(priority: number, nowMs: number): number | undefined {
    const band = this.#band(priority);
    for (let top = band.peek(); top !== undefined; top = band.peek()) {
      const seq = priority === FRONT ? Number.MAX_SAFE_INTEGER - top : top;
      const attempt = this.attempts.get(seq);
      // A suspect waits elsewhere, and one with another priority now in another heap.
      const isHere = attempt?.isSuspect !== true && (attempt?.priority ?? priority) === priority;
      if (isHere && this.mayBeDelivered(seq, nowMs)) return seq;
      band.pop();
    }
    return undefined;
  }

  /** The first messages of all priorities that wait in heaps. */
  firstReady(nowMs: number): number[] {
    return this.#bands.flatMap((_, priority) => this.#firstOf(priority, nowMs) ?? []);
  }

  /** Takes out what `peekReady` has returned. */
  popReady(priority: number): void {
    this.#band(priority).pop();
  }

  /** Up to `count` seqs of each heap, for who wants to look and not to take. */
  waiting(count: number): { readonly seq: number; readonly priority: number }[] {
    const found: { seq: number; priority: number }[] = [];
    for (let priority = FRONT; priority >= 0; priority--) {
      for (const top of this.#band(priority).smallest(count)) {
        found.push({ seq: priority === FRONT ? Number.MAX_SAFE_INTEGER - top : top, priority });
      }
    }
    return found;
  }

  /** A message that was taken out is not handed out after all. */
  putBack(seq: number, priority: number): void {
    this.taken.delete(seq);
    this.#comesNow(seq, priority);
  }

  /** The message waits for a consumer. `priority`: if nothing else is known of it. */
  #comesNow(seq: number, priority: number): void {
    const attempt = this.attempts.get(seq);
    if (attempt?.isSuspect === true) this.#suspects.push(attempt.count, seq);
    else this.pushReady(seq, attempt?.priority ?? priority);
  }

  encodeTo(writer: StateWriter): void {
    writer.string(this.name);
    for (const value of [this.cursor, this.placedFrom, this.open, this.inFlight, this.putOff]) {
      writer.f64(value);
    }
    writer.f64(this.activeMs);
    this.settled.encodeTo(writer);
    this.attempts.encodeTo(writer);
    this.lanes.encodeTo(writer);
    for (const band of this.#bands) band.encodeTo(writer);
    this.#delayed.encodeTo(writer);
    this.#suspects.encodeTo(writer);
  }

  static decode(reader: StateReader): GroupState {
    const group = new GroupState(reader.string(), 0);
    group.cursor = reader.f64();
    group.placedFrom = reader.f64();
    group.open = reader.f64();
    group.inFlight = reader.f64();
    group.putOff = reader.f64();
    group.activeMs = reader.f64();
    group.settled = SeqSet.decode(reader);
    group.attempts = AttemptTable.decode(reader);
    group.lanes = KeyLanes.decode(reader);
    for (let band = 0; band <= FRONT; band++) group.#bands[band] = SeqHeap.decode(reader);
    group.#highest = FRONT;
    group.#delayed = DueHeap.decode(reader);
    group.#suspects = DueHeap.decode(reader);
    return group;
  }
}

/** The cursor delivers it when it meets it. */
export function comesInOrder({ at, priority, front }: MessageHeader): boolean {
  return at === undefined && (priority ?? 0) === 0 && front === undefined;
}

export function isPriority(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= HIGHEST;
}
