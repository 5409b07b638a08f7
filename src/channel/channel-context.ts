/** What all parts of one open channel share, and what all channels of a store share. */
import { FrameEncoder } from '../format/frame-encoder.js';
import type { FileSystem } from '../fs/file-system.js';
import type { ChannelJournal } from '../journal/channel-journal.js';
import type { ChannelView } from '../journal/channel-view.js';
import type { JournalView } from '../journal/journal-view.js';
import type { StoreJournal } from '../journal/store-journal.js';
import { EntryPages } from '../segment/entry-pages.js';
import { ReadScratch } from '../segment/open-segment.js';
import type { IndexOwner } from '../segment/segment-index.js';
import { OpenFiles } from '../fs/open-files.js';
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
  /** Absent where nothing may be written. */
  readonly journal: StoreJournal | undefined;
  /** What the journal of a store has that is only read. */
  readonly view: JournalView | undefined;
  /** Told when a channel could not sync the directory of all channels. */
  onNamesLost: (path: string, cause: unknown) => void = () => undefined;
  readonly clock: RetentionClock;

  constructor(
    { maxOpenFiles, runtime }: ChannelSettings,
    journal?: StoreJournal,
    view?: JournalView,
  ) {
    this.journal = journal;
    this.view = view;
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
  /** Another one when a channel that a commit has made gets its place. */
  directory: string;
  /** Directory of the live generation. Another one after a compaction. */
  generationDirectory: string;
  readonly channelId: Uint8Array;
  readonly owner: IndexOwner;
  /** What the channel has in the store's journal; undefined where there is none. */
  readonly journal: ChannelJournal | undefined;
  /** The same where it is only read. */
  readonly view: ChannelView | undefined;
  /** A sync of this process covers the name of the channel's directory already. */
  readonly isNameSynced: boolean;
}

/** Appends of the channel go through the journal of the store (RULES J1). */
export function isJournaled(
  context: ChannelContext,
): context is ChannelContext & { readonly journal: ChannelJournal } {
  return context.journal?.isUsed === true;
}
