/** What all parts of one open channel share, and what all channels of a store share. */
import { FrameEncoder } from '../format/frame-encoder.js';
import type { FileSystem } from '../fs/file-system.js';
import { EntryPages } from '../segment/entry-pages.js';
import { ReadScratch } from '../segment/open-segment.js';
import type { IndexOwner } from '../segment/segment-index.js';
import { OpenFiles } from './open-files.js';
import type { StoredChannelOptions } from './options.js';
import { RetentionClock } from './retention-clock.js';
import type { ChannelSettings } from './settings.js';

/**
 * One of each for all channels of a store, so that an idle channel costs little. All of it is used
 * between two awaits only: what one channel leaves in it means nothing to the next.
 */
export class SharedResources {
  readonly files: OpenFiles;
  readonly scratch: ReadScratch = new ReadScratch();
  readonly pages: EntryPages = new EntryPages();
  readonly encoder: FrameEncoder = new FrameEncoder();

  readonly clock: RetentionClock;

  constructor({ maxOpenFiles, runtime }: ChannelSettings) {
    this.files = new OpenFiles(maxOpenFiles);
    this.clock = new RetentionClock(runtime);
  }
}

export interface ChannelContext {
  readonly fs: FileSystem;
  readonly settings: ChannelSettings;
  readonly shared: SharedResources;
  /** Replaced when the channel is configured. */
  stored: StoredChannelOptions;
  readonly name: string;
  readonly created: number;
  readonly directory: string;
  /** Directory of the live generation. Another one after a compaction. */
  generationDirectory: string;
  readonly channelId: Uint8Array;
  readonly owner: IndexOwner;
  /** A sync of this process covers the name of the channel's directory already. */
  readonly isNameSynced: boolean;
}
