/**
 * Seqs by the time at which they are due: a heap of pairs in one array of numbers, 16 bytes each.
 * The same seq may be there more than once; what is due first comes first, and of the same time
 * the lowest seq.
 *
 * A node has four children and not two: they are one cache line, and the heap is half as deep.
 */
import { assert } from '../core/assert.js';
import type { StateReader, StateWriter } from './state-bytes.js';

/** Pairs in the smallest array. */
const FEWEST = 16;

export class DueHeap {
  /** A due time and a seq in turn. */
  #pairs: Float64Array = new Float64Array(2 * FEWEST);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** `dueMs` is any number but NaN. */
  push(dueMs: number, seq: number): void {
    assert(!Number.isNaN(dueMs), 'what waits is due at some time');
    if (2 * this.#size === this.#pairs.length) this.#resize(2 * this.#size);
    const pairs = this.#pairs;
    let place = this.#size++;
    while (place > 0) {
      const parent = (place - 1) >>> 2;
      const parentDue = pairs[2 * parent] ?? 0;
      const parentSeq = pairs[2 * parent + 1] ?? 0;
      if (parentDue < dueMs || (parentDue === dueMs && parentSeq <= seq)) break;
      pairs[2 * place] = parentDue;
      pairs[2 * place + 1] = parentSeq;
      place = parent;
    }
    pairs[2 * place] = dueMs;
    pairs[2 * place + 1] = seq;
  }

  /** When the first one is due. */
  peekDue(): number | undefined {
    return this.#size === 0 ? undefined : this.#pairs[0];
  }

  /** Takes the seq of the first one out if it is due at `nowMs`: at that time or before. */
  popDue(nowMs: number): number | undefined {
    const due = this.peekDue();
    if (due === undefined || due > nowMs) return undefined;
    const seq = this.#pairs[1];
    const last = --this.#size;
    if (last > 0) this.#sink(this.#pairs[2 * last] ?? 0, this.#pairs[2 * last + 1] ?? 0);
    if (this.#pairs.length > 2 * FEWEST && 8 * last <= this.#pairs.length) {
      this.#resize(this.#pairs.length / 4);
    }
    return seq;
  }

  /** All of them, in no order. */
  *seqs(): IterableIterator<number> {
    for (let place = 0; place < this.#size; place++) yield this.#pairs[2 * place + 1] ?? 0;
  }

  clear(): void {
    this.#pairs = new Float64Array(2 * FEWEST);
    this.#size = 0;
  }

  encodeTo(writer: StateWriter): void {
    writer.float64s(this.#pairs.subarray(0, 2 * this.#size));
  }

  /** Throws for what is no heap of seqs. */
  static decode(reader: StateReader): DueHeap {
    const pairs = reader.float64s();
    const size = pairs.length / 2;
    for (let place = 0; place < size; place++) {
      const due = pairs[2 * place] ?? NaN;
      const seq = pairs[2 * place + 1] ?? NaN;
      const parent = place === 0 ? 0 : (place - 1) >>> 2;
      const parentDue = pairs[2 * parent] ?? NaN;
      const parentSeq = pairs[2 * parent + 1] ?? NaN;
      const isBehind = parentDue < due || (parentDue === due && parentSeq <= seq);
      if (!isBehind || seq < 0 || !Number.isSafeInteger(seq)) {
        throw new Error('what is due is no heap of seqs');
      }
    }
    const heap = new DueHeap();
    heap.#size = size;
    if (size > FEWEST) heap.#pairs = pairs;
    else heap.#pairs.set(pairs);
    return heap;
  }

  /** Puts a pair in the place of the first one. */
  #sink(dueMs: number, seq: number): void {
    const pairs = this.#pairs;
    const size = this.#size;
    let place = 0;
    for (let child = 1; child < size; child = 4 * place + 1) {
      let least = child;
      let leastDue = pairs[2 * child] ?? 0;
      let leastSeq = pairs[2 * child + 1] ?? 0;
      const end = Math.min(child + 4, size);
      for (let other = child + 1; other < end; other++) {
        const due = pairs[2 * other] ?? 0;
        if (due > leastDue) continue;
        const otherSeq = pairs[2 * other + 1] ?? 0;
        if (due === leastDue && otherSeq >= leastSeq) continue;
        least = other;
        leastDue = due;
        leastSeq = otherSeq;
      }
      if (dueMs < leastDue || (dueMs === leastDue && seq <= leastSeq)) break;
      pairs[2 * place] = leastDue;
      pairs[2 * place + 1] = leastSeq;
      place = least;
    }
    pairs[2 * place] = dueMs;
    pairs[2 * place + 1] = seq;
  }

  #resize(pairCount: number): void {
    const pairs = new Float64Array(2 * Math.max(pairCount, FEWEST));
    pairs.set(this.#pairs.subarray(0, 2 * this.#size));
    this.#pairs = pairs;
  }
}
