/**
 * The channels of a store that are open, each once. What is done to a channel as a whole - opening,
 * creating, deleting, renaming - happens one after the other for each name.
 */
import { RedexError, redexError } from '../core/errors.js';
import { settleAll } from '../core/settle-all.js';
import { AppendSide } from '../channel/append-side.js';
import type { SharedResources } from '../channel/channel-context.js';
import type { ChannelCore } from '../channel/channel-core.js';
import type { ChannelParts } from '../channel/channel-parts.js';
import { Channel } from '../channel/channel.js';
import { openingError } from '../channel/io-error.js';
import { followChannel, openChannel, refuseConflict } from '../channel/open-channel.js';
import { storedWith, type ChannelOptions, type StoredChannelOptions } from '../channel/options.js';
import type { ChannelSettings } from '../channel/settings.js';
import type { StoreJournal } from '../journal/store-journal.js';
import { Commit, type CommitHost } from './commit.js';
import {
  isDelete,
  nameOf as operationName,
  type CommitOperation,
  type CommitResult,
} from './commit-input.js';
import type { ChannelDirectories } from './channel-directories.js';
import { NamedLocks } from './named-locks.js';
import { Slots } from '../core/slots.js';
import type { StoreHealth } from './store-health.js';

/**
 * Channels that are created or opened at once. Each of them has a descriptor of its own meanwhile,
 * and there are no more threads than these for their syncs.
 */
const OPENING_AT_ONCE = 4;

interface OpenEntry {
  readonly channel: Channel;
  readonly core: ChannelCore;
  /** Absent when the store is only looked at. */
  readonly parts: ChannelParts | undefined;
  /** A user has been given the channel. */
  isTaken: boolean;
}

export interface RegistryParts {
  readonly settings: ChannelSettings;
  readonly shared: SharedResources;
  readonly defaults: StoredChannelOptions;
  readonly directories: ChannelDirectories;
  readonly health: StoreHealth;
  readonly readOnly: boolean;
}

export class ChannelRegistry {
  readonly #parts: RegistryParts;
  readonly #open = new Map<string, OpenEntry>();
  readonly #locks = new NamedLocks();
  readonly #opening = new Slots(OPENING_AT_ONCE);
  /** Names that a deletion or a renaming takes from their channel, with how many of them. */
  readonly #leaving = new Map<string, number>();

  constructor(parts: RegistryParts) {
    this.#parts = parts;
  }

  /** Channels that are open. */
  get openCount(): number {
    return this.#open.size;
  }

  /** The parts of all channels that are open for writing. */
  get writing(): ChannelParts[] {
    return [...this.#open.values()].flatMap(({ parts }) => parts ?? []);
  }

  /** The open channel of this name, unless it is being closed. */
  find(name: string): OpenEntry | undefined {
    const entry = this.#open.get(name);
    return entry === undefined || entry.core.isClosing ? undefined : entry;
  }

  /** See Redex.channel. */
  async channel(name: string, options: ChannelOptions): Promise<Channel> {
    const { health, readOnly } = this.#parts;
    const present = readOnly ? undefined : this.find(name);
    // Behind a deletion or a renaming that has still to begin, it is not there any more.
    if (present !== undefined && !this.#leaving.has(name)) return take(name, present, options);
    return this.#locks.run([name], async () => {
      health.requireOpen();
      if (readOnly) await this.#dropIfGone(name);
      const opened = this.find(name);
      if (opened === undefined) {
        if (!readOnly) health.requireWritable();
        return take(name, await this.#openOrCreate(name, options), options);
      }
      return take(name, opened, options);
    });
  }

  /** Another process may have deleted a channel, and made a new one of the same name. */
  async #dropIfGone(name: string): Promise<void> {
    const entry = this.find(name);
    try {
      await entry?.core.look();
    } catch (error) {
      if (!RedexError.is(error, 'NOT_FOUND')) throw error;
      await entry?.core.close();
    }
  }

