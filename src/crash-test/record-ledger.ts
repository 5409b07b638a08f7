/**
 * What one channel was asked to hold and what it answered. Knows nothing of the engine: a record is
 * known by its type, or by its first bytes where it has no type of its own.
 */
import type { LogRecord } from '../core/record.js';
import type { RetentionPolicy } from '../channel/retention.js';

/** One record that was to be appended. */
export interface Attempt {
  /** From 1; index + 1 in the list of attempts. */
  readonly id: number;
  /** Id of the first record of its batch. */
  readonly batch: number;
  readonly batchSize: number;
  readonly type: number;
  readonly payload: Uint8Array;
  /** Unix milliseconds at the call. */
  readonly timeMs: number;
  /** The time was given with the record, so it is exact. */
  readonly isTimed: boolean;
  readonly explicitSeq: number | undefined;
  /** The next seq when it was given an explicit one. */
  readonly skippedFrom: number | undefined;
}

const PENDING = 0;
/** Resolved. */
export const ACKED = 1;
/** Rejected with the promise that no byte of it is there. */
export const ABSENT = 2;
/** Rejected; a crash may bring it back. */
const UNKNOWN = 3;
/** Was not there after a crash: must not come back. */
export const GONE = 4;

/** A sync has covered it, and that was said. */
export const DURABLE = 1;
/** A compaction was told that it may go. */
export const CONDEMNED = 2;
/** A compaction that was acknowledged has dropped it. */
export const DROPPED = 4;

/** What was known at one moment. */
export interface RecordFacts {
  readonly states: Uint8Array;
  readonly flags: Uint8Array;
  /** -1 where nobody has said. */
  readonly seqs: Float64Array;
  /** The id of the later record of the same key that condemns it; 0 for a predicate. */
  readonly condemners: Int32Array;
  /** The highest `durableSeq` that the channel has shown. */
  readonly durableSeq: number;
  readonly epoch: number;
  /** The first seq of the channel when it was created. */
  readonly beginsAt: number;
  /** The highest trim that was asked for, and that was acknowledged. */
  readonly trimAsked: number;
  readonly trimDone: number;
  /** Each retention that may have been in force. */
  readonly retentions: readonly RetentionPolicy[];
  /** The highest seq that an acknowledged checkpoint of the fold goes to; -1 for none. */
  readonly foldedTo: number;
}

/** A record as a read returned it. */
export interface Found {
  readonly id: number;
  readonly seq: number;
  readonly type: number;
  readonly payload: Uint8Array;
  readonly timestamp: number;
}

export class RecordLedger {
  readonly attempts: Attempt[] = [];
  readonly beginsAt: number;
  durableSeq = 0;
  epoch = 0;
  trimAsked: number;
  trimDone: number;
  foldedTo = -1;
  readonly retentions: RetentionPolicy[] = [];
  /** `firstSeq` when the process of now had opened it. */
  #firstSeq = 0;
  #pending = 0;
  /** Attempts of processes before. */
  #earlier = 0;
  #states: Uint8Array = new Uint8Array(64);
  #flags: Uint8Array = new Uint8Array(64);
  #seqs: Float64Array = new Float64Array(64).fill(-1);
  #condemners: Int32Array = new Int32Array(64);

  constructor(beginsAt: number) {
    this.beginsAt = beginsAt;
    this.trimAsked = beginsAt;
    this.trimDone = beginsAt;
  }

  get nextId(): number {
    return this.attempts.length + 1;
  }

  /** Nothing is under way: the channel knows which seq is next. */
  get isIdle(): boolean {
    return this.#pending === 0;
  }

