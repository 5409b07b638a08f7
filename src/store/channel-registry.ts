/**
 * The channels of a store that are open, each once. What is done to a channel as a whole - opening,
 * creating, deleting, renaming - happens one after the other for each name.
 */
import { redexError, type RedexError } from '../core/errors.js';
import type { SharedResources } from '../channel/channel-context.js';
import type { ChannelParts } from '../channel/channel-parts.js';
import { Channel } from '../channel/channel.js';
import { openingError } from '../channel/io-error.js';
import { openChannel, refuseConflict } from '../channel/open-channel.js';
import { storedWith, type ChannelOptions, type StoredChannelOptions } from '../channel/options.js';
import type { ChannelSettings } from '../channel/settings.js';
import type { ChannelDirectories } from './channel-directories.js';
import { NamedLocks } from './named-locks.js';
import { Slots } from './slots.js';
import type { StoreHealth } from './store-health.js';

/** Channels that are opened at once: each of them may read through a descriptor of its own. */
const OPENING_AT_ONCE = 8;

interface OpenEntry {
  readonly channel: Channel;
  readonly parts: ChannelParts;
}

export interface RegistryParts {
  readonly settings: ChannelSettings;
  readonly shared: SharedResources;
  readonly defaults: StoredChannelOptions;
  readonly directories: ChannelDirectories;
  readonly health: StoreHealth;
}

export class ChannelRegistry {
  readonly #parts: RegistryParts;
  readonly #open = new Map<string, OpenEntry>();
  readonly #locks = new NamedLocks();
  readonly #opening = new Slots(OPENING_AT_ONCE);

  constructor(parts: RegistryParts) {
    this.#parts = parts;
  }

  /** The parts of all channels that are open. */
  get all(): ChannelParts[] {
    return [...this.#open.values()].map(({ parts }) => parts);
  }

  /** The open channel of this name, unless it is being closed. */
  find(name: string): OpenEntry | undefined {
    const entry = this.#open.get(name);
    return entry === undefined || entry.parts.isClosing ? undefined : entry;
  }

  /** See Redex.channel. */
  async channel(name: string, options: ChannelOptions): Promise<Channel> {
    const present = this.find(name);
    if (present !== undefined) {
      refuseConflict(name, present.parts.context.stored, options);
      return present.channel;
    }
    return this.#locks.run([name], async () => {
      this.#parts.health.requireWritable();
      const opened = this.find(name);
      if (opened === undefined) return this.#openOrCreate(name, options);
      refuseConflict(name, opened.parts.context.stored, options);
      return opened.channel;
    });
  }

  async #openOrCreate(name: string, options: ChannelOptions): Promise<Channel> {
    const { directories, defaults, settings, shared } = this.#parts;
    await this.#closed(name);
    const directory = directories.pathOf(name);
    if (!this.#has(name)) {
      if (options.createIfMissing === false) throw notFound(name);
      await directories.create(name, storedWith(options, defaults), options.firstSeq ?? 0);
    }
    const place = { directory, name, isNameSynced: true };
    const onClosed = (): void => this.#forget(name, parts);
    const parts = await this.#opening.run(() =>
      openChannel(place, options, settings, shared, onClosed),
    );
    const channel = new Channel(parts);
    this.#open.set(name, { channel, parts });
    return channel;
  }

  #forget(name: string, parts: ChannelParts): void {
    if (this.#open.get(name)?.parts === parts) this.#open.delete(name);
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
      await this.#open.get(name)?.parts.close();
    } catch {
      // Whoever closed it was told.
    }
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
    return this.#locks.run([name], async () => {
      this.#parts.health.requireWritable();
      if (!this.#has(name)) return false;
      await this.#closed(name);
      await this.#parts.directories.delete(name);
      return true;
    });
  }

  /** Renames a channel. Whoever has it open finds it closed. */
  async rename(from: string, to: string): Promise<void> {
    const names = from === to ? [from] : [from, to];
    return this.#locks.run(names, async () => {
      this.#parts.health.requireWritable();
      if (!this.#has(from)) throw notFound(from);
      if (from === to) return;
      if (this.#has(to)) {
        const message = `there is a channel ${to} already`;
        throw redexError('EXISTS', message, { kind: 'channel', resource: to });
      }
      await this.#closed(from);
      await this.#parts.directories.rename(from, to);
    });
  }

  /** No channel of the store takes work any more. */
  poison(path: string, cause: unknown): void {
    for (const { worker } of this.all) worker.poison(path, cause);
  }

  /** Closes all channels. Rejects with the first error, after all are closed. */
  async close(): Promise<void> {
    await this.#locks.idle();
    await settleAll(this.all.map((parts) => parts.close()));
  }
}

/** Waits for all of them, then rejects with the first error if there is any. */
export async function settleAll(work: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

function notFound(name: string): RedexError {
  return redexError('NOT_FOUND', `there is no channel ${name}`, {
    kind: 'channel',
    resource: name,
  });
}
