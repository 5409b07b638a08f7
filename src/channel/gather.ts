/**
 * The records that wait to be written, in columns: payloads are copied in as they are appended, so
 * callers may reuse their buffers at once. Split into frames at batch boundaries.
 */
import { compareNanos, nanosFromBigint, nanosFromMs, type Nanos } from '../core/nanos.js';
import { BATCH_END, tableBytes } from '../format/unit.js';
import { MAX_SEQ_DELTA } from '../format/index-entry.js';
import type { FrameContent } from '../format/frame-encoder.js';
import type { NormalRecord } from './record-input.js';

const FIRST_RECORDS = 64;
const FIRST_PAYLOAD_BYTES = 16 * 1024;
/** Columns that grew beyond this are not kept for the next group. */
const KEPT_PAYLOAD_BYTES = 4 * 1024 * 1024;
const KEPT_RECORDS = 64 * 1024;

/** Where a frame of the group starts. */
interface FrameStart {
  readonly record: number;
  readonly payload: number;
  readonly baseSeq: number;
}

/** Counts of a group, to take back what a rejected batch has added. */
interface GatherMark {
  readonly recordCount: number;
  readonly payloadBytes: number;
  readonly frameCount: number;
}

export class Gather {
  recordCount = 0;
  payloadBytes = 0;
  #frames: FrameStart[] = [];
  #lengths: Uint32Array = new Uint32Array(FIRST_RECORDS);
  #stamps: Uint32Array = new Uint32Array(2 * FIRST_RECORDS);
  #types: Uint16Array = new Uint16Array(FIRST_RECORDS);
  #seqs: Float64Array = new Float64Array(FIRST_RECORDS);
  #payloads: Uint8Array = new Uint8Array(FIRST_PAYLOAD_BYTES);
  #hasTypes = false;
  #hasStamps = false;
  #hasGaps = false;
  readonly #maxFrameBytes: number;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  get isEmpty(): boolean {
    return this.recordCount === 0;
  }

  get frameCount(): number {
    return this.#frames.length;
  }

  /** Where the next batch would start; `undo` goes back to it. */
  mark(): GatherMark {
    const { recordCount, payloadBytes } = this;
    return { recordCount, payloadBytes, frameCount: this.#frames.length };
  }

  undo(mark: GatherMark): void {
    this.recordCount = mark.recordCount;
    this.payloadBytes = mark.payloadBytes;
    this.#frames.length = mark.frameCount;
  }

  /**
   * Begins a batch of `payloadBytes` in `recordCount` records: in the frame at hand, or in a new
   * one when that would become too large or the seqs too far apart.
   */
  beginBatch(recordCount: number, payloadBytes: number, firstSeq: number, lastSeq: number): void {
    this.#reserve(recordCount, payloadBytes);
    const frame = this.#frames.at(-1);
    if (frame !== undefined) {
      const records = this.recordCount - frame.record + recordCount;
      const bytes = this.payloadBytes - frame.payload + payloadBytes + tableBytes(records, 0);
      if (bytes <= this.#maxFrameBytes && lastSeq - frame.baseSeq <= MAX_SEQ_DELTA / 2) return;
    }
    this.#frames.push({
      record: this.recordCount,
      payload: this.payloadBytes,
      baseSeq: firstSeq,
    });
  }

  add(payload: Uint8Array, seq: number, type: number, time: Nanos): void {
    const i = this.recordCount;
    const length = payload.byteLength;
    this.#lengths[i] = length;
    this.#types[i] = type;
    this.#stamps[2 * i] = time.lo;
    this.#stamps[2 * i + 1] = time.hi;
    this.#seqs[i] = seq;
    if (i === 0) {
      this.#hasTypes = type !== 0;
      this.#hasStamps = false;
      this.#hasGaps = false;
    } else {
      this.#hasTypes ||= type !== 0;
      this.#hasStamps ||= time.lo !== this.#stamps[0] || time.hi !== this.#stamps[1];
      this.#hasGaps ||= seq !== (this.#seqs[i - 1] ?? 0) + 1;
    }
    // A typed array copy has a fixed price that is higher than a few bytes by hand.
    const at = this.payloadBytes;
    if (length <= 24) {
      for (let b = 0; b < length; b++) this.#payloads[at + b] = payload[b] ?? 0;
    } else {
      this.#payloads.set(payload, at);
    }
    this.payloadBytes = at + length;
    this.recordCount = i + 1;
  }

  endBatch(): void {
    const last = this.recordCount - 1;
    this.#lengths[last] = ((this.#lengths[last] ?? 0) | BATCH_END) >>> 0;
  }

  /** The records of frame `index`. They live until `clear`. */
  frame(index: number): FrameContent {
    const start = this.#frames[index];
    const next = this.#frames[index + 1];
    const first = start?.record ?? 0;
    const payloadStart = start?.payload ?? 0;
    return {
      first,
      recordCount: (next?.record ?? this.recordCount) - first,
      lengths: this.#lengths,
      seqs: this.#hasGaps ? this.#seqs : undefined,
      types: this.#hasTypes ? this.#types : undefined,
      timestamps: this.#hasStamps ? this.#stamps : undefined,
      baseSeq: start?.baseSeq ?? 0,
      timestamp: { lo: this.#stamps[2 * first] ?? 0, hi: this.#stamps[2 * first + 1] ?? 0 },
      payloads: this.#payloads,
      payloadStart,
      payloadBytes: (next?.payload ?? this.payloadBytes) - payloadStart,
    };
  }

  seqOf(record: number): number {
    return this.#seqs[record] ?? 0;
  }

  timeOf(record: number): Nanos {
    return { lo: this.#stamps[2 * record] ?? 0, hi: this.#stamps[2 * record + 1] ?? 0 };
  }

  clear(): void {
    this.recordCount = 0;
    this.payloadBytes = 0;
    this.#frames = [];
    if (this.#payloads.byteLength > KEPT_PAYLOAD_BYTES) {
      this.#payloads = new Uint8Array(FIRST_PAYLOAD_BYTES);
    }
    if (this.#lengths.length > KEPT_RECORDS) this.#resizeColumns(FIRST_RECORDS);
  }

  #reserve(records: number, payloadBytes: number): void {
    const needed = this.recordCount + records;
    if (needed > this.#lengths.length) {
      this.#resizeColumns(Math.max(needed, 2 * this.#lengths.length));
    }
    const bytes = this.payloadBytes + payloadBytes;
    if (bytes > this.#payloads.byteLength) {
      const grown = new Uint8Array(Math.max(bytes, 2 * this.#payloads.byteLength));
      grown.set(this.#payloads.subarray(0, this.payloadBytes));
      this.#payloads = grown;
    }
  }

  #resizeColumns(records: number): void {
    const kept = this.recordCount;
    const lengths = new Uint32Array(records);
    lengths.set(this.#lengths.subarray(0, kept));
    const stamps = new Uint32Array(2 * records);
    stamps.set(this.#stamps.subarray(0, 2 * kept));
    const types = new Uint16Array(records);
    types.set(this.#types.subarray(0, kept));
    const seqs = new Float64Array(records);
    seqs.set(this.#seqs.subarray(0, kept));
    this.#lengths = lengths;
    this.#stamps = stamps;
    this.#types = types;
    this.#seqs = seqs;
  }
}

/** Gives records their times: what was asked for, but never earlier than the record before. */
export class RecordClock {
  last: Nanos;
  #nowMs = -1;
  #now: Nanos = { hi: 0, lo: 0 };

  constructor(last: Nanos) {
    this.last = last;
  }

  /** The time of the next record. `nowMs` is used when the record brings none. */
  next(record: NormalRecord | undefined, nowMs: number): Nanos {
    const asked = record === undefined ? undefined : timeOfRecord(record);
    const time = asked ?? this.#nanosOf(nowMs);
    if (compareNanos(time, this.last) > 0) this.last = time;
    return this.last;
  }

  #nanosOf(nowMs: number): Nanos {
    if (nowMs !== this.#nowMs) {
      this.#nowMs = nowMs;
      this.#now = nanosFromMs(nowMs);
    }
    return this.#now;
  }
}

function timeOfRecord(record: NormalRecord): Nanos | undefined {
  if (record.timestampMs !== undefined) return nanosFromMs(record.timestampMs);
  return record.timestampNs === undefined ? undefined : nanosFromBigint(record.timestampNs);
}
