/**
 * The journal in a repair. One that the engine can read is redone as by every open; what it has for
 * channels that cannot be written to waits until these are repaired. One that is damaged is read as
 * far as it goes: its records wait for their channels in the same way, and when these have them,
 * synced, it is set aside by one rename, with every byte that it has.
 */
import { RedexError } from '../core/errors.js';
import { decodeCreation } from '../format/creation.js';
import {
  CHANNELS_NAME,
  JOURNAL_NAME,
  NEW_NAME,
  RENAME_NAME,
  TRASH_NAME,
} from '../format/file-name.js';
import { decodeChannelEntry } from '../format/channel-name.js';
import { corruption } from '../segment/segment.js';
import { channelIdIn } from '../journal/channel-identity.js';
import { controlPath, readJournal } from '../journal/recovered-journal.js';
import { idOf, planRedo, type RedoChannel, type RedoWrite } from '../journal/redo-plan.js';
import { ChannelDirectories } from '../store/channel-directories.js';
import { StoreHealth } from '../store/store-health.js';
import { openJournal } from '../store/store-journal-open.js';
import {
  lookAtJournal,
  salvageJournal,
  staleControl,
  type JournalLook,
  type SalvagedJournal,
} from './journal-salvage.js';
import { isWithoutFiles } from './channel-evidence.js';
import type { RepairRun } from './repair-run.js';

/** The fewest bytes that a record takes in it. */
const RECORD_BYTES = 4;

export interface JournalState {
  /** By the id of the channel, as hex: what could not be written to its files. */
  readonly waiting: ReadonlyMap<string, readonly RedoWrite[]>;
  /** The same, with what was written. */
  readonly journaled: ReadonlyMap<string, readonly RedoWrite[]>;
  /** By the id: every seq below it may have been given to a record, as old groups say. */
  readonly reached: ReadonlyMap<string, number>;
  /** Seqs that a channel may have given to records that are lost with it, at most. */
  readonly doubt: number;
  /** The engine refuses it. */
  readonly isDamaged: boolean;
}

const NONE: ReadonlyMap<string, readonly RedoWrite[]> = new Map();
const NOTHING: JournalState = {
  waiting: NONE,
  journaled: NONE,
  reached: new Map(),
  doubt: 0,
  isDamaged: false,
};

export class JournalRepair {
  readonly #run: RepairRun;
  readonly #storeId: Uint8Array;
  readonly #journal: string;
  /** Entries that channels had when the journal has named them last, by their ids. */
  readonly #names = new Map<string, string>();

  constructor(run: RepairRun, storeId: Uint8Array) {
    this.#run = run;
    this.#storeId = storeId;
    this.#journal = `${run.directory}/${JOURNAL_NAME}`;
  }

  /** Redoes what can be redone. Throws FORMAT_VERSION. */
  async redo(): Promise<JournalState> {
    const { fs, directory } = this.#run;
    if (fs.statSync(this.#journal)?.kind !== 'directory') return NOTHING;
    const look = lookAtJournal(fs, this.#journal, this.#storeId);
    return { ...(await this.#redone(directory, look)), reached: look.reached };
  }

  async #redone(directory: string, look: JournalLook): Promise<JournalState> {
    const { fs } = this.#run;
    try {
      const contents = readJournal(fs, directory, this.#storeId);
      const check = staleControl(look, contents?.control);
      if (check !== undefined) {
        return await this.#salvage(corruption(controlPath(directory), 0, check));
      }
      if (contents === undefined || contents.groups.length === 0) return NOTHING;
      const plan = planRedo(contents.groups, contents.names);
      this.#makeWorkDirectories();
      const held = await this.#redoAll();
      const waiting = plan.filter(({ channelId }) => held.has(idOf(channelId)));
      const journaled = byChannel(plan);
      return { ...NOTHING, waiting: byChannel(waiting), journaled };
    } catch (error) {
      if (!RedexError.is(error, 'CORRUPT') && !RedexError.is(error, 'FORMAT_VERSION')) throw error;
      // One of a newer version throws again, unless it is one bit that says so.
      return await this.#salvage(error);
    }
  }

  /** The ids of the channels that are held. */
  async #redoAll(): Promise<Set<string>> {
    const { settings, directory } = this.#run;
    const directories = this.#directories();
    try {
      const storeId = this.#storeId;
      const { held } = await openJournal({ settings, directory, storeId, directories });
      return new Set(held.map(({ channelId }) => idOf(channelId)));
    } finally {
      await directories.stop();
    }
  }

  #directories(): ChannelDirectories {
    const { settings, directory } = this.#run;
    const health = new StoreHealth(directory, false, settings.logger);
    return new ChannelDirectories(settings, health, directory);
  }

  #makeWorkDirectories(): void {
    const { fs, directory } = this.#run;
    const channels = `${directory}/${CHANNELS_NAME}`;
    for (const name of [NEW_NAME, TRASH_NAME, RENAME_NAME]) {
      const path = `${channels}/${name}`;
      if (fs.statSync(path) === undefined) fs.mkdirSync(path);
    }
  }

  async #salvage(cause: RedexError): Promise<JournalState> {
    const { fs, notes } = this.#run;
    const path = this.#journal;
    const found = salvageJournal(fs, path, this.#storeId);
    const { length } = found.groups;
    const action = `what ${length} of its groups have goes to the files; it is set aside`;
    notes.steps.push({ kind: 'journal', path, reason: cause.message, action });
    const channels = planRedo(found.groups, []);
    const present = this.#channelsById();
    const waiting: RedoChannel[] = [];
    for (const channel of channels) {
      const directory = present.get(idOf(channel.channelId));
      if (channel.isDeleted) {
        this.#bury(directory ?? this.#unmade(channel.hint));
        continue;
      }
      if (directory === undefined) await this.#create(channel, found);
      // Where it is may be known only when the configs are good again.
      waiting.push(channel);
      if (channel.hint !== undefined) this.#names.set(idOf(channel.channelId), channel.hint);
    }
    this.#tellLost(found, present);
    const doubt = found.lostGroups === 0 ? 0 : Math.ceil(found.lostBytes / RECORD_BYTES);
    const writes = byChannel(waiting);
    return { ...NOTHING, waiting: writes, journaled: writes, doubt, isDamaged: true };
  }

  /** Directories of channels, by their ids. */
  #channelsById(): Map<string, string> {
    const { fs, directory } = this.#run;
    const found = new Map<string, string>();
    const channels = `${directory}/${CHANNELS_NAME}`;
    for (const { name, kind } of fs.readDirectorySync(channels)) {
      if (kind !== 'directory' || decodeChannelEntry(name) === undefined) continue;
      const id = channelIdIn(fs, `${channels}/${name}`);
      if (id !== undefined) found.set(idOf(id), `${channels}/${name}`);
    }
    return found;
  }

  /** Its deletion was acknowledged, or about to be; nothing is thrown away here. */
  #bury(directory: string | undefined): void {
    if (directory === undefined) return;
    const { notes, damaged } = this.#run;
    const reason = 'the journal says that the channel was deleted';
    notes.steps.push({ kind: 'journal', path: directory, reason, action: 'is set aside' });
    damaged.move(directory);
  }

