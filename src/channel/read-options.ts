/** What a read may be asked for, checked and with its defaults. */
import { nanosFromBigint, nanosFromMs, MAX_TIMESTAMP_NS, type Nanos } from '../core/nanos.js';
import { checkKnown, checkType } from './option-checks.js';
import { checkSeq, millisecondsOf } from './record-input.js';

/** A time: unix milliseconds, a Date, or unix nanoseconds as a bigint. */
export type TimeInput = number | Date | bigint;

export interface ReadBatchOptions {
  /** The first seq, or `'start'` for the first that the channel holds. Default: `'start'`. */
  readonly from?: number | 'start' | undefined;
  /** Exclusive. Default: the end as it is when reading begins. */
  readonly to?: number | undefined;
  /** At most so many records. */
  readonly limit?: number | undefined;
  /** Stop before the payloads exceed so many bytes; at least one record is returned. */
  readonly maxBytes?: number | undefined;
}

export interface ReadOptions extends ReadBatchOptions {
  /** Start at the first record at or after this time, if that is later than `from`. */
  readonly fromTime?: TimeInput | undefined;
  /** From `to` - 1 down to `from`. */
  readonly reverse?: boolean | undefined;
  /** Payloads keep their bytes for ever instead of until the next step. */
  readonly copy?: boolean | undefined;
  /** Ends the read: the pending step rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const KNOWN = new Set(['from', 'to', 'limit', 'maxBytes', 'fromTime', 'reverse', 'copy', 'signal']);

/** Throws TypeError or RangeError for what cannot be meant. */
export function checkReadOptions(options: ReadOptions): void {
  checkKnown(options, KNOWN);
  checkType('copy', options.copy, 'boolean');
  checkType('reverse', options.reverse, 'boolean');
  const { from, to, limit, maxBytes, signal } = options;
  if (from !== undefined && from !== 'start') checkSeq('from', from);
  if (to !== undefined) checkSeq('to', to);
  for (const [name, value] of [
    ['limit', limit],
    ['maxBytes', maxBytes],
  ] as const) {
    if (value === undefined || value === Infinity) continue;
    checkSeq(name, value);
    if (value === 0) throw new RangeError(`${name} must be at least 1`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError('signal must be an AbortSignal');
  }
}

export function nanosOfTime(time: TimeInput): Nanos {
  if (typeof time === 'bigint') {
    if (time < 0n || time > MAX_TIMESTAMP_NS) {
      throw new RangeError('a time must be an unsigned 64-bit number of nanoseconds');
    }
    return nanosFromBigint(time);
  }
  return nanosFromMs(millisecondsOf(time) ?? 0);
}
