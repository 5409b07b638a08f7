/** What a tail may be asked for, checked. */
import { checkKnown, checkType } from './option-checks.js';
import type { TimeInput } from './read-options.js';
import { checkSeq } from './record-input.js';

export interface TailOptions {
  /**
   * The first seq, `'start'` for the first that the channel holds, or `'end'` for what becomes
   * visible after the call. A seq above the end is waited for. Default: `'start'`.
   */
  readonly from?: number | 'start' | 'end' | undefined;
  /** Start at the first record at or after this time, if that is later than `from`. */
  readonly fromTime?: TimeInput | undefined;
  /** Payloads are the caller's own bytes. Otherwise they live until the next step. */
  readonly copy?: boolean | undefined;
  /** Ends the tail: the pending or the next step rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const KNOWN = new Set(['from', 'fromTime', 'copy', 'signal']);

/** Throws TypeError or RangeError for what cannot be meant. */
export function checkTailOptions(options: TailOptions): void {
  checkKnown(options, KNOWN);
  const { from, copy, signal } = options;
  checkType('copy', copy, 'boolean');
  if (from !== undefined && from !== 'start' && from !== 'end') checkSeq('from', from);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError('signal must be an AbortSignal');
  }
}
