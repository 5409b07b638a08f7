/**
 * The directories of channels, and how they come, go and change their names: always by a rename
 * of the whole directory, through places that no channel name can reach (RULES N1). Every change
 * is acknowledged only after the directories that hold the names are synced.
 */
import { RedexError, redexError } from '../core/errors.js';
import { finishRename, readNameOf, writeNextName } from '../channel/channel-names.js';
import {
  buildChannel,
  completeChannel,
  drawChannel,
  isComplete,
  readConfig,
  type ChannelBytes,
  type NewChannel,
} from '../channel/channel-files.js';
import { damagedFile } from '../channel/damaged-file.js';
import { ioError } from '../channel/io-error.js';
import type { StoredChannelOptions } from '../channel/options.js';
import type { ChannelSettings } from '../channel/settings.js';
import { encodeCreation } from '../format/creation.js';
import { decodeChannelEntry, encodeChannelName } from '../format/channel-name.js';
import { CHANNELS_NAME, NEW_NAME, RENAME_NAME, TRASH_NAME } from '../format/file-name.js';
import type { DirectoryEntry } from '../fs/file-system.js';
import type { NameChange } from '../journal/name-changes.js';
import type { StoreJournal } from '../journal/store-journal.js';
import { parentOf } from '../fs/whole-file.js';
import { DirectorySync } from './directory-sync.js';
import { drawName } from './drawn-name.js';
import { Reclaim } from './reclaim.js';
import type { StoreHealth } from './store-health.js';

/** A directory that has the form of a channel's. */
export interface ChannelDirectory {
  readonly path: string;
  /** Undefined when the name is too long for a directory and only the config has it. */
  readonly name: string | undefined;
  /** Why nobody can open it: a rename, or its creation, could not be finished. */
  readonly error?: RedexError | undefined;
}

export class ChannelDirectories {
  readonly #settings: ChannelSettings;
  readonly #health: StoreHealth;
  readonly #channels: string;
  readonly #reclaim: Reclaim;
  /** By their entries, those whose rename or creation could not be finished. */
  readonly #stuck = new Map<string, ChannelDirectory>();
  /** New names of channels that are on their way, which `channels` shows under no name. */
  readonly #passing = new Set<string>();
  readonly #syncs = new Map<string, DirectorySync>();

  constructor(settings: ChannelSettings, health: StoreHealth, directory: string) {
    this.#settings = settings;
    this.#health = health;
    this.#channels = `${directory}/${CHANNELS_NAME}`;
    this.#reclaim = new Reclaim(settings);
  }

  pathOfEntry(entry: string): string {
    return `${this.#channels}/${entry}`;
  }

  /** Makes the names of all channels durable. */
  syncNames(): void {
    this.#settings.fs.syncDirectorySync(this.#channels);
  }

  /** The same, of those that were deleted, too. Rejects with POISONED. */
  async syncAllNames(): Promise<void> {
    await this.#sync(`${this.#channels}/${TRASH_NAME}`);
    await this.#sync(this.#channels);
  }

  pathOf(name: string): string {
    return `${this.#channels}/${encodeChannelName(name)}`;
  }

  /** Whether something that failed is there all the same; so it is when nobody can say. */
  isThere(path: string): boolean {
    try {
      return this.#settings.fs.statSync(path) !== undefined;
    } catch {
      return true;
    }
  }

  /** Whether there is a channel's directory of this name. Throws EXISTS for anything else. */
  has(name: string): boolean {
    const path = this.pathOf(name);
    const stuck = this.#stuck.get(encodeChannelName(name))?.error;
    if (stuck !== undefined) throw stuck;
    const present = this.#settings.fs.statSync(path);
    if (present === undefined) return false;
    if (present.kind === 'directory') return true;
    const message = `${path} is not a directory`;
    throw redexError('EXISTS', message, { kind: present.kind, resource: path });
  }

