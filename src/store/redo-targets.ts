/**
 * Where the channels are that the journal has something of: by the name that it says, else by their
 * ids. One that it has made is made again as far as it is missing; one that is nowhere is damage
 * (RULES J4). Nothing is changed here.
 */
import { redexError, RedexError } from '../core/errors.js';
import { readConfig, type NewChannel } from '../channel/channel-files.js';
import { decodeCreation } from '../format/creation.js';
import { JOURNAL_NAME } from '../format/file-name.js';
import type { FileSystem } from '../fs/file-system.js';
import { channelIdIn } from '../journal/channel-identity.js';
import { idOf, type RedoChannel } from '../journal/redo-plan.js';
import type { ChannelDirectories } from './channel-directories.js';
import type { HeldChannel, RedoTarget } from './journal-redo.js';

export interface RedoTargets {
  readonly targets: readonly RedoTarget[];
  /** Channels whose config cannot be read: what the journal has of them stays there. */
  readonly unreadable: readonly HeldChannel[];
  /** Entries of channels whose deletion has to be finished. */
  readonly deleted: readonly string[];
  /** Channels that were created, and the entries that they have, or are to get. */
  readonly created: readonly CreatedTarget[];
}

interface CreatedTarget {
  readonly entry: string;
  readonly channel: NewChannel;
}

type Present = 'absent' | 'own' | 'other' | 'unknown';

export class TargetFinder {
  readonly #fs: FileSystem;
  readonly #directories: ChannelDirectories;
  readonly #targets: RedoTarget[] = [];
  readonly #unreadable: HeldChannel[] = [];
  readonly #deleted: string[] = [];
  readonly #created: CreatedTarget[] = [];
  #byId: Map<string, string> | undefined;
  /** By the path of a directory, the id of the channel in it. */
  readonly #ids = new Map<string, string | undefined>();

  constructor(fs: FileSystem, directories: ChannelDirectories) {
    this.#fs = fs;
    this.#directories = directories;
  }

  /** Throws CORRUPT for a channel that is nowhere; `directory` is the store's. */
  find(channels: readonly RedoChannel[], directory: string): RedoTargets {
    for (const channel of channels) {
      if (channel.isDeleted) this.#bury(channel);
    }
    for (const channel of channels) {
      if (channel.isDeleted || this.#place(channel) || this.#hold(channel)) continue;
      throw nowhere(directory, channel);
    }
    return {
      targets: this.#targets,
      unreadable: this.#unreadable,
      deleted: this.#deleted,
      created: this.#created,
    };
  }

  #bury(channel: RedoChannel): void {
    const { hint } = channel;
    if (hint === undefined) return;
    const present = this.#presentAt(hint, channel);
    // What nothing identifies was never synced: there is nothing to lose in it.
    if (present === 'own' || present === 'unknown') this.#deleted.push(hint);
  }

  #place(channel: RedoChannel): boolean {
    const { hint } = channel;
    const creation = creationOf(channel);
    const present = hint === undefined ? 'absent' : this.#presentAt(hint, channel);
    const path = hint === undefined ? undefined : this.#directories.pathOfEntry(hint);
    if (present !== 'own') {
      const elsewhere = this.#findById(channel);
      if (elsewhere !== undefined) {
        this.#targets.push({ channel, directory: elsewhere });
        return true;
      }
    }
    if (hint === undefined || path === undefined || present === 'other') return false;
    // What is whole of it stays as it is; the rest may have been lost.
    if (creation !== undefined) {
      const { channelId } = channel;
      this.#created.push({ entry: hint, channel: { channelId, ...creation } });
    }
    if (present === 'absent' && creation === undefined) return false;
    const error = creation === undefined ? this.#configError(path) : undefined;
    if (error === undefined) this.#targets.push({ channel, directory: path });
    else {
      const { channelId, firstGroup } = channel;
      this.#unreadable.push({ channelId, error, writes: [], firstGroup, directory: path });
    }
    return true;
  }

  /** It may be in any directory that does not say whose it is: its records stay where they are. */
  #hold({ channelId, hint, firstGroup }: RedoChannel): boolean {
    const named = hint === undefined ? undefined : this.#directories.pathOfEntry(hint);
    const unknown = this.#unknownDirectories();
    const found = unknown.find(({ directory }) => directory === named) ?? unknown[0];
    if (found === undefined) return false;
    this.#unreadable.push({ channelId, writes: [], firstGroup, ...found });
    return true;
  }

  #unknownDirectories(): { readonly directory: string; readonly error: RedexError }[] {
    const unknown: { readonly directory: string; readonly error: RedexError }[] = [];
    for (const { path, error } of this.#directories.list()) {
      const reason = error ?? this.#nameError(path);
      if (reason !== undefined) unknown.push({ directory: path, error: reason });
    }
    return unknown;
  }

  /** Why nobody knows which channel a directory holds. */
  #nameError(path: string): RedexError | undefined {
    try {
      this.#directories.nameOf({ path, name: undefined });
      return undefined;
    } catch (error) {
      if (RedexError.is(error)) return error;
      throw error;
    }
  }

  #presentAt(entry: string, { channelId }: RedoChannel): Present {
    // What is about to be moved away leaves its place to who came after.
    if (this.#deleted.includes(entry)) return 'absent';
    const path = this.#directories.pathOfEntry(entry);
    if (this.#fs.statSync(path) === undefined) return 'absent';
    const found = this.#idIn(path);
    if (found === undefined) return 'unknown';
    return found === idOf(channelId) ? 'own' : 'other';
  }

  /** Why a channel's config cannot be read, if it cannot. */
  #configError(path: string): RedexError | undefined {
    try {
      readConfig(this.#fs, path);
      return undefined;
    } catch (error) {
      if (RedexError.is(error)) return error;
      throw error;
    }
  }

  /** Of a channel that was renamed since the journal has named it. */
  #findById({ channelId }: RedoChannel): string | undefined {
    if (this.#byId === undefined) {
      this.#byId = new Map();
      for (const { path } of this.#directories.list()) {
        const id = this.#idIn(path);
        if (id !== undefined) this.#byId.set(id, path);
      }
    }
    return this.#byId.get(idOf(channelId));
  }

  /** Looked for once: it is many reads where a crash has left little. */
  #idIn(path: string): string | undefined {
    if (this.#ids.has(path)) return this.#ids.get(path);
    const found = channelIdIn(this.#fs, path);
    const id = found === undefined ? undefined : idOf(found);
    this.#ids.set(path, id);
    return id;
  }
}

/** What a channel was created with, if the journal says so. */
function creationOf({ creation }: RedoChannel): ReturnType<typeof decodeCreation> {
  return creation === undefined ? undefined : decodeCreation(creation);
}

function nowhere(directory: string, { hint, channelId }: RedoChannel): RedexError {
  const path = `${directory}/${JOURNAL_NAME}`;
  const name = hint === undefined ? '' : ` (${hint})`;
  const id = idOf(channelId);
  const message = `the journal has records of channel ${id}${name}, which is not there`;
  return redexError('CORRUPT', message, { path, position: 0, check: 'missing' });
}
