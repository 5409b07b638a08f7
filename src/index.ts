/** The public entry: opens channels on the real file system. */
import type { Channel } from './channel/channel.js';
import { openChannelIn } from './channel/open-channel.js';
import type { ChannelOptions } from './channel/options.js';
import { nodeFs } from './fs/node-fs.js';

export { ERROR_CODES, RedexError } from './core/errors.js';
export type {
  ErrorCode,
  ErrorFields,
  FailedCheck,
  Outcome,
  RedexErrorOf,
  SeqRange,
} from './core/errors.js';
export type { LogRecord } from './core/record.js';
export type { Cancel, Logger, Runtime } from './core/runtime.js';
export type { BatchResult, Channel } from './channel/channel.js';
export type {
  ChannelOptions,
  StoredChannelOptions,
  SyncArms,
  SyncPolicy,
} from './channel/options.js';
export type { ReadBatchOptions, ReadOptions, TimeInput } from './channel/read-options.js';
export type { TailOptions } from './channel/tail-options.js';
export type {
  Appendable,
  AppendBatchOptions,
  AppendOptions,
  Durability,
  RecordInput,
} from './channel/record-input.js';
export type {
  CutRegion,
  RecoveryReport,
  SuffixDamage,
  TornTail,
} from './channel/recovery-report.js';
export type {
  DirectoryEntry,
  EntryKind,
  FileHandle,
  FileStat,
  FileSystem,
  OpenMode,
} from './fs/file-system.js';

/**
 * Opens the channel that lives in `directory`, and creates it when there is nothing of that name.
 * One process at a time may have it open. Rejects with CORRUPT, FORMAT_VERSION, OPTIONS_CONFLICT,
 * NOT_FOUND, EXISTS, IO.
 */
export async function openChannel(
  directory: string,
  options: ChannelOptions = {},
): Promise<Channel> {
  return openChannelIn(directory, { ...options, fs: options.fs ?? nodeFs });
}
