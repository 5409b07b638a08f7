/**
 * An index by key of a channel with values: the same index, with values in place of payloads. It
 * has nothing of its own, so that closing it closes the index for all.
 */
import type { ChannelIndex } from './channel-index.js';
import type { Codec } from './codec.js';
import { typedRecord, type TypedRecord } from './typed-record.js';

export class TypedIndex<T> {
  readonly #index: ChannelIndex;
  readonly #codec: Codec<T>;

  constructor(index: ChannelIndex, codec: Codec<T>) {
    this.#index = index;
    this.#codec = codec;
  }

  get name(): string {
    return this.#index.name;
  }

  /** See Fold.isClosed. */
  get isClosed(): boolean {
    return this.#index.isClosed;
  }

  /** See Fold.seq. */
  get seq(): number {
    return this.#index.seq;
  }

  /** See Fold.error. A DecodeError names the record that did not decode. */
  get error(): unknown {
    return this.#index.error;
  }

  /** See Fold.checkpointError. */
  get checkpointError(): unknown {
    return this.#index.checkpointError;
  }

  /** See Fold.checkpointSeq. */
  get checkpointSeq(): number | undefined {
    return this.#index.checkpointSeq;
  }

  /** How many keys there are. */
  get size(): number {
    return this.#index.size;
  }

  has(key: string): boolean {
    return this.#index.has(key);
  }

  /** The seq of the last record with this key. */
  seqOf(key: string): number | undefined {
    return this.#index.seqOf(key);
  }

  /** See ChannelIndex.get. Rejects with DecodeError, too. */
  async get(key: string): Promise<TypedRecord<T> | undefined> {
    const record = await this.#index.get(key);
    return record === undefined ? undefined : typedRecord(this.#codec, record);
  }

  /** See ChannelIndex.keys. */
  keys(): IterableIterator<string> {
    return this.#index.keys();
  }

  /** See Fold.caughtUp. */
  caughtUp(): Promise<void> {
    return this.#index.caughtUp();
  }

  /** See Fold.checkpoint. */
  checkpoint(): Promise<void> {
    return this.#index.checkpoint();
  }

  /** See Fold.close. */
  close(): Promise<void> {
    return this.#index.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
