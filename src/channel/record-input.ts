/** What callers may append, checked and brought into one form. */
import { types } from 'node:util';
import { redexError } from '../core/errors.js';
import { MAX_TIMESTAMP_MS, MAX_TIMESTAMP_NS } from '../core/nanos.js';

export type Durability = 'written' | 'synced';

/** A record with more than its payload. */
export interface RecordInput {
  readonly payload: Uint8Array | string;
  /** 0 to 65535; default 0. */
  readonly type?: number | undefined;
  /** Unix milliseconds or a Date. Made at least the time of the record before it. */
  readonly timestamp?: number | Date | undefined;
  /** Unix nanoseconds, instead of `timestamp`. */
  readonly timestampNs?: bigint | undefined;
  /** A seq at or above the next one, which skips ahead. */
  readonly seq?: number | undefined;
}

export type Appendable = Uint8Array | string | RecordInput;

export interface AppendBatchOptions {
  /** The seq that the first record must get; otherwise SEQ_CONFLICT. */
  readonly expectedSeq?: number | undefined;
  /**
   * `synced`: resolves when a power cut cannot take it back. `written`: resolves when a kill of
   * the process cannot. Default: `synced` under `always`, otherwise `written`.
   */
  readonly durability?: Durability | undefined;
}

export interface AppendOptions extends AppendBatchOptions, Omit<RecordInput, 'payload'> {}

/** A checked record. */
export interface NormalRecord {
  readonly payload: Uint8Array;
  readonly type: number;
  readonly timestampMs: number | undefined;
  readonly timestampNs: bigint | undefined;
  readonly seq: number | undefined;
}

const encoder = new TextEncoder();

const KNOWN: ReadonlySet<string> = new Set([
  'payload',
  'type',
  'timestamp',
  'timestampNs',
  'seq',
  'expectedSeq',
  'durability',
]);

/** A misspelt option must not be taken for none: a lost `expectedSeq` is a lost comparison. */
function checkKeys(given: object): void {
  for (const key of Object.keys(given)) {
    if (!KNOWN.has(key)) throw new TypeError(`unknown option ${key}`);
  }
}

export function payloadOf(payload: unknown): Uint8Array {
  if (typeof payload === 'string') return encoder.encode(payload);
  if (payload instanceof Uint8Array) return payload;
  // From another realm, such as a vm context: the same bytes through a view of this one.
  if (types.isUint8Array(payload)) {
    const { buffer, byteOffset, byteLength } = payload;
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
  throw new TypeError('a payload must be a Uint8Array or a string');
}

function normalise(input: Omit<RecordInput, 'payload'>, payload: Uint8Array): NormalRecord {
  checkKeys(input);
  const { type = 0, timestamp, timestampNs, seq } = input;
  if (typeof type !== 'number') throw new TypeError('type must be a number');
  if (!Number.isInteger(type) || type < 0 || type > 0xffff) {
    throw new RangeError(`type must be an integer from 0 to 65535, not ${type}`);
  }
  if (timestamp !== undefined && timestampNs !== undefined) {
    throw new TypeError('give timestamp or timestampNs, not both');
  }
  if (timestampNs !== undefined && typeof timestampNs !== 'bigint') {
    throw new TypeError('timestampNs must be a bigint');
  }
  if (timestampNs !== undefined && (timestampNs < 0n || timestampNs > MAX_TIMESTAMP_NS)) {
    throw new RangeError('timestampNs must be an unsigned 64-bit number of nanoseconds');
  }
  if (seq !== undefined) checkSeq('seq', seq);
  return { payload, type, timestampMs: millisecondsOf(timestamp), timestampNs, seq };
}

/** Unix milliseconds of a number or Date; whole ones, because more is what bigints are for. */
export function millisecondsOf(time: number | Date | undefined): number | undefined {
  if (time === undefined) return undefined;
  const ms = time instanceof Date ? time.getTime() : time;
  if (typeof ms !== 'number') throw new TypeError('a time must be a number or a Date');
  if (!Number.isInteger(ms) || ms < 0 || ms > MAX_TIMESTAMP_MS) {
    throw new RangeError(`a time must be whole unix milliseconds, not ${ms}`);
  }
  return ms;
}

export function checkSeq(what: string, seq: unknown): asserts seq is number {
  if (typeof seq !== 'number') throw new TypeError(`${what} must be a number`);
  if (!Number.isSafeInteger(seq) || seq < 0) {
    throw new RangeError(`${what} must be a safe integer of at least 0, not ${seq}`);
  }
}

/** A checked record of a batch: plain bytes stand for a record with nothing but a payload. */
export type BatchRecord = Uint8Array | NormalRecord;

export function normaliseRecord(input: Appendable): BatchRecord {
  if (typeof input === 'string' || types.isUint8Array(input)) return payloadOf(input);
  if (typeof input !== 'object' || input === null) {
    throw new TypeError('a record must be a Uint8Array, a string or an object with a payload');
  }
  return normalise(input, payloadOf(input.payload));
}

/** A record from `append`'s two arguments; undefined stands for a payload and nothing else. */
export function normaliseAppend(
  payload: Uint8Array,
  options: AppendOptions | undefined,
): NormalRecord | undefined {
  if (options === undefined) return undefined;
  const { type, timestamp, timestampNs, seq } = options;
  const given = [type, timestamp, timestampNs, seq].some((value) => value !== undefined);
  return given ? normalise(options, payload) : undefined;
}

export function isPlain(record: BatchRecord): record is Uint8Array {
  return record instanceof Uint8Array;
}

/** The same record over bytes that the caller cannot change any more. */
export function withOwnBytes(record: BatchRecord): BatchRecord {
  return isPlain(record) ? record.slice() : { ...record, payload: record.payload.slice() };
}

export function checkAppendOptions(options: AppendBatchOptions): void {
  checkKeys(options);
  const { expectedSeq, durability } = options;
  if (expectedSeq !== undefined) checkSeq('expectedSeq', expectedSeq);
  if (durability !== undefined && durability !== 'written' && durability !== 'synced') {
    throw new TypeError("durability must be 'written' or 'synced'");
  }
}

export function checkRecordSize(byteLength: number, limit: number): void {
  if (byteLength <= limit) return;
  throw redexError('LIMIT', `a record of ${byteLength} bytes is over the limit of ${limit}`, {
    what: 'maxRecordBytes',
    limit,
    actual: byteLength,
  });
}
