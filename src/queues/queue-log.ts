/**
 * The log of one queue and the state that it has led to. What is written is applied when it is as
 * durable as was asked for, so the state never knows more than a crash would leave.
 *
 * Invariants
 * - Work that reads the state, writes records and applies them runs in `run`. What touches more
 *   than single messages runs in `alone`: nothing else is under way then, and the state is exactly
 *   what all records of the channel say. Only then is a checkpoint taken.
 * - The order in which records are applied may be another than that of the log only for records of
 *   different messages, which do not depend on each other.
 * - Nothing below `limit` is still on its way to the log.
 */
import type { Channel } from '../channel/channel.js';
import type { KeptCheckpoints } from '../channel/kept-checkpoints.js';
import type { Durability, RecordInput } from '../channel/record-input.js';
import { RedexError } from '../core/errors.js';
import type { Logger } from '../core/runtime.js';
import type { DiskReserve } from './disk-reserve.js';
import { dividedOperation } from './operation-parts.js';
import type { QueueClock } from './queue-clock.js';
import {
  encodeMessage,
  encodeOperation,
  MESSAGE,
  OPERATION,
  type MessageHeader,
  type Operation,
  type OperationContent,
} from './queue-records.js';
import type { QueueState } from './queue-state.js';
import { encodeState } from './queue-state-bytes.js';

/** Records after which a checkpoint is written, if they have as many bytes as the last one. */
const CHECKPOINT_RECORDS = 50_000;

/** A message that is written, with the bytes of its payload as its codec made them. */
export interface NewMessage {
  readonly header: MessageHeader | undefined;
  readonly payload: Uint8Array;
}

/** Records that are written together. */
export interface PlannedRecords {
  readonly records: readonly RecordInput[];
  /** When they are in the log, from this seq on; returns the seq of the first message. */
  readonly apply: (firstSeq: number) => number;
}

const NO_HEADER: MessageHeader = {};

/** Messages on their way to the log: none of them has a lower seq. */
export interface Underway {
  readonly fromSeq: number;
  isDone: boolean;
}

export interface QueueLogParts {
  readonly channel: Channel;
  readonly checkpoints: KeptCheckpoints;
  readonly state: QueueState;
  readonly clock: QueueClock;
  readonly logger: Logger;
  readonly reserve: DiskReserve;
  /** Seq of the newest checkpoint; undefined when there is none. */
  readonly checkpointSeq: number | undefined;
}

export class QueueLog {
  readonly channel: Channel;
  readonly clock: QueueClock;
  readonly state: QueueState;
  readonly reserve: DiskReserve;
  readonly #checkpoints: KeptCheckpoints;
  readonly #logger: Logger;
  /** In the order in which they were begun. */
  readonly #underway: Underway[] = [];
  #running = 0;
  #isEnded = false;
  #holder: Promise<void> | undefined;
  #idle: (() => void) | undefined;
  /** Newest last; a log that is read from the older one on leads to the same state. */
  #checkpointSeqs: number[] = [];
  #recordsSince = 0;
  #bytesSince = 0;
  #checkpointBytes = 0;
  #checkpointing: Promise<void> | undefined;
  /** The longest record that the store takes: not known before it has refused one. */
  #mostRecordBytes = Infinity;

  constructor(parts: QueueLogParts) {
    this.channel = parts.channel;
    this.clock = parts.clock;
    this.state = parts.state;
    this.reserve = parts.reserve;
    this.#checkpoints = parts.checkpoints;
    this.#logger = parts.logger;
    if (parts.checkpointSeq !== undefined) this.#checkpointSeqs.push(parts.checkpointSeq);
  }

  /** Every message below it is in the log, or was refused. */
  get limit(): number {
    return this.#underway[0]?.fromSeq ?? this.channel.nextSeq;
  }

  /** What is written below it may go, if the newest state does not need it. */
  get safeSeq(): number {
    return this.#checkpointSeqs.length < 2 ? 0 : (this.#checkpointSeqs[0] ?? 0);
  }

