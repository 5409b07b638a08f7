/**
 * The records that wait to be written, in columns: payloads are copied in as they are appended, so
 * callers may reuse their buffers at once. Split into frames at batch boundaries.
 */
import { clearList } from '../core/lists.js';
import {
  compareNanos,
  nanosFromBigint,
  nanosFromMs,
  ZERO_NANOS,
  type Nanos,
} from '../core/nanos.js';
import { BATCH_END, tableBytes } from '../format/unit.js';
import { MAX_SEQ_DELTA } from '../format/index-entry.js';
import type { FrameContent } from '../format/frame-encoder.js';
import type { NormalRecord } from './record-input.js';

// Of thousands of channels each has a few: little memory is soon found again.
const FIRST_RECORDS = 8;
const FIRST_PAYLOAD_BYTES = 512;
/** Columns that grew beyond this are not kept for the next group. */
const KEPT_PAYLOAD_BYTES = 4 * 1024 * 1024;
const KEPT_RECORDS = 64 * 1024;

// What an idle channel has: there may be a hundred thousand of them.
const NO_WORDS = new Uint32Array(0);
const NO_TYPES = new Uint16Array(0);
const NO_SEQS = new Float64Array(0);
const NO_BYTES = new Uint8Array(0);

/** Where a frame of the group starts. */
interface FrameStart {
  readonly record: number;
  readonly payload: number;
  readonly baseSeq: number;
}

export class Gather {
  recordCount = 0;
  payloadBytes = 0;
  readonly #frames: FrameStart[] = [];
  #lengths: Uint32Array = NO_WORDS;
  #stamps: Uint32Array = NO_WORDS;
  #types: Uint16Array = NO_TYPES;
  #seqs: Float64Array = NO_SEQS;
  #payloads: Uint8Array = NO_BYTES;
  #firstSeq = 0;
  #firstTime: Nanos = ZERO_NANOS;
  #hasTypes = false;
  #hasStamps = false;
  #hasGaps = false;
  /** The last frame takes no more batches. */
  #isClosed = false;
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

  /** Takes back what a batch has added that could not be copied as a whole. */
  restore(recordCount: number, payloadBytes: number, frameCount: number): void {
    this.recordCount = recordCount;
    this.payloadBytes = payloadBytes;
    this.#frames.length = frameCount;
  }

