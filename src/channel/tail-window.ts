/**
 * The records that tails were given last, for those that are a little behind. What it holds is
 * bounded by what it costs, payloads and objects; the oldest goes first, and all of it if need be.
 */
import type { LogRecord } from '../core/record.js';

/** Bytes that a window holds at most, counting whole allocations and what records cost. */
export const WINDOW_BYTES: number = 1024 * 1024;
/** A record and its entry in an array, about. */
const RECORD_COST = 96;
const ENTRY_COST = 160;
/** What is handed out at once, about. */
const TAKEN_RECORDS = 1024;
const TAKEN_BYTES = 64 * 1024;

/** All records with `from` <= seq < `to`. */
export interface TailBatch {
  readonly from: number;
  readonly to: number;
  readonly records: readonly LogRecord[];
}

interface WindowEntry extends TailBatch {
  /** The allocation that its records share, with others perhaps. */
  readonly memory: ArrayBufferLike | undefined;
  readonly payloadBytes: number;
}

export class TailWindow {
  /** Each entry begins where the one before ends; those before `#head` are gone. */
  #entries: WindowEntry[] = [];
  #head = 0;
  #heldBytes = 0;

  /** Bytes that it keeps in memory, about. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Adds what follows; all records of a batch share one allocation. */
  push(batch: TailBatch): void {
    const last = this.#entries.at(-1);
    if (last !== undefined && last.to !== batch.from) this.clear();
    const memory = batch.records[0]?.payload.buffer;
    const payloadBytes = batch.records.reduce((sum, record) => sum + record.byteLength, 0);
    const entry = { ...batch, memory, payloadBytes };
    this.#heldBytes += costOf(entry);
    if (memory !== this.#entries.at(-1)?.memory) this.#heldBytes += memory?.byteLength ?? 0;
    this.#entries.push(entry);
    while (this.#heldBytes > WINDOW_BYTES) this.#dropOldest();
    if (this.#head === this.#entries.length) this.clear();
    else if (this.#head > 64 && this.#head > this.#entries.length / 2) this.#compact();
  }

  #dropOldest(): void {
    const entry = this.#entries[this.#head];
    this.#head++;
    if (entry === undefined) return;
    this.#heldBytes -= costOf(entry);
    // Neighbours only: an allocation is never used again after another one.
    if (entry.memory === this.#entries[this.#head]?.memory) return;
    this.#heldBytes -= entry.memory?.byteLength ?? 0;
  }

  #compact(): void {
    this.#entries = this.#entries.slice(this.#head);
    this.#head = 0;
  }

  clear(): void {
    if (this.#entries.length === 0) return;
    this.#entries = [];
    this.#head = 0;
    this.#heldBytes = 0;
  }

  /** Some of what it has from `next` on and below `end`; undefined when `next` is not in it. */
  take(next: number, end: number): TailBatch | undefined {
    const first = this.#indexOf(next);
    const entry = this.#entries[first];
    if (entry === undefined || next >= end || next >= entry.to) return undefined;
    if (entry.from === next && entry.to <= end && first === this.#entries.length - 1) return entry;
    const records: LogRecord[] = [];
    let to = next;
    let bytes = 0;
    for (let i = first; i < this.#entries.length; i++) {
      const { to: entryEnd, records: more, payloadBytes } = this.#entries[i] ?? entry;
      bytes += payloadBytes;
      const isFull = records.length + more.length > TAKEN_RECORDS || bytes > TAKEN_BYTES;
      if (to >= end || (i > first && isFull)) break;
      for (const record of more) {
        if (record.seq >= next && record.seq < end) records.push(record);
      }
      to = Math.min(entryEnd, end);
    }
    return { from: next, to, records };
  }

  /** Index of the last entry that begins at or below `seq`; -1 when there is none. */
  #indexOf(seq: number): number {
    let low = this.#head - 1;
    let high = this.#entries.length;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#entries[middle]?.from ?? Infinity) <= seq) low = middle;
      else high = middle;
    }
    return low < this.#head ? -1 : low;
  }
}

function costOf(entry: WindowEntry): number {
  return ENTRY_COST + RECORD_COST * entry.records.length;
}
