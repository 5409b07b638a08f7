/**
 * Whether records can be what is left of what a ledger knows: nothing promised is missing, nothing
 * is there that nobody appended, that was refused, or that is acknowledged to be gone.
 */
import {
  ABSENT,
  ACKED,
  CONDEMNED,
  DROPPED,
  DURABLE,
  GONE,
  type Attempt,
  type Found,
  type RecordFacts,
} from './record-ledger.js';
import { Violation } from './violation.js';

/** `power`: only what was durable must be there. `kill`: everything that was acknowledged. */
export type CrashKind = 'power' | 'kill';

/** A channel as an open has found it. */
export interface FoundLog {
  readonly firstSeq: number;
  readonly nextSeq: number;
  readonly found: readonly Found[];
}

/** With the time of the open, in unix milliseconds: what was too old then may be gone. */
export interface DatedLog extends FoundLog {
  readonly nowMs: number;
}

/** Throws a Violation when these records cannot be what is left. */
export function judgeRecords(
  log: DatedLog,
  attempts: readonly Attempt[],
  facts: RecordFacts,
  kind: CrashKind,
): void {
  judgeBeginning(log, attempts, facts);
  const there = judgePresent(log, attempts, facts);
  judgeBatches(log, attempts, facts, there);
  judgeMissing(log, facts, there, kind);
}

/** Throws a Violation for a record that cannot be there, whatever else is. */
export function judgeRecord(record: Found, attempts: readonly Attempt[], facts: RecordFacts): void {
  const { id, seq } = record;
  const attempt = attempts[id - 1];
  if (attempt === undefined) throw new Violation(`I2: nobody appended seq ${seq}`);
  const state = facts.states[id - 1];
  // An attempt that the ledger does not know was made after the image was taken.
  if (state === undefined) throw new Violation(`I2: record ${id} comes from the future`);
  if (state === ABSENT) throw new Violation(`I2: record ${id} was refused as absent`);
  if (state === GONE) throw new Violation(`I5: record ${id} was gone and is back`);
  if (((facts.flags[id - 1] ?? 0) & DROPPED) !== 0) {
    throw new Violation(`I7: record ${id} was compacted away and is back`);
  }
  const known = facts.seqs[id - 1] ?? -1;
  if (known >= 0 && seq !== known) {
    throw new Violation(`I1: record ${id} was acknowledged as ${known}, is ${seq}`);
  }
  if (attempt.explicitSeq !== undefined && attempt.explicitSeq !== seq) {
    throw new Violation(`I2: record ${id} was given seq ${attempt.explicitSeq}, is ${seq}`);
  }
  if (record.type !== attempt.type || !isSame(record.payload, attempt.payload)) {
    throw new Violation(`I2: record ${id} has other bytes`);
  }
  if (!canHaveTime(attempt, record.timestamp, attempts)) {
    throw new Violation(`I1: record ${id} has time ${record.timestamp}, not ${attempt.timeMs}`);
  }
}

