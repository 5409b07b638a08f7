/**
 * Where messages are that have come from another queue, by their ids, which do not say it. An entry
 * is 32 bits of a hash and a seq, 16 to 32 bytes with its slot: what is found has to be looked at.
 *
 * Invariant: a message of such an id that is in the log is found, as long as it `isComplete`.
 * Slots are an open-addressed hash table, in which nothing is removed but all at once.
 */
import type { StateReader, StateWriter } from './state-bytes.js';

const FEWEST_SLOTS = 16;
const EMPTY = -1;

export class IdIndex {
  /** False: it was read from a checkpoint of before there were any. */
  isComplete: boolean = true;
  #hashes = new Uint32Array(FEWEST_SLOTS);
  #seqs: Float64Array<ArrayBuffer> = new Float64Array(FEWEST_SLOTS).fill(EMPTY);
  #count = 0;

  get size(): number {
    return this.#count;
  }

  add(id: string, seq: number): void {
    if (4 * (this.#count + 1) > 3 * this.#seqs.length) this.#resize(2 * this.#seqs.length);
    this.#put(hashOf(id), seq);
  }

  /** The seqs that it may have, lowest first. */
  find(id: string): number[] {
    const hash = hashOf(id);
    const mask = this.#seqs.length - 1;
    const found: number[] = [];
    for (let at = hash & mask; this.#seqs[at] !== EMPTY; at = (at + 1) & mask) {
      if (this.#hashes[at] === hash) found.push(this.#seqs[at] ?? EMPTY);
    }
    return found.toSorted((a, b) => a - b);
  }

  /** Lets go of all seqs of which it is false. */
  keepIf(isThere: (seq: number) => boolean): void {
    let left = 0;
    for (const seq of this.#seqs) if (seq !== EMPTY && isThere(seq)) left++;
    if (left === this.#count) return;
    this.#resize(slotsFor(left), isThere);
  }

  encodeTo(writer: StateWriter): void {
    writer.bool(this.isComplete);
    const hashes = new Uint32Array(this.#count);
    const seqs = new Float64Array(this.#count);
    let next = 0;
    for (const [at, seq] of this.#seqs.entries()) {
      if (seq === EMPTY) continue;
      hashes[next] = this.#hashes[at] ?? 0;
      seqs[next++] = seq;
    }
    writer.bytes(new Uint8Array(hashes.buffer));
    writer.float64s(seqs);
  }

  /** Throws for what is no index. */
  static decode(reader: StateReader): IdIndex {
    const index = new IdIndex();
    index.isComplete = reader.bool();
    const bytes = reader.bytes();
    const seqs = reader.float64s();
    if (bytes.byteLength !== 4 * seqs.length)
      throw new Error('an index has not a hash for each seq');
    const hashes = new Uint32Array(seqs.length);
    new Uint8Array(hashes.buffer).set(bytes);
    index.#resize(slotsFor(seqs.length));
    for (const [at, seq] of seqs.entries()) {
      if (!Number.isSafeInteger(seq) || seq < 0) throw new Error('an index has what is no seq');
      index.#put(hashes[at] ?? 0, seq);
    }
    return index;
  }

  #put(hash: number, seq: number): void {
    const mask = this.#seqs.length - 1;
    let at = hash & mask;
    while (this.#seqs[at] !== EMPTY) at = (at + 1) & mask;
    this.#hashes[at] = hash;
    this.#seqs[at] = seq;
    this.#count++;
  }

  #resize(slots: number, isThere: (seq: number) => boolean = () => true): void {
    const { hashes, seqs } = { hashes: this.#hashes, seqs: this.#seqs };
    this.#hashes = new Uint32Array(slots);
    this.#seqs = new Float64Array(slots).fill(EMPTY);
    this.#count = 0;
    for (const [at, seq] of seqs.entries()) {
      if (seq !== EMPTY && isThere(seq)) this.#put(hashes[at] ?? 0, seq);
    }
  }
}

function slotsFor(count: number): number {
  let slots = FEWEST_SLOTS;
  while (4 * count > 3 * slots) slots *= 2;
  return slots;
}

/** FNV-1a of its UTF-16: what is found by it is looked at, so it may be made to collide. */
function hashOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