  add(attempt: Omit<Attempt, 'id'>): void {
    const index = this.attempts.length;
    this.attempts.push({ ...attempt, id: index + 1 });
    this.#pending += 1;
    if (index < this.#states.length) return;
    this.#states = grown(this.#states, new Uint8Array(2 * index));
    this.#flags = grown(this.#flags, new Uint8Array(2 * index));
    this.#seqs = grown(this.#seqs, new Float64Array(2 * index).fill(-1));
    this.#condemners = grown(this.#condemners, new Int32Array(2 * index));
  }

  acked(id: number, seq: number, isSynced: boolean): void {
    this.#settle(id, ACKED);
    this.#seqs[id - 1] = seq;
    if (isSynced) this.#mark(id, DURABLE);
  }

  rejected(id: number, outcome: 'absent' | 'unknown'): void {
    this.#settle(id, outcome === 'absent' ? ABSENT : UNKNOWN);
  }

  /** A sync has returned that began when there were `count` attempts. */
  synced(count: number): void {
    for (let i = 0; i < count; i += 1) if (this.#states[i] === ACKED) this.#mark(i + 1, DURABLE);
  }

  /**
   * How many of this process are acknowledged as written, from this seq on, and were given before a
   * time.
   */
  ackedFrom(seq: number, beforeMs: number): number {
    let count = 0;
    for (let i = this.#earlier; i < this.attempts.length; i += 1) {
      const isOld = (this.attempts[i]?.timeMs ?? Infinity) < beforeMs;
      if (!isOld || this.#states[i] !== ACKED || this.#has(i + 1, DURABLE)) continue;
      if ((this.#seqs[i] ?? -1) >= seq) count += 1;
    }
    return count;
  }

  /** A compaction was shown the record: it is visible under this seq. */
  shown(id: number, seq: number): void {
    this.#seqs[id - 1] = seq;
  }

  condemned(id: number, condemner: number): void {
    this.#mark(id, CONDEMNED);
    this.#condemners[id - 1] = condemner;
  }

  dropped(id: number): void {
    this.#mark(id, DROPPED);
  }

  facts(): RecordFacts {
    const count = this.attempts.length;
    const { durableSeq, epoch, beginsAt, trimAsked, trimDone, foldedTo } = this;
    return {
      states: this.#states.slice(0, count),
      flags: this.#flags.slice(0, count),
      seqs: this.#seqs.slice(0, count),
      condemners: this.#condemners.slice(0, count),
      durableSeq,
      epoch,
      beginsAt,
      trimAsked,
      trimDone,
      retentions: [...this.retentions],
      foldedTo,
    };
  }

  /** The process is gone, and the next one has found these. */
  rebase(found: readonly Found[], firstSeq: number, durableSeq: number, epoch: number): void {
    const there = new Set(found.map(({ id }) => id));
    const hasDropped = firstSeq > this.#firstSeq;
    for (const { id } of this.attempts) {
      if (there.has(id)) continue;
      const state = this.#states[id - 1];
      const seq = this.#seqs[id - 1] ?? -1;
      // What a trim or a compaction hides may be seen again until that is durable.
      const isHidden = seq >= 0 && seq < firstSeq;
      const isOpen = state === PENDING || state === UNKNOWN;
      const mayReturn = this.#has(id, CONDEMNED) || isHidden || (isOpen && hasDropped);
      if (state === GONE || state === ABSENT) continue;
      if (!mayReturn) this.#settle(id, GONE);
      else if (state === PENDING) this.#settle(id, UNKNOWN);
    }
    for (const { id, seq } of found) this.acked(id, seq, seq < durableSeq);
    this.durableSeq = Math.max(this.durableSeq, durableSeq);
    this.epoch = epoch;
    this.#firstSeq = firstSeq;
    this.#earlier = this.attempts.length;
    this.#pending = 0;
  }

  #has(id: number, flag: number): boolean {
    return ((this.#flags[id - 1] ?? 0) & flag) !== 0;
  }

  #mark(id: number, flag: number): void {
    this.#flags[id - 1] = (this.#flags[id - 1] ?? 0) | flag;
  }

  #settle(id: number, state: number): void {
    if (this.#states[id - 1] === PENDING) this.#pending -= 1;
    this.#states[id - 1] = state;
  }
}

function grown<T extends Uint8Array | Float64Array | Int32Array>(from: T, into: T): T {
  into.set(from);
  return into;
}

/** The key of a record is in its type. */
export const KEYS = 8;

export function keyOf(type: number): string | undefined {
  const key = type % KEYS;
  return key === 0 ? undefined : `key ${key}`;
}

/** Bytes that name their record at the start, where there is room for it. */
export function payloadOf(id: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  // Some payloads are zeros but for that: what was never written looks like them.
  if (id % 3 !== 0) for (let i = 0; i < size; i += 1) bytes[i] = (id * 31 + i * 7 + (i >> 8)) & 255;
  if (size >= 4) new DataView(bytes.buffer).setUint32(0, id);
  return bytes;
}

export function idOf(type: number, payload: Uint8Array): number {
  if (type !== 0) return Math.floor(type / KEYS);
  if (payload.length < 4) return 0;
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getUint32(0);
}

/** The payload has to be the caller's own. */
export function foundOf({ seq, type, timestamp, payload }: LogRecord): Found {
  return { id: idOf(type, payload), seq, type, payload, timestamp };
}