  /**
   * Begins a batch of `payloadBytes` in `recordCount` records: in the frame at hand, or in a new
   * one when that would become too large or the seqs too far apart.
   */
  beginBatch(recordCount: number, payloadBytes: number, firstSeq: number, lastSeq: number): void {
    this.#reserve(recordCount, payloadBytes);
    const frame = this.#isClosed ? undefined : this.#frames.at(-1);
    if (frame !== undefined) {
      const records = this.recordCount - frame.record + recordCount;
      const bytes = this.payloadBytes - frame.payload + payloadBytes + tableBytes(records, 0);
      if (bytes <= this.#maxFrameBytes && lastSeq - frame.baseSeq <= MAX_SEQ_DELTA / 2) return;
    }
    this.#isClosed = false;
    this.#frames.push({
      record: this.recordCount,
      payload: this.payloadBytes,
      baseSeq: firstSeq,
    });
  }

  add(payload: Uint8Array, seq: number, type: number, time: Nanos): void {
    const i = this.recordCount;
    if (i === 0) this.#startGroup(seq, time);
    if (type !== 0 && !this.#hasTypes) this.#startTypes(i);
    if (time !== this.#firstTime && !this.#hasStamps) this.#startStamps(i, time);
    if (seq !== this.#firstSeq + i && !this.#hasGaps) this.#startSeqs(i);
    if (this.#hasTypes) this.#types[i] = type;
    if (this.#hasStamps) {
      this.#stamps[2 * i] = time.lo;
      this.#stamps[2 * i + 1] = time.hi;
    }
    if (this.#hasGaps) this.#seqs[i] = seq;
    this.#lengths[i] = payload.byteLength;
    this.#payloads.set(payload, this.payloadBytes);
    this.payloadBytes += payload.byteLength;
    this.recordCount = i + 1;
  }

  /** The same for records that bring nothing but a payload and follow each other. */
  addPlain(payloads: readonly Uint8Array[], firstSeq: number, time: Nanos): void {
    const [first] = payloads;
    if (first === undefined) return;
    this.add(first, firstSeq, 0, time);
    if (this.#hasTypes || this.#hasStamps || this.#hasGaps) {
      for (let i = 1; i < payloads.length; i++)
        this.add(payloads[i] ?? first, firstSeq + i, 0, time);
      return;
    }
    const lengths = this.#lengths;
    const target = this.#payloads;
    const base = this.recordCount - 1;
    let at = this.payloadBytes;
    for (let i = 1; i < payloads.length; i++) {
      const payload = payloads[i] ?? first;
      lengths[base + i] = payload.byteLength;
      target.set(payload, at);
      at += payload.byteLength;
    }
    this.recordCount = base + payloads.length;
    this.payloadBytes = at;
  }

  #startGroup(seq: number, time: Nanos): void {
    this.#firstSeq = seq;
    this.#firstTime = time;
    this.#hasTypes = false;
    this.#hasStamps = false;
    this.#hasGaps = false;
  }

  // A column is kept only from the record on that needs it; for those before it is filled in.

  #startTypes(count: number): void {
    this.#hasTypes = true;
    this.#types.fill(0, 0, count);
  }

  #startStamps(count: number, time: Nanos): void {
    const { hi, lo } = this.#firstTime;
    if (time.hi === hi && time.lo === lo) return;
    this.#hasStamps = true;
    for (let i = 0; i < count; i++) {
      this.#stamps[2 * i] = lo;
      this.#stamps[2 * i + 1] = hi;
    }
  }

  #startSeqs(count: number): void {
    this.#hasGaps = true;
    for (let i = 0; i < count; i++) this.#seqs[i] = this.#firstSeq + i;
  }

  endBatch(): void {
    const last = this.recordCount - 1;
    this.#lengths[last] = ((this.#lengths[last] ?? 0) | BATCH_END) >>> 0;
  }

  /** What comes next goes into another frame. */
  closeFrame(): void {
    this.#isClosed = true;
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
      timestamp: this.timeOf(first),
      payloads: this.#payloads,
      payloadStart,
      payloadBytes: (next?.payload ?? this.payloadBytes) - payloadStart,
    };
  }

  seqOf(record: number): number {
    return this.#hasGaps ? (this.#seqs[record] ?? 0) : this.#firstSeq + record;
  }

  timeOf(record: number): Nanos {
    if (!this.#hasStamps) return this.#firstTime;
    return { lo: this.#stamps[2 * record] ?? 0, hi: this.#stamps[2 * record + 1] ?? 0 };
  }

  clear(): void {
    this.recordCount = 0;
    this.payloadBytes = 0;
    this.#isClosed = false;
    clearList(this.#frames);
    if (this.#payloads.byteLength > KEPT_PAYLOAD_BYTES) {
      this.#payloads = new Uint8Array(FIRST_PAYLOAD_BYTES);
    }
    if (this.#lengths.length > KEPT_RECORDS) this.#resizeColumns(FIRST_RECORDS);
  }

  /** Gives all memory back. Nothing may be gathered. */
  release(): void {
    this.#lengths = NO_WORDS;
    this.#stamps = NO_WORDS;
    this.#types = NO_TYPES;
    this.#seqs = NO_SEQS;
    this.#payloads = NO_BYTES;
  }

  #reserve(records: number, payloadBytes: number): void {
    const needed = this.recordCount + records;
    if (needed > this.#lengths.length) {
      this.#resizeColumns(Math.max(needed, FIRST_RECORDS, 2 * this.#lengths.length));
    }
    const bytes = this.payloadBytes + payloadBytes;
    if (bytes > this.#payloads.byteLength) {
      const least = Math.max(bytes, FIRST_PAYLOAD_BYTES, 2 * this.#payloads.byteLength);
      const grown = new Uint8Array(least);
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