  /** The name of a channel that was listed. Throws CORRUPT, FORMAT_VERSION, IO. */
  nameOf(found: ChannelDirectory): string {
    if (found.name !== undefined) return found.name;
    try {
      const name = readNameOf(this.#settings.fs, found.path);
      if (this.pathOf(name) !== found.path) throw damagedFile('config', found.path, 0, 'identity');
      return name;
    } catch (error) {
      throw ioError('read', found.path, error, 'absent');
    }
  }

  /** All of them, in no particular order. What no channel name leads to is left out. */
  list(): ChannelDirectory[] {
    const found: ChannelDirectory[] = [];
    for (const { name: entry, kind } of this.#entries()) {
      const decoded = kind === 'directory' ? decodeChannelEntry(entry) : undefined;
      if (decoded === undefined) continue;
      const name = decoded.kind === 'name' ? decoded.name : undefined;
      found.push({ path: this.pathOfEntry(entry), name, error: this.#stuck.get(entry)?.error });
    }
    const passing = [...this.#passing].map((name) => ({ path: this.pathOf(name), name }));
    for (const directory of [...passing, ...this.#stuck.values()]) {
      if (!found.some(({ path }) => path === directory.path)) found.push(directory);
    }
    return found;
  }

  #entries(): DirectoryEntry[] {
    try {
      return this.#settings.fs.readDirectorySync(this.#channels);
    } catch (error) {
      throw ioError('list', this.#channels, error, 'absent');
    }
  }

  /** Finishes what a process that was killed has begun. */
  takeUp(): void {
    const { fs } = this.#settings;
    const renaming = `${this.#channels}/${RENAME_NAME}`;
    for (const { name: entry, kind } of fs.readDirectorySync(renaming)) {
      if (kind !== 'directory' || decodeChannelEntry(entry) === undefined) continue;
      const path = `${renaming}/${entry}`;
      try {
        this.#finishRename(path, entry);
      } catch (error) {
        if (!RedexError.is(error)) throw error;
        // The others are not to suffer for it; its name stays taken.
        this.#stick(entry, path, error);
        this.#settings.logger.error('a channel cannot be renamed to the end', { path, error });
      }
    }
    this.#reclaim.addAllIn(`${this.#channels}/${NEW_NAME}`, `${this.#channels}/${TRASH_NAME}`);
  }

  /** Nobody is given a channel of this name until another open can finish it. */
  #stick(entry: string, path: string, error: RedexError): void {
    const decoded = decodeChannelEntry(entry);
    const name = decoded?.kind === 'name' ? decoded.name : undefined;
    this.#stuck.set(entry, { path, name, error });
  }

  #finishRename(path: string, entry: string): void {
    const { fs } = this.#settings;
    const name = finishRename(fs, path, entry);
    const target = `${this.#channels}/${entry}`;
    if (fs.statSync(target) !== undefined) {
      const message = `${path} cannot become channel ${name}: it is there already`;
      throw redexError('EXISTS', message, { kind: 'channel', resource: name });
    }
    fs.renameSync(path, target);
    fs.syncDirectorySync(this.#channels);
    fs.syncDirectorySync(parentOf(path));
  }

  /**
   * Creates a channel whose directory is not there. The journal says so, durably, before the
   * directory gets its place; a checkpoint syncs it (RULES N1).
   */
  async create(
    name: string,
    stored: StoredChannelOptions,
    firstSeq: number,
    journal: StoreJournal,
  ): Promise<void> {
    const directory = this.pathOf(name);
    const drawn = drawChannel(this.#settings.runtime, name, stored, firstSeq);
    const staging = this.stage(name, drawn);
    try {
      const creation = encodeCreation(drawn.config, drawn.manifest);
      const entry = encodeChannelName(name);
      const { channel, change } = await journal.create(drawn.channelId, entry, creation);
      this.putInPlace(staging, directory);
      channel.created(directory);
      change.isMade = true;
    } catch (error) {
      this.reclaim(staging);
      this.#health.requireUnpoisoned();
      throw ioError('create a channel', directory, error, 'absent');
    }
  }

  /** Builds a channel where no name leads to. Returns the path. Throws IO. */
  stage(name: string, bytes: ChannelBytes): string {
    const { fs, runtime } = this.#settings;
    const staging = `${this.#channels}/${NEW_NAME}/${drawName(runtime)}`;
    try {
      buildChannel(fs, staging, bytes);
      return staging;
    } catch (error) {
      this.reclaim(staging);
      throw ioError('create a channel', this.pathOf(name), error, 'absent');
    }
  }

  /** The journal says that the channel is there: if it cannot be, nobody may go on. */
  putInPlace(staging: string, directory: string): void {
    try {
      this.#settings.fs.renameSync(staging, directory);
    } catch (error) {
      throw this.#health.poison(directory, error);
    }
  }

  /** What was staged and is not wanted goes. */
  reclaim(staging: string): void {
    try {
      if (this.#settings.fs.statSync(staging) !== undefined) this.#reclaim.add(staging);
    } catch {
      // The next open finds it.
    }
  }

  /** Deletes a channel whose directory is there and that nobody uses. */
  async delete(name: string, journal: StoreJournal): Promise<void> {
    const path = this.pathOf(name);
    const channelId = this.#idOfOwn(name, path);
    const change = await this.#sayDeleted(name, path, channelId, journal);
    if (change !== undefined) {
      this.bury(path, change);
      return;
    }
    const trash = `${this.#channels}/${TRASH_NAME}`;
    const grave = `${trash}/${drawName(this.#settings.runtime)}`;
    this.#rename('delete a channel', path, grave);
    await this.#sync(trash);
    await this.#sync(this.#channels);
    this.#reclaim.add(grave);
  }

  async #sayDeleted(
    name: string,
    path: string,
    channelId: Uint8Array,
    journal: StoreJournal,
  ): Promise<NameChange | undefined> {
    try {
      return await journal.delete(channelId, encodeChannelName(name));
    } catch (error) {
      this.#health.requireUnpoisoned();
      throw ioError('delete a channel', path, error, 'absent');
    }
  }

  /** The journal says that the channel is gone, and from the next open on it is. */
  bury(path: string, change: NameChange): void {
    const grave = `${this.#channels}/${TRASH_NAME}/${drawName(this.#settings.runtime)}`;
    try {
      this.#settings.fs.renameSync(path, grave);
    } catch (error) {
      throw this.#health.poison(path, error);
    }
    change.isMade = true;
    this.#reclaim.add(grave);
  }

  /**
   * Renames a channel that nobody uses; there is none of the new name. The new config is written
   * beside the old one first, so that whoever finds the directory on its way can finish it.
   */
  async rename(from: string, to: string, journal: StoreJournal): Promise<void> {
    const { fs } = this.#settings;
    const source = this.pathOf(from);
    await this.#settle(source, this.#idOfOwn(from, source), journal);
    const renaming = `${this.#channels}/${RENAME_NAME}`;
    const passage = `${renaming}/${encodeChannelName(to)}`;
    try {
      writeNextName(fs, source, to);
    } catch (error) {
      throw ioError('rename a channel', source, error, 'absent');
    }
    this.#rename('rename a channel', source, passage);
    this.#passing.add(to);
    try {
      await this.#sync(renaming);
      await this.#sync(this.#channels);
      finishRename(fs, passage, encodeChannelName(to));
      fs.renameSync(passage, this.pathOf(to));
    } catch (error) {
      // Only the next open can finish it; until then nobody may take the new name.
      throw this.#health.poison(passage, error);
    } finally {
      this.#passing.delete(to);
    }
    await this.#sync(this.#channels);
    await this.#sync(renaming);
  }

  /** What the journal has of a channel is in its files before these have another path. */
  async #settle(path: string, channelId: Uint8Array, journal: StoreJournal): Promise<void> {
    // What had the new name before is not to come back.
    await journal.settleNames();
    const waiting = journal.find(channelId);
    if (waiting === undefined) return;
    if (waiting.refusal !== undefined) {
      // Of what is damaged nothing is read through the journal: the next open finds it by its id.
      if (!waiting.isWaiting) return;
      throw waiting.refusal;
    }
    try {
      await waiting.settle();
    } catch (error) {
      throw ioError('rename a channel', path, error, 'absent');
    }
  }

  /** The id in a directory's config. Throws CORRUPT unless that gives it this name. */
  #idOfOwn(name: string, path: string): Uint8Array {
    const { fs } = this.#settings;
    try {
      if (readNameOf(fs, path) === name) return readConfig(fs, path).channelId;
    } catch (error) {
      throw ioError('read', path, error, 'absent');
    }
    throw damagedFile('config', path, 0, 'identity');
  }

  #rename(operation: string, from: string, to: string): void {
    try {
      this.#settings.fs.renameSync(from, to);
    } catch (error) {
      throw ioError(operation, from, error, 'absent');
    }
  }

  /** Makes what the journal says was created, as far as it is missing. Throws what has failed. */
  async finishCreation(entry: string, channel: NewChannel): Promise<void> {
    const { fs } = this.#settings;
    const path = this.pathOfEntry(entry);
    try {
      await completeChannel(fs, path, channel);
    } catch (error) {
      // What is whole can be read; of the rest another channel would take the name.
      if (!isComplete(fs, path, channel)) {
        this.#stick(entry, path, ioError('redo the journal', path, error, 'absent'));
      }
      throw error;
    }
  }

  /** Finishes a deletion that the journal has acknowledged. */
  finishDeletion(entry: string): void {
    const { fs, runtime } = this.#settings;
    const trash = `${this.#channels}/${TRASH_NAME}`;
    const grave = `${trash}/${drawName(runtime)}`;
    fs.renameSync(`${this.#channels}/${entry}`, grave);
    fs.syncDirectorySync(trash);
    this.#reclaim.add(grave);
  }

  async #sync(directory: string): Promise<void> {
    this.#health.requireUnpoisoned();
    let sync = this.#syncs.get(directory);
    if (sync === undefined) {
      sync = new DirectorySync(this.#settings.fs, directory);
      this.#syncs.set(directory, sync);
    }
    try {
      await sync.sync();
    } catch (error) {
      throw this.#health.poison(directory, error);
    }
    // Another directory's sync may have failed meanwhile.
    this.#health.requireUnpoisoned();
  }

  /** Resolves when nothing is being removed any more. */
  stop(): Promise<void> {
    return this.#reclaim.stop();
  }
}
