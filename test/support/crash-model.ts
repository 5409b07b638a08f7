/**
 * What a run asked the engine for and was told by it, so that any image of its directory can be
 * judged. Knows nothing of the engine: a record is known by its type or by its first bytes.
 */
import type { LogRecord } from '../../src/core/record.js';
import { Violation } from '../../src/crash-test/violation.js';

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
  readonly timed: boolean;
  readonly explicitSeq: number | undefined;
}

export const PENDING = 0;
/** Resolved. */
export const ACKED = 1;
/** Rejected with the promise that no byte of it is there. */
const ABSENT = 2;
/** Rejected; a crash may bring it back. */
const UNKNOWN = 3;
/** Was not there after a crash: must not come back. */
export const GONE = 4;

/** What was known of all attempts at one moment. */
export interface Ledger {
  readonly states: Uint8Array;
  readonly seqs: Float64Array;
  readonly durable: Uint8Array;
  /** The highest `durableSeq` that the channel has shown. */
  readonly durableSeq: number;
  readonly epoch: number;
}

/** A record as a read returned it. */
export interface Found {
  readonly id: number;
  readonly seq: number;
  readonly type: number;
  readonly payload: Uint8Array;
  readonly timestamp: number;
}

export { Violation };

export class CrashModel {
  readonly attempts: Attempt[] = [];
  durableSeq = 0;
  epoch = 0;
  #states: Uint8Array = new Uint8Array(16);
  #seqs: Float64Array = new Float64Array(16);
  #durable: Uint8Array = new Uint8Array(16);

