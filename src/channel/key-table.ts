/**
 * Keys and the seq of each one's last record, in two runs of bytes that are their own stored form:
 * a table of a million keys is read by reading its bytes. Entries are in the order of their first
 * record; slots are an open-addressed hash table of their places.
 *
 *   state:  0 u32 hash seed  4 u32 slots (a power of two)  8 u64 bytes of entries
 *  16 u64 entries  24 u64 keys  32 entries, then slots: u32 place of an entry / 4 + 1, 0 for none
 *   entry:  0 u32 hash  4 u32 bytes of the key, top bit: UTF-16 and not UTF-8  8 u64 seq, all
 *   ones: removed  16 key  (then) zeros to a multiple of 4
 */
import { readSafeU64, UNSAFE, viewOf, writeSafeU64 } from '../format/bytes.js';

const HEAD_BYTES = 32;
const ENTRY_HEAD_BYTES = 16;
const UTF16 = 0x80000000;
const LENGTH_MASK = 0x7fffffff;
const REMOVED_HALF = 0xffffffff;
const FEWEST_SLOTS = 16;
const FIRST_BYTES = 1024;

const encoder = new TextEncoder();

export class KeyTable {
  #seed: number;
  #entries: Uint8Array = new Uint8Array(FIRST_BYTES);
  #view: DataView = viewOf(this.#entries);
  /** Bytes of entries that are in use. */
  #end = 0;
  #slots: DataView = viewOf(new Uint8Array(4 * FEWEST_SLOTS));
  #slotCount = FEWEST_SLOTS;
  #entryCount = 0;
  #size = 0;
  /** The key of the last lookup as bytes, its length as an entry has it, and its hash. */
  #key: Uint8Array = new Uint8Array(256);
  #keyLength = 0;
  #keyWord = 0;
  #hash = 0;

  /** The seed keeps those who choose keys from knowing which of them collide. */
  constructor(seed: number) {
    this.#seed = seed >>> 0;
  }

  /** Keys that are there. */
  get size(): number {
    return this.#size;
  }

  get(key: string): number | undefined {
    const at = this.#find(key);
    return at < 0 ? undefined : this.#seqAt(at);
  }

