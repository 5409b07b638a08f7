/**
 * The side of a channel that writes: takes appends in, decides what each of them waits for, and
 * tells a conflict of `expectedSeq` only when the records that cause it are visible.
 */
import { assert } from '../core/assert.js';
import { redexError, type RedexError } from '../core/errors.js';
import { Waiter } from './append-queue.js';
import type { CompactReport } from './compaction.js';
import type { ChannelParts } from './channel-parts.js';
import type { Batch, Intake } from './intake.js';
import {
  checkAppendOptions,
  normaliseAppend,
  payloadOf,
  type Appendable,
  type AppendBatchOptions,
  type AppendOptions,
  type Durability,
} from './record-input.js';
import type { ConfigureOptions } from './options.js';
import type { CompactOptions } from './survivors.js';

export interface BatchResult {
  readonly firstSeq: number;
  /** One past the last record's seq. */
  readonly nextSeq: number;
}

const NO_OPTIONS: AppendBatchOptions = {};

export class AppendSide {
  readonly #parts: ChannelParts;
  readonly #intake: Intake;

  constructor(parts: ChannelParts) {
    this.#parts = parts;
    this.#intake = parts.intake;
  }

  /** See Channel.append. */
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

  /** See Channel.appendBatch. */
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

  /** See Channel.appendSync. */
  appendSync(payload: Uint8Array | string, options: AppendOptions = NO_OPTIONS): number {
    checkAppendOptions(options);
    const bytes = payloadOf(payload);
    const batch = this.#intake.checkOne(bytes, normaliseAppend(bytes, options));
    return this.#appendNow(batch, options).firstSeq;
  }

  /** See Channel.appendBatchSync. */
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
    appender.requireRoom(batch.records.length, batch.payloadBytes);
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

  /** Resolves when everything appended before the call is synced. */
  async sync(): Promise<void> {
    const { health } = this.#parts;
    if (this.#parts.isClosing) throw health.closedError();
    if (health.isPoisoned) throw health.poisonedError();
    await this.#parts.syncAll();
  }

  /** See Channel.trim. */
  async trim(beforeSeq: number): Promise<void> {
    this.#refuseUnlessWritable();
    const { appender, trimming, health } = this.#parts;
    if (beforeSeq > appender.nextSeq) {
      throw new RangeError(`beforeSeq ${beforeSeq} is above the next seq ${appender.nextSeq}`);
    }
    await health.unlessClosed(trimming.trim(beforeSeq));
  }

  /** See Channel.compact. */
  async compact(options: CompactOptions): Promise<CompactReport> {
    this.#refuseUnlessWritable();
    const { compaction, health } = this.#parts;
    return health.unlessClosed(compaction.run(options));
  }

  /** See Channel.applyRetention. */
  async applyRetention(): Promise<void> {
    this.#refuseUnlessWritable();
    const { trimming, health } = this.#parts;
    await health.unlessClosed(trimming.applyRetention());
  }

  /** See Channel.configure. */
  async configure(options: ConfigureOptions): Promise<void> {
    this.#refuseUnlessWritable();
    const { policy, health } = this.#parts;
    await health.unlessClosed(policy.configure(options));
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

export function rejected(error: unknown): Promise<never> {
  return Promise.reject(error instanceof Error ? error : new Error(String(error)));
}
