/**
 * The order in which a store is repaired: what says what it is, then what the journal has for
 * channels that are whole, then what says what each channel is, then the segments, with what the
 * journal has for them. Each step leaves a state that the engine, or another repair, goes on from.
 */
import { redexError } from '../core/errors.js';
import { CHANNELS_NAME } from '../format/file-name.js';
import { decodeChannelEntry, encodeChannelName } from '../format/channel-name.js';
import type { Config } from '../format/config.js';
import { idOf } from '../journal/redo-plan.js';
import { storedOptionsFrom } from '../channel/options.js';
import { isWithoutFiles } from './channel-evidence.js';
import { repairChannel } from './channel-repair.js';
import { repairConfig, type ChannelPlace } from './config-repair.js';
import { JournalRepair, type JournalState } from './journal-repair.js';
import { repairManifest } from './manifest-repair.js';
import { finishRenames } from './rename-repair.js';
import type { RepairRun } from './repair-run.js';
import { repairStoreManifest } from './store-manifest-repair.js';

/** A channel whose config is good by now. */
interface Known {
  readonly place: ChannelPlace;
  readonly config: Config;
}

export async function repairAll(run: RepairRun, only: string | undefined): Promise<void> {
  const manifest = await repairStoreManifest(run);
  if (manifest === undefined) return;
  run.pace.check();
  await finishRenames(run);
  run.pace.check();
  const journal = new JournalRepair(run, Buffer.from(manifest.storeId, 'hex'));
  const first = await journal.redo();
  const wanted = only === undefined ? undefined : encodeChannelName(only);
  // What a damaged journal has is lost for every channel that is not repaired now.
  const places = placesIn(run).filter(
    ({ entry }) => wanted === undefined || first.isDamaged || wanted === entry,
  );
  if (only !== undefined && !places.some(({ entry }) => entry === wanted)) {
    throw redexError('NOT_FOUND', `there is no channel ${only}`, {
      kind: 'channel',
      resource: only,
    });
  }
  run.pace.begin(places.length);
  const known: Known[] = [];
  for (const place of places) {
    run.pace.check();
    if (isWithoutFiles(run.fs, place.directory)) {
      setAside(run, place);
      continue;
    }
    const config = await repairConfig(run, place);
    if (config !== undefined) known.push({ place, config });
  }
  const whole: Known[] = [];
  for (const each of known) {
    const name = String(each.config.body['name']);
    const { place, config } = each;
    run.pace.enter(place.entry);
    const writes = first.waiting.get(idOf(config.channelId)) ?? [];
    const reached = first.reached.get(idOf(config.channelId)) ?? 0;
    const channel = { place, channelId: config.channelId, name, writes, reached };
    if (await repairManifest(run, channel)) whole.push(each);
  }
  // Channels that can be read now take what the journal has for them.
  const isWaiting = !first.isDamaged && first.waiting.size > 0;
  const again = isWaiting ? await journal.redo() : first;
  const state = { ...again, journaled: first.journaled };
  const repaired = new Set<string>();
  for (const each of whole) {
    run.pace.enter(each.place.entry);
    if (await repairOne(run, each, state)) repaired.add(idOf(each.config.channelId));
    run.pace.leave();
  }
  const directories = places.map(({ directory }) => directory);
  await journal.finish(
    state,
    repaired,
    directories.filter((directory) => run.fs.statSync(directory) !== undefined),
  );
}

/** What the journal had of it is lost, or it would have been made again by now. */
function setAside({ notes, damaged }: RepairRun, { directory, entry }: ChannelPlace): void {
  const reason = 'nothing but directories of the channel has reached the disk';
  const place = { channel: entry, path: directory, reason };
  notes.steps.push({ kind: 'config', ...place, action: 'is set aside' });
  notes.losses.push(place);
  damaged.move(directory);
}

async function repairOne(
  run: RepairRun,
  { place, config }: Known,
  { waiting, journaled, reached, doubt }: JournalState,
): Promise<boolean> {
  const writes = waiting.get(idOf(config.channelId)) ?? [];
  const isJournaled = storedOptionsFrom(config.body)?.stored.sync === 'always';
  const { directory } = place;
  const concerned = isJournaled || writes.length > 0;
  return repairChannel(run, {
    directory,
    waiting: writes,
    journaled: journaled.get(idOf(config.channelId)) ?? [],
    reached: reached.get(idOf(config.channelId)) ?? 0,
    doubt: concerned ? doubt : 0,
  });
}

/** What has the form of a channel's directory. */
function placesIn({ fs, directory }: RepairRun): ChannelPlace[] {
  const channels = `${directory}/${CHANNELS_NAME}`;
  const entries = fs
    .readDirectorySync(channels)
    .filter(({ name, kind }) => kind === 'directory' && decodeChannelEntry(name) !== undefined)
    .map(({ name }) => name)
    .toSorted();
  const all = entries.map((entry) => `${channels}/${entry}`);
  return entries.map((entry) => ({ directory: `${channels}/${entry}`, entry, all }));
}
