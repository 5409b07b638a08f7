/** The public entry: data directories on the real file system, and what goes with them. */
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
export type { CompactReport } from './channel/compaction.js';
export type { CompactOptions } from './channel/survivors.js';
export type { AwaitedFold } from './channel/checkpoint-holds.js';
export type { RetentionPolicy } from './channel/retention.js';
export type { RetentionWait } from './channel/retention-wait.js';
export type { BatchResult } from './channel/append-side.js';
export type { Channel, ChannelStats } from './channel/channel.js';
export type { ChannelIndex, IndexOptions } from './channel/channel-index.js';
export { DecodeError, jsonCodec, utf8Codec } from './channel/codec.js';
export type { Codec, JsonCodec } from './channel/codec.js';
export type { Fold } from './channel/fold.js';
export type { FoldOptions } from './channel/fold-options.js';
export type {
  ChannelOptions,
  ConfigureOptions,
  StoredChannelOptions,
  SyncArms,
  SyncPolicy,
} from './channel/options.js';
export type { ReadBatchOptions, ReadOptions, TimeInput } from './channel/read-options.js';
export type { TailOptions } from './channel/tail-options.js';
export type { TypedChannel, TypedRecordInput } from './channel/typed-channel.js';
export type { TypedIndex } from './channel/typed-index.js';
export type { TypedRecord } from './channel/typed-record.js';
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
  VerifyKind,
  VerifyOptions,
  VerifyProblem,
  VerifyProgress,
  VerifyReport,
  VerifySeverity,
} from './channel/verify-report.js';
export type { SettingsOptions } from './channel/settings.js';
export type {
  DirectoryEntry,
  EntryKind,
  FileHandle,
  FileStat,
  FileSystem,
  OpenMode,
} from './fs/file-system.js';
export { planRepair, repair as repairStore } from './repair/repair.js';
export type { RepairProgress } from './repair/pace.js';
export type { RepairOptions } from './repair/repair.js';
export type {
  KeptAside,
  RepairLoss,
  RepairPlan,
  RepairReport,
  RepairStep,
  RepairStepKind,
} from './repair/repair-report.js';
export type { BackupReport, DamagedChannel } from './store/backup.js';
export type { ChannelInfo, ChannelListOptions } from './store/channel-list.js';
export type {
  CommitAppend,
  CommitDelete,
  CommitOperation,
  CommitResult,
} from './store/commit-input.js';
export { Redex } from './store/redex.js';
export type { RedexStats } from './store/redex.js';
export type { RedexOptions } from './store/store-options.js';
