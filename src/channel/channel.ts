/**
 * A channel: one named, ordered, crash-safe log. This class is what users hold; it checks what it
 * is given and leaves the work to its parts: the appender writes, the sync worker syncs, the
 * record reader reads.
 */
import { redexError, type RedexError } from '../core/errors.js';
import type { LogRecord } from '../core/record.js';
import { rejected, type AppendSide, type BatchResult } from './append-side.js';
import type { CompactReport } from './compaction.js';
import type { ChannelCore } from './channel-core.js';
import type { ChannelIndex, IndexOptions } from './channel-index.js';
import type { Codec, JsonCodec } from './codec.js';
import type { FoldOptions } from './fold-options.js';
import type { KeptCheckpointOptions, KeptCheckpoints } from './kept-checkpoints.js';
import type { Fold } from './fold.js';
import { checkKnown } from './option-checks.js';
import {
  checkConfigureOptions,
  type ConfigureOptions,
  type StoredChannelOptions,
} from './options.js';
import type { SuffixDamage } from './recovery-report.js';
import { retentionWaitOf, type RetentionWait } from './retention-wait.js';
import { BatchIterator, RecordIterator } from './read-iterator.js';
import {
  checkReadOptions,
  nanosOfTime,
  type ReadBatchOptions,
  type ReadOptions,
  type TimeInput,
} from './read-options.js';
import {
  checkSeq,
  type Appendable,
  type AppendBatchOptions,
  type AppendOptions,
} from './record-input.js';
import { checkCompactOptions, type CompactOptions } from './survivors.js';
import { TailFeed } from './tail-feed.js';
import { BatchTail, RecordTail } from './tail-iterator.js';
import { checkTailOptions, type TailOptions } from './tail-options.js';
import { verifyChannel } from './verify.js';
import type { VerifyOptions, VerifyReport } from './verify-report.js';
import { TypedChannel } from './typed-channel.js';

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
  /** The folds that retention waits for, and what stays for them; undefined when there are none. */
  readonly retentionWait: RetentionWait | undefined;
}

/** Records for a channel, to be given to a commit. */
export interface ChannelAppend {
  readonly channel: string;
  readonly records: readonly Appendable[];
  readonly expectedSeq: number | undefined;
}

const TRIM: ReadonlySet<string> = new Set(['beforeSeq']);

export class Channel {
  readonly #core: ChannelCore;
  /** Absent where nothing may be written. */
  readonly #side: AppendSide | undefined;

  constructor(core: ChannelCore, side?: AppendSide) {
    this.#core = core;
    this.#side = side;
  }

  get #writer(): AppendSide {
    if (this.#side === undefined) throw this.#readOnlyError();
    return this.#side;
  }

