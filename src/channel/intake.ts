/**
 * Takes records in: checks them, gives them their seqs and times, and copies them into the queue.
 * After that the caller may do with its buffers what it likes.
 */
import type { AppendQueue } from './append-queue.js';
import type { Appender } from './appender.js';
import { journalBytes } from './append-waits.js';
import { isJournaled, type ChannelContext } from './channel-context.js';
import { batchLimitError, type FrameWriter } from './frame-writer.js';
import { RecordClock, type Gather } from './gather.js';
import { MAX_SEQ } from './options.js';
import {
  checkRecordSize,
  isPlain,
  normaliseRecord,
  withOwnBytes,
  type Appendable,
  type BatchRecord,
  type NormalRecord,
} from './record-input.js';

/** Bytes of the largest frame, and so of the largest batch. */
const MAX_BATCH_BYTES = 1024 * 1024 * 1024;
/** What a record's table may take beside its payload. */
const TABLE_BYTES_PER_RECORD = 18;
/** Records of a batch carry their seqs as 32-bit distances. */
const MAX_BATCH_SPAN = 0x7fffffff;

/** Checked records. When none of them brings more than a payload they take the fast way. */
export type Batch =
  | {
      readonly isPlain: true;
      readonly records: readonly Uint8Array[];
      readonly payloadBytes: number;
    }
  | {
      readonly isPlain: false;
      readonly records: readonly BatchRecord[];
      readonly payloadBytes: number;
    };

export interface SeqSpan {
  readonly firstSeq: number;
  readonly nextSeq: number;
}

export class Intake {
  readonly #context: ChannelContext;
  readonly #appender: Appender;
  readonly #frames: FrameWriter;
  readonly #clock: RecordClock;

  constructor(context: ChannelContext, appender: Appender, frames: FrameWriter) {
    this.#context = context;
    this.#appender = appender;
    this.#frames = frames;
    this.#clock = new RecordClock(frames.lastTimestamp);
  }

  /** Throws TypeError, RangeError or LIMIT; nothing has changed then. */
  checkBatch(inputs: readonly Appendable[]): Batch {
    if (!Array.isArray(inputs)) throw new TypeError('records must be an array');
    const { maxRecordBytes } = this.#context.settings;
    const plain = plainList(inputs);
    if (plain !== undefined) {
      let payloadBytes = 0;
      for (const { byteLength } of plain) {
        if (byteLength > maxRecordBytes) checkRecordSize(byteLength, maxRecordBytes);
        payloadBytes += byteLength;
      }
      return this.#checked({ records: plain, payloadBytes, isPlain: true });
    }
    const records: BatchRecord[] = [];
    let payloadBytes = 0;
    for (const input of inputs as readonly Appendable[]) {
      const record = normaliseRecord(input);
      const { byteLength } = isPlain(record) ? record : record.payload;
      checkRecordSize(byteLength, maxRecordBytes);
      payloadBytes += byteLength;
      records.push(record);
    }
    return this.#checked({ records, payloadBytes, isPlain: false });
  }

