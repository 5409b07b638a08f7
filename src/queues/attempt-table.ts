/**
 * What is known of messages that were delivered, or put off, and are not done with: by seq, in
 * pages, because one Map ends at 16.7 million entries. There is an entry for each message that has
 * failed and waits, and for none that was never touched.
 */
import { MAX_ERRORS, type Attempt } from './attempt.js';
import type { StateReader, StateWriter } from './state-bytes.js';

const PAGE_SEQS = 65_536;

export class AttemptTable {
  readonly #pages = new Map<number, Map<number, Attempt>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(seq: number): Attempt | undefined {
    return this.#pages.get(Math.floor(seq / PAGE_SEQS))?.get(seq);
  }

  set(seq: number, attempt: Attempt): void {
    const number = Math.floor(seq / PAGE_SEQS);
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = new Map();
      this.#pages.set(number, page);
    }
    const before = page.size;
    page.set(seq, attempt);
    this.#size += page.size - before;
  }

  delete(seq: number): void {
    const number = Math.floor(seq / PAGE_SEQS);
    const page = this.#pages.get(number);
    if (page?.delete(seq) !== true) return;
    this.#size--;
    if (page.size === 0) this.#pages.delete(number);
  }

  clear(): void {
    this.#pages.clear();
    this.#size = 0;
  }

  /** In no order. Entries may be changed and deleted meanwhile. */
  *entries(): IterableIterator<[seq: number, attempt: Attempt]> {
    for (const page of this.#pages.values()) yield* page;
  }

  encodeTo(writer: StateWriter): void {
    writer.u32(this.#size);
    for (const [seq, attempt] of this.entries()) {
      writer.f64(seq);
      writer.u32(attempt.count);
      writer.u32(attempt.size);
      writer.f64(attempt.dueMs);
      writer.u8(attempt.priority);
      writer.bool(attempt.isLeased);
      writer.bool(attempt.isSuspect);
      writer.string(attempt.key ?? '');
      writer.u8(attempt.errors.length);
      for (const { deliveryCount, at, error } of attempt.errors) {
        writer.u32(deliveryCount);
        writer.f64(at);
        writer.string(error);
      }
    }
  }

  static decode(reader: StateReader): AttemptTable {
    const table = new AttemptTable();
    for (let left = reader.u32(); left > 0; left--) {
      const seq = reader.f64();
      const attempt: Attempt = {
        count: reader.u32(),
        size: reader.u32(),
        dueMs: reader.f64(),
        priority: reader.u8(),
        isLeased: reader.bool(),
        isSuspect: reader.bool(),
        key: reader.string() || undefined,
        errors: [],
      };
      const errors = Math.min(reader.u8(), MAX_ERRORS);
      for (let error = 0; error < errors; error++) {
        const deliveryCount = reader.u32();
        attempt.errors.push({ deliveryCount, at: reader.f64(), error: reader.string() });
      }
      table.set(seq, attempt);
    }
    return table;
  }
}
