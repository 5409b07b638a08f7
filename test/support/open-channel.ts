/**
 * A channel in a directory of its own, without a store around it: for tests of what one channel
 * does. It is created when there is nothing of that name.
 */
import { openChannel } from '../../src/channel/open-channel.js';
import { AppendSide } from '../../src/channel/append-side.js';
import { Channel } from '../../src/channel/channel.js';
import { SharedResources } from '../../src/channel/channel-context.js';
import { buildChannel, drawChannel, syncChannel } from '../../src/channel/channel-files.js';
import {
  checkChannelOptions,
  DEFAULT_STORED,
  storedWith,
  type ChannelOptions,
} from '../../src/channel/options.js';
import { openingError } from '../../src/channel/io-error.js';
import {
  checkSettings,
  settingsOf,
  type ChannelSettings,
  type SettingsOptions,
} from '../../src/channel/settings.js';
import type { FileSystem } from '../../src/fs/file-system.js';

/** What a channel and the store around it may be told. */
export type AloneOptions = ChannelOptions & SettingsOptions & { readonly name?: string };
export type OpenChannelOptions = AloneOptions & { readonly fs: FileSystem };

export async function openChannelIn(
  directory: string,
  options: OpenChannelOptions,
): Promise<Channel> {
  const { sync, segmentBytes, segmentMs, createIfMissing, firstSeq, ...rest } = options;
  const stored = { sync, segmentBytes, segmentMs };
  checkChannelOptions({ ...stored, createIfMissing, firstSeq });
  checkSettings(rest);
  const settings = settingsOf(options);
  try {
    await ensureChannel(directory, options, settings);
  } catch (error) {
    throw openingError(directory, error);
  }
  const place = { directory, name: options.name, isNameSynced: false };
  const shared = new SharedResources(settings);
  const parts = await openChannel(place, stored, settings, shared);
  return new Channel(parts, new AppendSide(parts));
}

async function ensureChannel(
  directory: string,
  options: OpenChannelOptions,
  settings: ChannelSettings,
): Promise<void> {
  const { fs } = settings;
  const parent = directory.slice(0, directory.lastIndexOf('/'));
  if (fs.statSync(directory) === undefined) {
    makeDirectories(fs, parent);
    const staging = `${directory}.new`;
    if (fs.statSync(staging) !== undefined) removeTree(fs, staging);
    const name = options.name ?? directory.slice(parent.length + 1);
    const stored = storedWith(options, DEFAULT_STORED);
    const drawn = drawChannel(settings.runtime, name, stored, options.firstSeq ?? 0);
    buildChannel(fs, staging, drawn);
    await syncChannel(fs, staging);
    fs.renameSync(staging, directory);
    fs.syncDirectorySync(parent === '' ? '/' : parent);
  }
}

function makeDirectories(fs: FileSystem, directory: string): void {
  if (directory === '') return;
  const parent = directory.slice(0, directory.lastIndexOf('/'));
  makeDirectories(fs, parent);
  if (fs.statSync(directory) === undefined) fs.mkdirSync(directory);
  fs.syncDirectorySync(parent === '' ? '/' : parent);
}

function removeTree(fs: FileSystem, directory: string): void {
  for (const { name, kind } of fs.readDirectorySync(directory)) {
    if (kind === 'directory') removeTree(fs, `${directory}/${name}`);
    else fs.unlinkSync(`${directory}/${name}`);
  }
  fs.rmdirSync(directory);
}
