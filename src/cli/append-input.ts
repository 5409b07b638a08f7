/**
 * Appends what an input holds, batch by batch. Nothing is read before the batches at hand are
 * written, or synced where that is asked for, so memory does not grow with the input. An abort ends
 * it behind a whole batch.
 */
import { RedexError } from '../core/errors.js';
import type { Appendable, BatchResult, Channel, Durability } from '../index.js';
import { Problem } from './failure.js';
import { RecordTooLong, type Splitter } from './line-splitter.js';
import { MalformedRecord, type RecordParser } from './record-parser.js';

export interface AppendPlan {
  readonly splitter: Splitter;
  /** Undefined for records as they are. */
  readonly parse: RecordParser | undefined;
  /** Given to every record when it is not 0. */
  readonly type: number;
  /** Records of a batch; undefined for as many as a piece of the input has. */
  readonly batch: number | undefined;
  readonly durability: Durability;
}

export interface AppendedInput {
  records: number;
  bytes: number;
  /** Undefined until something was appended. */
  firstSeq: number | undefined;
  nextSeq: number;
}

export class InputAppender {
  readonly #channel: Channel;
  readonly #plan: AppendPlan;
  /** Of a batch that is not full. */
  #waiting: Appendable[] = [];
  readonly done: AppendedInput;

  constructor(channel: Channel, plan: AppendPlan) {
    this.#channel = channel;
    this.#plan = plan;
    this.done = { records: 0, bytes: 0, firstSeq: undefined, nextSeq: channel.nextSeq };
  }

  /** Resolves when all of it is appended; rejects with the reason of an abort. */
  async run(input: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    try {
      for await (const piece of input) {
        await this.#take(this.#split(() => this.#plan.splitter.push(piece)));
        signal.throwIfAborted();
      }
    } catch (error) {
      // Whoever reads the input learns of an abort as an error of its own.
      signal.throwIfAborted();
      throw error;
    }
    signal.throwIfAborted();
    await this.#take(this.#split(() => this.#plan.splitter.end()));
    await this.#append(this.#waiting);
    this.#waiting = [];
  }

  #split(split: () => Uint8Array[]): Uint8Array[] {
    try {
      return split();
    } catch (error) {
      if (error instanceof RecordTooLong) throw this.#at(0, 'it is longer than a record may be');
      throw error;
    }
  }

  async #take(pieces: Uint8Array[]): Promise<void> {
    const records = this.#recordsOf(pieces);
    const { batch } = this.#plan;
    if (batch === undefined) {
      await this.#append(records);
      return;
    }
    // They are views of a piece of the input, which is not written over.
    for (const record of records) this.#waiting.push(record);
    const full: Promise<void>[] = [];
    let at = 0;
    for (; at + batch <= this.#waiting.length; at += batch) {
      full.push(this.#append(this.#waiting.slice(at, at + batch)));
    }
    this.#waiting = this.#waiting.slice(at);
    await Promise.all(full);
  }

  #recordsOf(pieces: Uint8Array[]): Appendable[] {
    const { parse, type } = this.#plan;
    if (parse === undefined && type === 0) return pieces;
    return pieces.map((piece, i) => {
      const record = this.#parsed(piece, i);
      if (type === 0) return record;
      if (typeof record === 'string' || record instanceof Uint8Array) {
        return { payload: record, type };
      }
      return { ...record, type: record.type ?? type };
    });
  }

  #parsed(piece: Uint8Array, index: number): Appendable {
    try {
      return this.#plan.parse?.(piece) ?? piece;
    } catch (error) {
      if (error instanceof MalformedRecord) throw this.#at(index, error.message);
      throw error;
    }
  }

  async #append(records: readonly Appendable[]): Promise<void> {
    if (records.length === 0) return;
    const span = await this.#appended(records);
    const { done } = this;
    done.records += records.length;
    for (const record of records) done.bytes += byteLengthOf(record);
    done.firstSeq = Math.min(done.firstSeq ?? span.firstSeq, span.firstSeq);
    done.nextSeq = Math.max(done.nextSeq, span.nextSeq);
  }

  async #appended(records: readonly Appendable[]): Promise<BatchResult> {
    try {
      return await this.#channel.appendBatch(records, { durability: this.#plan.durability });
    } catch (error) {
      // Which record of the batch it is, the engine does not say.
      const isTooMuch = RedexError.is(error, 'LIMIT');
      const isInput = error instanceof RangeError || isTooMuch;
      // Room in the journal is what a full disk lacks, and no input.
      if (!isInput || (isTooMuch && error.what === 'journalBytes')) throw error;
      const { batch = 1 } = this.#plan;
      const isTooLarge = batch > 1 && isTooMuch;
      throw this.#at(undefined, error.message + (isTooLarge ? ', choose a smaller --batch' : ''));
    }
  }

  #at(index: number | undefined, what: string): Problem {
    const before = this.done.records + this.#waiting.length;
    const where =
      index === undefined
        ? `the input cannot be appended behind record ${before}`
        : `record ${before + index + 1} of the input cannot be appended`;
    return new Problem(`${where}: ${what} (${this.done.records} records were appended)`);
  }
}

function byteLengthOf(record: Appendable): number {
  if (typeof record === 'string') return Buffer.byteLength(record);
  if (record instanceof Uint8Array) return record.byteLength;
  return byteLengthOf(record.payload);
}
