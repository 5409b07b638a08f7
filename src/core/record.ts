/**
 * One record as readers see it. The payload is a view of the buffer that was read, made only when
 * it is asked for; who hands out a record says how long that buffer lives.
 */
import { bigintFromNanos, msFromNanos } from './nanos.js';

export class LogRecord {
  /** Number of the record in its channel. */
  readonly seq: number;
  /** The type given at the append, 0 to 65535; 0 when none was given. */
  readonly type: number;
  // Plain fields: a scan makes millions of these, and private names cost a check on each store.
  private readonly buffer: ArrayBufferLike;
  private readonly start: number;
  private readonly length: number;
  private readonly nanosHi: number;
  private readonly nanosLo: number;

  constructor(
    seq: number,
    type: number,
    buffer: ArrayBufferLike,
    start: number,
    length: number,
    nanosHi: number,
    nanosLo: number,
  ) {
    this.seq = seq;
    this.type = type;
    this.buffer = buffer;
    this.start = start;
    this.length = length;
    this.nanosHi = nanosHi;
    this.nanosLo = nanosLo;
  }

  /** The bytes that were appended: a new view on each access, of as long a life as the record. */
  get payload(): Uint8Array {
    return new Uint8Array(this.buffer, this.start, this.length);
  }

  /** Bytes of the payload, without making a view. */
  get byteLength(): number {
    return this.length;
  }

  /** Unix milliseconds, an integer (nanoseconds rounded down). */
  get timestamp(): number {
    return msFromNanos(this.nanosHi, this.nanosLo);
  }

  /** Unix nanoseconds. */
  get timestampNs(): bigint {
    return bigintFromNanos(this.nanosHi, this.nanosLo);
  }

  /** The same record over bytes of its own, which nothing overwrites. */
  copy(): LogRecord {
    return this.copyTo(new Uint8Array(this.length));
  }

  /** The same record over the first bytes of `target`, which must be long enough. */
  copyTo(target: Uint8Array): LogRecord {
    target.set(this.payload);
    const { buffer, byteOffset } = target;
    const { seq, type, length, nanosHi, nanosLo } = this;
    return new LogRecord(seq, type, buffer, byteOffset, length, nanosHi, nanosLo);
  }

  /** Payload as base64, nanoseconds as a decimal string: JSON has neither bytes nor 64-bit ints. */
  toJSON(): { seq: number; timestamp: number; timestampNs: string; type: number; payload: string } {
    return {
      seq: this.seq,
      timestamp: this.timestamp,
      timestampNs: this.timestampNs.toString(),
      type: this.type,
      payload: Buffer.from(this.buffer, this.start, this.length).toString('base64'),
    };
  }
}
