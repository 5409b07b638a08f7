/** What a fold needs of the channel that it follows. */
import type { Manifest } from '../format/manifest.js';
import type { ChannelContext } from './channel-context.js';
import type { CheckpointHolds } from './checkpoint-holds.js';
import type { Health } from './health.js';
import type { RecordReader } from './record-reader.js';
import type { TailHub } from './tail-hub.js';

export interface FoldHost {
  readonly context: ChannelContext;
  readonly health: Health;
  readonly manifest: Manifest;
  readonly reader: RecordReader;
  readonly tails: TailHub;
  readonly visibleSeq: number;
  readonly durableSeq: number;
  readonly isClosing: boolean;
  /** Sees what another process has written since. */
  look(): Promise<void>;
  /** Absent where nothing may be written. */
  readonly sync?: FoldSync | undefined;
}

/** What makes a checkpoint true before it is written. */
export interface FoldSync {
  /** A name was made in this directory: the next sync covers it. */
  addName(directory: string): void;
  /** Everything that was appended before the call is synced. Rejects with POISONED. */
  syncAll(): Promise<void>;
  /** Told how far each fold has come. */
  readonly holds: CheckpointHolds;
}
