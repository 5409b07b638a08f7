/**
 * Iterates over records and decodes them. A record that does not decode rejects its own step and no
 * other: the next step goes on behind it. A tail lets go of the channel for that, and takes hold
 * again when it is asked for more, because who leaves the loop over an error does not say so.
 */
import type { LogRecord } from '../core/record.js';
import { DecodeError, type Codec } from './codec.js';
import { typedRecord, type TypedRecord } from './typed-record.js';

type Records = AsyncIterableIterator<LogRecord>;

export class TypedIterator<T> implements AsyncIterableIterator<TypedRecord<T>, undefined> {
  readonly #codec: Codec<T>;
  #records: Records | undefined;
  /** Opens the records behind a seq, for an iterator that has to be ended on an error. */
  readonly #resume: ((seq: number) => Records) | undefined;
  #resumeAt = 0;
  #isDone = false;
  /** Steps are taken one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(codec: Codec<T>, records: Records, resume?: (seq: number) => Records) {
    this.#codec = codec;
    this.#records = records;
    this.#resume = resume;
  }

  next(): Promise<IteratorResult<TypedRecord<T>, undefined>> {
    const step = this.#last.then(() => this.#step());
    this.#last = step.catch(() => undefined);
    return step;
  }

  async #step(): Promise<IteratorResult<TypedRecord<T>, undefined>> {
    if (this.#isDone) return { value: undefined, done: true };
    this.#records ??= this.#resume?.(this.#resumeAt);
    const records = this.#records;
    const result = await records?.next();
    if (result === undefined || result.done === true) return { value: undefined, done: true };
    try {
      return { value: typedRecord(this.#codec, result.value), done: false };
    } catch (error) {
      if (error instanceof DecodeError && this.#resume !== undefined) {
        this.#records = undefined;
        this.#resumeAt = error.seq + 1;
        await records?.return?.();
      }
      throw error;
    }
  }

  async return(): Promise<IteratorResult<TypedRecord<T>, undefined>> {
    this.#isDone = true;
    await this.#records?.return?.();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
