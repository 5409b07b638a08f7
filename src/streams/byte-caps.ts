/**
 * How many bytes of messages all streams together hold, and how many they may. Bytes are reserved
 * before they are written and given back when they are not, so that the limit holds whatever runs
 * at the same time.
 */
import { overLimit } from './stream-errors.js';

/** The bytes of one stream; undefined while they are in the total without being known by name. */
export interface CountedStream {
  bytes: number | undefined;
}

export class ByteCaps {
  readonly #maxTotalBytes: number;
  #total: number;
  #isComplete: boolean;
  #isExact = true;
  /** They could not be read when all were counted: what they hold is not in the total. */
  readonly #missed = new Set<CountedStream>();

  /** `total`: of all streams that are there; undefined when they have still to be counted. */
  constructor(maxTotalBytes: number, total: number | undefined) {
    this.#maxTotalBytes = maxTotalBytes;
    this.#total = total ?? 0;
    this.#isComplete = total !== undefined;
  }

  get total(): number {
    return this.#total;
  }

  /** Every stream that is there is in the total. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The total may be written down: it is complete, and no stream was missed or lost. */
  get isExact(): boolean {
    return this.#isComplete && this.#isExact && this.#missed.size === 0;
  }

  complete(): void {
    this.#isComplete = true;
  }

  /** A stream was read for the first time. */
  found(stream: CountedStream, bytes: number): void {
    if (stream.bytes !== undefined) return;
    stream.bytes = bytes;
    if (this.#missed.delete(stream) || !this.#isComplete) this.#total += bytes;
  }

  /** A stream cannot be read: it is counted when it can be. */
  missed(stream: CountedStream): void {
    this.#missed.add(stream);
  }

  /** A stream goes that cannot be read: what was counted of it stays until all are counted anew. */
  lost(): void {
    this.#isExact = false;
  }

  /** Takes place for `bytes`, of which `freed` are given back together with them. Throws LIMIT. */
  reserve(stream: CountedStream, bytes: number, freed: number = 0): void {
    const actual = this.#total + bytes - freed;
    if (bytes > 0 && actual > this.#maxTotalBytes) {
      throw overLimit('maxTotalBytes', this.#maxTotalBytes, actual);
    }
    this.#total += bytes;
    stream.bytes = (stream.bytes ?? 0) + bytes;
  }

  /** They were not written, or are gone. */
  release(stream: CountedStream, bytes: number): void {
    this.#total = Math.max(0, this.#total - bytes);
    stream.bytes = Math.max(0, (stream.bytes ?? 0) - bytes);
  }

  /** The stream is gone. */
  remove(stream: CountedStream): void {
    this.#missed.delete(stream);
    this.release(stream, stream.bytes ?? 0);
  }
}
