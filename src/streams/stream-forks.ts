/**
 * Where a fork leaves its source. It has the source's messages before that place, and its offsets;
 * a place within a message of bytes makes the beginning of that message the fork's first own.
 */
import { checkInteger } from '../channel/option-checks.js';
import { isJsonType } from './json-messages.js';
import type { PageLimits } from './message-reader.js';
import type { FoundStream, StreamContext } from './stream-context.js';
import { invalidOffset } from './stream-errors.js';
import { TAIL_OFFSET, type StreamPosition } from './stream-position.js';
import { placeOf, readFrom } from './stream-reads.js';

export interface ForkPoint {
  /** Where the fork leaves the source: the source's messages before it are the fork's. */
  readonly at: StreamPosition;
  /** The beginning of a message, when the fork leaves within one. */
  readonly prefix: Uint8Array | undefined;
}

export interface ForkOptions {
  /** An offset of the source, or `'now'`. Default: its tail. */
  readonly offset?: string | undefined;
  /**
   * How far behind `offset`: messages of a JSON stream, bytes into the next message of others.
   * Default: 0.
   */
  readonly subOffset?: number | undefined;
}

export function checkForkOptions({ offset, subOffset }: ForkOptions): void {
  if (offset !== undefined && typeof offset !== 'string') {
    throw new TypeError('offset must be a string');
  }
  checkInteger('subOffset', subOffset, 0, Number.MAX_SAFE_INTEGER);
}

/** Rejects with INVALID_OFFSET, OUT_OF_RANGE, CORRUPT, IO, POISONED, CLOSED. */
export async function forkPoint(
  context: StreamContext,
  found: FoundStream,
  { offset, subOffset = 0 }: ForkOptions,
): Promise<ForkPoint> {
  const { name, config } = found.entry;
  if (subOffset > 0 && (offset === undefined || offset === TAIL_OFFSET)) {
    throw invalidOffset(name, offset ?? TAIL_OFFSET, 'there is nothing behind the tail');
  }
  const given = offset ?? TAIL_OFFSET;
  const at = await placeOf(context, found, given);
  if (subOffset === 0) return { at, prefix: undefined };
  return isJsonType(config.contentType)
    ? { at: await messagesBehind(context, found, at, given, subOffset), prefix: undefined }
    : withinMessage(context, found, at, given, subOffset);
}

/** The place so many messages on. */
async function messagesBehind(
  context: StreamContext,
  found: FoundStream,
  from: StreamPosition,
  offset: string,
  messages: number,
): Promise<StreamPosition> {
  const { name } = found.entry;
  const { tail } = found.log.view;
  const wanted = from.count + messages;
  if (wanted > tail.count) throw invalidOffset(name, offset, 'the place is behind the tail');
  let position = from;
  let next = offset;
  while (position.count < wanted) {
    const page = await readFrom(context, name, next, SEARCH);
    for (const message of page.messages) {
      if (position.count === wanted) break;
      position = { count: position.count + 1, bytes: position.bytes + message.length };
    }
    next = page.nextOffset;
  }
  return position;
}

const SEARCH: PageLimits = { maxBytes: 1024 * 1024, maxMessages: 65_536 };

async function withinMessage(
  context: StreamContext,
  { entry: { name } }: FoundStream,
  at: StreamPosition,
  offset: string,
  bytes: number,
): Promise<ForkPoint> {
  const { messages } = await readFrom(context, name, offset, { maxBytes: 1, maxMessages: 1 });
  const [message] = messages;
  if (message === undefined || bytes > message.length) {
    throw invalidOffset(name, offset, 'the place is behind the end of the message');
  }
  if (bytes < message.length) return { at, prefix: message.subarray(0, bytes) };
  return { at: { count: at.count + 1, bytes: at.bytes + message.length }, prefix: undefined };
}