  add(attempt: Omit<Attempt, 'id'>): Attempt {
    const index = this.attempts.length;
    const whole = { ...attempt, id: index + 1 };
    this.attempts.push(whole);
    if (index >= this.#states.length) this.#grow();
    return whole;
  }

  get nextId(): number {
    return this.attempts.length + 1;
  }

  #grow(): void {
    const size = this.#states.length * 2;
    const states = new Uint8Array(size);
    states.set(this.#states);
    const seqs = new Float64Array(size);
    seqs.set(this.#seqs);
    const durable = new Uint8Array(size);
    durable.set(this.#durable);
    this.#states = states;
    this.#seqs = seqs;
    this.#durable = durable;
  }

  acked(id: number, seq: number, synced: boolean): void {
    this.#states[id - 1] = ACKED;
    this.#seqs[id - 1] = seq;
    if (synced) this.#durable[id - 1] = 1;
  }

  rejected(id: number, outcome: 'absent' | 'unknown'): void {
    this.#states[id - 1] = outcome === 'absent' ? ABSENT : UNKNOWN;
  }

  /** A sync has returned that began when there were `count` attempts. */
  synced(count: number): void {
    for (let i = 0; i < count; i += 1) if (this.#states[i] === ACKED) this.#durable[i] = 1;
  }

  /** One past the highest seq acknowledged among the first `count` attempts. */
  ackedEnd(count: number): number {
    let end = 0;
    for (let i = 0; i < count; i += 1) {
      if (this.#states[i] === ACKED) end = Math.max(end, (this.#seqs[i] ?? 0) + 1);
    }
    return end;
  }

  ledger(): Ledger {
    const count = this.attempts.length;
    return {
      states: this.#states.slice(0, count),
      seqs: this.#seqs.slice(0, count),
      durable: this.#durable.slice(0, count),
      durableSeq: this.durableSeq,
      epoch: this.epoch,
    };
  }

  /** The process is gone and these records were found by the next one. */
  rebase(found: readonly Found[], durableSeq: number, epoch: number): void {
    const there = new Set(found.map(({ id }) => id));
    for (const { id } of this.attempts) if (!there.has(id)) this.#states[id - 1] = GONE;
    for (const { id, seq } of found) this.acked(id, seq, seq < durableSeq);
    this.durableSeq = Math.max(this.durableSeq, durableSeq);
    this.epoch = epoch;
  }
}

/** The same for one ledger, without touching the run that it comes from. */
export function rebased(ledger: Ledger, found: readonly Found[], durableSeq: number): Ledger {
  const states = ledger.states.slice().fill(GONE);
  const seqs = ledger.seqs.slice();
  const durable = ledger.durable.slice();
  for (const { id, seq } of found) {
    states[id - 1] = ACKED;
    seqs[id - 1] = seq;
    if (seq < durableSeq) durable[id - 1] = 1;
  }
  return { ...ledger, states, seqs, durable, durableSeq: Math.max(ledger.durableSeq, durableSeq) };
}

export function foundOf(record: LogRecord): Found {
  const { seq, type, timestamp } = record;
  const payload = record.payload.slice();
  const id = type === 0 && payload.length >= 4 ? new DataView(payload.buffer).getUint32(0) : type;
  return { id, seq, type, payload, timestamp };
}

/** `power`: only what was durable must be there. `kill`: everything that was acknowledged. */
export type CrashKind = 'power' | 'kill';

/** Throws a Violation when these records cannot be what is left of that run. */
export function judge(
  found: readonly Found[],
  attempts: readonly Attempt[],
  ledger: Ledger,
  kind: CrashKind,
): void {
  const there = new Map<number, Found>();
  let nextSeq = 0;
  for (const record of found) {
    const attempt = attempts[record.id - 1];
    if (attempt === undefined) throw new Violation(`I2: nobody appended seq ${record.seq}`);
    if (there.has(record.id)) throw new Violation(`I2: record ${record.id} is there twice`);
    there.set(record.id, record);
    checkSame(record, attempt, ledger);
    const isNext = record.seq === nextSeq || attempt.explicitSeq === record.seq;
    if (record.seq < nextSeq || !isNext) {
      throw new Violation(`I3: seq ${record.seq} where ${nextSeq} was expected`);
    }
    nextSeq = record.seq + 1;
  }
  for (const { batch, batchSize } of found.map(({ id }) => attempts[id - 1] as Attempt)) {
    for (let id = batch; id < batch + batchSize; id += 1) {
      if (!there.has(id)) throw new Violation(`I4: batch ${batch} without its record ${id}`);
    }
  }
  for (const [index, state] of ledger.states.entries()) {
    if (state !== ACKED || there.has(index + 1)) continue;
    const seq = ledger.seqs[index] ?? 0;
    if (ledger.durable[index] === 1 || seq < ledger.durableSeq) {
      throw new Violation(`I1: record ${index + 1} (seq ${seq}) was synced and is gone`);
    }
    if (kind === 'kill') throw new Violation(`I1: record ${index + 1} did not survive a kill`);
    if (seq < nextSeq) throw new Violation(`I3: seq ${seq} is missing below ${nextSeq}`);
  }
}

function checkSame(record: Found, attempt: Attempt, ledger: Ledger): void {
  const { id, seq } = record;
  const state = ledger.states[id - 1];
  // An attempt that the ledger does not know was made after the image was taken.
  if (state === undefined) throw new Violation(`I2: record ${id} comes from the future`);
  if (state === ABSENT) throw new Violation(`I2: record ${id} was refused as absent`);
  if (state === GONE) throw new Violation(`I5: record ${id} was gone and is back`);
  if (state === ACKED && seq !== ledger.seqs[id - 1]) {
    throw new Violation(`I1: record ${id} was acknowledged as ${ledger.seqs[id - 1]}, is ${seq}`);
  }
  if (attempt.explicitSeq !== undefined && attempt.explicitSeq !== seq) {
    throw new Violation(`I2: record ${id} was given seq ${attempt.explicitSeq}, is ${seq}`);
  }
  if (record.type !== attempt.type || Buffer.compare(record.payload, attempt.payload) !== 0) {
    throw new Violation(`I2: record ${id} has other bytes`);
  }
  const { timed, timeMs } = attempt;
  if (timed ? record.timestamp !== timeMs : record.timestamp > timeMs) {
    throw new Violation(`I1: record ${id} has time ${record.timestamp}, not ${timeMs}`);
  }
}
