/**
 * A channel with values in place of payloads. What reads, writes and waits is the channel itself;
 * a codec stands in between. A record that the codec does not decode is told by a DecodeError that
 * names it, and costs nobody any other record.
 */
import type { LogRecord } from '../core/record.js';
import type { BatchResult } from './append-side.js';
import type { IndexOptions } from './channel-index.js';
import { rejected } from './append-side.js';
import { checkCodec, encoded, type Codec } from './codec.js';
import type { FoldOptions } from './fold-options.js';
import type { Fold } from './fold.js';
import type { Folds } from './folds.js';
import type { ReadBatchOptions, ReadOptions } from './read-options.js';
import type { Appendable, AppendBatchOptions, AppendOptions, RecordInput } from './record-input.js';
import type { TailOptions } from './tail-options.js';
import { TypedIndex } from './typed-index.js';
import { TypedIterator } from './typed-iterator.js';
import { typedRecord, type TypedRecord } from './typed-record.js';

/** A value with what else is stored with its record. */
export interface TypedRecordInput<T> extends Omit<RecordInput, 'payload'> {
  readonly value: T;
}

/** What of a channel is used here. */
export interface PayloadChannel {
  append(payload: Uint8Array | string, options?: AppendOptions): Promise<number>;
  appendBatch(records: readonly Appendable[], options?: AppendBatchOptions): Promise<BatchResult>;
  appendSync(payload: Uint8Array | string, options?: AppendOptions): number;
  appendBatchSync(records: readonly Appendable[], options?: AppendBatchOptions): BatchResult;
  get(seq: number): Promise<LogRecord | undefined>;
  read(options?: ReadOptions): AsyncIterableIterator<LogRecord>;
  readBatch(options?: ReadBatchOptions): Promise<LogRecord[]>;
  tail(options?: TailOptions): AsyncIterableIterator<LogRecord>;
  last(count: number): Promise<LogRecord[]>;
}

export class TypedChannel<T> {
  readonly #channel: PayloadChannel;
  readonly #codec: Codec<T>;
  readonly #folds: () => Folds;

  /** `folds` are those of the channel. Throws TypeError for what is no codec. */
  constructor(channel: PayloadChannel, codec: Codec<T>, folds: () => Folds) {
    checkCodec(codec);
    this.#channel = channel;
    this.#codec = codec;
    this.#folds = folds;
  }

  /** See Channel.append. What the codec throws rejects it, with nothing appended. */
  append(value: T, options?: AppendOptions): Promise<number> {
    let payload: Uint8Array | string;
    try {
      payload = encoded(this.#codec, value);
    } catch (error) {
      return rejected(error);
    }
    return this.#channel.append(payload, options);
  }

  /** See Channel.appendBatch. */
  appendBatch(values: readonly T[], options?: AppendBatchOptions): Promise<BatchResult> {
    return this.#batch(() => values.map((value) => encoded(this.#codec, value)), options);
  }

  /** The same for values that come with a type, a time or a seq. */
  appendRecords(
    records: readonly TypedRecordInput<T>[],
    options?: AppendBatchOptions,
  ): Promise<BatchResult> {
    return this.#batch(() => records.map((record) => this.#input(record)), options);
  }

  #batch(encode: () => Appendable[], options?: AppendBatchOptions): Promise<BatchResult> {
    let payloads: Appendable[];
    try {
      payloads = encode();
    } catch (error) {
      return rejected(error);
    }
    return this.#channel.appendBatch(payloads, options);
  }

  #input(record: TypedRecordInput<T>): RecordInput {
    const { value, ...rest } = record;
    return { ...rest, payload: encoded(this.#codec, value) };
  }

  /** See Channel.appendSync. */
  appendSync(value: T, options?: AppendOptions): number {
    return this.#channel.appendSync(encoded(this.#codec, value), options);
  }

  /** See Channel.appendBatchSync. */
  appendBatchSync(values: readonly T[], options?: AppendBatchOptions): BatchResult {
    const payloads = values.map((value) => encoded(this.#codec, value));
    return this.#channel.appendBatchSync(payloads, options);
  }

  /** See Channel.get. Rejects with DecodeError, too. */
  async get(seq: number): Promise<TypedRecord<T> | undefined> {
    const record = await this.#channel.get(seq);
    return record === undefined ? undefined : typedRecord(this.#codec, record);
  }

  /**
   * See Channel.read. A step rejects with DecodeError for a record that does not decode; the step
   * after it goes on with the next record.
   */
  read(options?: ReadOptions): AsyncIterableIterator<TypedRecord<T>> {
    return new TypedIterator(this.#codec, this.#channel.read(options));
  }

  /** See Channel.readBatch. Rejects with DecodeError for the first record that does not decode. */
  async readBatch(options?: ReadBatchOptions): Promise<TypedRecord<T>[]> {
    return this.#typed(await this.#channel.readBatch(options));
  }

  /** See Channel.last. Rejects with DecodeError for the first record that does not decode. */
  async last(count: number): Promise<TypedRecord<T>[]> {
    return this.#typed(await this.#channel.last(count));
  }

  #typed(records: readonly LogRecord[]): TypedRecord<T>[] {
    return records.map((record) => typedRecord(this.#codec, record));
  }

  /** See Channel.tail, and `read` for records that do not decode. */
  tail(options: TailOptions = {}): AsyncIterableIterator<TypedRecord<T>> {
    return new TypedIterator(this.#codec, this.#channel.tail(options));
  }

  /**
   * See Channel.fold; `apply` is given records with their values. One that does not decode stops
   * the fold there: `error` is the DecodeError, which names it. The same codec and options give the
   * same fold.
   */
  async fold<S>(options: FoldOptions<S, TypedRecord<T>>): Promise<Fold<S>> {
    return this.#folds().typedFold(options, this.#codec);
  }

  /** See Channel.index, and `fold` for records that do not decode. */
  async index(options: IndexOptions<TypedRecord<T>>): Promise<TypedIndex<T>> {
    return new TypedIndex(await this.#folds().typedIndex(options, this.#codec), this.#codec);
  }
}