/** The time that was given, or, as times never go back, that of one which overtook it. */
function canHaveTime(
  { isTimed, timeMs }: Attempt,
  foundMs: number,
  attempts: readonly Attempt[],
): boolean {
  if (!isTimed) return foundMs <= timeMs;
  if (foundMs <= timeMs) return foundMs === timeMs;
  return attempts.some((other) => other.timeMs === foundMs);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** Where the log begins: no acknowledged trim comes back, and nothing goes that nobody let go. */
function judgeBeginning(log: DatedLog, attempts: readonly Attempt[], facts: RecordFacts): void {
  const { firstSeq, nextSeq, nowMs } = log;
  const { trimAsked, trimDone, retentions } = facts;
  if (firstSeq < trimDone)
    throw new Violation(`G: firstSeq ${firstSeq} after a trim to ${trimDone}`);
  if (nextSeq < firstSeq) throw new Violation(`C8: nextSeq ${nextSeq} below firstSeq ${firstSeq}`);
  if (firstSeq <= trimAsked) return;
  const { seqs, flags } = facts;
  for (const { maxRecords, maxAgeMs, maxBytes } of retentions) {
    if (maxBytes !== undefined) return;
    // G1: what pushed them out was durable, so the crash has left it.
    if (maxRecords !== undefined && nextSeq - firstSeq >= maxRecords) return;
    if (maxAgeMs === undefined) continue;
    const isYoung = ({ id, timeMs }: Attempt): boolean => {
      const seq = seqs[id - 1] ?? -1;
      if (((flags[id - 1] ?? 0) & CONDEMNED) !== 0) return false;
      return seq >= trimAsked && seq < firstSeq && timeMs + maxAgeMs > nowMs;
    };
    if (!attempts.some(isYoung)) return;
  }
  const told = JSON.stringify(retentions);
  throw new Violation(
    `G1: firstSeq ${firstSeq} of ${nextSeq} after trims to ${trimAsked}, ${told}`,
  );
}

function judgePresent(
  { found, firstSeq }: FoundLog,
  attempts: readonly Attempt[],
  facts: RecordFacts,
): ReadonlyMap<number, Found> {
  const there = new Map<number, Found>();
  const holes = new Holes(attempts, facts);
  let nextSeq = firstSeq;
  for (const record of found) {
    const { id, seq } = record;
    judgeRecord(record, attempts, facts);
    if (there.has(id)) throw new Violation(`I2: record ${id} is there twice`);
    there.set(id, record);
    if (seq < nextSeq) throw new Violation(`I3: seq ${seq} where ${nextSeq} was expected`);
    for (let hole = nextSeq; hole < seq; hole += 1) {
      if (!holes.isLegal(hole, seq)) throw new Violation(`I3: a hole at seq ${hole}`);
    }
    nextSeq = seq + 1;
  }
  return there;
}

/** Seqs that nobody has to have: compacted away, or left out. */
class Holes {
  readonly #attempts: readonly Attempt[];
  readonly #facts: RecordFacts;
  #condemned: Set<number> | undefined;

  constructor(attempts: readonly Attempt[], facts: RecordFacts) {
    this.#attempts = attempts;
    this.#facts = facts;
  }

  /** Whether nothing may be at `seq` although there is a record at `next`. */
  isLegal(seq: number, next: number): boolean {
    this.#condemned ??= this.#condemnedSeqs();
    if (this.#condemned.has(seq)) return true;
    return this.#attempts.some(({ id, explicitSeq, skippedFrom }) => {
      if (explicitSeq === undefined || skippedFrom === undefined) return false;
      if (seq < skippedFrom || seq >= explicitSeq) return false;
      return explicitSeq === next || ((this.#facts.flags[id - 1] ?? 0) & CONDEMNED) !== 0;
    });
  }

  #condemnedSeqs(): Set<number> {
    const { flags, seqs } = this.#facts;
    const condemned = new Set<number>();
    for (const [index, flag] of flags.entries()) {
      if ((flag & CONDEMNED) !== 0) condemned.add(seqs[index] ?? -1);
    }
    return condemned;
  }
}

function judgeBatches(
  { firstSeq }: FoundLog,
  attempts: readonly Attempt[],
  facts: RecordFacts,
  there: ReadonlyMap<number, Found>,
): void {
  for (const [id, { seq }] of there) {
    const { batch, batchSize } = attempts[id - 1] as Attempt;
    if (batchSize === 1) continue;
    for (let other = batch; other < batch + batchSize; other += 1) {
      if (there.has(other) || ((facts.flags[other - 1] ?? 0) & CONDEMNED) !== 0) continue;
      if (seq - (id - other) < firstSeq) continue;
      throw new Violation(`I4: batch ${batch} without its record ${other}`);
    }
  }
}

function judgeMissing(
  { found, firstSeq, nextSeq }: FoundLog,
  facts: RecordFacts,
  there: ReadonlyMap<number, Found>,
  kind: CrashKind,
): void {
  const { states, seqs, flags, durableSeq } = facts;
  if (nextSeq < durableSeq) throw new Violation(`I1: nextSeq went back to ${nextSeq}`);
  const end = (found.at(-1)?.seq ?? -1) + 1;
  for (const [index, state] of states.entries()) {
    if (state !== ACKED || there.has(index + 1)) continue;
    const seq = seqs[index] ?? -1;
    if (seq < firstSeq) continue;
    const flag = flags[index] ?? 0;
    const isDurable = (flag & DURABLE) !== 0 || seq < durableSeq;
    if ((flag & CONDEMNED) !== 0) {
      if (isDurable || kind === 'kill') requireCondemner(index + 1, firstSeq, facts, there);
      continue;
    }
    if (isDurable)
      throw new Violation(`I1: record ${index + 1} (seq ${seq}) was synced and is gone`);
    if (kind === 'kill') throw new Violation(`I1: record ${index + 1} did not survive a kill`);
    if (seq < end) throw new Violation(`I3: seq ${seq} is missing below ${end}`);
  }
}

/** G1: what a later record of the key has pushed out is gone only with that one there. */
function requireCondemner(
  id: number,
  firstSeq: number,
  { condemners, flags, seqs }: RecordFacts,
  there: ReadonlyMap<number, Found>,
): void {
  let killer = condemners[id - 1] ?? 0;
  while (killer !== 0 && !there.has(killer)) {
    if ((seqs[killer - 1] ?? -1) < firstSeq) return;
    if (((flags[killer - 1] ?? 0) & CONDEMNED) === 0) {
      throw new Violation(`G1: record ${id} went for ${killer}, which is not there`);
    }
    killer = condemners[killer - 1] ?? 0;
  }
}