  /** The directory of a channel of which nothing but directories has reached the disk. */
  #unmade(hint: string | undefined): string | undefined {
    const { fs, directory } = this.#run;
    const path = `${directory}/${CHANNELS_NAME}/${hint ?? ''}`;
    if (hint === undefined || fs.statSync(path)?.kind !== 'directory') return undefined;
    return isWithoutFiles(fs, path) ? path : undefined;
  }

  /** Makes what the journal has made, unless it may be gone since. */
  async #create(channel: RedoChannel, { hasStart }: SalvagedJournal): Promise<void> {
    const { channelId, hint } = channel;
    const creation = channel.creation === undefined ? undefined : decodeCreation(channel.creation);
    if (creation === undefined || hint === undefined) return;
    const path = `${this.#run.directory}/${CHANNELS_NAME}/${hint}`;
    // Without a control block nobody knows whether what is not there was deleted since.
    const mayMake =
      this.#run.fs.statSync(path) === undefined ? hasStart : this.#unmade(hint) !== undefined;
    if (!mayMake) return;
    const directories = this.#directories();
    await directories.finishCreation(hint, { channelId, ...creation });
    directories.syncNames();
  }

  #tellLost(found: SalvagedJournal, present: ReadonlyMap<string, string>): void {
    const { losses } = this.#run.notes;
    const { lostGroups, lostBytes: bytes, foreign, hasStart } = found;
    const path = this.#journal;
    if (lostGroups > 0) {
      const reason =
        `${lostGroups} groups of the journal: channels whose sync is always may have lost the ` +
        'records that were appended last';
      losses.push({ path, bytes, reason });
    }
    if (!hasStart) {
      const reason =
        'where a redo begins: a channel that the journal has made, and that is not there, ' +
        'may have been deleted since, and is not made again';
      losses.push({ path, reason });
    }
    const named = new Set(foreign.flatMap(({ entries }) => entries.map((e) => idOf(e.channelId))));
    for (const id of named) {
      const channel = present.get(id);
      if (channel === undefined) continue;
      const reason = `the journal of another store has records of ${channel}, which are not redone`;
      losses.push({ path, reason });
    }
  }

  /**
   * The channels have been repaired, those of `repaired`: what waited for them is in their files. A
   * journal that the engine reads is redone to its end, another one is set aside. `directories` are
   * those of all channels.
   */
  async finish(
    { isDamaged, waiting }: JournalState,
    repaired: ReadonlySet<string>,
    directories: readonly string[],
  ): Promise<void> {
    const { fs, damaged, isDry } = this.#run;
    const left = new Set([...waiting.keys()].filter((id) => !repaired.has(id)));
    if (!isDamaged && !isDry && waiting.size > 0) {
      for (const id of await this.#redoAll()) left.add(id);
    }
    for (const id of left) {
      const name = this.#names.get(id) ?? id;
      const reason =
        'the journal keeps the records of a channel that is not there, or could not be repaired: ' +
        name;
      this.#run.notes.losses.push({ path: this.#journal, reason });
    }
    if (!isDamaged || fs.statSync(this.#journal) === undefined) return;
    // A repair that was killed may have left names that no sync has covered (RULES S4).
    for (const directory of directories) fs.syncDirectorySync(directory);
    fs.syncDirectorySync(`${this.#run.directory}/${CHANNELS_NAME}`);
    damaged.move(this.#journal);
  }
}

function byChannel(channels: readonly RedoChannel[]): Map<string, readonly RedoWrite[]> {
  return new Map(
    channels
      .filter(({ writes }) => writes.length > 0)
      .map(({ channelId, writes }) => [idOf(channelId), writes]),
  );
}
