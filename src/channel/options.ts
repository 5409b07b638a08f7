/**
 * The options of a channel: those that are stored with it, and those that matter when it is
 * opened. Checked once, with messages that name the option.
 */
import { checkInteger, checkKnown, checkType } from './option-checks.js';
import type { RetentionPolicy } from './retention.js';

/** When a background sync starts: at the first of the given arms that is reached. */
export interface SyncArms {
  /** Records that no finished sync covers. */
  readonly everyN?: number | undefined;
  /** Bytes of frames that no finished sync covers. */
  readonly maxBytes?: number | undefined;
  /** Milliseconds since the first record that no sync covers. */
  readonly intervalMs?: number | undefined;
}

/**
 * - `always`: an append resolves when it is synced. The default.
 * - arms: an append resolves when it is written; a background worker syncs.
 * - `never`: an append resolves when it is written; only sync(), close() and rolling over to a new
 *   segment sync.
 */
export type SyncPolicy = 'always' | 'never' | SyncArms;

/** Frozen, with all that is in it: configure() puts others in their place. */
export interface StoredChannelOptions {
  readonly sync: SyncPolicy;
  /** Bytes after which a segment is sealed and the next one begun. */
  readonly segmentBytes: number;
  /** Milliseconds after which a segment is sealed at the next append; 0 for no age limit. */
  readonly segmentMs: number;
  /** What is kept; undefined for everything. */
  readonly retention: RetentionPolicy | undefined;
}

/** The options that are stored with a channel and can be changed by configure(). */
export interface ConfigureOptions {
  /** Default: `'always'`. */
  readonly sync?: SyncPolicy | undefined;
  /** Default: 64 MiB; 4 KiB to 2 GiB. */
  readonly segmentBytes?: number | undefined;
  /** Default: 0, no limit. */
  readonly segmentMs?: number | undefined;
  /** Default: everything is kept, which can also be said with `null`. */
  readonly retention?: RetentionPolicy | null | undefined;
}

/** Stored when the channel is created; later, what is given has to be what is stored. */
export interface ChannelOptions extends ConfigureOptions {
  /** Default: true. When false, a channel that is not there is NOT_FOUND. */
  readonly createIfMissing?: boolean | undefined;
  /** Seq of the first record of a channel that is created. Default: 0. */
  readonly firstSeq?: number | undefined;
}

const MIB = 1024 * 1024;
/** The seq after it is still a safe integer. */
export const MAX_SEQ: number = Number.MAX_SAFE_INTEGER - 1;
/** What a config may hold under `options`. */
const STORED: ReadonlySet<string> = new Set(['sync', 'segmentBytes', 'segmentMs', 'retention']);

export const DEFAULT_STORED: StoredChannelOptions = frozen({
  sync: 'always',
  segmentBytes: 64 * MIB,
  segmentMs: 0,
  retention: undefined,
});

const KNOWN: ReadonlySet<string> = new Set([...STORED, 'createIfMissing', 'firstSeq']);

/** Throws TypeError or RangeError for what cannot be meant. */
export function checkChannelOptions(options: ChannelOptions): void {
  checkKnown(options, KNOWN);
  checkStored(options);
  checkInteger('firstSeq', options.firstSeq, 0, MAX_SEQ);
  checkType('createIfMissing', options.createIfMissing, 'boolean');
}

export function checkConfigureOptions(options: ConfigureOptions): void {
  checkKnown(options, STORED);
  checkStored(options);
}

export function checkStored(options: ConfigureOptions): void {
  if (options.sync !== undefined) checkSyncPolicy(options.sync);
  checkInteger('segmentBytes', options.segmentBytes, 4096, 2 ** 31);
  checkInteger('segmentMs', options.segmentMs, 0, Number.MAX_SAFE_INTEGER);
  if (options.retention !== undefined && options.retention !== null) {
    checkRetention(options.retention);
  }
}

/** What is stored when these are given: the defaults where they say nothing. */
export function storedWith(
  given: ConfigureOptions,
  defaults: StoredChannelOptions,
): StoredChannelOptions {
  const { sync, segmentBytes, segmentMs, retention } = given;
  const stored = {
    // The caller may change its object afterwards.
    sync: structuredClone(sync ?? defaults.sync),
    segmentBytes: segmentBytes ?? defaults.segmentBytes,
    segmentMs: segmentMs ?? defaults.segmentMs,
    retention: retention === undefined ? defaults.retention : cleanRetention(retention),
  };
  // What was checked may have been something else: an option can be a getter.
  checkStored(stored);
  return frozen(stored);
}

/** The channel works by what it hands out: nobody may change it but configure(). */
function frozen(stored: StoredChannelOptions): StoredChannelOptions {
  Object.freeze(stored.sync);
  Object.freeze(stored.retention?.waitFor);
  Object.freeze(stored.retention);
  return Object.freeze(stored);
}

/** Names are non-empty well-formed strings of at most 1,024 UTF-8 bytes without NUL. */
export function checkName(name: unknown, what: string = 'a channel name'): asserts name is string {
  if (typeof name !== 'string') throw new TypeError(`${what} must be a string`);
  // A lone surrogate has no UTF-8 form: two such names would become one on disk.
  if (name === '' || name.includes('\0') || /\p{Surrogate}/u.test(name)) {
    throw new RangeError(`${what} must be well-formed, not empty, and without NUL`);
  }
  if (Buffer.byteLength(name) > 1024) {
    throw new RangeError(`${what} must have at most 1,024 bytes of UTF-8`);
  }
}

