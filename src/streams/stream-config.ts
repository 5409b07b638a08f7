/**
 * What a stream is created with, checked and brought into one form, and what makes two such
 * configurations the same.
 */
import { checkKnown, checkType } from '../channel/option-checks.js';
import { checkedRetention, isSameRetention, type StreamRetention } from './stream-retention.js';

/** What a stream is created with. Nothing of it but `closed` changes later. */
export interface StreamOptions {
  /** Compared without regard to case. Default: `application/octet-stream`. */
  readonly contentType?: string | undefined;
  /** Seconds without a read or a write after which the stream is gone; 0 to 10,000,000,000. */
  readonly ttlSeconds?: number | undefined;
  /** When the stream is gone, whatever happens: a Date or unix milliseconds. */
  readonly expiresAt?: Date | number | undefined;
  /** Created closed, with the data that it is created with and no more. Default: false. */
  readonly closed?: boolean | undefined;
  /**
   * What goes by itself, the first messages first; null for nothing. Default: what the store says,
   * for a fork what its source has. A create that does not say it takes a stream as it is.
   */
  readonly retention?: StreamRetention | null | undefined;
}

/** The same as it is stored. */
export interface StreamConfig {
  readonly contentType: string;
  readonly ttlSeconds: number | undefined;
  /** Unix milliseconds. */
  readonly expiresAtMs: number | undefined;
  readonly retention: StreamRetention | undefined;
}

const DEFAULT_CONTENT_TYPE = 'application/octet-stream';
const MAX_TTL_SECONDS = 1e10;
const MAX_CONTENT_TYPE_BYTES = 256;
/** The last moment of a Date. */
const MAX_TIME_MS = 8.64e15;

const KNOWN: ReadonlySet<string> = new Set([
  'contentType',
  'ttlSeconds',
  'expiresAt',
  'closed',
  'retention',
]);

/** Throws TypeError or RangeError for what cannot be meant. */
export function checkStreamOptions(
  options: StreamOptions,
  known: ReadonlySet<string> = KNOWN,
): void {
  checkKnown(options, known);
  const { contentType, ttlSeconds, expiresAt, closed, retention } = options;
  checkType('closed', closed, 'boolean');
  if (contentType !== undefined) normalContentType(contentType);
  if (retention !== undefined && retention !== null) checkedRetention(retention);
  if (ttlSeconds !== undefined) {
    checkType('ttlSeconds', ttlSeconds, 'number');
    if (!Number.isInteger(ttlSeconds) || ttlSeconds < 0 || ttlSeconds > MAX_TTL_SECONDS) {
      throw new RangeError(`ttlSeconds must be an integer from 0 to ${MAX_TTL_SECONDS}`);
    }
  }
  if (expiresAt === undefined) return;
  if (ttlSeconds !== undefined) throw new TypeError('give ttlSeconds or expiresAt, not both');
  timeOf(expiresAt);
}

function timeOf(expiresAt: Date | number): number {
  const ms = expiresAt instanceof Date ? expiresAt.getTime() : expiresAt;
  if (typeof ms !== 'number') throw new TypeError('expiresAt must be a Date or a number');
  if (!Number.isInteger(ms) || Math.abs(ms) > MAX_TIME_MS) {
    throw new RangeError(`expiresAt must be a valid time in whole milliseconds, not ${ms}`);
  }
  return ms;
}

/** Lower case, without white space around what separates its parts. Throws RangeError. */
export function normalContentType(contentType: unknown): string {
  if (typeof contentType !== 'string') throw new TypeError('contentType must be a string');
  const normal = contentType
    .trim()
    .toLowerCase()
    .replaceAll(/\s*([;=])\s*/g, '$1');
  if (!/^[\x20-\x7e]+$/.test(normal) || normal.length > MAX_CONTENT_TYPE_BYTES) {
    throw new RangeError(
      `contentType must be 1 to ${MAX_CONTENT_TYPE_BYTES} printable characters of ASCII`,
    );
  }
  return normal;
}

/** What is stored of options that were checked. */
export function configOf(
  options: StreamOptions,
  defaultRetention: StreamRetention | undefined,
): StreamConfig {
  const { contentType, ttlSeconds, expiresAt, retention = defaultRetention } = options;
  return {
    contentType: contentType === undefined ? DEFAULT_CONTENT_TYPE : normalContentType(contentType),
    ttlSeconds,
    expiresAtMs: expiresAt === undefined ? undefined : timeOf(expiresAt),
    retention: retention ? checkedRetention(retention) : undefined,
  };
}

/** The first field in which they differ, with both values; undefined when they are the same. */
export function differingField(
  stored: StreamConfig,
  given: StreamConfig,
  { retention }: Pick<StreamOptions, 'retention'>,
): { readonly field: string; readonly stored: unknown; readonly given: unknown } | undefined {
  for (const field of ['contentType', 'ttlSeconds', 'expiresAtMs'] as const) {
    if (stored[field] !== given[field]) {
      return { field, stored: stored[field], given: given[field] };
    }
  }
  // One who does not say it has the default of the store, which may have been another.
  if (retention === undefined || isSameRetention(stored.retention, given.retention)) {
    return undefined;
  }
  return { field: 'retention', stored: stored.retention, given: given.retention };
}

/** Whether the stream is gone at `nowMs`, when nobody has used it after `accessedAtMs`. */
export function isExpired(config: StreamConfig, accessedAtMs: number, nowMs: number): boolean {
  const { ttlSeconds, expiresAtMs } = config;
  if (expiresAtMs !== undefined && nowMs >= expiresAtMs) return true;
  return ttlSeconds !== undefined && nowMs >= accessedAtMs + ttlSeconds * 1000;
}
