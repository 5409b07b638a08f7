/**
 * Which keys came within a window of time, and the seq of each, without the keys: 128 bits of their
 * SHA-256 stand for them, so that nobody can make two that are taken for one. An entry is 32 bytes
 * and 5 to 11 more for its slot.
 *
 * Entries are in two generations, the younger of which begins with its first entry and is the older
 * one after a window: by then all that was older is past the window, and goes as a whole. What is
 * found depends on the time of each entry alone. A key has at most one live entry.
 *
 *   entry:  0 u32[4] hash  16 f64 seq, -1: removed  24 f64 Unix milliseconds
 *
 * Slots are an open-addressed hash table: the number of an entry + 1 in the low bits, as many as
 * the count of slots needs, bits of the hash above them, and 0 for none.
 */
import { assert } from '../core/assert.js';
import { sha256Hex } from '../core/digest.js';
import { utf8Bytes } from '../format/text.js';
import type { StateReader, StateWriter } from './state-bytes.js';

const ENTRY_BYTES = 32;
const ENTRY_WORDS = ENTRY_BYTES / 4;
const ENTRY_FLOATS = ENTRY_BYTES / 8;
const SEQ_FLOAT = 2;
const TIME_FLOAT = 3;
const REMOVED = -1;
const FEWEST_SLOTS = 16;
const FEWEST_ENTRIES = 8;
/** Entries that are allocated at once: no more than this is ever copied or unused. */
const CHUNK_BITS = 12;
const CHUNK_ENTRIES = 2 ** CHUNK_BITS;
const HASH_BYTES = 16;

/** The same memory as both. */
interface Chunk {
  readonly words: Uint32Array;
  readonly floats: Float64Array;
}

class Generation {
  /** When its first entry was set. */
  startMs: number;
  /** When its last entry was set. */
  lastMs: number;
  /** No live entry has a lower seq. */
  lowestSeq = Infinity;
  /** Entries, those included that were removed. */
  count = 0;
  live = 0;
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
  update(entry: number, seq: number, timeMs: number): void {
    if (this.seqAt(entry) === REMOVED) this.live++;
    this.#write(entry, seq, timeMs);
  }

  remove(entry: number): void {
    if (this.seqAt(entry) === REMOVED) return;
    this.#chunkOf(entry).floats[floatAt(entry, SEQ_FLOAT)] = REMOVED;
    this.live--;
  }

