/**
 * What has taken the place of messages that were changed: the seq of the record that has it, and
 * how much longer it is. Kept for as long as the message is in the log, as what is done with may be
 * delivered again.
 */
import type { StateReader, StateWriter } from './state-bytes.js';

export class Updates {
  readonly #by = new Map<number, number>();
  /** Only where it is not 0. */
  readonly #grown = new Map<number, number>();

  /** The seq of the record that takes the place of a message. */
  get(seq: number): number | undefined {
    return this.#by.get(seq);
  }

  has(seq: number): boolean {
    return this.#by.has(seq);
  }

  /** Bytes that a message has more than it was enqueued with. */
  grownBy(seq: number): number {
    return this.#grown.get(seq) ?? 0;
  }

  set(seq: number, by: number, grown: number): void {
    this.#by.set(seq, by);
    if (grown === 0) this.#grown.delete(seq);
    else this.#grown.set(seq, grown);
  }

  /** Lets go of those of which it is false. */
  keepIf(isThere: (seq: number) => boolean): void {
    for (const seq of this.#by.keys()) {
      if (isThere(seq)) continue;
      this.#by.delete(seq);
      this.#grown.delete(seq);
    }
  }

  clear(): void {
    this.#by.clear();
    this.#grown.clear();
  }

  encodeTo(writer: StateWriter): void {
    encodePairs(writer, this.#by);
  }

  /** The rest of it, which is not where it was when there was no more. */
  encodeGrownTo(writer: StateWriter): void {
    encodePairs(writer, this.#grown);
  }

  decode(reader: StateReader): void {
    decodePairs(reader, this.#by);
  }

  decodeGrown(reader: StateReader): void {
    decodePairs(reader, this.#grown);
  }
}

function encodePairs(writer: StateWriter, pairs: ReadonlyMap<number, number>): void {
  writer.u32(pairs.size);
  for (const [seq, value] of pairs) {
    writer.f64(seq);
    writer.f64(value);
  }
}

function decodePairs(reader: StateReader, pairs: Map<number, number>): void {
  for (let left = reader.u32(); left > 0; left--) {
    const seq = reader.f64();
    pairs.set(seq, reader.f64());
  }
}
