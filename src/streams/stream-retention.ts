/**
 * How much a stream keeps. The first messages go when they are too old or too many: limits that
 * nobody is refused by, other than those of the store.
 */
import { checkInteger, checkKnown } from '../channel/option-checks.js';
import type { StreamPosition } from './stream-position.js';

/** What exceeds any of it goes, the first messages first. */
export interface StreamRetention {
  /** Milliseconds: a message goes when it is older. */
  readonly maxAgeMs?: number | undefined;
  /** Bytes of messages that are kept at most; the last message may have more. */
  readonly maxBytes?: number | undefined;
  /** Messages that are kept at most. */
  readonly maxMessages?: number | undefined;
}

const FIELDS = ['maxAgeMs', 'maxBytes', 'maxMessages'] as const;
const KNOWN: ReadonlySet<string> = new Set(FIELDS);

/** A copy without what says nothing. Throws TypeError or RangeError for what cannot be meant. */
export function checkedRetention(retention: StreamRetention): StreamRetention {
  checkKnown(retention, KNOWN);
  const given = FIELDS.filter((field) => retention[field] !== undefined);
  if (given.length === 0) {
    throw new RangeError('retention without a limit: say null if everything is to be kept');
  }
  for (const field of given) {
    checkInteger(`retention.${field}`, retention[field], 1, Number.MAX_SAFE_INTEGER);
  }
  return Object.fromEntries(given.map((field) => [field, retention[field]]));
}

export function isSameRetention(
  a: StreamRetention | undefined,
  b: StreamRetention | undefined,
): boolean {
  return FIELDS.every((field) => a?.[field] === b?.[field]);
}

/** Whether there are more messages from `floor` to `tail`, or bytes of them, than are kept. */
export function isOverfull(
  retention: StreamRetention | undefined,
  { floor, tail }: { readonly floor: StreamPosition; readonly tail: StreamPosition },
): boolean {
  if (retention === undefined) return false;
  const { maxBytes = Infinity, maxMessages = Infinity } = retention;
  const messages = tail.count - floor.count;
  return messages > maxMessages || (messages > 1 && tail.bytes - floor.bytes > maxBytes);
}
