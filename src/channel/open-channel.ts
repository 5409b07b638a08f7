/**
 * Opens or creates the channel that lives in a directory of its own. Creation is atomic: there is
 * a whole channel or none, and an existing one is never taken for a new one because something of
 * it cannot be read.
 */
import { resolve, sep } from 'node:path';
import { redexError } from '../core/errors.js';
import { checksumOf } from '../format/checksum.js';
import { CONFIG_NAME, generationName } from '../format/file-name.js';
import { CHANNEL_ID_BYTES } from '../format/file-header.js';
import type { FileSystem } from '../fs/file-system.js';
import { EntryPages } from '../segment/entry-pages.js';
import { corruption } from '../segment/segment.js';
import { Channel } from './channel.js';
import type { ChannelContext } from './channel-context.js';
import { createChannelDirectory, parentOf, readConfig, readManifest } from './channel-files.js';
import { ChannelParts } from './channel-parts.js';
import { openingError, systemCodeOf } from './io-error.js';
import {
  checkName,
  checkOptions,
  conflictingOption,
  DEFAULT_STORED,
  settingsOf,
  storedOptionsFrom,
  type ChannelOptions,
  type ChannelSettings,
  type StoredChannelOptions,
} from './options.js';
import { recoverChannel } from './recovery.js';

export type OpenChannelOptions = ChannelOptions & { readonly fs: FileSystem };

/** Opens the channel in `directory`. Its options are stored when it is created. */
export async function openChannelIn(
  directory: string,
  options: OpenChannelOptions,
): Promise<Channel> {
  if (typeof directory !== 'string' || directory === '' || directory.includes('\0')) {
    throw new TypeError('a directory must be a non-empty string without NUL');
  }
  checkOptions(options);
  const settings = settingsOf(options);
  // Absolute, because the working directory may change while the channel is open.
  let path = resolve(directory).replaceAll(sep, '/');
  try {
    path = followLink(settings.fs, path);
    ensureChannel(path, options, settings);
    return await openExisting(path, options, settings);
  } catch (error) {
    throw openingError(path, error);
  }
}

/** What a symbolic link to a directory leads to; every other path as it is. */
function followLink(fs: FileSystem, path: string): string {
  return fs.statSync(path)?.kind === 'other' ? fs.realpathSync(path).replaceAll(sep, '/') : path;
}

/** Creates the channel when there is nothing under its name, or nothing but an empty directory. */
function ensureChannel(
  directory: string,
  options: ChannelOptions,
  settings: ChannelSettings,
): void {
  const { fs } = settings;
  const present = fs.statSync(directory);
  const isDirectory = present?.kind === 'directory';
  if (isDirectory && fs.readDirectorySync(directory).length > 0) return;
  const name = options.name ?? lastPart(directory);
  if (present !== undefined && !isDirectory) {
    const message = `${directory} is not a directory`;
    throw redexError('EXISTS', message, { kind: present.kind, resource: directory });
  }
  if (options.createIfMissing === false) {
    const message = `there is no channel in ${directory}`;
    throw redexError('NOT_FOUND', message, { kind: 'channel', resource: directory });
  }
  createChannel(directory, name, options, settings);
}

function createChannel(
  directory: string,
  name: string,
  options: ChannelOptions,
  settings: ChannelSettings,
): void {
  checkName(name);
  if (/^\.new-[0-9a-f]{16}$/.test(lastPart(directory))) {
    throw new RangeError('names of .new- and 16 digits are those of unfinished creations');
  }
  const { fs, runtime } = settings;
  const { sync, segmentBytes, segmentMs } = options;
  const stored: StoredChannelOptions = {
    sync: sync ?? DEFAULT_STORED.sync,
    segmentBytes: segmentBytes ?? DEFAULT_STORED.segmentBytes,
    segmentMs: segmentMs ?? DEFAULT_STORED.segmentMs,
  };
  const channelId = runtime.random(new Uint8Array(CHANNEL_ID_BYTES));
  const parent = parentOf(directory);
  makeDirectories(fs, parent);
  createChannelDirectory(fs, {
    directory,
    staging: `${parent === '/' ? '' : parent}/${stagingName(lastPart(directory))}`,
    config: { channelId, body: { name, created: runtime.now(), options: { ...stored } } },
    firstSeq: options.firstSeq ?? 0,
  });
}

/** Where a channel is built before it is renamed into place; no longer than any name may be. */
function stagingName(name: string): string {
  const bytes = new TextEncoder().encode(name);
  const { hi, lo } = checksumOf(bytes, 0, bytes.byteLength);
  return `.new-${hi.toString(16).padStart(8, '0')}${lo.toString(16).padStart(8, '0')}`;
}

function lastPart(directory: string): string {
  return directory.slice(directory.lastIndexOf('/') + 1);
}

/** Makes missing directories, and makes sure of the names of all. */
function makeDirectories(fs: FileSystem, directory: string): void {
  const parent = parentOf(directory);
  if (parent === directory) return;
  makeDirectories(fs, parent);
  const isNew = fs.statSync(directory) === undefined;
  if (isNew) fs.mkdirSync(directory);
  try {
    // One that is there may come from a process that was killed before it had synced the name.
    fs.syncDirectorySync(parent);
  } catch (error) {
    // Where we may not look we have made nothing.
    const code = systemCodeOf(error);
    if (isNew || (code !== 'EACCES' && code !== 'EPERM')) throw error;
  }
}

async function openExisting(
  directory: string,
  options: ChannelOptions,
  settings: ChannelSettings,
): Promise<Channel> {
  const { fs } = settings;
  const config = readConfig(fs, directory);
  const known = storedOptionsFrom(config.body);
  if (known === undefined) throw corruption(`${directory}/${CONFIG_NAME}`, 24, 'fields');
  const { name, stored } = known;
  if (options.name !== undefined && options.name !== name) {
    throw corruption(`${directory}/${CONFIG_NAME}`, 24, 'identity');
  }
  const conflict = conflictingOption(stored, options);
  if (conflict !== undefined) {
    throw redexError('OPTIONS_CONFLICT', `channel ${name} was created with another ${conflict}`, {
      option: conflict,
      stored: stored[conflict],
      given: options[conflict],
    });
  }
  const manifest = readManifest(fs, directory, config.channelId);
  const { channelId } = config;
  const context: ChannelContext = {
    fs,
    settings,
    stored,
    name,
    directory,
    generationDirectory: `${directory}/${generationName(manifest.generation)}`,
    channelId,
    owner: { fs, channelId, pages: new EntryPages(), readOnly: false },
  };
  const recovered = await recoverChannel(context, manifest);
  return new Channel(await ChannelParts.open(context, recovered));
}
