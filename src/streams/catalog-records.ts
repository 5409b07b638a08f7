/**
 * The records of the catalog, the channel that lists all streams. A stream's id is the seq of the
 * record that lists it; ids are never used again. A body is JSON.
 */
import type { RecordInput } from '../channel/record-input.js';
import type { LogRecord } from '../core/record.js';
import type { StreamConfig } from './stream-config.js';
import type { StreamPosition } from './stream-position.js';

/** Which version of records the catalog and the streams have. */
export const STREAMS_VERSION = 1;

/** Types of records in the catalog. */
const FORMAT = 1;
export const LISTED = 2;
const TOMBSTONE = 3;
const DELETED = 4;
export const ACCESSED = 5;
const OPENED = 6;
const CLOSED = 7;
export const KEPT = 8;

/** Where a fork left its source. */
export interface ForkLink {
  /** Id of the source. */
  readonly source: number;
  /** Messages of the source before it are those of the fork. */
  readonly at: StreamPosition;
  /** What the fork was created with: the offset, if one was given, and how far behind it. */
  readonly offset: string | undefined;
  readonly subOffset: number;
}

export type CatalogRecord =
  | { readonly type: 'format'; readonly version: number }
  | {
      readonly type: 'listed';
      readonly name: string;
      readonly config: StreamConfig;
      /** Unix milliseconds. */
      readonly createdAtMs: number;
      readonly fork: ForkLink | undefined;
    }
  /** Deleted, and kept for its forks. */
  | { readonly type: 'tombstone'; readonly id: number }
  | { readonly type: 'deleted'; readonly id: number }
  /** Last reads and writes of streams with a time to live, in unix milliseconds. */
  | { readonly type: 'accessed'; readonly times: readonly (readonly [number, number])[] }
  /** Times before which streams keep no message, in unix milliseconds. */
  | { readonly type: 'kept'; readonly times: readonly (readonly [number, number])[] }
  /** The streams are in use: what was counted before does not hold any more. */
  | { readonly type: 'opened' }
  /** Nothing was written to any stream after it. */
  | { readonly type: 'closed'; readonly totalBytes: number | undefined };

const TYPES: Readonly<Record<CatalogRecord['type'], number>> = {
  format: FORMAT,
  listed: LISTED,
  tombstone: TOMBSTONE,
  deleted: DELETED,
  accessed: ACCESSED,
  opened: OPENED,
  closed: CLOSED,
  kept: KEPT,
};
const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(TYPES).map(([name, type]) => [type, name]),
);

export function encodeCatalogRecord(record: CatalogRecord): RecordInput {
  const { type, ...body } = record;
  return { payload: JSON.stringify(body), type: TYPES[type] };
}

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Undefined for what is no record of a catalog. */
export function decodeCatalogRecord(record: LogRecord): CatalogRecord | undefined {
  const type = NAMES.get(record.type);
  if (type === undefined) return undefined;
  try {
    const body = JSON.parse(decoder.decode(record.payload)) as unknown;
    if (typeof body !== 'object' || body === null) return undefined;
    // Who wrote it has checked it, and its frame has a checksum: only the outline is looked at.
    const decoded = { ...body, type } as CatalogRecord;
    return hasOutline(decoded) ? decoded : undefined;
  } catch {
    return undefined;
  }
}

function hasOutline(record: CatalogRecord): boolean {
  if (record.type === 'format') return Number.isSafeInteger(record.version);
  if (record.type === 'listed') return isListed(record);
  if (record.type === 'accessed' || record.type === 'kept') return Array.isArray(record.times);
  if (record.type === 'opened') return true;
  if (record.type !== 'closed') return Number.isSafeInteger(record.id);
  return record.totalBytes === undefined || Number.isSafeInteger(record.totalBytes);
}

function isListed({
  name,
  config,
  createdAtMs,
  fork,
}: CatalogRecord & { type: 'listed' }): boolean {
  return (
    typeof name === 'string' &&
    typeof config?.contentType === 'string' &&
    Number.isSafeInteger(createdAtMs) &&
    (fork === undefined || isFork(fork))
  );
}

function isFork({ source, at, subOffset }: ForkLink): boolean {
  return [source, at?.count, at?.bytes, subOffset].every((value) => Number.isSafeInteger(value));
}
