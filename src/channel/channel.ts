/**
 * A channel: one named, ordered, crash-safe log. This class is what users hold; it checks what it
 * is given and leaves the work to its parts: the appender writes, the sync worker syncs, the
 * record reader reads.
 */
import { assert } from '../core/assert.js';
import { redexError, type RedexError } from '../core/errors.js';
import type { LogRecord } from '../core/record.js';
import { Waiter } from './append-queue.js';
import type { ChannelParts } from './channel-parts.js';
import { Intake, type Batch } from './intake.js';
import {
  checkConfigureOptions,
  type ConfigureOptions,
  type StoredChannelOptions,
} from './options.js';
import type { SuffixDamage } from './recovery-report.js';
import { BatchIterator, RecordIterator } from './read-iterator.js';
import {
  checkReadOptions,
  nanosOfTime,
  type ReadBatchOptions,
  type ReadOptions,
  type TimeInput,
} from './read-options.js';
import {
  checkAppendOptions,
  checkSeq,
  normaliseAppend,
  payloadOf,
  type Appendable,
  type AppendBatchOptions,
  type AppendOptions,
  type Durability,
} from './record-input.js';
import { TailFeed } from './tail-feed.js';
import { BatchTail, RecordTail } from './tail-iterator.js';
import { checkTailOptions, type TailOptions } from './tail-options.js';

export interface BatchResult {
  readonly firstSeq: number;
  /** One past the last record's seq. */
  readonly nextSeq: number;
}

export interface ChannelStats {
  readonly name: string;
  readonly firstSeq: number;
  /** End of what readers see. */
  readonly nextSeq: number;
  readonly durableSeq: number;
  readonly count: number;
  /** Bytes of the dat files. */
  readonly sizeBytes: number;
  readonly recoveryEpoch: number;
  readonly generation: number;
  readonly segments: number;
  /** Unix milliseconds of its creation. */
  readonly created: number;
  /** A sync failed: nothing is acknowledged before it is opened again. */
  readonly isPoisoned: boolean;
  /** What stops appends, when recovery found damage below what was synced. */
  readonly damage: SuffixDamage | undefined;
}

const NO_OPTIONS: AppendBatchOptions = {};

export class Channel {
  readonly #parts: ChannelParts;
  readonly #intake: Intake;