  #readOnlyError(): RedexError {
    const { health, isClosing, context } = this.#core;
    if (isClosing) return health.closedError();
    const { name, directory } = context;
    const message = `channel ${name} was opened with readOnly`;
    return redexError('READ_ONLY', message, { path: directory });
  }

  get name(): string {
    return this.#core.context.name;
  }

  /** The options that are stored with the channel. */
  get options(): StoredChannelOptions {
    return this.#core.context.stored;
  }

  /** The first seq that the channel holds. */
  get firstSeq(): number {
    return this.#core.manifest.firstSeq;
  }

  /** End of what readers see: one past the last visible record. */
  get nextSeq(): number {
    return this.#core.visibleSeq;
  }

  /** Every record below it is known to be synced. */
  get durableSeq(): number {
    return this.#core.durableSeq;
  }

  /** Records that are written. */
  get count(): number {
    return this.#core.chain.recordsFrom(this.firstSeq);
  }

  /** Bytes of the dat files. */
  get sizeBytes(): number {
    return this.#core.chain.byteCount;
  }

  /** Raised by each recovery that cut a torn tail: remembered seqs may be others now. */
  get recoveryEpoch(): number {
    return this.#core.manifest.recoveryEpoch;
  }

  /**
   * Appends a record and resolves to its seq when it is as durable as was asked for. The payload
   * is copied before this returns. Rejects with LIMIT, SEQ_CONFLICT, IO, POISONED, CLOSED, CORRUPT,
   * READ_ONLY.
   */
  append(payload: Uint8Array | string, options?: AppendOptions): Promise<number> {
    const side = this.#side;
    return side === undefined ? rejected(this.#readOnlyError()) : side.append(payload, options);
  }

  /** What a commit is given to append these records together with what else is in it. */
  appending(
    records: Appendable | readonly Appendable[],
    { expectedSeq }: { readonly expectedSeq?: number | undefined } = {},
  ): ChannelAppend {
    const list = Array.isArray(records)
      ? (records as readonly Appendable[])
      : [records as Appendable];
    return { channel: this.name, records: list, expectedSeq };
  }

  /** Appends records that are in the log all together or not at all, whatever happens. */
  appendBatch(records: readonly Appendable[], options?: AppendBatchOptions): Promise<BatchResult> {
    const side = this.#side;
    if (side === undefined) return rejected(this.#readOnlyError());
    return side.appendBatch(records, options);
  }

  /**
   * Appends before it returns, after everything that the tick has gathered; under `'always'` it
   * blocks for a sync of its own. Throws BUSY, with nothing written, when it would have to wait
   * for something asynchronous.
   */
  appendSync(payload: Uint8Array | string, options?: AppendOptions): number {
    return this.#writer.appendSync(payload, options);
  }

  /** `appendBatch`, before it returns. See `appendSync`. */
  appendBatchSync(records: readonly Appendable[], options?: AppendBatchOptions): BatchResult {
    return this.#writer.appendBatchSync(records, options);
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
    return this.#core.reader.get(seq);
  }

  /** Iterates over records. A payload lives until the next step, unless `copy` is set. */
  read(options: ReadOptions = {}): AsyncIterableIterator<LogRecord> {
    checkReadOptions(options);
    return new RecordIterator(this.#core.reader, { ...options });
  }

  /** The same in arrays, for speed. Payloads live until the next array, unless `copy` is set. */
  readBatches(options: ReadOptions = {}): AsyncIterableIterator<LogRecord[]> {
    checkReadOptions(options);
    return new BatchIterator(this.#core.reader, { ...options });
  }

  /** Records from `from` on as one array, at least one if there is any, in bytes of their own. */
  async readBatch(options: ReadBatchOptions = {}): Promise<LogRecord[]> {
    checkReadOptions(options);
    const records: LogRecord[] = [];
    const batches = new BatchIterator(this.#core.reader, { ...options, copy: true });
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
    return new RecordTail(new TailFeed(this.#core.tails, options));
  }

  /** The same in arrays, for speed. Payloads live until the next array, unless `copy` is set. */
  tailBatches(options: TailOptions = {}): AsyncIterableIterator<LogRecord[]> {
    checkTailOptions(options);
    return new BatchTail(new TailFeed(this.#core.tails, options));
  }

  /**
   * The seq of the first record at or after a time; `nextSeq` when there is none. Rejects with
   * CORRUPT when that record may be one that cannot be read, with IO, POISONED, CLOSED.
   */
  async seqAt(time: TimeInput): Promise<number> {
    return this.#core.reader.seqAt(nanosOfTime(time));
  }

  /** The last `count` records in their order, fewer when there are fewer. */
  async last(count: number): Promise<LogRecord[]> {
    checkSeq('count', count);
    if (count === 0) {
      await this.#lookOpen();
      return [];
    }
    const records: LogRecord[] = [];
    const batches = new BatchIterator(this.#core.reader, { reverse: true, limit: count });
    for (;;) {
      const result = await batches.next();
      if (result.done === true) return records.toReversed();
      for (const record of result.value) records.push(record);
    }
  }

  /** This channel with values in place of payloads; there is nothing of it to close. */
  typed<T>(codec: Codec<T> | JsonCodec): TypedChannel<T> {
    return new TypedChannel(this, codec as Codec<T>, () => this.#core.folds);
  }

  /**
   * A state that is computed from the records and follows them, with checkpoints in the channel's
   * directory. Resolves when the newest checkpoint is read; `caughtUp()` waits for the records
   * after it. While it is open, the same options give the same fold. Rejects with OUT_OF_RANGE when
   * records that it needs are gone, with OPTIONS_CONFLICT, IO, CLOSED.
   */
  fold<S>(options: FoldOptions<S>): Promise<Fold<S>> {
    return this.#core.folds.fold(options);
  }

  /** The last record of each key. A fold; see there. */
  index(options: IndexOptions): Promise<ChannelIndex> {
    return this.#core.folds.index(options);
  }

  /**
   * Checkpoints of a state that the caller computes from the records by itself, kept beside those
   * of folds. Rejects with OPTIONS_CONFLICT when a fold of the name is open, and with CLOSED.
   */
  checkpoints(options: KeptCheckpointOptions): Promise<KeptCheckpoints> {
    return this.#core.folds.checkpoints(options);
  }

  /**
   * Resolves when everything appended before the call is synced. Rejects with POISONED, CLOSED, and
   * with CORRUPT or IO for a channel that takes no appends because a recovery could not write it.
   */
  async sync(): Promise<void> {
    await this.#writer.sync();
  }

  /**
   * Stores other options with the channel, durably. Those that are not given stay as they are.
   * Rejects with IO, CORRUPT or FORMAT_VERSION when nothing has changed, POISONED when nobody can
   * say, CLOSED.
   */
  async configure(options: ConfigureOptions): Promise<void> {
    checkConfigureOptions(options);
    await this.#writer.configure(options);
  }

  /**
   * Reads and checks every byte of the channel's files up to the end as it is at the call, and
   * resolves to all that is wrong with them. Changes nothing; appends and reads go on beside it.
   * With `quick` it reads no record, only what stands around them.
   * Rejects with IO, CLOSED, the reason of the signal, or what `onProgress` throws.
   */
  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    return verifyChannel(this.#core, options);
  }

  /** What the channel is made of, as it is now. Rejects with IO, CLOSED. */
  async stats(): Promise<ChannelStats> {
    await this.#lookOpen();
    const retentionWait = await retentionWaitOf(this.#core);
    const { chain, manifest, context, health } = this.#core;
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
      retentionWait,
    };
  }

  /** What another process has written is known now. Rejects with CLOSED. */
  async #lookOpen(): Promise<void> {
    const { health, isClosing } = this.#core;
    if (health.isClosed || isClosing) throw health.closedError();
    await this.#core.look();
  }

  /** Bytes of the dat files that a trim to `beforeSeq` would give back: of whole segments. */
  trimmableBytes(beforeSeq: number): number {
    checkSeq('beforeSeq', beforeSeq);
    return this.#core.chain.bytesBelow(beforeSeq);
  }

  /**
   * Lets go of all records below `beforeSeq`. Durable when it resolves; the space comes back in the
   * background, segment by segment, once no read is left in it. Seqs are never given again.
   * Rejects with RangeError above `nextSeq`, IO, POISONED, CLOSED, CORRUPT, READ_ONLY.
   */
  async trim(options: { readonly beforeSeq: number }): Promise<void> {
    checkKnown(options, TRIM);
    const { beforeSeq } = options;
    checkSeq('beforeSeq', beforeSeq);
    await this.#writer.trim(beforeSeq);
  }

  /**
   * Rewrites the log without the records that are not kept: those for which `keep` says false, or
   * all but the latest of each `key`. Appends, reads and tails go on meanwhile; what is appended
   * after the call stays. Survivors keep their seqs, times, types and bytes. Segments that lose
   * nothing are linked, not copied. Rejects with CORRUPT, IO, POISONED, CLOSED, READ_ONLY, the
   * signal's reason, or what the function throws; the channel is as before then.
   */
  async compact(options: CompactOptions): Promise<CompactReport> {
    checkCompactOptions(options);
    return this.#writer.compact({ ...options });
  }

  /** Lets go at once of what the channel's `retention` does not keep; rejects as `trim` does. */
  async applyRetention(): Promise<void> {
    await this.#writer.applyRetention();
  }

  /**
   * Waits for appends in flight, syncs, and marks the log clean, so that the next open needs no
   * scan. Later calls return the same promise; every other use rejects with CLOSED.
   */
  close(): Promise<void> {
    return this.#core.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
