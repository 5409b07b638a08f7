/**
 * Redex: a data directory that is open. Holds the lock, knows which channels are open, and does
 * what concerns channels as a whole. Users open it once in a process and pass it on.
 */
import { settleAll } from '../core/settle-all.js';
import type { Channel } from '../channel/channel.js';
import { checkChannelOptions, checkName, type ChannelOptions } from '../channel/options.js';
import { backUpStore, type BackupReport } from './backup.js';
import {
  checkListOptions,
  listChannels,
  type ChannelInfo,
  type ChannelListOptions,
} from './channel-list.js';
import { checkCommit, type CommitOperation, type CommitResult } from './commit-input.js';
import { checkDirectory, type RedexOptions } from './store-options.js';
import { openStore, type StoreParts } from './store-parts.js';

export interface RedexStats {
  /** Absolute, with all links resolved. */
  readonly directory: string;
  /** Random, given at creation; 32 hex digits. */
  readonly storeId: string;
  /** Unix milliseconds of its creation. */
  readonly created: number;
  readonly readOnly: boolean;
  /** Channels that are there. */
  readonly channels: number;
  /** Channels that this process has open. */
  readonly openChannels: number;
  /** Descriptors that these hold now, as an upper bound. */
  readonly openFiles: number;
  readonly maxOpenFiles: number;
}

export class Redex {
  readonly #parts: StoreParts;
  readonly #backups = new Set<Promise<BackupReport>>();
  #closing: Promise<void> | undefined;

  private constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /**
   * Opens a data directory, and creates it when there is none. Only one Redex at a time may write
   * to a directory, on the whole machine; with `readOnly` any number may look at it meanwhile.
   * Rejects with LOCKED, CORRUPT, FORMAT_VERSION, NOT_FOUND, EXISTS, IO; when it rejects, nothing
   * in the directory but LOCK has been touched.
   */
  static async open(directory: string, options: RedexOptions = {}): Promise<Redex> {
    return new Redex(await openStore(directory, options));
  }

  /** The data directory: absolute, with all links resolved. */
  get directory(): string {
    return this.#parts.place.path;
  }

  /**
   * The channel of this name, created when it is missing. While it is open everybody gets the same
   * Channel. Options that are given must be those that are stored. Rejects with OPTIONS_CONFLICT,
   * NOT_FOUND (with `createIfMissing: false`), CORRUPT, FORMAT_VERSION, EXISTS, IO, POISONED,
   * CLOSED; with RangeError for a name that cannot be one.
   */
  async channel(name: string, options: ChannelOptions = {}): Promise<Channel> {
    checkName(name);
    checkChannelOptions(options);
    this.#parts.health.requireOpen();
    return this.#parts.registry.channel(name, options);
  }

  /**
   * Iterates over the channels that are there when it starts, sorted by name, as JavaScript
   * compares strings. Those that are deleted or renamed meanwhile are left out. A damaged one is
   * listed with its `error`, under the path of its directory when even its name cannot be read.
   */
  channels(options: ChannelListOptions = {}): AsyncIterableIterator<ChannelInfo> {
    checkListOptions(options);
    this.#parts.health.requireOpen();
    return listChannels(this.#parts, options.prefix ?? '');
  }

  /** Whether there is a channel of this name. */
  async hasChannel(name: string): Promise<boolean> {
    checkName(name);
    this.#parts.health.requireOpen();
    return this.#parts.registry.has(name);
  }

  /**
   * Deletes a channel with all its records; false when there is none. Durable when it resolves;
   * the space comes back in the background. A Channel that is open is closed by it.
   */
  async deleteChannel(name: string): Promise<boolean> {
    checkName(name);
    this.#parts.health.requireWritable();
    return this.#parts.registry.delete(name);
  }

  /**
   * Gives a channel another name: after a crash it has the old one or the new one. A Channel that
   * is open is closed by it. Rejects with NOT_FOUND, or EXISTS when the new name is taken.
   */
  async renameChannel(from: string, to: string): Promise<void> {
    checkName(from);
    checkName(to);
    this.#parts.health.requireWritable();
    await this.#parts.registry.rename(from, to);
  }

  /**
   * Appends to several channels, creates and deletes channels, all together or not at all, whatever
   * happens; synced when it resolves. No reader sees part of it. Rejects with SEQ_CONFLICT (which
   * names the channel), NOT_FOUND, OPTIONS_CONFLICT, LIMIT, IO with nothing changed, and with
   * POISONED, CLOSED, READ_ONLY; with TypeError for what cannot be meant.
   */
  async commit(operations: readonly CommitOperation[]): Promise<CommitResult> {
    const checked = checkCommit(operations);
    this.#parts.health.requireWritable();
    return this.#parts.registry.commit(checked);
  }

  /**
   * Resolves when everything appended to any channel before the call is synced. Rejects, when all
   * is done, with the first error of a channel: see `Channel.sync`.
   */
  async sync(): Promise<void> {
    this.#parts.health.requireWritable();
    await settleAll(this.#parts.registry.writing.map((parts) => parts.syncAll()));
  }

  /**
   * Copies the store into a directory that is missing or empty, while everything goes on. Each
   * channel is copied as it was synced at some moment of the call; finished segments get a second
   * name where the file system allows it, and then cost no space. The copy is a store of its own.
   */
  async backup(directory: string): Promise<BackupReport> {
    checkDirectory(directory);
    this.#parts.health.requireWritable();
    const backup = backUpStore(this.#parts, directory);
    this.#backups.add(backup);
    try {
      return await backup;
    } finally {
      this.#backups.delete(backup);
    }
  }

  /**
   * Lets go at once of what each channel's `retention` does not keep, open or not. One that fails
   * does not keep the others from it: the first error is what it rejects with in the end.
   */
  async applyRetention(): Promise<void> {
    this.#parts.health.requireWritable();
    const { registry, directories } = this.#parts;
    const failures: unknown[] = [];
    for (const found of directories.list()) {
      try {
        const name = directories.nameOf(found);
        await registry.use(name, (parts) => parts.trimming.applyRetention());
      } catch (error) {
        // One that was deleted meanwhile has nothing left.
        if (directories.isThere(found.path)) failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** What the store is made of, as it is now. */
  async stats(): Promise<RedexStats> {
    const { place, health, directories, registry, shared } = this.#parts;
    health.requireOpen();
    const { path: directory, manifest, lock } = place;
    return {
      directory,
      storeId: manifest.storeId,
      created: manifest.created,
      readOnly: lock === undefined,
      channels: directories.list().length,
      openChannels: registry.openCount,
      openFiles: shared.files.count,
      maxOpenFiles: shared.files.limit,
    };
  }

  /**
   * Closes all channels, syncs them, and gives the lock back, whatever fails: the first error is
   * what it rejects with. Later calls return the same promise; every other use rejects with CLOSED.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { place, health, directories, registry, shared } = this.#parts;
    health.close();
    // The lock is not given back before they have seen that.
    await Promise.allSettled(this.#backups);
    try {
      await settleAll([registry.close(), directories.stop()]);
    } finally {
      try {
        await shared.journal?.close();
      } finally {
        place.lock?.release();
      }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