  /** Adds an entry with a hash that is not there. */
  add(hash: Uint32Array, seq: number, timeMs: number): void {
    if (4 * (this.count + 1) > 3 * this.#slots.length) this.#link(2 * this.#slots.length);
    const entry = this.count++;
    this.live++;
    if (entry === this.#room()) this.#grow();
    this.#chunkOf(entry).words.set(hash, wordAt(entry));
    this.#write(entry, seq, timeMs);
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

  #write(entry: number, seq: number, timeMs: number): void {
    const { floats } = this.#chunkOf(entry);
    floats[floatAt(entry, SEQ_FLOAT)] = seq;
    floats[floatAt(entry, TIME_FLOAT)] = timeMs;
    this.#note(seq, timeMs);
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

export class DedupTable {
  #windowMs: number;
  /** The highest time that was given, at least since the last rebase. */
  #nowMs = 0;
  #old = new Generation(0);
  #young = new Generation(0);
  /** The key that was looked up last, and its hash. */
  #key: string | undefined;
  readonly #hashBytes: Buffer = Buffer.from(new ArrayBuffer(HASH_BYTES));
  readonly #hash = new Uint32Array(this.#hashBytes.buffer, 0, HASH_BYTES / 4);

  /** Milliseconds for which a key is remembered: 0 for never, Infinity for ever. */
  constructor(windowMs: number) {
    assert(windowMs >= 0, 'a window is 0 milliseconds or more');
    this.#windowMs = windowMs;
  }

  get windowMs(): number {
    return this.#windowMs;
  }

  /** A longer window does not bring back what was past the shorter one: it looks at each key. */
  set windowMs(windowMs: number) {
    assert(windowMs >= 0, 'a window is 0 milliseconds or more');
    if (windowMs > this.#windowMs) this.#removePast();
    this.#windowMs = windowMs;
  }

  /** Keys that are held. Some of them may be past the window. */
  get size(): number {
    return this.#old.live + this.#young.live;
  }

  /** No key that may still be found has a lower seq. Undefined when there is none. */
  get oldestSeq(): number | undefined {
    const old = this.#old.live > 0 ? this.#old.lowestSeq : Infinity;
    const lowest = this.#young.live > 0 ? Math.min(old, this.#young.lowestSeq) : old;
    return lowest === Infinity ? undefined : lowest;
  }

  /** The seq that a key was set to less than a window before `nowMs`. */
  find(key: string, nowMs: number): number | undefined {
    this.#advance(nowMs);
    const hash = this.#hashOf(key);
    const young = this.#young.find(hash);
    if (young >= 0) return this.#liveSeq(this.#young, young);
    const old = this.#old.find(hash);
    return old < 0 ? undefined : this.#liveSeq(this.#old, old);
  }

  /** Remembers a key as of `nowMs`, in the place of what was remembered of it. */
  set(key: string, seq: number, nowMs: number): void {
    assert(Number.isSafeInteger(seq) && seq >= 0, 'a key stands for a seq');
    this.#advance(nowMs);
    if (this.#windowMs === 0) return;
    const hash = this.#hashOf(key);
    const young = this.#young.find(hash);
    if (young >= 0) {
      this.#young.update(young, seq, this.#nowMs);
      return;
    }
    const old = this.#old.find(hash);
    if (old >= 0) this.#old.remove(old);
    if (this.#young.count === 0) this.#young.startMs = this.#nowMs;
    this.#young.add(hash, seq, this.#nowMs);
  }

  /** Forgets a key. */
  delete(key: string): void {
    const hash = this.#hashOf(key);
    for (const generation of [this.#old, this.#young]) {
      const entry = generation.find(hash);
      if (entry >= 0) generation.remove(entry);
    }
  }

  /**
   * Lets it be `nowMs`, be that later or earlier than it was: all that is remembered is as if it
   * was set now. Takes time for each key.
   */
  rebase(nowMs: number): void {
    assert(Number.isFinite(nowMs) && nowMs >= 0, 'it is some time');
    this.#removePast();
    this.#old.restamp(nowMs);
    this.#young.restamp(nowMs);
    this.#nowMs = nowMs;
  }

  encodeTo(writer: StateWriter): void {
    writer.f64(this.#windowMs);
    writer.f64(this.#nowMs);
    this.#old.encodeTo(writer);
    this.#young.encodeTo(writer);
  }

  /** Throws for what is no table of keys. */
  static decode(reader: StateReader): DedupTable {
    const windowMs = reader.f64();
    const nowMs = reader.f64();
    if (!(windowMs >= 0) || !(nowMs >= 0) || nowMs === Infinity) throw impossible();
    const table = new DedupTable(windowMs);
    table.#nowMs = nowMs;
    table.#old = Generation.decode(reader, nowMs);
    table.#young = Generation.decode(reader, nowMs);
    if (table.#old.lastMs > table.#young.startMs) throw impossible();
    return table;
  }

  #isPast(timeMs: number): boolean {
    return this.#nowMs - timeMs >= this.#windowMs;
  }

  #removePast(): void {
    for (const generation of [this.#old, this.#young]) {
      generation.removeIf((timeMs) => this.#isPast(timeMs));
    }
  }

  #liveSeq(generation: Generation, entry: number): number | undefined {
    const seq = generation.seqAt(entry);
    return seq === REMOVED || this.#isPast(generation.timeAt(entry)) ? undefined : seq;
  }

  /** Lets go of generations that are past the window. Time never goes back. */
  #advance(nowMs: number): void {
    assert(Number.isFinite(nowMs), 'it is some time');
    const now = Math.max(nowMs, this.#nowMs);
    this.#nowMs = now;
    if (this.#young.count > 0 && now - this.#young.startMs >= this.#windowMs) {
      this.#old = this.#young;
      this.#young = new Generation(now);
    }
    if (this.#old.count > 0 && this.#isPast(this.#old.lastMs)) this.#old = new Generation(0);
  }

  #hashOf(key: string): Uint32Array {
    if (key === this.#key) return this.#hash;
    this.#hashBytes.write(sha256Hex(bytesOf(key)), 0, HASH_BYTES, 'hex');
    this.#key = key;
    return this.#hash;
  }
}

/** Different for every two strings, also when one of them is no well-formed Unicode. */
function bytesOf(key: string): Uint8Array {
  if (!/\p{Surrogate}/u.test(key)) return utf8Bytes(key);
  // No UTF-8 has this byte.
  return Buffer.concat([Uint8Array.of(0xff), Buffer.from(key, 'utf16le')]);
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

function impossible(): Error {
  return new Error('what is remembered is no table of keys');
}
