/**
 * Opens the channel that lives in a directory. Something of it that cannot be read is an error,
 * never "not there": what exists is never taken for new.
 */
import { RedexError, redexError } from '../core/errors.js';
import { CONFIG_NAME, generationName } from '../format/file-name.js';
import { encodeChannelName } from '../format/channel-name.js';
import type { Manifest } from '../format/manifest.js';
import { JournaledFs, OverlaidFs } from '../journal/journaled-fs.js';
import type { ChannelContext, SharedResources } from './channel-context.js';
import { readConfig, readManifest } from './channel-files.js';
import { ChannelParts } from './channel-parts.js';
import { damagedFile } from './damaged-file.js';
import { FollowedChannel } from './followed-channel.js';
import { ioError, openingError } from './io-error.js';
import {
  conflictingOption,
  storedOptionsFrom,
  type ConfigureOptions,
  type StoredChannelOptions,
} from './options.js';
import { recoverChannel } from './recovery.js';
import type { ChannelSettings } from './settings.js';

/** Of looking at a channel that is replaced again and again. */
const MAX_ATTEMPTS = 4;

export interface ChannelPlace {
  readonly directory: string;
  /** The name that the channel must have; any when undefined. */
  readonly name: string | undefined;
  /** A sync of this process covers the name of the directory already. */
  readonly isNameSynced: boolean;
  /** It was just created: nothing of it is in files but what the journal has, too. */
  readonly isFresh?: boolean | undefined;
  /** It gets its place later, by a commit; until then all that is appended goes to the journal. */
  readonly isStaged?: boolean | undefined;
}

/** Opens an existing channel for writing. `onClosed` is called once, when it is closed again. */
export async function openChannel(
  place: ChannelPlace,
  options: ConfigureOptions,
  settings: ChannelSettings,
  shared: SharedResources,
  onClosed: () => void = () => undefined,
): Promise<ChannelParts> {
  try {
    const { context, manifest } = readChannel(place, settings, shared, false);
    refuseConflict(context.name, context.stored, options);
    await settleBehind(context);
    const recovered = await recoverChannel(context, manifest, place.isFresh === true);
    const parts = ChannelParts.open(context, recovered, onClosed);
    await parts.chain.learnHidden(parts.manifest.firstSeq);
    return parts;
  } catch (error) {
    throw openingError(place.directory, error);
  }
}

/** It may have failed to write what a commit gave it, when it was open before in this process. */
async function settleBehind({ journal, directory }: ChannelContext): Promise<void> {
  if (journal === undefined || !journal.isWaiting || journal.isUsed) return;
  if (journal.refusal !== undefined) return;
  try {
    await journal.settle();
  } catch (error) {
    throw ioError('write what the journal has', directory, error, 'absent');
  }
}

/**
 * Opens an existing channel that another process may be writing to. Changes nothing. What is
 * deleted meanwhile is NOT_FOUND; when another one has its name by then, that one is opened.
 */
export async function followChannel(
  place: ChannelPlace,
  options: ConfigureOptions,
  settings: ChannelSettings,
  shared: SharedResources,
  onClosed: () => void,
): Promise<FollowedChannel> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { context } = readChannel(place, settings, shared, true);
      refuseConflict(context.name, context.stored, options);
      return await FollowedChannel.open(context, onClosed);
    } catch (error) {
      if (!mayBeReplaced(place, error, settings) || attempt === MAX_ATTEMPTS) {
        throw openingError(place.directory, error);
      }
    }
  }
}

/** Whether what failed may have come from two channels. Throws NOT_FOUND when there is none. */
function mayBeReplaced(
  { directory, name }: ChannelPlace,
  error: unknown,
  { fs }: ChannelSettings,
): boolean {
  const isMixed =
    RedexError.is(error, 'CORRUPT') && (error.check === 'missing' || error.check === 'identity');
  if (!isMixed && !RedexError.is(error, 'NOT_FOUND')) return false;
  if (fs.statSync(directory) !== undefined) return true;
  const message = `there is no channel ${name ?? directory}`;
  throw redexError('NOT_FOUND', message, { kind: 'channel', resource: name ?? directory }, error);
}

/** What config and manifest say of a channel. */
export function readChannel(
  place: ChannelPlace,
  settings: ChannelSettings,
  shared: SharedResources,
  readOnly: boolean,
): { readonly context: ChannelContext; readonly manifest: Manifest } {
  const { fs } = settings;
  const { directory, isNameSynced } = place;
  const { channelId, body } = readConfig(fs, directory);
  const known = storedOptionsFrom(body);
  if (known === undefined) throw damagedFile('config', `${directory}/${CONFIG_NAME}`, 24, 'fields');
  const { name, stored, created } = known;
  if (place.name !== undefined && place.name !== name) {
    throw damagedFile('config', `${directory}/${CONFIG_NAME}`, 24, 'identity');
  }
  const manifest = readManifest(fs, directory, channelId);
  const journal = readOnly
    ? undefined
    : shared.journal?.channel(
        channelId,
        encodeChannelName(name),
        stored.sync === 'always' || place.isStaged === true,
      );
  const view = readOnly ? shared.view?.channel(channelId) : undefined;
  const held = readOnly ? shared.journal?.find(channelId) : journal;
  const waiting = view ?? held;
  const seen = waiting === undefined ? fs : new OverlaidFs(fs, waiting);
  const generationDirectory = `${directory}/${generationName(manifest.generation)}`;
  if (journal !== undefined) journal.liveDirectory = generationDirectory;
  const context: ChannelContext = {
    fs: seen,
    settings,
    shared,
    stored,
    name,
    created,
    directory,
    generationDirectory,
    channelId,
    owner: {
      fs: journal === undefined ? seen : new JournaledFs(fs, journal, shared.files),
      channelId,
      pages: shared.pages,
      readOnly,
    },
    journal,
    view,
    isNameSynced,
  };
  return { context, manifest };
}

/** Throws OPTIONS_CONFLICT when an option was given and the stored one is another. */
export function refuseConflict(
  name: string,
  stored: StoredChannelOptions,
  given: ConfigureOptions,
): void {
  const option = conflictingOption(stored, given);
  if (option === undefined) return;
  throw redexError(
    'OPTIONS_CONFLICT',
    `channel ${name} is stored with another ${option}; configure() changes it`,
    { option, stored: stored[option], given: given[option] },
  );
}
