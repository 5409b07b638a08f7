/**
 * A channel: one named, ordered, crash-safe log. This class is what users hold; it checks what it
 * is given and leaves the work to its parts: the appender writes, the sync worker syncs, the
 * record reader reads.
 */
import { redexError, type RedexError } from '../core/errors.js';
import type { LogRecord } from '../core/record.js';
import { RecordClock } from './gather.js';
import type { AppendQueue } from './append-queue.js';
import { batchLimitError } from './frame-writer.js';
import type { ChannelParts } from './channel-parts.js';
import type { StoredChannelOptions } from './options.js';
import { checkReadOptions, nanosOfTime, type TimeInput } from './read-options.js';
import type { ReadBatchOptions, ReadOptions } from './read-options.js';
import { BatchIterator, RecordIterator } from './read-iterator.js';
import {
  checkAppendOptions,
  checkRecordSize,
  checkSeq,
  normaliseAppend,
  normaliseRecord,
  payloadOf,
  type Appendable,
  type AppendBatchOptions,
  type AppendOptions,
  type Durability,
  type NormalRecord,
} from './record-input.js';

/** Bytes of the largest frame, and so of the largest batch. */
const MAX_BATCH_BYTES = 1024 * 1024 * 1024;
/** Records of a batch carry their seqs as 32-bit distances. */
const MAX_BATCH_SPAN = 0x7fffffff;

export interface BatchResult {
  readonly firstSeq: number;
  /** One past the last record's seq. */
  readonly nextSeq: number;
}

const NO_OPTIONS: AppendBatchOptions = {};

export class Channel {
  readonly #parts: ChannelParts;
  readonly #clock: RecordClock;
  #closing: Promise<void> | undefined;

  constructor(parts: ChannelParts) {
    this.#parts = parts;
    this.#clock = new RecordClock(parts.frames.lastTimestamp);
  }

  get name(): string {
    return this.#parts.context.name;
  }

  /** The options that are stored with the channel. */
  get options(): StoredChannelOptions {
    return this.#parts.context.stored;
  }

  /** The first seq that the channel holds. */
  get firstSeq(): number {
    return this.#parts.manifest.firstSeq;
  }

  /** End of what readers see: one past the last visible record. */
  get nextSeq(): number {
    return this.#parts.worker.visibleSeq;
  }

  /** Every record below it is known to be synced. */
  get durableSeq(): number {
    return this.#parts.unsynced.durableSeq;
  }

  /** Records that are written. */
  get count(): number {
    return this.#parts.chain.all.reduce((sum, segment) => sum + segment.recordCount, 0);
  }

  /** Bytes of the dat files. */
  get sizeBytes(): number {
    return this.#parts.chain.all.reduce((sum, segment) => sum + segment.datLength, 0);
  }

  /** Raised by each recovery that cut a torn tail: seqs remembered from before may be others now. */
  get recoveryEpoch(): number {
    return this.#parts.manifest.recoveryEpoch;
  }

