/**
 * Creates the directory of a channel, whole or not at all: it is built under another name, synced,
 * and renamed into place (RULES N1).
 */
import { CHANNEL_ID_BYTES } from '../format/file-header.js';
import { configBody, createChannelDirectory } from './channel-files.js';
import type { StoredChannelOptions } from './options.js';
import type { ChannelSettings } from './settings.js';

export interface ChannelCreation {
  /** Where the channel will be. Its parent exists, itself it does not. */
  readonly directory: string;
  /** Where it is built, on the same file system; nothing is there. */
  readonly staging: string;
  readonly name: string;
  readonly stored: StoredChannelOptions;
  readonly firstSeq: number;
}

/** What throws has left no channel. Durable once the directory that holds it is synced. */
export function createChannel(settings: ChannelSettings, creation: ChannelCreation): void {
  const { fs, runtime } = settings;
  const { directory, staging, name, stored, firstSeq } = creation;
  const channelId = runtime.random(new Uint8Array(CHANNEL_ID_BYTES));
  createChannelDirectory(fs, {
    directory,
    staging,
    config: { channelId, body: configBody(name, runtime.now(), stored) },
    firstSeq,
  });
}
