/**
 * Keys that came in a row, each with the seq that it stands for and the time of that.
 *
 *   entry:  0 u32[4] hash  16 f64 seq, -1: removed  24 f64 Unix milliseconds
 *
 * Slots are an open-addressed hash table: the number of an entry + 1 in the low bits, as many as
 * the count of slots needs, bits of the hash above them, and 0 for none.
 */
import { assert } from '../core/assert.js';
import type { StateReader, StateWriter } from './state-bytes.js';

const ENTRY_BYTES = 32;
const ENTRY_WORDS = ENTRY_BYTES / 4;
const ENTRY_FLOATS = ENTRY_BYTES / 8;
const SEQ_FLOAT = 2;
const TIME_FLOAT = 3;
export const REMOVED: number = -1;
const FEWEST_SLOTS = 16;
const FEWEST_ENTRIES = 8;
/** Entries that are allocated at once: no more than this is ever copied or unused. */
const CHUNK_BITS = 12;
const CHUNK_ENTRIES = 2 ** CHUNK_BITS;

/** The same memory as both. */
interface Chunk {
  readonly words: Uint32Array;
  readonly floats: Float64Array;
}

export class Generation {
  /** When its first entry was set. */
  startMs: number;
  /** When its last entry was set. */
  lastMs: number;
  /** No live entry is said by a record with a lower seq. */
  lowestSeq: number = Infinity;
  /** Entries, those included that were removed. */
  count: number = 0;
  live: number = 0;
  readonly #chunks: Chunk[] = [];
  #slots: Uint32Array = new Uint32Array(FEWEST_SLOTS);

  constructor(startMs: number) {
    this.startMs = startMs;
    this.lastMs = startMs;
  }

  /** The number of the entry with a hash, live or removed, or -1. */
  find(hash: Uint32Array): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const tag = hash[1] ?? 0;
    for (let at = (hash[0] ?? 0) & mask; ; at = (at + 1) & mask) {
      const slot = slots[at] ?? 0;
      if (slot === 0) return -1;
      if (((slot ^ tag) & ~mask) !== 0) continue;
      const entry = (slot & mask) - 1;
      if (this.#isAt(entry, hash)) return entry;
    }
  }

  seqAt(entry: number): number {
    return this.#float(entry, SEQ_FLOAT);
  }

  timeAt(entry: number): number {
    return this.#float(entry, TIME_FLOAT);
  }

  /** Changes an entry, and makes it live again if it was removed. */
  update(entry: number, seq: number, timeMs: number, bySeq: number): void {
    if (this.seqAt(entry) === REMOVED) this.live++;
    this.#write(entry, seq, timeMs, bySeq);
  }

  remove(entry: number): void {
    if (this.seqAt(entry) === REMOVED) return;
    this.#chunkOf(entry).floats[floatAt(entry, SEQ_FLOAT)] = REMOVED;
    this.live--;
  }