  /**
   * Appends a record and resolves to its seq when it is as durable as was asked for. The payload
   * is copied before this returns. Rejects with LIMIT, SEQ_CONFLICT, IO, POISONED, CLOSED, CORRUPT.
   */
  append(payload: Uint8Array | string, options?: AppendOptions): Promise<number> {
    try {
      const bytes = payloadOf(payload);
      const record = normaliseAppend(bytes, options);
      if (options !== undefined) checkAppendOptions(options);
      const expectedSeq = options?.expectedSeq;
      if (expectedSeq !== undefined && expectedSeq !== this.#parts.appender.nextSeq) {
        return this.#afterConflict(expectedSeq, () => this.append(bytes.slice(), options));
      }
      this.#refuseUnlessWritable();
      checkRecordSize(bytes.byteLength, this.#parts.context.settings.maxRecordBytes);
      const seq = this.#gatherOne(bytes, record);
      return this.#submit(seq, seq + 1, this.#isSynced(options?.durability), seq);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** Appends records that are in the log all together or not at all, whatever happens. */
  appendBatch(
    records: readonly Appendable[],
    options: AppendBatchOptions = NO_OPTIONS,
  ): Promise<BatchResult> {
    try {
      const batch = this.#checkBatch(records, options);
      return this.#appendChecked(batch, options);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  #appendChecked(batch: NormalRecord[], options: AppendBatchOptions): Promise<BatchResult> {
    const { expectedSeq } = options;
    if (expectedSeq !== undefined && expectedSeq !== this.#parts.appender.nextSeq) {
      const copy = batch.map((record) => ({ ...record, payload: record.payload.slice() }));
      return this.#afterConflict(expectedSeq, () => this.#appendChecked(copy, options));
    }
    this.#refuseUnlessWritable();
    const firstSeq = batch[0]?.seq ?? this.#parts.appender.nextSeq;
    const nextSeq = this.#gatherBatch(batch);
    const result = { firstSeq, nextSeq };
    if (batch.length === 0) return Promise.resolve(result);
    return this.#submit(firstSeq, nextSeq, this.#isSynced(options.durability), result);
  }

  /**
   * Appends before it returns, after everything that the tick has gathered; under `'always'` it
   * blocks for a sync of its own. Throws BUSY, with nothing written, when it would have to wait
   * for something asynchronous.
   */
  appendSync(payload: Uint8Array | string, options?: AppendOptions): number {
    const bytes = payloadOf(payload);
    const record = normaliseAppend(bytes, options) ?? normaliseRecord(bytes);
    return this.#appendNow([record], options ?? NO_OPTIONS).firstSeq;
  }

  /** `appendBatch`, before it returns. See `appendSync`. */
  appendBatchSync(
    records: readonly Appendable[],
    options: AppendBatchOptions = NO_OPTIONS,
  ): BatchResult {
    return this.#appendNow(this.#checkBatch(records, options), options);
  }

  #appendNow(batch: NormalRecord[], options: AppendBatchOptions): BatchResult {
    const { appender, worker, health, context } = this.#parts;
    checkAppendOptions(options);
    for (const { payload } of batch) {
      checkRecordSize(payload.byteLength, context.settings.maxRecordBytes);
    }
    this.#refuseUnlessWritable();
    appender.flushNow();
    this.#refuseUnlessWritable();
    const { expectedSeq } = options;
    if (expectedSeq !== undefined && expectedSeq !== appender.nextSeq) {
      throw conflict(expectedSeq, appender.nextSeq);
    }
    const firstSeq = batch[0]?.seq ?? appender.nextSeq;
    if (batch.length === 0) return { firstSeq, nextSeq: firstSeq };
    const nextSeq = this.#gatherBatch(batch);
    let failure: RedexError | undefined;
    const reject = (error: RedexError): void => {
      failure = error;
    };
    appender.submit({ firstSeq, endSeq: nextSeq, synced: false, resolve: () => {}, reject });
    appender.flushNow();
    if (failure !== undefined) throw failure as RedexError;
    if (this.#isSynced(options.durability)) worker.syncNow();
    if (health.isPoisoned) throw health.poisonedError();
    return { firstSeq, nextSeq };
  }

  #checkBatch(records: readonly Appendable[], options: AppendBatchOptions): NormalRecord[] {
    if (!Array.isArray(records)) throw new TypeError('records must be an array');
    checkAppendOptions(options);
    const { maxRecordBytes } = this.#parts.context.settings;
    let total = 0;
    const batch = records.map((input: Appendable) => {
      const record = normaliseRecord(input);
      checkRecordSize(record.payload.byteLength, maxRecordBytes);
      total += record.payload.byteLength + 18;
      return record;
    });
    if (total > MAX_BATCH_BYTES) throw batchLimitError(total, MAX_BATCH_BYTES);
    return batch;
  }

  #refuseUnlessWritable(): void {
    const error = this.#closing === undefined ? this.#parts.health.writeError() : this.#closed();
    if (error !== undefined) throw error;
  }

  #closed(): RedexError {
    return this.#parts.health.closedError();
  }

  #isSynced(durability: Durability | undefined): boolean {
    if (durability !== undefined) return durability === 'synced';
    return this.#parts.context.stored.sync === 'always';
  }

  /** Copies one record into the queue and returns its seq. */
  #gatherOne(payload: Uint8Array, record: NormalRecord | undefined): number {
    const { appender, context } = this.#parts;
    const { gather } = appender.queue;
    const seq = record?.seq ?? appender.nextSeq;
    if (record?.seq !== undefined) this.#checkSkip(seq, appender.nextSeq);
    const nowMs = context.settings.runtime.now();
    gather.beginBatch(1, payload.byteLength, seq, seq);
    gather.add(payload, seq, record?.type ?? 0, this.#nextTime(appender.queue, record, nowMs));
    gather.endBatch();
    return seq;
  }

  /** Copies a batch into the queue and returns the seq after it. */
  #gatherBatch(batch: readonly NormalRecord[]): number {
    const { appender, context } = this.#parts;
    const { queue, nextSeq: start } = appender;
    if (batch.length === 0) return start;
    let nextSeq = start;
    let payloadBytes = 0;
    for (const { seq, payload } of batch) {
      if (seq !== undefined) this.#checkSkip(seq, nextSeq);
      nextSeq = (seq ?? nextSeq) + 1;
      payloadBytes += payload.byteLength;
    }
    const firstSeq = batch[0]?.seq ?? start;
    if (nextSeq - firstSeq > MAX_BATCH_SPAN) {
      throw new RangeError(`the seqs of one batch must lie within ${MAX_BATCH_SPAN}`);
    }
    const nowMs = context.settings.runtime.now();
    const { gather } = queue;
    gather.beginBatch(batch.length, payloadBytes, firstSeq, nextSeq - 1);
    let seq = start;
    for (const record of batch) {
      seq = record.seq ?? seq;
      gather.add(record.payload, seq, record.type, this.#nextTime(queue, record, nowMs));
      seq++;
    }
    gather.endBatch();
    return nextSeq;
  }