function checkSyncPolicy(sync: unknown): asserts sync is SyncPolicy {
  if (sync === 'always' || sync === 'never') return;
  if (typeof sync !== 'object' || sync === null || Array.isArray(sync)) {
    throw new TypeError("sync must be 'always', 'never' or { everyN, maxBytes, intervalMs }");
  }
  const arms: readonly [string, unknown][] = Object.entries(sync).filter(
    ([, value]) => value !== undefined,
  );
  for (const [arm, value] of arms) {
    if (arm !== 'everyN' && arm !== 'maxBytes' && arm !== 'intervalMs') {
      throw new TypeError(`sync has no arm ${arm}; there are everyN, maxBytes and intervalMs`);
    }
    if (typeof value !== 'number') throw new TypeError(`sync.${arm} must be a number`);
    checkInteger(`sync.${arm}`, value, 1, 2 ** 31 - 1);
  }
  if (arms.length === 0) throw new RangeError("sync without an arm: say 'never' if that is meant");
}

const RETENTION: ReadonlySet<string> = new Set(['maxAgeMs', 'maxBytes', 'maxRecords', 'waitFor']);
/** A config is bounded. */
const MAX_AWAITED_FOLDS = 64;
const MAX_AWAITED_BYTES = 4096;

function checkRetention(retention: RetentionPolicy): void {
  if (typeof retention !== 'object' || Array.isArray(retention)) {
    throw new TypeError('retention must be { maxAgeMs, maxBytes, maxRecords, waitFor } or null');
  }
  checkKnown(retention, RETENTION);
  const { maxAgeMs, maxBytes, maxRecords, waitFor } = retention;
  if (waitFor !== undefined) checkWaitFor(waitFor);
  checkInteger('retention.maxAgeMs', maxAgeMs, 1, Number.MAX_SAFE_INTEGER);
  checkInteger('retention.maxBytes', maxBytes, 1, Number.MAX_SAFE_INTEGER);
  checkInteger('retention.maxRecords', maxRecords, 1, Number.MAX_SAFE_INTEGER);
  if (maxAgeMs === undefined && maxBytes === undefined && maxRecords === undefined) {
    throw new RangeError('retention without a limit: say null if everything is to be kept');
  }
}

function checkWaitFor(waitFor: readonly string[]): void {
  if (!Array.isArray(waitFor)) {
    throw new TypeError('retention.waitFor must be an array of names of folds');
  }
  let bytes = 0;
  for (const name of waitFor as readonly unknown[]) {
    checkName(name, 'a name in retention.waitFor');
    bytes += Buffer.byteLength(name);
  }
  if (waitFor.length > MAX_AWAITED_FOLDS || bytes > MAX_AWAITED_BYTES) {
    const most = `${MAX_AWAITED_FOLDS} names, ${MAX_AWAITED_BYTES} bytes together`;
    throw new RangeError(`retention.waitFor may have ${most}`);
  }
}

/** Without what says nothing, and in one order: what is stored is JSON, and is compared. */
function cleanRetention(retention: RetentionPolicy | null): RetentionPolicy | undefined {
  if (retention === null) return undefined;
  const { maxAgeMs, maxBytes, maxRecords, waitFor = [] } = retention;
  const names = [...new Set(waitFor)].toSorted();
  return {
    ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(maxRecords === undefined ? {} : { maxRecords }),
    ...(names.length === 0 ? {} : { waitFor: names }),
  };
}

/** Stored options as they stand in the config, or undefined for what cannot be one. */
export function storedOptionsFrom(
  body: Readonly<Record<string, unknown>>,
):
  | { readonly name: string; readonly created: number; readonly stored: StoredChannelOptions }
  | undefined {
  const { name, created, options } = body;
  if (typeof created !== 'number' || typeof options !== 'object' || options === null) {
    return undefined;
  }
  try {
    checkName(name);
    checkConfigureOptions(options);
  } catch {
    return undefined;
  }
  return { name, created, stored: frozen({ ...DEFAULT_STORED, ...options }) };
}

/** The first stored option that was given and differs, if any. */
export function conflictingOption(
  stored: StoredChannelOptions,
  given: ConfigureOptions,
): keyof StoredChannelOptions | undefined {
  const names = ['sync', 'segmentBytes', 'segmentMs', 'retention'] as const;
  const { retention } = given;
  const isPolicy = retention !== undefined && retention !== null;
  const asked = isPolicy ? { ...given, retention: cleanRetention(retention) } : given;
  return names.find(
    (name) => asked[name] !== undefined && canonical(asked[name]) !== canonical(stored[name]),
  );
}

function canonical(value: SyncPolicy | RetentionPolicy | number | null | undefined): string {
  if (value === undefined || value === null) return 'none';
  if (typeof value !== 'object') return String(value);
  const arms: [string, unknown][] = Object.entries(value);
  return JSON.stringify(
    arms.filter(([, arm]) => arm !== undefined).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}