  /**
   * Runs `work` on a channel that is there, opened for it if it is not open. Nobody deletes or
   * renames it meanwhile; whoever asks for it gets it at once.
   */
  use<T>(name: string, work: (parts: ChannelParts) => Promise<T>): Promise<T> {
    return this.#locks.run([name], async () => {
      this.#parts.health.requireWritable();
      const present = this.find(name);
      const entry = present ?? (await this.#openOrCreate(name, { createIfMissing: false }));
      const { parts } = entry;
      if (parts === undefined) throw notFound(name);
      try {
        return await work(parts);
      } finally {
        if (present === undefined && !entry.isTaken) await parts.close();
      }
    });
  }

  async #openOrCreate(name: string, options: ChannelOptions): Promise<OpenEntry> {
    const { directories, defaults, readOnly } = this.#parts;
    let isFresh = false;
    await this.#closed(name);
    if (!this.#has(name)) {
      if (readOnly || options.createIfMissing === false) throw notFound(name);
      const stored = storedWith(options, defaults);
      const { firstSeq = 0 } = options;
      await directories.create(name, stored, firstSeq, this.#journal);
      isFresh = true;
    }
    const entry = await this.#opening.run(() => this.#openEntry(name, options, isFresh));
    this.#open.set(name, entry);
    // The store may have been poisoned while the channel was being opened.
    const { failedSync } = this.#parts.health;
    if (failedSync !== undefined) entry.parts?.worker.poison(failedSync.path, failedSync.cause);
    return entry;
  }

  async #openEntry(name: string, options: ChannelOptions, isFresh: boolean): Promise<OpenEntry> {
    const { directories, settings, shared, readOnly } = this.#parts;
    const place = { directory: directories.pathOf(name), name, isNameSynced: !isFresh, isFresh };
    const onClosed = (): void => this.#forget(name, core);
    let core: ChannelCore;
    if (readOnly) {
      core = await followChannel(place, options, settings, shared, onClosed);
      return { channel: new Channel(core), core, parts: undefined, isTaken: false };
    }
    const parts = await openChannel(place, options, settings, shared, onClosed);
    core = parts;
    return { channel: new Channel(core, new AppendSide(parts)), core, parts, isTaken: false };
  }

  /** Of a store that may be written to. */
  get #journal(): StoreJournal {
    const { journal } = this.#parts.shared;
    if (journal === undefined) throw new Error('the store was opened with readOnly');
    return journal;
  }

  #forget(name: string, core: ChannelCore): void {
    if (this.#open.get(name)?.core === core) this.#open.delete(name);
  }

  #has(name: string): boolean {
    const { directories } = this.#parts;
    try {
      return directories.has(name);
    } catch (error) {
      throw openingError(directories.pathOf(name), error);
    }
  }

  /** Waits until a channel that is being closed is closed. */
  async #closed(name: string): Promise<void> {
    try {
      await this.#open.get(name)?.core.close();
    } catch {
      // Whoever closed it was told.
    }
  }

  /** See Redex.commit. */
  async commit(operations: readonly CommitOperation[]): Promise<CommitResult> {
    const names = operations.map(operationName);
    const leaving = operations.filter(isDelete).map(operationName);
    return this.#leaveAll(leaving, () =>
      this.#locks.run(names, async () => {
        this.#parts.health.requireWritable();
        return new Commit(this.#commitHost(), operations).run();
      }),
    );
  }

  #commitHost(): CommitHost {
    const { directories, defaults, settings, shared, health } = this.#parts;
    return {
      journal: this.#journal,
      directories,
      defaults,
      runtime: settings.runtime,
      open: async (name) => {
        const present = this.find(name);
        if (present !== undefined) return present.parts;
        await this.#closed(name);
        if (!this.#has(name)) return undefined;
        return (await this.#openOrCreate(name, { createIfMissing: false })).parts;
      },
      openStaged: async (name, directory) => {
        const place = { directory, name, isNameSynced: false, isFresh: true, isStaged: true };
        const parts = await openChannel(place, {}, settings, shared, () =>
          this.#forget(name, parts),
        );
        return parts;
      },
      adopt: (name, parts) => {
        const channel = new Channel(parts, new AppendSide(parts));
        this.#open.set(name, { channel, core: parts, parts, isTaken: false });
      },
      requireWritable: () => health.requireWritable(),
      poisoned: () => health.poisonedError(),
      notFound,
    };
  }

  /** Runs `work` while nobody opens, creates, deletes or renames a channel of this name. */
  exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.#locks.run([name], work);
  }

  async has(name: string): Promise<boolean> {
    return this.#locks.run([name], async () => this.#has(name));
  }

  /** Deletes a channel; false when there is none. Whoever has it open finds it closed. */
  async delete(name: string): Promise<boolean> {
    return this.#leave([name], name, async () => {
      this.#parts.health.requireWritable();
      if (!this.#has(name)) return false;
      const parts = this.find(name)?.parts;
      if (parts !== undefined && parts.health.writeError() === undefined) {
        // Without the syncs of a close, which nobody needs any more.
        await new Commit(this.#commitHost(), [{ delete: name }]).run();
      } else {
        await this.#closed(name);
        await this.#parts.directories.delete(name, this.#journal);
      }
      return true;
    });
  }

  /** Renames a channel. Whoever has it open finds it closed. */
  async rename(from: string, to: string): Promise<void> {
    const names = from === to ? [from] : [from, to];
    return this.#leave(names, from, async () => {
      this.#parts.health.requireWritable();
      if (!this.#has(from)) throw notFound(from);
      if (from === to) return;
      if (this.#has(to)) {
        const message = `there is a channel ${to} already`;
        throw redexError('EXISTS', message, { kind: 'channel', resource: to });
      }
      await this.#closed(from);
      await this.#parts.directories.rename(from, to, this.#journal);
    });
  }

  /** Runs what takes a name from its channel: from the call on nobody is given that channel. */
  async #leave<T>(names: readonly string[], name: string, work: () => Promise<T>): Promise<T> {
    return this.#leaveAll([name], () => this.#locks.run(names, work));
  }

  async #leaveAll<T>(names: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const name of names) this.#leaving.set(name, (this.#leaving.get(name) ?? 0) + 1);
    try {
      return await work();
    } finally {
      for (const name of names) {
        const left = (this.#leaving.get(name) ?? 1) - 1;
        if (left === 0) this.#leaving.delete(name);
        else this.#leaving.set(name, left);
      }
    }
  }

  /** No channel of the store takes work any more. */
  poison(path: string, cause: unknown): void {
    for (const { worker } of this.writing) worker.poison(path, cause);
  }

  /** Closes all channels. Rejects with the first error, after all are closed. */
  async close(): Promise<void> {
    await this.#locks.idle();
    await settleAll([...this.#open.values()].map(({ core }) => core.close()));
  }
}

/** Gives an open channel to a user. Throws OPTIONS_CONFLICT. */
function take(name: string, entry: OpenEntry, options: ChannelOptions): Channel {
  refuseConflict(name, entry.core.context.stored, options);
  entry.isTaken = true;
  return entry.channel;
}

function notFound(name: string): RedexError {
  return redexError('NOT_FOUND', `there is no channel ${name}`, {
    kind: 'channel',
    resource: name,
  });
}
