/**
 * The options that are stored with an open channel, and their change: made from what is on the
 * disk, and only while that is what this process knows (RULES G2).
 */
import { CONFIG_NAME, NEXT_CONFIG_NAME } from '../format/file-name.js';
import { removeUnfinished } from '../fs/whole-file.js';
import type { ChannelContext } from './channel-context.js';
import { configBody, readConfig, writeNextConfig } from './channel-files.js';
import { damagedFile } from './damaged-file.js';
import { ioError } from './io-error.js';
import { conflictingOption, storedOptionsFrom, type StoredChannelOptions } from './options.js';

/**
 * Puts a config with these options in the place of the present one; its name is synced by the
 * caller. Throws IO, CORRUPT or FORMAT_VERSION when nothing has changed.
 */
export function replaceOptions(context: ChannelContext, stored: StoredChannelOptions): void {
  const { fs, directory, channelId, name, created } = context;
  const next = `${directory}/${NEXT_CONFIG_NAME}`;
  try {
    requireKnownConfig(context);
    writeNextConfig(fs, directory, { channelId, body: configBody(name, created, stored) });
    fs.renameSync(next, `${directory}/${CONFIG_NAME}`);
  } catch (error) {
    removeUnfinished(fs, next);
    throw ioError('configure', directory, error, 'absent');
  }
}

/** Throws unless the config on the disk is the one that the channel was opened with. */
function requireKnownConfig({ fs, directory, channelId, name, stored }: ChannelContext): void {
  const path = `${directory}/${CONFIG_NAME}`;
  const config = readConfig(fs, directory);
  if (Buffer.compare(config.channelId, channelId) !== 0) {
    throw damagedFile('config', path, 8, 'identity');
  }
  const found = storedOptionsFrom(config.body);
  if (found?.name !== name || conflictingOption(stored, found.stored) !== undefined) {
    throw damagedFile('config', path, 24, 'fields');
  }
}
