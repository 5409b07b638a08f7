/**
 * Seqs of which the lowest is taken first: a heap in one array of numbers, 8 bytes each. The same
 * seq may be there more than once. A node has four children, as in a DueHeap.
 */
import { DueHeap } from './due-heap.js';
import type { StateReader, StateWriter } from './state-bytes.js';

/** Seqs in the smallest array. */
const FEWEST = 16;

export class SeqHeap {
  #seqs: Float64Array = new Float64Array(FEWEST);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(seq: number): void {
    if (this.#size === this.#seqs.length) this.#resize(2 * this.#size);
    const seqs = this.#seqs;
    let place = this.#size++;
    while (place > 0) {
      const parent = (place - 1) >>> 2;
      const parentSeq = seqs[parent] ?? 0;
      if (parentSeq <= seq) break;
      seqs[place] = parentSeq;
      place = parent;
    }
    seqs[place] = seq;
  }

  /** The lowest one. */
  peek(): number | undefined {
    return this.#size === 0 ? undefined : this.#seqs[0];
  }

  /** Takes the lowest one out. */
  pop(): number | undefined {
    const seq = this.peek();
    if (seq === undefined) return undefined;
    const last = --this.#size;
    if (last > 0) this.#sink(this.#seqs[last] ?? 0);
    if (this.#seqs.length > FEWEST && 4 * last <= this.#seqs.length) {
      this.#resize(this.#seqs.length / 2);
    }
    return seq;
  }

  /** The lowest `n`, or all when they are fewer, in ascending order. They stay. */
  smallest(n: number): number[] {
    const found: number[] = [];
    // Places that may be next: the children of those that were found.
    const next = new DueHeap();
    if (this.#size > 0) next.push(this.#seqs[0] ?? 0, 0);
    while (found.length < n) {
      const place = next.popDue(Infinity);
      if (place === undefined) break;
      found.push(this.#seqs[place] ?? 0);
      const end = Math.min(4 * place + 5, this.#size);
      for (let child = 4 * place + 1; child < end; child++) {
        next.push(this.#seqs[child] ?? 0, child);
      }
    }
    return found;
  }

  clear(): void {
    this.#seqs = new Float64Array(FEWEST);
    this.#size = 0;
  }

  /** All of them, the lowest first and the others in no order. A view until the next change. */
  values(): Float64Array {
    return this.#seqs.subarray(0, this.#size);
  }

  encodeTo(writer: StateWriter): void {
    writer.float64s(this.values());
  }

  /** Throws for what is no heap of seqs. */
  static decode(reader: StateReader): SeqHeap {
    const seqs = reader.float64s();
    for (let place = 0; place < seqs.length; place++) {
      const seq = seqs[place] ?? NaN;
      const parentSeq = place === 0 ? 0 : (seqs[(place - 1) >>> 2] ?? NaN);
      if (!Number.isSafeInteger(seq) || seq < parentSeq) {
        throw new Error('what is ready is no heap of seqs');
      }
    }
    const heap = new SeqHeap();
    heap.#size = seqs.length;
    if (seqs.length > FEWEST) heap.#seqs = seqs;
    else heap.#seqs.set(seqs);
    return heap;
  }

  /** Puts a seq in the place of the lowest. */
  #sink(seq: number): void {
    const seqs = this.#seqs;
    const size = this.#size;
    let place = 0;
    for (let child = 1; child < size; child = 4 * place + 1) {
      let least = child;
      let leastSeq = seqs[child] ?? 0;
      const end = Math.min(child + 4, size);
      for (let other = child + 1; other < end; other++) {
        const otherSeq = seqs[other] ?? 0;
        if (otherSeq >= leastSeq) continue;
        least = other;
        leastSeq = otherSeq;
      }
      if (seq <= leastSeq) break;
      seqs[place] = leastSeq;
      place = least;
    }
    seqs[place] = seq;
  }

  #resize(length: number): void {
    const seqs = new Float64Array(Math.max(length, FEWEST));
    seqs.set(this.values());
    this.#seqs = seqs;
  }
}
