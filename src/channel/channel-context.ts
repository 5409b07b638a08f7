/** What all parts of one open channel share. */
import type { FileSystem } from '../fs/file-system.js';
import type { IndexOwner } from '../segment/segment-index.js';
import type { ChannelSettings, StoredChannelOptions } from './options.js';

export interface ChannelContext {
  readonly fs: FileSystem;
  readonly settings: ChannelSettings;
  readonly stored: StoredChannelOptions;
  readonly name: string;
  readonly directory: string;
  /** Directory of the live generation. */
  readonly generationDirectory: string;
  readonly channelId: Uint8Array;
  readonly owner: IndexOwner;
}