  /** Adds an entry with a hash that is not there. */
  add(hash: Uint32Array, seq: number, timeMs: number, bySeq: number): void {
    if (4 * (this.count + 1) > 3 * this.#slots.length) this.#link(2 * this.#slots.length);
    const entry = this.count++;
    this.live++;
    if (entry === this.#room()) this.#grow();
    this.#chunkOf(entry).words.set(hash, wordAt(entry));
    this.#write(entry, seq, timeMs, bySeq);
    this.#linkOne(entry);
  }

  /** Removes the entries with a time of which it is true. */
  removeIf(isGone: (timeMs: number) => boolean): void {
    for (let entry = 0; entry < this.count; entry++) {
      if (isGone(this.timeAt(entry))) this.remove(entry);
    }
  }

  /** Lets every entry be one that was set at a time. */
  restamp(timeMs: number): void {
    for (let entry = 0; entry < this.count; entry++) {
      this.#chunkOf(entry).floats[floatAt(entry, TIME_FLOAT)] = timeMs;
    }
    this.startMs = timeMs;
    this.lastMs = timeMs;
  }

  encodeTo(writer: StateWriter): void {
    writer.f64(this.startMs);
    writer.u32(this.count);
    for (const [i, { words }] of this.#chunks.entries()) {
      const entries = Math.min(this.count - i * CHUNK_ENTRIES, CHUNK_ENTRIES);
      writer.bytes(new Uint8Array(words.buffer, 0, entries * ENTRY_BYTES));
    }
  }

  /** Throws for what is no generation of entries up to a time. */
  static decode(reader: StateReader, nowMs: number): Generation {
    const startMs = reader.f64();
    const count = reader.u32();
    // The comparisons are such that NaN fails.
    if (!(startMs <= nowMs)) throw impossible();
    const generation = new Generation(startMs);
    for (let left = count; left > 0; left -= CHUNK_ENTRIES) {
      const bytes = reader.bytes();
      if (bytes.byteLength !== Math.min(left, CHUNK_ENTRIES) * ENTRY_BYTES) throw impossible();
      const chunk = newChunk(Math.max(bytes.byteLength / ENTRY_BYTES, FEWEST_ENTRIES));
      new Uint8Array(chunk.words.buffer).set(bytes);
      generation.#chunks.push(chunk);
    }
    generation.count = count;
    for (let entry = 0; entry < count; entry++) {
      const seq = generation.seqAt(entry);
      const timeMs = generation.timeAt(entry);
      const isSeq = Number.isSafeInteger(seq) && seq >= REMOVED;
      if (!isSeq || !(timeMs >= startMs && timeMs <= nowMs)) throw impossible();
      generation.#note(seq === REMOVED ? Infinity : seq, timeMs);
      if (seq !== REMOVED) generation.live++;
    }
    let slots = FEWEST_SLOTS;
    while (4 * count > 3 * slots) slots *= 2;
    generation.#link(slots);
    return generation;
  }

  #isAt(entry: number, hash: Uint32Array): boolean {
    const { words } = this.#chunkOf(entry);
    const at = wordAt(entry);
    return (
      words[at] === hash[0] &&
      words[at + 1] === hash[1] &&
      words[at + 2] === hash[2] &&
      words[at + 3] === hash[3]
    );
  }

  #float(entry: number, which: number): number {
    return this.#chunkOf(entry).floats[floatAt(entry, which)] ?? 0;
  }

  #write(entry: number, seq: number, timeMs: number, bySeq: number): void {
    const { floats } = this.#chunkOf(entry);
    floats[floatAt(entry, SEQ_FLOAT)] = seq;
    floats[floatAt(entry, TIME_FLOAT)] = timeMs;
    this.#note(bySeq, timeMs);
  }

  #note(seq: number, timeMs: number): void {
    if (seq < this.lowestSeq) this.lowestSeq = seq;
    if (timeMs > this.lastMs) this.lastMs = timeMs;
  }

  #chunkOf(entry: number): Chunk {
    const chunk = this.#chunks[entry >>> CHUNK_BITS];
    assert(chunk !== undefined, 'an entry is in a chunk');
    return chunk;
  }

  /** Entries that there is memory for. */
  #room(): number {
    const last = this.#chunks.at(-1);
    if (last === undefined) return 0;
    return (this.#chunks.length - 1) * CHUNK_ENTRIES + last.words.length / ENTRY_WORDS;
  }

  #grow(): void {
    const last = this.#chunks.at(-1);
    const length = (last?.words.length ?? 0) / ENTRY_WORDS;
    if (last === undefined || length === CHUNK_ENTRIES) {
      this.#chunks.push(newChunk(last === undefined ? FEWEST_ENTRIES : CHUNK_ENTRIES));
      return;
    }
    const grown = newChunk(Math.min(2 * length, CHUNK_ENTRIES));
    grown.words.set(last.words);
    this.#chunks[this.#chunks.length - 1] = grown;
  }

  /** Puts every entry into new slots. */
  #link(slotCount: number): void {
    this.#slots = new Uint32Array(slotCount);
    for (let entry = 0; entry < this.count; entry++) this.#linkOne(entry);
  }

  #linkOne(entry: number): void {
    const { words } = this.#chunkOf(entry);
    const slots = this.#slots;
    const mask = slots.length - 1;
    const first = wordAt(entry);
    let at = (words[first] ?? 0) & mask;
    while (slots[at] !== 0) at = (at + 1) & mask;
    slots[at] = ((words[first + 1] ?? 0) & ~mask) | (entry + 1);
  }
}

function newChunk(entries: number): Chunk {
  const words = new Uint32Array(entries * ENTRY_WORDS);
  return { words, floats: new Float64Array(words.buffer) };
}

function wordAt(entry: number): number {
  return (entry & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
}

function floatAt(entry: number, which: number): number {
  return (entry & (CHUNK_ENTRIES - 1)) * ENTRY_FLOATS + which;
}

export function impossible(): Error {
  return new Error('what is remembered is no table of keys');
}
