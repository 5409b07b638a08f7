/** What reading a channel needs, whoever writes to it. */
import type { Manifest } from '../format/manifest.js';
import type { ChannelContext } from './channel-context.js';
import type { CheckpointHolds } from './checkpoint-holds.js';
import type { Folds } from './folds.js';
import type { Health } from './health.js';
import type { RecordReader } from './record-reader.js';
import type { SegmentChain } from './segment-chain.js';
import type { TailHub } from './tail-hub.js';

export interface ChannelCore {
  readonly context: ChannelContext;
  readonly manifest: Manifest;
  readonly health: Health;
  readonly chain: SegmentChain;
  readonly reader: RecordReader;
  /** End of what readers see. */
  readonly visibleSeq: number;
  /** Every record below it is known to be synced. */
  readonly durableSeq: number;
  readonly tails: TailHub;
  readonly folds: Folds;
  readonly holds: CheckpointHolds;
  readonly isClosing: boolean;
  /** Sees what another process has written since; nothing to do where this one writes. */
  look(): Promise<void>;
  /** Closes once, however often it is called. */
  close(): Promise<void>;
}