  #checkSkip(seq: number, nextSeq: number): void {
    if (seq >= nextSeq && seq < Number.MAX_SAFE_INTEGER) return;
    throw new RangeError(`seq must be at least the next one, ${nextSeq}, not ${seq}`);
  }

  #nextTime(queue: AppendQueue, record: NormalRecord | undefined, nowMs: number) {
    // When nothing waits, what failed before has left no record whose time would bind this one.
    if (queue.isEmpty && this.#parts.appender.isIdle) {
      this.#clock.last = this.#parts.frames.lastTimestamp;
    }
    return this.#clock.next(record, nowMs);
  }

  #submit<T>(firstSeq: number, endSeq: number, synced: boolean, value: T): Promise<T> {
    return new Promise((resolve, reject) => {
      const done = (): void => resolve(value);
      this.#parts.appender.submit({ firstSeq, endSeq, synced, resolve: done, reject });
    });
  }

  /**
   * `expectedSeq` was not met. The conflict is told when the records that cause it are visible; if
   * they fail instead, the comparison is made again.
   */
  async #afterConflict<T>(expectedSeq: number, again: () => Promise<T>): Promise<T> {
    const { appender, worker } = this.#parts;
    const contested = appender.nextSeq;
    while (worker.visibleSeq < contested && appender.nextSeq >= contested) {
      this.#refuseUnlessWritable();
      await this.#parts.progress();
    }
    this.#refuseUnlessWritable();
    if (appender.nextSeq === expectedSeq) return again();
    throw conflict(expectedSeq, appender.nextSeq);
  }

  /**
   * The record `seq`, with bytes of its own; undefined when it is not there yet or was compacted
   * away. Rejects with OUT_OF_RANGE below `firstSeq`, CORRUPT, IO, POISONED, CLOSED.
   */
  get(seq: number): Promise<LogRecord | undefined> {
    try {
      checkSeq('seq', seq);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    return this.#parts.reader.get(seq);
  }

  /** Iterates over records. A payload lives until the next step, unless `copy` is set. */
  read(options: ReadOptions = {}): AsyncIterableIterator<LogRecord> {
    checkReadOptions(options);
    return new RecordIterator(this.#parts.reader, { ...options });
  }

  /** The same in arrays, for speed. Payloads live until the next array, unless `copy` is set. */
  readBatches(options: ReadOptions = {}): AsyncIterableIterator<LogRecord[]> {
    checkReadOptions(options);
    return new BatchIterator(this.#parts.reader, { ...options });
  }

  /** Records from `from` on as one array, at least one if there is any, in bytes of their own. */
  async readBatch(options: ReadBatchOptions = {}): Promise<LogRecord[]> {
    checkReadOptions(options);
    const records: LogRecord[] = [];
    const batches = new BatchIterator(this.#parts.reader, { ...options, copy: true });
    for (;;) {
      const result = await batches.next();
      if (result.done === true) return records;
      for (const record of result.value) records.push(record);
    }
  }

  /** The seq of the first record at or after a time; `nextSeq` when there is none. */
  async seqAt(time: TimeInput): Promise<number> {
    return this.#parts.reader.seqAt(nanosOfTime(time));
  }

  /** The last `count` records in their order, fewer when there are fewer. */
  async last(count: number): Promise<LogRecord[]> {
    checkSeq('count', count);
    if (count === 0) return [];
    const records: LogRecord[] = [];
    const batches = new BatchIterator(this.#parts.reader, { reverse: true, limit: count });
    for (;;) {
      const result = await batches.next();
      if (result.done === true) return records.reverse();
      for (const record of result.value) records.push(record);
    }
  }

  /** Resolves when everything appended before the call is synced. */
  async sync(): Promise<void> {
    const error = this.#closing === undefined ? this.#parts.health.writeError() : this.#closed();
    if (error !== undefined && error.code !== 'CORRUPT') throw error;
    await this.#parts.syncAll();
  }

  /**
   * Waits for appends in flight, syncs, and marks the log clean, so that the next open needs no
   * scan. Later calls return the same promise; every other use rejects with CLOSED.
   */
  close(): Promise<void> {
    this.#closing ??= this.#parts.close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function conflict(expectedSeq: number, actualSeq: number): RedexError {
  return redexError(
    'SEQ_CONFLICT',
    `expected the next seq to be ${expectedSeq}: it is ${actualSeq}`,
    {
      expectedSeq,
      actualSeq,
    },
  );
}
