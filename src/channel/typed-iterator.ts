/**
 * Iterates over records and decodes them. A record that does not decode rejects its own step and no
 * other: the next step goes on behind it. Who leaves the loop over such an error does not say so:
 * what the records hold is given back when the iterator is collected.
 */
import type { LogRecord } from '../core/record.js';
import { DecodeError, type Codec } from './codec.js';
import { typedRecord, type TypedRecord } from './typed-record.js';

type Records = AsyncIterableIterator<LogRecord>;

/** Ends the records of iterators that nobody has any more. */
const abandoned = new FinalizationRegistry<Records>((records) => {
  records.return?.().catch(() => undefined);
});

export class TypedIterator<T> implements AsyncIterableIterator<TypedRecord<T>, undefined> {
  readonly #codec: Codec<T>;
  readonly #records: Records;
  #isDone = false;
  #isWatched = false;
  /** Steps are taken one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(codec: Codec<T>, records: Records) {
    this.#codec = codec;
    this.#records = records;
  }

  next(): Promise<IteratorResult<TypedRecord<T>, undefined>> {
    const step = this.#last.then(() => this.#step());
    this.#last = step.catch(() => undefined);
    return step;
  }

  async #step(): Promise<IteratorResult<TypedRecord<T>, undefined>> {
    if (this.#isDone) return { value: undefined, done: true };
    const result = await this.#records.next();
    if (result.done === true) return { value: undefined, done: true };
    try {
      return { value: typedRecord(this.#codec, result.value), done: false };
    } catch (error) {
      if (error instanceof DecodeError && !this.#isWatched) {
        this.#isWatched = true;
        abandoned.register(this, this.#records);
      }
      throw error;
    }
  }

  async return(): Promise<IteratorResult<TypedRecord<T>, undefined>> {
    this.#isDone = true;
    await this.#records.return?.();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
