/** What users are told of a stream. */
import type { CatalogEntry } from './catalog-entry.js';
import type { StreamContext } from './stream-context.js';
import { formatOffset } from './stream-position.js';
import type { StreamRetention } from './stream-retention.js';

/** What the list of streams knows of one. */
export interface StreamInfo {
  readonly name: string;
  /** Of this stream and of no other, also when it is deleted and made again by the same name. */
  readonly id: string;
  readonly contentType: string;
  readonly ttlSeconds: number | undefined;
  /** Unix milliseconds. */
  readonly expiresAt: number | undefined;
  /** Unix milliseconds. */
  readonly createdAt: number;
  /** What it keeps; undefined when everything. */
  readonly retention: StreamRetention | undefined;
  /** Where it left the stream that it is a fork of. */
  readonly forkedFrom: { readonly name: string; readonly offset: string } | undefined;
}

export interface StreamHead extends StreamInfo {
  /** The tail. */
  readonly nextOffset: string;
  /** Its first message that is kept, among its own. */
  readonly firstOffset: string;
  readonly closed: boolean;
  /** Messages up to the tail: those of its source and those that were let go of included. */
  readonly messageCount: number;
  /** Bytes of these. */
  readonly totalBytes: number;
  /** Bytes of those that are its own and kept: what the limits count. */
  readonly retainedBytes: number;
  /** Unix milliseconds of the last append or close; undefined before the first. */
  readonly updatedAt: number | undefined;
}

function infoOf(context: StreamContext, entry: CatalogEntry): StreamInfo {
  const { name, id, config, createdAtMs, fork } = entry;
  const source = context.parts.catalog.sourceOf(entry);
  return {
    name,
    id: String(id),
    contentType: config.contentType,
    ttlSeconds: config.ttlSeconds,
    expiresAt: config.expiresAtMs,
    createdAt: createdAtMs,
    retention: config.retention,
    forkedFrom:
      fork === undefined || source === undefined
        ? undefined
        : { name: source.name, offset: formatOffset(fork.at) },
  };
}

/** Rejects as `StreamContext.live` does. */
export async function headOf(context: StreamContext, name: string): Promise<StreamHead> {
  const { entry, log } = await context.live(name);
  const { tail, floor, closed, updatedAtMs } = log.view;
  return {
    ...infoOf(context, entry),
    nextOffset: formatOffset(tail),
    firstOffset: formatOffset(floor),
    closed,
    messageCount: tail.count,
    totalBytes: tail.bytes,
    retainedBytes: tail.bytes - floor.bytes,
    updatedAt: updatedAtMs,
  };
}

/** The streams that are there, sorted by name. One that cannot be read is among them. */
export async function listInfos(context: StreamContext, prefix: string): Promise<StreamInfo[]> {
  context.requireOpen();
  const listed: StreamInfo[] = [];
  for (const entry of context.parts.catalog.entries) {
    if (entry.isTombstone || !entry.name.startsWith(prefix)) continue;
    if (context.isExpiredNow(entry) && (await isGone(context, entry))) continue;
    if (!entry.isRemoved) listed.push(infoOf(context, entry));
  }
  return listed.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Whether a stream is expired; one that cannot be read is not. */
export function isGone(context: StreamContext, entry: CatalogEntry): Promise<boolean> {
  return context.isExpired(entry).catch(() => entry.isRemoved);
}
