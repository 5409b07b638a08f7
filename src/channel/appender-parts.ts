/** What the appender works with. */
import type { FrameContent } from '../format/frame-encoder.js';
import type { EncodedFrame, SegmentWriter } from '../segment/segment-writer.js';
import type { ChannelContext } from './channel-context.js';
import type { FrameWriter } from './frame-writer.js';
import type { Health } from './health.js';
import type { SyncSchedule } from './sync-schedule.js';
import type { SyncWorker } from './sync-worker.js';
import type { Unsynced } from './unsynced.js';

/** An asynchronous dat write that has not returned. */
export interface WriteInFlight {
  readonly writer: SegmentWriter;
  readonly frame: EncodedFrame;
  /** Its frame is in the log already: a synchronous append wrote the same bytes itself. */
  completed: boolean;
}

/** A frame of its own that is to be written. */
export interface PreparedFrame {
  readonly content: FrameContent;
  readonly writer: SegmentWriter;
}

export interface AppenderParts {
  readonly context: ChannelContext;
  readonly unsynced: Unsynced;
  readonly health: Health;
  readonly frames: FrameWriter;
  readonly worker: SyncWorker;
  readonly schedule: SyncSchedule;
  /** Something was written, or will not be. */
  readonly onProgress: () => void;
  /** Its descriptors are wanted by others: nothing is written before they have been given back. */
  readonly mustYield: () => boolean;
}