  constructor(parts: ChannelParts) {
    this.#parts = parts;
    this.#intake = new Intake(parts.context, parts.appender, parts.frames);
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

  /** Raised by each recovery that cut a torn tail: remembered seqs may be others now. */
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
      if (this.#isContested(options?.expectedSeq)) {
        const batch = this.#intake.keep(this.#intake.checkOne(bytes, record));
        return this.#appendContested(batch, options ?? NO_OPTIONS).then((span) => span.firstSeq);
      }
      this.#refuseUnlessWritable();
      const seq = this.#intake.takeOne(bytes, record);
      return this.#submit(seq, seq + 1, this.#isSynced(options?.durability), seq);
    } catch (error) {
      return rejected(error);
    }
  }

  /** Appends records that are in the log all together or not at all, whatever happens. */
  appendBatch(
    records: readonly Appendable[],
    options: AppendBatchOptions = NO_OPTIONS,
  ): Promise<BatchResult> {
    try {
      checkAppendOptions(options);
      const batch = this.#intake.checkBatch(records);
      if (this.#isContested(options.expectedSeq)) {
        return this.#appendContested(this.#intake.keep(batch), options);
      }
      return this.#appendChecked(batch, options);
    } catch (error) {
      return rejected(error);
    }
  }

  #appendChecked(batch: Batch, options: AppendBatchOptions): Promise<BatchResult> {
    this.#refuseUnlessWritable();
    if (batch.records.length === 0) {
      const { nextSeq } = this.#parts.appender;
      return Promise.resolve({ firstSeq: nextSeq, nextSeq });
    }
    const span = this.#intake.take(batch);
    return this.#submit(span.firstSeq, span.nextSeq, this.#isSynced(options.durability), span);
  }

  /**
   * Appends before it returns, after everything that the tick has gathered; under `'always'` it
   * blocks for a sync of its own. Throws BUSY, with nothing written, when it would have to wait
   * for something asynchronous.
   */
  appendSync(payload: Uint8Array | string, options: AppendOptions = NO_OPTIONS): number {
    checkAppendOptions(options);
    const bytes = payloadOf(payload);
    const batch = this.#intake.checkOne(bytes, normaliseAppend(bytes, options));
    return this.#appendNow(batch, options).firstSeq;
  }

  /** `appendBatch`, before it returns. See `appendSync`. */
  appendBatchSync(
    records: readonly Appendable[],
    options: AppendBatchOptions = NO_OPTIONS,
  ): BatchResult {
    checkAppendOptions(options);
    return this.#appendNow(this.#intake.checkBatch(records), options);
  }

  #appendNow(batch: Batch, options: AppendBatchOptions): BatchResult {
    const { appender, worker, health } = this.#parts;
    this.#refuseUnlessWritable();
    appender.flushNow();
    this.#refuseUnlessWritable();
    const { expectedSeq } = options;
    if (this.#isContested(expectedSeq)) throw conflict(expectedSeq, appender.nextSeq);
    if (batch.records.length === 0) {
      return { firstSeq: appender.nextSeq, nextSeq: appender.nextSeq };
    }
    const span = this.#intake.take(batch);
    const waiter = new Waiter(span.firstSeq, span.nextSeq, false, span);
    appender.submitNow(waiter);
    if (waiter.error !== undefined) throw waiter.error;
    assert(waiter.isDone, 'a synchronous append returned before it was written');
    if (this.#isSynced(options.durability)) worker.syncNow();
    if (health.isPoisoned) throw health.poisonedError();
    return span;
  }

  #refuseUnlessWritable(): void {
    const { health } = this.#parts;
    const error = this.#parts.isClosing ? health.closedError() : health.writeError();
    if (error !== undefined) throw error;
  }

  #isSynced(durability: Durability | undefined): boolean {
    if (durability !== undefined) return durability === 'synced';
    return this.#parts.context.stored.sync === 'always';
  }

  #submit<T>(firstSeq: number, endSeq: number, synced: boolean, value: T): Promise<T> {
    const waiter = new Waiter(firstSeq, endSeq, synced, value);
    this.#parts.appender.submit(waiter);
    return waiter.promise();
  }

  #isContested(expectedSeq: number | undefined): expectedSeq is number {
    return expectedSeq !== undefined && expectedSeq !== this.#parts.appender.nextSeq;
  }

  /**
   * `expectedSeq` was not met. The conflict is told when the records that cause it are visible; if
   * they fail instead, the comparison is made again.
   */
  async #appendContested(batch: Batch, options: AppendBatchOptions): Promise<BatchResult> {
    const { appender, worker } = this.#parts;
    const { expectedSeq } = options;
    const contested = appender.nextSeq;
    while (worker.visibleSeq < contested && appender.nextSeq >= contested) {
      this.#refuseUnlessWritable();
      await this.#parts.progress();
    }
    this.#refuseUnlessWritable();
    if (this.#isContested(expectedSeq)) throw conflict(expectedSeq, appender.nextSeq);
    return this.#appendChecked(batch, options);
  }

  /**
   * The record `seq`, with bytes of its own; undefined when it is not there yet or was compacted
   * away. Rejects with OUT_OF_RANGE below `firstSeq`, CORRUPT, IO, POISONED, CLOSED.
   */
  get(seq: number): Promise<LogRecord | undefined> {
    try {
      checkSeq('seq', seq);
    } catch (error) {
      return rejected(error);
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

  /**
   * Iterates over the records that are there and then over those that become visible, without a
   * gap or a double; ends when the channel is closed. A slow consumer misses nothing. A payload
   * lives until the next step and may not be written to, unless `copy` is set. The next step
   * rejects with OUT_OF_RANGE below `firstSeq`, CORRUPT, IO, POISONED, CLOSED, or the reason of the
   * signal.
   */
  tail(options: TailOptions = {}): AsyncIterableIterator<LogRecord> {
    checkTailOptions(options);
    return new RecordTail(new TailFeed(this.#parts.tails, options));
  }

  /** The same in arrays, for speed. Payloads live until the next array, unless `copy` is set. */
  tailBatches(options: TailOptions = {}): AsyncIterableIterator<LogRecord[]> {
    checkTailOptions(options);
    return new BatchTail(new TailFeed(this.#parts.tails, options));
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
      if (result.done === true) return records.toReversed();
      for (const record of result.value) records.push(record);
    }
  }

  /** Resolves when everything appended before the call is synced. */
  async sync(): Promise<void> {
    const { health } = this.#parts;
    if (this.#parts.isClosing) throw health.closedError();
    if (health.isPoisoned) throw health.poisonedError();
    await this.#parts.syncAll();
  }

  /**
   * Stores other options with the channel, durably. Those that are not given stay as they are.
   * Rejects with IO when nothing has changed, POISONED when nobody can say, CLOSED, CORRUPT.
   */
  async configure(options: ConfigureOptions): Promise<void> {
    checkConfigureOptions(options);
    this.#refuseUnlessWritable();
    await this.#parts.configure(options);
  }

  /** What the channel is made of, as it is now. */
  async stats(): Promise<ChannelStats> {
    const { chain, manifest, context, health } = this.#parts;
    const { name, firstSeq, nextSeq, durableSeq, count, sizeBytes, recoveryEpoch } = this;
    return {
      name,
      firstSeq,
      nextSeq,
      durableSeq,
      count,
      sizeBytes,
      recoveryEpoch,
      generation: manifest.generation,
      segments: chain.all.length,
      created: context.created,
      isPoisoned: health.isPoisoned,
      damage: health.damage,
    };
  }

  /**
   * Waits for appends in flight, syncs, and marks the log clean, so that the next open needs no
   * scan. Later calls return the same promise; every other use rejects with CLOSED.
   */
  close(): Promise<void> {
    return this.#parts.close();
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

function rejected(error: unknown): Promise<never> {
  return Promise.reject(error instanceof Error ? error : new Error(String(error)));
}