  /** Runs work beside other work, but not beside what runs alone. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return this.#holder === undefined ? this.#runNow(work) : this.#runLater(work);
  }

  async #runLater<T>(work: () => Promise<T>): Promise<T> {
    while (this.#holder !== undefined) await this.#holder;
    return this.#runNow(work);
  }

  async #runNow<T>(work: () => Promise<T>): Promise<T> {
    this.#running++;
    try {
      return await work();
    } finally {
      this.#ran();
    }
  }

  #ran(): void {
    this.#running--;
    if (this.#running === 0) this.#idle?.();
  }

  /** Something runs alone, or waits to. */
  get isHeld(): boolean {
    return this.#holder !== undefined;
  }

  /**
   * The same as `run` and `noteUnderway` for the work of one message, without their closures and
   * promises: it has to be ended by `leave`. Only while nothing holds the log.
   */
  enter(): Underway {
    this.#running++;
    return this.#begin();
  }

  leave(underway: Underway): void {
    this.#end(underway);
    this.#ran();
  }

  /** Runs work while nothing else is under way. Not to be called from work that runs here. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#holder !== undefined) await this.#holder;
    let release = (): void => {};
    this.#holder = new Promise((resolve) => {
      release = resolve;
    });
    try {
      if (this.#running > 0) {
        await new Promise<void>((resolve) => {
          this.#idle = resolve;
        });
        this.#idle = undefined;
      }
      return await work();
    } finally {
      this.#holder = undefined;
      release();
    }
  }

  /** Applies a message whose record was appended, in the turn of `leave`. `size`: its payload's. */
  appended(seq: number, header: MessageHeader | undefined, size: number, nowMs: number): void {
    this.state.applyMessage(seq, header ?? NO_HEADER, size, nowMs);
    this.#noteRecords(1, size);
  }

  /** Writes an operation, at `seq` or behind what there is, and applies it. */
  async operate(
    operation: OperationContent,
    durability: Durability = 'written',
    seq?: number,
  ): Promise<void> {
    return this.#operate([operation], durability, seq);
  }

  /** Writes operations in one step, and applies them. */
  async operateAll(
    operations: readonly OperationContent[],
    durability: Durability = 'written',
  ): Promise<void> {
    return this.#operate(operations, durability);
  }