  set(key: string, seq: number): void {
    const at = this.#find(key);
    if (at >= 0) {
      if (this.#seqAt(at) === undefined) this.#size++;
      writeSafeU64(this.#view, at + 8, seq);
      return;
    }
    if (4 * (this.#entryCount + 1) > 3 * this.#slotCount) this.#makeRoom();
    this.#insert(seq);
    this.#size++;
  }

  /** Whether the key was there. */
  delete(key: string): boolean {
    const at = this.#find(key);
    if (at < 0 || this.#seqAt(at) === undefined) return false;
    this.#view.setUint32(at + 8, REMOVED_HALF, true);
    this.#view.setUint32(at + 12, REMOVED_HALF, true);
    this.#size--;
    return true;
  }

  /** The keys in the order of their first records. What is added meanwhile is not among them. */
  *keys(): IterableIterator<string> {
    // When the entries move, these stay as they were.
    const view = this.#view;
    const end = this.#end;
    for (let at = 0; at < end;) {
      const word = view.getUint32(at + 4, true);
      const length = word & LENGTH_MASK;
      if (seqIn(view, at) !== undefined) {
        const bytes = Buffer.from(view.buffer, view.byteOffset + at + ENTRY_HEAD_BYTES, length);
        yield bytes.toString(word >= UTF16 ? 'utf16le' : 'utf8');
      }
      at += entryBytes(length);
    }
  }

  #seqAt(at: number): number | undefined {
    return seqIn(this.#view, at);
  }

  #lengthAt(at: number): number {
    return entryBytes(this.#view.getUint32(at + 4, true) & LENGTH_MASK);
  }

  /** Place of the entry of a key, or -1; the key's bytes and hash are ready to be inserted. */
  #find(key: string): number {
    this.#take(key);
    const mask = this.#slotCount - 1;
    for (let slot = this.#hash & mask; ; slot = (slot + 1) & mask) {
      const place = this.#slots.getUint32(4 * slot, true);
      if (place === 0) return -1;
      const at = 4 * (place - 1);
      if (this.#isAt(at)) return at;
    }
  }

  #isAt(at: number): boolean {
    const view = this.#view;
    if (view.getUint32(at, true) !== this.#hash) return false;
    if (view.getUint32(at + 4, true) !== this.#keyWord) return false;
    const start = at + ENTRY_HEAD_BYTES;
    for (let i = 0; i < this.#keyLength; i++) {
      if (this.#entries[start + i] !== this.#key[i]) return false;
    }
    return true;
  }

  /** The bytes of a key: UTF-8, or UTF-16 where a lone surrogate has no UTF-8 form. */
  #take(key: string): void {
    const { length } = key;
    if (this.#key.byteLength < 3 * length) this.#key = new Uint8Array(4 * length);
    const bytes = this.#key;
    let used = 0;
    for (; used < length; used++) {
      const code = key.charCodeAt(used);
      if (code > 0x7f) break;
      bytes[used] = code;
    }
    let flag = 0;
    if (used < length) {
      if (/\p{Surrogate}/u.test(key)) {
        flag = UTF16;
        used = Buffer.from(bytes.buffer).write(key, 'utf16le');
      } else used = encoder.encodeInto(key, bytes).written;
    }
    let hash = this.#seed;
    for (let i = 0; i < used; i++) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x01000193);
    this.#keyLength = used;
    this.#keyWord = (flag | used) >>> 0;
    this.#hash = mixed(hash);
  }

  /** Adds an entry for the key that was taken last. */
  #insert(seq: number): void {
    const at = this.#end;
    const byteLength = entryBytes(this.#keyLength);
    if (at + byteLength > this.#entries.byteLength) this.#growEntries(at + byteLength);
    const view = this.#view;
    view.setUint32(at, this.#hash, true);
    view.setUint32(at + 4, this.#keyWord, true);
    writeSafeU64(view, at + 8, seq);
    this.#entries.set(this.#key.subarray(0, this.#keyLength), at + ENTRY_HEAD_BYTES);
    this.#end = at + byteLength;
    this.#entryCount++;
    this.#link(at);
  }

  #link(at: number): void {
    const mask = this.#slotCount - 1;
    let slot = this.#view.getUint32(at, true) & mask;
    while (this.#slots.getUint32(4 * slot, true) !== 0) slot = (slot + 1) & mask;
    this.#slots.setUint32(4 * slot, at / 4 + 1, true);
  }

  #growEntries(needed: number): void {
    const grown = new Uint8Array(Math.max(needed, 2 * this.#entries.byteLength));
    grown.set(this.#entries.subarray(0, this.#end));
    this.#entries = grown;
    this.#view = viewOf(grown);
  }

  /** Drops the entries of removed keys when they are many, otherwise doubles the slots. */
  #makeRoom(): void {
    const isHalfEmpty = 2 * this.#size < this.#entryCount;
    if (isHalfEmpty) this.#dropRemoved();
    else this.#slotCount *= 2;
    this.#slots = viewOf(new Uint8Array(4 * this.#slotCount));
    for (let at = 0; at < this.#end; at += this.#lengthAt(at)) this.#link(at);
  }

  #dropRemoved(): void {
    const kept = new Uint8Array(this.#entries.byteLength);
    let end = 0;
    for (let at = 0; at < this.#end;) {
      const next = at + this.#lengthAt(at);
      if (this.#seqAt(at) !== undefined) {
        kept.set(this.#entries.subarray(at, next), end);
        end += next - at;
      }
      at = next;
    }
    this.#entries = kept;
    this.#view = viewOf(kept);
    this.#end = end;
    this.#entryCount = this.#size;
  }

  /** The whole table as bytes. */
  encode(): Uint8Array {
    const slotBytes = 4 * this.#slotCount;
    const bytes = new Uint8Array(HEAD_BYTES + this.#end + slotBytes);
    const view = viewOf(bytes);
    view.setUint32(0, this.#seed, true);
    view.setUint32(4, this.#slotCount, true);
    writeSafeU64(view, 8, this.#end);
    writeSafeU64(view, 16, this.#entryCount);
    writeSafeU64(view, 24, this.#size);
    bytes.set(this.#entries.subarray(0, this.#end), HEAD_BYTES);
    const { buffer, byteOffset } = this.#slots;
    bytes.set(new Uint8Array(buffer, byteOffset, slotBytes), HEAD_BYTES + this.#end);
    return bytes;
  }

  /** The table in `bytes`, which it takes over. Throws for what cannot be one. */
  static decode(bytes: Uint8Array): KeyTable {
    if (bytes.byteLength < HEAD_BYTES) throw new Error('a table of keys is longer');
    const view = viewOf(bytes);
    const slotCount = view.getUint32(4, true);
    const end = readSafeU64(view, 8);
    const entryCount = readSafeU64(view, 16);
    const size = readSafeU64(view, 24);
    const isPower = slotCount >= FEWEST_SLOTS && (slotCount & (slotCount - 1)) === 0;
    const isLong = bytes.byteLength === HEAD_BYTES + end + 4 * slotCount && end >= 0;
    const isCount = size >= 0 && size <= entryCount && 4 * entryCount <= 3 * slotCount;
    if (!isPower || !isLong || !isCount) throw new Error('the counts of a table of keys differ');
    const table = new KeyTable(view.getUint32(0, true));
    table.#entries = bytes.subarray(HEAD_BYTES, HEAD_BYTES + end);
    table.#view = viewOf(table.#entries);
    table.#end = end;
    table.#slots = viewOf(bytes.subarray(HEAD_BYTES + end));
    table.#slotCount = slotCount;
    table.#entryCount = entryCount;
    table.#size = size;
    return table;
  }
}

/** The seq of an entry; undefined when its key was removed. */
function seqIn(view: DataView, at: number): number | undefined {
  const seq = readSafeU64(view, at + 8);
  return seq === UNSAFE ? undefined : seq;
}

function entryBytes(keyLength: number): number {
  return ENTRY_HEAD_BYTES + Math.ceil(keyLength / 4) * 4;
}

/** Spreads a hash over all of its bits, as the last steps of murmur3 do. */
function mixed(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
