/**
 * Retention, for all streams together and by no timer of theirs. A stream is opened for it only
 * when it has been seen to hold too much, or when the oldest message that it may have is too old:
 * that is known without a look, from the last one or from when the stream was created.
 */
import type { LogRecord } from '../core/record.js';
import type { CatalogEntry } from './catalog-entry.js';
import { isEvicted, isStaying, type FoundStream, type StreamContext } from './stream-context.js';
import { isDamage } from './stream-errors.js';
import { headerOf } from './stream-loading.js';
import type { StreamLog } from './stream-log.js';
import type { StreamPosition } from './stream-position.js';
import type { StreamRetention } from './stream-retention.js';
import { letGo } from './stream-trim.js';

/** Streams that are looked at at once. */
const AT_ONCE = 16;

/**
 * Resolves to how many streams have let go of messages. Rejects with IO, POISONED, CLOSED, when it
 * has come to all streams.
 */
export async function retainAll(context: StreamContext): Promise<number> {
  const due = [...context.parts.catalog.retained].filter((entry) => isDue(context, entry));
  let changed = 0;
  let failed: PromiseRejectedResult | undefined;
  for (let i = 0; i < due.length && !context.isClosing; i += AT_ONCE) {
    const some = due.slice(i, i + AT_ONCE);
    const results = await Promise.allSettled(some.map((entry) => retain(context, entry)));
    for (const result of results) {
      if (result.status === 'rejected') failed ??= result;
      else if (result.value) changed++;
    }
  }
  if (failed !== undefined) throw failed.reason;
  return changed;
}

/** What was deleted is kept for its forks as it was. */
function mayChange({ isClosing }: StreamContext, entry: CatalogEntry): boolean {
  return !isClosing && isStaying(entry);
}

function isDue(context: StreamContext, entry: CatalogEntry): boolean {
  if (!mayChange(context, entry)) return false;
  const { maxAgeMs = Infinity } = entry.config.retention ?? {};
  return entry.isOverfull || context.runtime.now() > entry.keptFromMs + maxAgeMs;
}

/** Whether the stream has let go of something. */
async function retain(context: StreamContext, entry: CatalogEntry): Promise<boolean> {
  const { open } = context.parts;
  const { retention } = entry.config;
  for (;;) {
    if (retention === undefined || !mayChange(context, entry)) return false;
    let found: FoundStream | undefined;
    try {
      const log = open.find(entry) ?? (await open.open(entry));
      found = { entry, log };
      const { floor } = log.view;
      if (!(await retainOnce(context, found, retention))) continue;
      return log.view.floor.count > floor.count;
    } catch (error) {
      if (found !== undefined && isEvicted(context, found, error)) continue;
      if (!mayChange(context, entry)) return false;
      // One that is damaged does not keep the others from it.
      if (!isDamage(error)) throw error;
      context.logger.warn('a stream cannot be read', { stream: entry.name, error });
      return false;
    }
  }
}

/** False when it has to be looked at again. */
async function retainOnce(
  context: StreamContext,
  found: FoundStream,
  retention: StreamRetention,
): Promise<boolean> {
  const { entry, log } = found;
  const nowMs = context.runtime.now();
  const first = await log.use(() => firstKept(log, retention, nowMs));
  const isDone = first.at.count <= log.view.floor.count || (await letGo(context, found, first.at));
  if (!isDone) return false;
  if (retention.maxAgeMs !== undefined) {
    entry.keptFromMs = Math.max(entry.keptFromMs, first.timestamp);
    context.looked.add(entry);
  }
  return true;
}

interface FirstKept {
  readonly at: StreamPosition;
  /** Unix milliseconds: whatever the stream keeps is not older. */
  readonly timestamp: number;
}

/** The first message that is to be kept, or the tail. */
async function firstKept(
  log: StreamLog,
  { maxAgeMs, maxBytes = Infinity, maxMessages = Infinity }: StreamRetention,
  nowMs: number,
): Promise<FirstKept> {
  const { channel, reader } = log;
  const { tail, floor, nextSeq } = log.view;
  const count = Math.max(floor.count, tail.count - maxMessages);
  // The last message is kept whatever its length.
  const isKept = (at: StreamPosition): boolean =>
    at.count >= count && (tail.bytes - at.bytes <= maxBytes || at.count >= tail.count - 1);
  let seq = await reader.firstWhere(nextSeq, isKept);
  if (maxAgeMs !== undefined) {
    seq = Math.max(seq, await channel.seqAt(Math.max(0, nowMs - maxAgeMs)));
  }
  const record: LogRecord | undefined = seq < nextSeq ? await channel.get(seq) : undefined;
  if (record === undefined) return { at: tail, timestamp: nowMs };
  const { count: messages, bytes } = headerOf(channel, record);
  return { at: { count: messages, bytes }, timestamp: record.timestamp };
}