  async #operate(
    operations: readonly OperationContent[],
    durability: Durability,
    seq?: number,
  ): Promise<void> {
    const plan = this.plan(operations, [], seq);
    try {
      plan.apply(await this.#append(plan.records, durability));
    } catch (error) {
      const isWorthIt = this.noteLimit(error) || (await this.reserve.release(error));
      if (!isWorthIt) throw error;
      const again = this.plan(operations, [], seq);
      again.apply(await this.#append(again.records, durability));
    }
  }

  /** Whether a record was refused as too long, and operations are divided from now on. */
  noteLimit(error: unknown): boolean {
    if (!RedexError.is(error, 'LIMIT') || error.what !== 'maxRecordBytes') return false;
    if (error.limit >= this.#mostRecordBytes) return false;
    this.#mostRecordBytes = error.limit;
    return true;
  }

  /** Writes operations, and messages behind them, in one step; resolves to the first one's seq. */
  async write(
    operations: readonly OperationContent[],
    messages: readonly NewMessage[],
    durability: Durability,
  ): Promise<number> {
    const plan = this.plan(operations, messages);
    const end = messages.length > 0 ? this.noteUnderway() : undefined;
    try {
      return plan.apply(await this.#append(plan.records, durability));
    } finally {
      end?.();
    }
  }

  /** Records that are to be written together, and what applies them when they are. */
  plan(
    contents: readonly OperationContent[],
    messages: readonly NewMessage[],
    atSeq?: number,
  ): PlannedRecords {
    const nowMs = this.clock.now();
    const operations: Operation[] = [];
    const records: RecordInput[] = [];
    const add = (content: OperationContent): void => {
      const operation: Operation = { t: nowMs, ...content };
      const payload = encodeOperation(operation);
      const parts = payload.length > this.#mostRecordBytes ? dividedOperation(content) : undefined;
      if (parts !== undefined) {
        parts.forEach(add);
        return;
      }
      operations.push(operation);
      records.push({ payload, type: OPERATION, timestamp: nowMs, seq: atSeq });
    };
    for (const content of contents) add(content);
    for (const { header, payload } of messages) {
      records.push({ payload: encodeMessage(header, payload), type: MESSAGE, timestamp: nowMs });
    }
    return {
      records,
      apply: (firstSeq) => {
        for (const [index, operation] of operations.entries()) {
          this.state.apply(firstSeq + index, operation);
        }
        const firstMessage = firstSeq + operations.length;
        for (const [index, { header, payload }] of messages.entries()) {
          const seq = firstMessage + index;
          this.state.applyMessage(seq, header ?? NO_HEADER, payload.length, nowMs);
        }
        this.#note(records);
        return firstMessage;
      },
    };
  }

  async #append(records: readonly RecordInput[], durability: Durability): Promise<number> {
    const only = records.length === 1 ? records[0] : undefined;
    if (only === undefined) {
      return (await this.channel.appendBatch(records, { durability })).firstSeq;
    }
    const { payload, type, timestamp, seq } = only;
    return this.channel.append(payload, { type, timestamp, seq, durability });
  }

  /** Messages are on their way from now on, until the function is called that is returned. */
  noteUnderway(): () => void {
    const underway = this.#begin();
    return () => this.#end(underway);
  }

  #begin(): Underway {
    const underway: Underway = { fromSeq: this.channel.nextSeq, isDone: false };
    this.#underway.push(underway);
    return underway;
  }

  #end(underway: Underway): void {
    underway.isDone = true;
    while (this.#underway[0]?.isDone === true) this.#underway.shift();
  }

  #note(records: readonly RecordInput[]): void {
    this.#noteRecords(
      records.length,
      records.reduce((sum, { payload }) => sum + payload.length, 0),
    );
  }

  #noteRecords(count: number, byteLength: number): void {
    this.#recordsSince += count;
    this.#bytesSince += byteLength;
    if (this.#recordsSince < CHECKPOINT_RECORDS || this.#bytesSince < this.#checkpointBytes) return;
    if (this.#checkpointing !== undefined) return;
    this.#recordsSince = 0;
    // The log goes on without it, and tries it again after as many records.
    this.checkpoint().catch((error: unknown) => {
      this.#logger.warn('a checkpoint of a queue was not written', {
        channel: this.channel.name,
        error,
      });
    });
  }

  /** Writes the state as it is in between two records. Not to be called from `run` or `alone`. */
  async checkpoint(): Promise<void> {
    await this.#checkpointing?.catch(() => undefined);
    this.#checkpointing = this.#checkpoint();
    try {
      await this.#checkpointing;
    } finally {
      this.#checkpointing = undefined;
    }
  }

  async #checkpoint(): Promise<void> {
    const { seq, bytes } = await this.alone(() => {
      this.#recordsSince = 0;
      this.#bytesSince = 0;
      return Promise.resolve({ seq: this.channel.nextSeq, bytes: encodeState(this.state) });
    });
    if (seq === this.#checkpointSeqs.at(-1)) return;
    this.#checkpointBytes = bytes.length;
    await this.#checkpoints.save(seq, bytes);
    this.#checkpointSeqs = [...this.#checkpointSeqs, seq].slice(-2);
  }

  /** Nothing that others commit is written to the channel any more. */
  end(): void {
    this.#isEnded = true;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  async close(): Promise<void> {
    this.end();
    await this.#checkpointing?.catch(() => undefined);
    await this.#checkpoints.close();
    await this.channel.close();
  }
}
