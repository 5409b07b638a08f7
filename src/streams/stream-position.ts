/**
 * Places in a stream, and the tokens that stand for them: the number of messages before a place and
 * the bytes of these messages, 16 digits each. Tokens sort as text as the places do, are never
 * given to two places of one stream, and stay good as long as the stream is there.
 */

/** Before the message number `count`, with `bytes` bytes of messages before it. */
export interface StreamPosition {
  readonly count: number;
  readonly bytes: number;
}

/** Before the first message of a stream that is no fork. */
export const FIRST_POSITION: StreamPosition = { count: 0, bytes: 0 };

/** The offset of the first message that is there. */
export const START_OFFSET = '-1';
/** The offset of the tail, whatever it is. */
export const TAIL_OFFSET = 'now';

/** Largest count and largest number of bytes: what six bytes hold. */
export const MAX_POSITION: number = 2 ** 48 - 1;

const TOKEN = /^(\d{16})_(\d{16})$/;

export function formatOffset({ count, bytes }: StreamPosition): string {
  return `${digits(count)}_${digits(bytes)}`;
}

function digits(value: number): string {
  return String(value).padStart(16, '0');
}

/**
 * The place that a token names, whether there is one or not; undefined for what is no token.
 * Numbers that are no safe integers stay above every place.
 */
export function parseOffset(token: string): StreamPosition | undefined {
  const [, count, bytes] = TOKEN.exec(token) ?? [];
  if (count === undefined || bytes === undefined) return undefined;
  return { count: Number(count), bytes: Number(bytes) };
}

export function isSamePosition(a: StreamPosition, b: StreamPosition): boolean {
  return a.count === b.count && a.bytes === b.bytes;
}
