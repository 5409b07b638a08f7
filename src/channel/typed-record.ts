/** A record with the value that its payload stands for. */
import type { LogRecord } from '../core/record.js';
import { DecodeError, decodedValue, type Codec } from './codec.js';

export class TypedRecord<T> {
  readonly value: T;
  /** The record as it is in the log; its payload lives as long as that of the call it came from. */
  readonly record: LogRecord;

  constructor(record: LogRecord, value: T) {
    this.record = record;
    this.value = value;
  }

  get seq(): number {
    return this.record.seq;
  }

  get type(): number {
    return this.record.type;
  }

  /** Bytes of the payload. */
  get byteLength(): number {
    return this.record.byteLength;
  }

  /** Unix milliseconds. */
  get timestamp(): number {
    return this.record.timestamp;
  }

  /** Unix nanoseconds. */
  get timestampNs(): bigint {
    return this.record.timestampNs;
  }
}

/** Throws DecodeError. */
export function typedRecord<T>(codec: Codec<T>, record: LogRecord): TypedRecord<T> {
  try {
    return new TypedRecord(record, decodedValue(codec, record.payload));
  } catch (error) {
    throw new DecodeError(record.seq, error);
  }
}
