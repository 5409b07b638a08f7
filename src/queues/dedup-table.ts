/**
 * Which keys came within a window of time, and the seq of each, without the keys: 128 bits of their
 * SHA-256 stand for them, so that nobody can make two that are taken for one. An entry is 32 bytes
 * and 5 to 11 more for its slot.
 *
 * Entries are in two generations, the younger of which begins with its first entry and is the older
 * one after a window: by then all that was older is past the window, and goes as a whole. What is
 * found depends on the time of each entry alone. A key has at most one live entry.
 */
import { assert } from '../core/assert.js';
import { sha256Hex } from '../core/digest.js';
import { utf8Bytes } from '../format/text.js';
import { Generation, impossible, REMOVED } from './dedup-generation.js';
import { SeqSet } from './seq-set.js';
import type { StateReader, StateWriter } from './state-bytes.js';

const HASH_BYTES = 16;

export interface RememberedSeqs {
  readonly seqs: SeqSet;
  readonly lowest: number;
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

  /**
   * No record with a lower seq is needed to know of a key that may still be found. Undefined when
   * there is none.
   */
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

  /**
   * Remembers a key as of `nowMs`, in the place of what was remembered of it. `bySeq`: of the
   * record that says so, if it is not that of the message.
   */
  set(key: string, seq: number, nowMs: number, bySeq: number = seq): void {
    assert(Number.isSafeInteger(seq) && seq >= 0, 'a key stands for a seq');
    this.#advance(nowMs);
    if (this.#windowMs === 0) return;
    const hash = this.#hashOf(key);
    const young = this.#young.find(hash);
    if (young >= 0) {
      this.#young.update(young, seq, this.#nowMs, bySeq);
      return;
    }
    const old = this.#old.find(hash);
    if (old >= 0) this.#old.remove(old);
    if (this.#young.count === 0) this.#young.startMs = this.#nowMs;
    this.#young.add(hash, seq, this.#nowMs, bySeq);
  }

  /** The seqs of all keys that would be found at `nowMs`. Takes time for each key. */
  remembered(nowMs: number): RememberedSeqs {
    this.#advance(nowMs);
    const seqs = new SeqSet();
    let lowest = Infinity;
    for (const generation of [this.#old, this.#young]) {
      for (let entry = 0; entry < generation.count; entry++) {
        const seq = this.#liveSeq(generation, entry);
        if (seq === undefined) continue;
        seqs.add(seq);
        lowest = Math.min(lowest, seq);
      }
    }
    return { seqs, lowest };
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

  /** What `oldestSeq` goes by, which the entries do not say. */
  encodeOldestTo(writer: StateWriter): void {
    for (const { lowestSeq } of [this.#old, this.#young]) writer.f64(lowestSeq);
  }

  /** Throws for what cannot be. */
  decodeOldest(reader: StateReader): void {
    for (const generation of [this.#old, this.#young]) {
      const lowestSeq = reader.f64();
      if (!(lowestSeq >= 0)) throw impossible();
      generation.lowestSeq = lowestSeq;
    }
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
