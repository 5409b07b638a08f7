/**
 * What holds for all channels of an open store: limits, and what it is given to work with. Checked
 * once, with messages that name the option.
 */
import {
  guardedLogger,
  silentLogger,
  systemRuntime,
  type Logger,
  type Runtime,
} from '../core/runtime.js';
import type { FileSystem } from '../fs/file-system.js';
import { checkInteger, checkObject, checkType } from './option-checks.js';
import type { RecoveryReport } from './recovery-report.js';

export interface SettingsOptions {
  /** Payload bytes of one record; more is LIMIT. Default: 16 MiB, at most 256 MiB. */
  readonly maxRecordBytes?: number | undefined;
  /**
   * Bytes of a frame that appends of one tick are merged into. Default: 1 MiB. A batch that is
   * larger gets a frame of its own, of at most 1 GiB.
   */
  readonly maxFrameBytes?: number | undefined;
  /** How long an append that asked only for `written` stays unsynced under `always`; 50. */
  readonly maxSyncDelayMs?: number | undefined;
  /**
   * File descriptors that all channels together may keep open, at least 16. Default: 512. Idle
   * ones are closed when others are needed. A few more are open for moments.
   */
  readonly maxOpenFiles?: number | undefined;
  /**
   * Bytes on the disk that the journal of appends under `always` may take, at least 256 KiB.
   * Default: 64 MiB. It begins small and grows with its use. What waits in it is in memory, too.
   */
  readonly journalBytes?: number | undefined;
  /** Told what a recovery found, when the last use of a channel did not end with close(). */
  readonly onRecovery?: ((report: RecoveryReport) => void) | undefined;
  readonly fs?: FileSystem | undefined;
  readonly runtime?: Runtime | undefined;
  readonly logger?: Logger | undefined;
}

/** The same with all defaults filled in. */
export interface ChannelSettings {
  readonly maxRecordBytes: number;
  readonly maxFrameBytes: number;
  readonly maxSyncDelayMs: number;
  readonly maxOpenFiles: number;
  readonly journalBytes: number;
  readonly onRecovery: ((report: RecoveryReport) => void) | undefined;
  readonly fs: FileSystem;
  readonly runtime: Runtime;
  readonly logger: Logger;
}

const MIB = 1024 * 1024;

export const SETTING_NAMES: readonly string[] = [
  'maxRecordBytes',
  'maxFrameBytes',
  'maxSyncDelayMs',
  'maxOpenFiles',
  'journalBytes',
  'onRecovery',
  'fs',
  'runtime',
  'logger',
];

/** Throws TypeError or RangeError for what cannot be meant. */
export function checkSettings(options: SettingsOptions): void {
  checkInteger('maxRecordBytes', options.maxRecordBytes, 0, 256 * MIB);
  checkInteger('maxFrameBytes', options.maxFrameBytes, 4096, 256 * MIB);
  checkInteger('maxSyncDelayMs', options.maxSyncDelayMs, 0, 2 ** 31 - 1);
  checkInteger('maxOpenFiles', options.maxOpenFiles, 16, 1_000_000);
  checkInteger('journalBytes', options.journalBytes, 256 * 1024, 2 ** 31);
  checkType('onRecovery', options.onRecovery, 'function');
  checkObject('fs', options.fs, 'openSync');
  checkObject('runtime', options.runtime, 'schedule');
  if (options.logger === undefined) return;
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    if (typeof options.logger[level] !== 'function') {
      throw new TypeError(`logger.${level} must be a function`);
    }
  }
}

export function settingsOf(
  options: SettingsOptions & { readonly fs: FileSystem },
): ChannelSettings {
  return {
    maxRecordBytes: options.maxRecordBytes ?? 16 * MIB,
    maxFrameBytes: options.maxFrameBytes ?? MIB,
    maxSyncDelayMs: options.maxSyncDelayMs ?? 50,
    maxOpenFiles: options.maxOpenFiles ?? 512,
    journalBytes: options.journalBytes ?? 64 * MIB,
    onRecovery: options.onRecovery,
    fs: options.fs,
    runtime: options.runtime ?? systemRuntime,
    logger: options.logger === undefined ? silentLogger : guardedLogger(options.logger),
  };
}
