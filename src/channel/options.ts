/**
 * The options of a channel: checked once, here, with messages that name the option. What is
 * stored with the channel and what holds only while it is open are kept apart.
 */
import {
  guardedLogger,
  silentLogger,
  systemRuntime,
  type Logger,
  type Runtime,
} from '../core/runtime.js';
import type { FileSystem } from '../fs/file-system.js';
import type { RecoveryReport } from './recovery-report.js';

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

export interface StoredChannelOptions {
  readonly sync: SyncPolicy;
  /** Bytes after which a segment is sealed and the next one begun. */
  readonly segmentBytes: number;
  /** Milliseconds after which a segment is sealed at the next append; 0 for no age limit. */
  readonly segmentMs: number;
}

export interface ChannelOptions {
  /** Default: `'always'`. Stored. */
  readonly sync?: SyncPolicy | undefined;
  /** Default: 64 MiB; 4 KiB to 2 GiB. Stored. */
  readonly segmentBytes?: number | undefined;
  /** Default: 0, no limit. Stored. */
  readonly segmentMs?: number | undefined;
  /** Default: true. When false, a channel that is not there is NOT_FOUND. */
  readonly createIfMissing?: boolean | undefined;
  /** Seq of the first record of a channel that is created. Default: 0. */
  readonly firstSeq?: number | undefined;
  /** Full name of a channel that is created. Default: the last part of its directory. */
  readonly name?: string | undefined;
  /** Payload bytes of one record; more is LIMIT. Default: 16 MiB, at most 256 MiB. */
  readonly maxRecordBytes?: number | undefined;
  /**
   * Bytes of a frame that appends of one tick are merged into. Default: 1 MiB. A batch that is
   * larger gets a frame of its own, of at most 1 GiB.
   */
  readonly maxFrameBytes?: number | undefined;
  /** How long an append that asked only for `written` stays unsynced under `always`; 50. */
  readonly maxSyncDelayMs?: number | undefined;
  /** File descriptors that reading may keep open. Default: 512. */
  readonly maxOpenFiles?: number | undefined;
  /** Told what a recovery found, when the last use did not end with close(). */
  readonly onRecovery?: ((report: RecoveryReport) => void) | undefined;
  readonly fs?: FileSystem | undefined;
  readonly runtime?: Runtime | undefined;
  readonly logger?: Logger | undefined;
}

/** What holds while a channel is open, with all defaults filled in. */
export interface ChannelSettings {
  readonly maxRecordBytes: number;
  readonly maxFrameBytes: number;
  readonly maxSyncDelayMs: number;
  readonly maxOpenFiles: number;
  readonly onRecovery: ((report: RecoveryReport) => void) | undefined;
  readonly fs: FileSystem;
  readonly runtime: Runtime;
  readonly logger: Logger;
}

const MIB = 1024 * 1024;
/** The seq after it is still a safe integer. */
export const MAX_SEQ: number = Number.MAX_SAFE_INTEGER - 1;
/** What a config may hold under `options`. */
const STORED: ReadonlySet<string> = new Set(['sync', 'segmentBytes', 'segmentMs']);

export const DEFAULT_STORED: StoredChannelOptions = {
  sync: 'always',
  segmentBytes: 64 * MIB,
  segmentMs: 0,
};

const KNOWN = new Set([
  'sync',
  'segmentBytes',
  'segmentMs',
  'createIfMissing',
  'firstSeq',
  'name',
  'maxRecordBytes',
  'maxFrameBytes',
  'maxSyncDelayMs',
  'maxOpenFiles',
  'onRecovery',
  'fs',
  'runtime',
  'logger',
]);

/** Throws TypeError or RangeError for what cannot be meant. */
export function checkOptions(options: ChannelOptions): void {
  for (const key of Object.keys(options)) {
    if (!KNOWN.has(key)) throw new TypeError(`unknown option ${key}`);
  }
  if (options.sync !== undefined) checkSyncPolicy(options.sync);
  integer('segmentBytes', options.segmentBytes, 4096, 2 ** 31);
  integer('segmentMs', options.segmentMs, 0, Number.MAX_SAFE_INTEGER);
  integer('firstSeq', options.firstSeq, 0, MAX_SEQ);
  integer('maxRecordBytes', options.maxRecordBytes, 0, 256 * MIB);
  integer('maxFrameBytes', options.maxFrameBytes, 4096, 256 * MIB);
  integer('maxSyncDelayMs', options.maxSyncDelayMs, 0, 2 ** 31 - 1);
  integer('maxOpenFiles', options.maxOpenFiles, 4, 1_000_000);
  if (options.name !== undefined) checkName(options.name);
  optionalType('createIfMissing', options.createIfMissing, 'boolean');
  optionalType('onRecovery', options.onRecovery, 'function');
  if (options.logger !== undefined) {
    for (const level of ['debug', 'info', 'warn', 'error'] as const) {
      if (typeof options.logger[level] !== 'function') {
        throw new TypeError(`logger.${level} must be a function`);
      }
    }
  }
}

export function settingsOf(options: ChannelOptions & { readonly fs: FileSystem }): ChannelSettings {
  return {
    maxRecordBytes: options.maxRecordBytes ?? 16 * MIB,
    maxFrameBytes: options.maxFrameBytes ?? MIB,
    maxSyncDelayMs: options.maxSyncDelayMs ?? 50,
    maxOpenFiles: options.maxOpenFiles ?? 512,
    onRecovery: options.onRecovery,
    fs: options.fs,
    runtime: options.runtime ?? systemRuntime,
    logger: options.logger === undefined ? silentLogger : guardedLogger(options.logger),
  };
}

function integer(name: string, value: number | undefined, min: number, max: number): void {
  if (value === undefined) return;
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} must be an integer from ${min} to ${max}, not ${value}`);
  }
}

function optionalType(name: string, value: unknown, type: 'boolean' | 'function'): void {
  if (value !== undefined && typeof value !== type) {
    throw new TypeError(`${name} must be a ${type}`);
  }
}

/** Names are non-empty well-formed strings of at most 1,024 UTF-8 bytes without NUL. */
export function checkName(name: unknown): asserts name is string {
  if (typeof name !== 'string') throw new TypeError('a channel name must be a string');
  // A lone surrogate has no UTF-8 form: two such names would become one on disk.
  if (name === '' || name.includes('\0') || /\p{Surrogate}/u.test(name)) {
    throw new RangeError('a channel name must be well-formed, not empty, and without NUL');
  }
  if (Buffer.byteLength(name) > 1024) {
    throw new RangeError('a channel name must have at most 1,024 bytes of UTF-8');
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
    integer(`sync.${arm}`, value, 1, 2 ** 31 - 1);
  }
  if (arms.length === 0) throw new RangeError("sync without an arm: say 'never' if that is meant");
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
    if (Object.keys(options).some((key) => !STORED.has(key))) return undefined;
    checkOptions(options);
  } catch {
    return undefined;
  }
  return { name, created, stored: { ...DEFAULT_STORED, ...options } };
}

/** The first stored option that was given and differs, if any. */
export function conflictingOption(
  stored: StoredChannelOptions,
  given: ChannelOptions,
): keyof StoredChannelOptions | undefined {
  const names = ['sync', 'segmentBytes', 'segmentMs'] as const;
  return names.find(
    (name) => given[name] !== undefined && canonical(given[name]) !== canonical(stored[name]),
  );
}

function canonical(value: SyncPolicy | number): string {
  if (typeof value !== 'object') return String(value);
  return JSON.stringify([value.everyN ?? 0, value.maxBytes ?? 0, value.intervalMs ?? 0]);
}
