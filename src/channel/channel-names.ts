/** The name in a channel's config, and how another one takes its place. */
import { encodeChannelName } from '../format/channel-name.js';
import type { Config } from '../format/config.js';
import { CONFIG_NAME, NEXT_CONFIG_NAME } from '../format/file-name.js';
import type { FileSystem } from '../fs/file-system.js';
import { removeUnfinished } from '../fs/whole-file.js';
import { readConfig, readNextConfig, writeNextConfig } from './channel-files.js';
import { damagedFile } from './damaged-file.js';
import { storedOptionsFrom } from './options.js';

function nameIn(config: Config, path: string): string {
  const known = storedOptionsFrom(config.body);
  if (known === undefined) throw damagedFile('config', path, 24, 'fields');
  return known.name;
}

/** The full name of the channel in a directory. Throws CORRUPT, FORMAT_VERSION. */
export function readNameOf(fs: FileSystem, directory: string): string {
  return nameIn(readConfig(fs, directory), `${directory}/${CONFIG_NAME}`);
}

/** Writes a config with another name beside the one that counts. Durable when it returns. */
export function writeNextName(fs: FileSystem, directory: string, name: string): void {
  const { channelId, body } = readConfig(fs, directory);
  try {
    writeNextConfig(fs, directory, { channelId, body: { ...body, name } });
    fs.syncDirectorySync(directory);
  } catch (error) {
    removeUnfinished(fs, `${directory}/${NEXT_CONFIG_NAME}`);
    throw error;
  }
}

/**
 * Puts the config that waits in its place, if that has not happened yet, and makes it durable.
 * Returns the name that the channel has then, which is the one that leads to `entry`.
 */
export function finishRename(fs: FileSystem, directory: string, entry: string): string {
  const next = `${directory}/${NEXT_CONFIG_NAME}`;
  const waiting = readNextConfig(fs, directory);
  const name = waiting === undefined ? readNameOf(fs, directory) : nameIn(waiting, next);
  if (encodeChannelName(name) !== entry) throw damagedFile('config', directory, 0, 'identity');
  if (waiting !== undefined) fs.renameSync(next, `${directory}/${CONFIG_NAME}`);
  fs.syncDirectorySync(directory);
  return name;
}
