/** What a receive may be asked for, and what is asked of the group. */
import { checkInteger, checkKnown, checkType } from '../channel/option-checks.js';
import type { ReceiveRequest } from './group-receiver.js';
import { MAX_DELAY_MS } from './queue-options.js';

export interface ReceiveOptions {
  /** Messages at most. Default: 1. */
  readonly max?: number | undefined;
  /** Bytes of payloads after which no more is taken; at least one message is. Default: 4 MiB. */
  readonly maxBytes?: number | undefined;
  /** Milliseconds to wait when there is nothing. Default: 0. */
  readonly waitMs?: number | undefined;
  /** Ends the wait: it rejects with the signal's reason, and nothing was delivered. */
  readonly signal?: AbortSignal | undefined;
  /** In a queue with groups, which. */
  readonly group?: string | undefined;
  /** Who it is, for `pending`. */
  readonly consumer?: string | undefined;
}

const RECEIVE: ReadonlySet<string> = new Set([
  'max',
  'maxBytes',
  'waitMs',
  'signal',
  'group',
  'consumer',
]);
const RECEIVE_BYTES = 4 * 1024 * 1024;

/** Throws TypeError or RangeError. */
export function receiveRequest(options: ReceiveOptions): ReceiveRequest {
  checkKnown(options, RECEIVE);
  const { max = 1, maxBytes = RECEIVE_BYTES, waitMs = 0, signal, group, consumer } = options;
  for (const [name, value, least] of [
    ['max', max, 1],
    ['maxBytes', maxBytes, 1],
    ['waitMs', waitMs, 0],
  ] as const) {
    checkType(name, value, 'number');
    checkInteger(name, value, least, name === 'waitMs' ? MAX_DELAY_MS : Number.MAX_SAFE_INTEGER);
  }
  checkSignal(signal);
  for (const text of [group, consumer]) {
    if (text !== undefined && typeof text !== 'string') {
      throw new TypeError('group and consumer must be strings');
    }
  }
  return { max, maxBytes, waitMs, signal, consumer };
}

/** Throws TypeError. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return;
  throw new TypeError('signal must be an AbortSignal');
}
