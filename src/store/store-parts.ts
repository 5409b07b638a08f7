/** Puts the parts of an open store together. */
import type { Logger } from '../core/runtime.js';
import { SharedResources } from '../channel/channel-context.js';
import { syncChannel } from '../channel/channel-files.js';
import { openingError } from '../channel/io-error.js';
import { settingsOf, type ChannelSettings } from '../channel/settings.js';
import { CreatedFs } from '../journal/created-fs.js';
import { JournalView } from '../journal/journal-view.js';
import { StoreJournal } from '../journal/store-journal.js';
import { decodeCreation } from '../format/creation.js';
import { nodeFs } from '../fs/node-fs.js';
import { ChannelDirectories } from './channel-directories.js';
import { ChannelRegistry } from './channel-registry.js';
import { lookAtDataDirectory, takeDataDirectory, type DataDirectory } from './data-directory.js';
import { StoreHealth } from './store-health.js';
import type { HeldChannel } from './journal-redo.js';
import { openJournal } from './store-journal-open.js';
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
export async function openStore(directory: string, options: RedexOptions): Promise<StoreParts> {
  checkRedexOptions(directory, options);
  const given = settingsOf({ ...options, fs: options.fs ?? nodeFs });
  let place: DataDirectory | undefined;
  try {
    place =
      options.readOnly === true
        ? lookAtDataDirectory(given.fs, directory)
        : takeDataDirectory(given, directory, options.createIfMissing !== false);
    return await assemble(place, given, options);
  } catch (error) {
    place?.lock?.release();
    throw openingError(directory, error);
  }
}

async function assemble(
  place: DataDirectory,
  given: ChannelSettings,
  options: RedexOptions,
): Promise<StoreParts> {
  const { path, lock } = place;
  const view = lock === undefined ? viewOf(place, given) : undefined;
  const settings =
    view === undefined ? given : { ...given, fs: new CreatedFs(given.fs, view, path) };
  const health = new StoreHealth(path, lock === undefined, settings.logger);
  const directories = new ChannelDirectories(settings, health, path);
  if (lock !== undefined) directories.takeUp();
  const journal =
    lock === undefined ? undefined : await journalOf(place, settings, health, directories);
  const shared = new SharedResources(settings, journal, view);
  const defaults = channelDefaults(options);
  const registry = new ChannelRegistry({
    settings,
    shared,
    defaults,
    directories,
    health,
    readOnly: lock === undefined,
  });
  shared.onNamesLost = (at, cause) => {
    health.poison(at, cause);
  };
  health.onPoisoned = (at, cause) => {
    // What it says of names that may be lost, or that could not be removed, is needed again.
    journal?.journal.fail(at, cause);
    registry.poison(at, cause);
  };
  return { place, settings, shared, health, directories, registry };
}

/** What the journal has is seen by who only reads, too. */
function viewOf({ path, manifest }: DataDirectory, { fs }: ChannelSettings): JournalView {
  const view = new JournalView(fs, path, Buffer.from(manifest.storeId, 'hex'));
  view.look();
  return view;
}

/** The journal, with nothing left in it to redo but what could not be. */
async function journalOf(
  place: DataDirectory,
  settings: ChannelSettings,
  health: StoreHealth,
  directories: ChannelDirectories,
): Promise<StoreJournal> {
  const { path: directory, manifest } = place;
  const storeId = Buffer.from(manifest.storeId, 'hex');
  const { recovered, held } = await openJournal({ settings, directory, storeId, directories });
  const { fs, runtime, logger, journalBytes } = settings;
  const onFailed = (path: string, cause: unknown): void => void health.poison(path, cause);
  const journal = new StoreJournal(
    {
      fs,
      runtime,
      logger,
      journalBytes,
      directory,
      storeId,
      onFailed,
      syncCreated: (path, creation) => syncChannel(fs, path, decodeCreation(creation)),
      syncNames: () => directories.syncAllNames(),
    },
    recovered,
  );
  for (const channel of held) holdChannel(journal, channel, logger);
  return journal;
}

/** Readers of the channel find what could not be written in its place (RULES J9). */
function holdChannel(
  journal: StoreJournal,
  { channelId, firstGroup, error, writes, directory }: HeldChannel,
  logger: Logger,
): void {
  logger.error('the journal could not be redone for a channel', { directory, error });
  const channel = journal.hold(channelId, firstGroup, error);
  for (const { path, baseSeq, position, data, group } of writes) {
    channel.hold({ path, baseSeq, start: position, isNew: false }, data, group);
  }
}
