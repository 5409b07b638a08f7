/** Puts the parts of an open store together. */
import { SharedResources } from '../channel/channel-context.js';
import { openingError } from '../channel/io-error.js';
import { settingsOf, type ChannelSettings } from '../channel/settings.js';
import { nodeFs } from '../fs/node-fs.js';
import { ChannelDirectories } from './channel-directories.js';
import { ChannelRegistry } from './channel-registry.js';
import { lookAtDataDirectory, takeDataDirectory, type DataDirectory } from './data-directory.js';
import { StoreHealth } from './store-health.js';
import { channelDefaults, checkRedexOptions, type RedexOptions } from './store-options.js';

export interface StoreParts {
  readonly place: DataDirectory;
  readonly settings: ChannelSettings;
  readonly shared: SharedResources;
  readonly health: StoreHealth;
  readonly directories: ChannelDirectories;
  readonly registry: ChannelRegistry;
}

/** See Redex.open. */
export function openStore(directory: string, options: RedexOptions): StoreParts {
  checkRedexOptions(directory, options);
  const settings = settingsOf({ ...options, fs: options.fs ?? nodeFs });
  let place: DataDirectory | undefined;
  try {
    place =
      options.readOnly === true
        ? lookAtDataDirectory(settings.fs, directory)
        : takeDataDirectory(settings, directory, options.createIfMissing !== false);
    return assemble(place, settings, options);
  } catch (error) {
    place?.lock?.release();
    throw openingError(directory, error);
  }
}

function assemble(
  place: DataDirectory,
  settings: ChannelSettings,
  options: RedexOptions,
): StoreParts {
  const { path, lock } = place;
  const shared = new SharedResources(settings);
  const health = new StoreHealth(path, lock === undefined, settings.logger);
  const directories = new ChannelDirectories(settings, health, path);
  const defaults = channelDefaults(options);
  const registry = new ChannelRegistry({
    settings,
    shared,
    defaults,
    directories,
    health,
    readOnly: lock === undefined,
  });
  health.onPoisoned = (at, cause) => registry.poison(at, cause);
  if (lock !== undefined) directories.takeUp();
  return { place, settings, shared, health, directories, registry };
}