  #checked(batch: Batch): Batch {
    const { records, payloadBytes } = batch;
    const bytes = payloadBytes + records.length * TABLE_BYTES_PER_RECORD;
    if (bytes > MAX_BATCH_BYTES) throw batchLimitError(bytes, MAX_BATCH_BYTES);
    this.#requireFits(records.length, payloadBytes);
    return batch;
  }

  /** Throws LIMIT for what the journal could never hold (RULES J8). */
  #requireFits(recordCount: number, payloadBytes: number): void {
    if (!isJournaled(this.#context)) return;
    const { journal } = this.#context;
    const { maxEntryBytes } = journal.journal;
    const bytes = journalBytes(journal, recordCount, payloadBytes);
    if (bytes > maxEntryBytes) throw batchLimitError(bytes, maxEntryBytes);
  }

  /** A batch of the one record that `append` was given. */
  checkOne(payload: Uint8Array, record: NormalRecord | undefined): Batch {
    checkRecordSize(payload.byteLength, this.#context.settings.maxRecordBytes);
    const { byteLength: payloadBytes } = payload;
    this.#requireFits(1, payloadBytes);
    return record === undefined
      ? { records: [payload], payloadBytes, isPlain: true }
      : { records: [record], payloadBytes, isPlain: false };
  }

  /** The same records over bytes that the caller cannot change any more. */
  keep(batch: Batch): Batch {
    return { ...batch, records: batch.records.map(withOwnBytes) } as Batch;
  }

  /** Throws RangeError for seqs that a batch cannot have as things are. */
  checkSpan(batch: Batch): void {
    spanOf(batch, this.#appender.nextSeq);
  }

  /** Copies one record into the queue and returns its seq. */
  takeOne(payload: Uint8Array, record: NormalRecord | undefined): number {
    const { byteLength } = payload;
    checkRecordSize(byteLength, this.#context.settings.maxRecordBytes);
    this.#requireFits(1, byteLength);
    const { queue, nextSeq } = this.#appender;
    const seq = record?.seq ?? nextSeq;
    if (seq < nextSeq || seq > MAX_SEQ) throw seqError(seq, nextSeq);
    const nowMs = this.#appender.tickTime(this.#context.settings.runtime);
    this.#alignClock(queue);
    this.#whole(queue.gather, (gather) => {
      gather.beginBatch(1, byteLength, seq, seq);
      gather.add(payload, seq, record?.type ?? 0, this.#clock.next(record, nowMs));
      gather.endBatch();
    });
    return seq;
  }

  /** Copies a batch, which is not empty, into the queue. Throws RangeError for impossible seqs. */
  take(batch: Batch): SeqSpan {
    const { queue, nextSeq: start } = this.#appender;
    const span = spanOf(batch, start);
    const nowMs = this.#appender.tickTime(this.#context.settings.runtime);
    this.#alignClock(queue);
    this.#whole(queue.gather, (gather) => {
      const { records, payloadBytes } = batch;
      gather.beginBatch(records.length, payloadBytes, span.firstSeq, span.nextSeq - 1);
      this.#copy(batch, gather, start, nowMs);
      gather.endBatch();
    });
    return span;
  }

  #copy(batch: Batch, gather: Gather, start: number, nowMs: number): void {
    if (batch.isPlain) {
      gather.addPlain(batch.records, start, this.#clock.next(undefined, nowMs));
      return;
    }
    let seq = start;
    for (const record of batch.records) {
      if (isPlain(record)) {
        gather.add(record, seq, 0, this.#clock.next(undefined, nowMs));
      } else {
        seq = record.seq ?? seq;
        gather.add(record.payload, seq, record.type, this.#clock.next(record, nowMs));
      }
      seq++;
    }
  }

  /**
   * Copies all of a batch or nothing: a payload whose buffer was detached, or has been resized
   * since it was measured, cannot be copied.
   */
  #whole(gather: Gather, copy: (gather: Gather) => void): void {
    const { recordCount, payloadBytes, frameCount } = gather;
    const { last } = this.#clock;
    try {
      copy(gather);
    } catch (error) {
      gather.restore(recordCount, payloadBytes, frameCount);
      this.#clock.last = last;
      throw error;
    }
  }

  /** When nothing waits, what failed before has left no record whose time would bind the next. */
  #alignClock(queue: AppendQueue): void {
    if (queue.isEmpty && this.#appender.isIdle) this.#clock.last = this.#frames.lastTimestamp;
  }
}

function plainList(records: readonly Appendable[]): readonly Uint8Array[] | undefined {
  for (const record of records) if (!(record instanceof Uint8Array)) return undefined;
  return records as readonly Uint8Array[];
}

function spanOf(batch: Batch, start: number): SeqSpan {
  const { records } = batch;
  let nextSeq = start;
  let firstSeq: number | undefined;
  if (batch.isPlain) {
    nextSeq += records.length;
  } else {
    for (const record of records) {
      const seq = isPlain(record) ? nextSeq : (record.seq ?? nextSeq);
      if (seq < nextSeq || seq > MAX_SEQ) throw seqError(seq, nextSeq);
      firstSeq ??= seq;
      nextSeq = seq + 1;
    }
  }
  firstSeq ??= start;
  if (nextSeq - 1 > MAX_SEQ) throw seqError(nextSeq - 1, start);
  if (nextSeq - firstSeq > MAX_BATCH_SPAN) {
    throw new RangeError(`the seqs of one batch must lie within ${MAX_BATCH_SPAN}`);
  }
  return { firstSeq, nextSeq };
}

function seqError(seq: number, nextSeq: number): RangeError {
  return new RangeError(`seq must be from the next one, ${nextSeq}, to ${MAX_SEQ}, not ${seq}`);
}
