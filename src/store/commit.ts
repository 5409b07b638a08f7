/**
 * redex.commit: batches of several channels, and channels that come and go with them, in one group
 * of the journal: all of it is there after any crash, or nothing (RULES J1). The names are held for
 * as long as it takes, and so are the appends of all channels that take part, so that what one of
 * them shows is never without what the others do.
 */
import { CommitPart, commitError } from '../channel/commit-part.js';
import { drawChannel, type NewChannel } from '../channel/channel-files.js';
import { storedWith, type StoredChannelOptions } from '../channel/options.js';
import type { ChannelParts } from '../channel/channel-parts.js';
import type { Batch } from '../channel/intake.js';
import { refuseConflict } from '../channel/open-channel.js';
import type { RedexError } from '../core/errors.js';
import type { Runtime } from '../core/runtime.js';
import { encodeChannelName } from '../format/channel-name.js';
import { encodeCreation } from '../format/creation.js';
import type { ChannelJournal } from '../journal/channel-journal.js';
import type { NameChange } from '../journal/name-changes.js';
import type { StoreJournal } from '../journal/store-journal.js';
import {
  isDelete,
  type CommitAppend,
  type CommitOperation,
  type CommitResult,
} from './commit-input.js';
import type { ChannelDirectories } from './channel-directories.js';

const NO_RECORDS: Batch = { isPlain: true, records: [], payloadBytes: 0 };

/** A channel that the commit makes. */
interface Created {
  readonly name: string;
  readonly drawn: NewChannel;
  readonly staging: string;
  readonly parts: ChannelParts;
  change: NameChange | undefined;
}

/** A channel that the commit deletes. */
interface Deleted {
  readonly name: string;
  readonly path: string;
  readonly parts: ChannelParts;
  change: NameChange | undefined;
}

/** What a commit needs of the store; all names of the commit are held by it. */
export interface CommitHost {
  readonly journal: StoreJournal;
  readonly directories: ChannelDirectories;
  readonly defaults: StoredChannelOptions;
  readonly runtime: Runtime;
  /** The open channel, opened if it is not; undefined when there is none. */
  open(name: string): Promise<ChannelParts | undefined>;
  /** Opens a channel that is not in its place yet. */
  openStaged(name: string, staging: string): Promise<ChannelParts>;
  /** A channel that was made is one of the store from now on. */
  adopt(name: string, parts: ChannelParts): void;
  /** Throws CLOSED or POISONED. */
  requireWritable(): void;
  /** The error of a store whose journal has failed. */
  poisoned(): RedexError;
  notFound(name: string): Error;
}

export class Commit {
  readonly #host: CommitHost;
  readonly #operations: readonly CommitOperation[];
  readonly #parts = new Map<string, CommitPart>();
  readonly #created: Created[] = [];
  readonly #deleted: Deleted[] = [];

  constructor(host: CommitHost, operations: readonly CommitOperation[]) {
    this.#host = host;
    this.#operations = operations;
  }

  async run(): Promise<CommitResult> {
    try {
      await this.#open();
      for (;;) {
        const conflict = await this.#attempt();
        if (conflict === undefined) return await this.#result();
        // What is in the way is visible when it is told, or has failed: then it is tried again.
        await conflict.conflictVisible();
        const error = conflict.check();
        if (error !== undefined) throw error;
      }
    } catch (error) {
      await this.#abandon();
      throw error;
    }
  }

  /** Everything that takes part, before anything is written. */
  async #open(): Promise<void> {
    const { directories } = this.#host;
    const missing: CommitAppend[] = [];
    for (const operation of this.#operations) {
      const name = isDelete(operation) ? operation.delete : operation.channel;
      const parts = await this.#host.open(name);
      if (isDelete(operation)) {
        if (parts === undefined) throw this.#host.notFound(name);
        this.#deleted.push({ name, path: directories.pathOf(name), parts, change: undefined });
        this.#parts.set(name, new CommitPart(parts, NO_RECORDS, undefined));
      } else if (parts === undefined) {
        if (operation.create === undefined) throw this.#host.notFound(name);
        missing.push(operation);
      } else this.#addPart(operation, parts);
    }
    for (const operation of missing) await this.#stage(operation);
    const bytes = this.#bytes;
    const { maxEntryBytes } = this.#host.journal.journal;
    if (bytes > maxEntryBytes) throw this.#host.journal.journal.tooLarge(bytes);
  }

  #addPart({ channel, records, expectedSeq, create }: CommitAppend, parts: ChannelParts): void {
    if (create !== undefined) refuseConflict(channel, parts.context.stored, create);
    const batch = parts.intake.keep(parts.intake.checkBatch(records));
    this.#parts.set(channel, new CommitPart(parts, batch, expectedSeq));
  }

  async #stage(operation: CommitAppend): Promise<void> {
    const { directories, defaults, runtime } = this.#host;
    const { channel: name, create = {} } = operation;
    const stored = storedWith(create, defaults);
    const drawn = drawChannel(runtime, name, stored, create.firstSeq ?? 0);
    const staging = directories.stage(name, drawn);
    const parts = await this.#host.openStaged(name, staging);
    this.#created.push({ name, drawn, staging, parts, change: undefined });
    this.#addPart({ ...operation, create: undefined }, parts);
  }

  /** Bytes of the journal that all of it may take. */
  get #bytes(): number {
    let bytes = 0;
    for (const part of this.#parts.values()) bytes += part.bytes;
    for (const { parts, drawn } of this.#created) {
      const { byteLength } = encodeCreation(drawn.config, drawn.manifest);
      bytes += parts.context.journal?.roomFor(byteLength) ?? 0;
    }
    for (const { parts, name } of this.#deleted) {
      bytes += parts.context.journal?.roomFor(encodeChannelName(name).length) ?? 0;
    }
    return bytes;
  }

  /** Returns the part that stands against it, with nothing changed. */
  async #attempt(): Promise<CommitPart | undefined> {
    const parts = [...this.#parts].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, part]) => part);
    try {
      for (const part of parts) await part.hold();
      // A part that is drained stays so: nothing but this writes to it.
      while (!parts.every((part) => part.drain())) await this.#host.journal.journal.freed(1);
      this.#host.requireWritable();
      const conflict = parts.find((part) => part.check() !== undefined);
      if (conflict !== undefined) return conflict;
      await this.#write(parts);
      return undefined;
    } finally {
      for (const part of parts) part.release();
    }
  }

  async #write(parts: readonly CommitPart[]): Promise<void> {
    const { journal } = this.#host.journal;
    try {
      // In the turn of the check: what is appended from now on comes behind it.
      for (const part of parts) {
        if (!this.#isCreated(part) || !part.isJournaled) part.take();
        else part.makeFile();
      }
      const deleted = new Set(this.#deleted.map(({ parts: channel }) => channel));
      for (const part of parts) if (!deleted.has(part.parts)) await part.sync();
      const bytes = this.#bytes;
      // What is deleted frees the journal: it may take the room that is kept for that.
      const use = deleted.size === parts.length ? 'reserved' : 'append';
      while (!journal.ensureRoom(bytes, use)) await journal.freed(bytes);
    } catch (error) {
      const refusal = this.#refusal(error);
      for (const part of parts) part.reject(refusal);
      throw refusal;
    }
    try {
      this.#add(parts);
    } catch (error) {
      // Half of it may be in a group that is not written yet: none of that may ever be.
      journal.fail(journal.segments.directory, error);
      throw this.#rejected(parts);
    }
    await new Promise<void>((resolve, reject) => {
      journal.sync((cause) => {
        if (cause !== undefined) {
          reject(this.#rejected(parts));
          return;
        }
        try {
          this.#finish(parts);
          resolve();
        } catch (error) {
          // A name could not be put in its place; the store is poisoned by it.
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }

  #refusal(error: unknown): RedexError {
    const { journal } = this.#host.journal;
    return journal.isFailed
      ? this.#host.poisoned()
      : commitError(journal.segments.directory, error);
  }

  /** The journal has failed: nobody can say what a crash would leave, and nothing goes on. */
  #rejected(parts: readonly CommitPart[]): RedexError {
    const error = this.#host.poisoned();
    for (const part of parts) part.reject(error);
    return error;
  }

  #isCreated(part: CommitPart): boolean {
    return this.#created.some(({ parts }) => parts === part.parts);
  }

  /** In one turn, into one group. */
  #add(parts: readonly CommitPart[]): void {
    const { journal } = this.#host;
    const { nextNumber } = journal.journal;
    for (const created of this.#created) {
      const { config, manifest } = created.drawn;
      const waiting = journalOf(created.parts);
      created.change = journal.addCreation(waiting, encodeCreation(config, manifest));
    }
    // What makes a segment of a channel is redone only where the channel is made, too.
    for (const part of parts) if (part.isJournaled && this.#isCreated(part)) part.take();
    for (const part of parts) part.add();
    for (const deleted of this.#deleted) {
      const waiting = journalOf(deleted.parts);
      deleted.change = journal.addDeletion(waiting, encodeChannelName(deleted.name));
    }
    if (journal.journal.nextNumber !== nextNumber) {
      throw new Error('a commit was torn into two groups');
    }
  }

  /** In one turn: everybody sees all of it from now on. */
  #finish(parts: readonly CommitPart[]): void {
    const { directories } = this.#host;
    for (const { name, staging, parts: channel, change } of this.#created) {
      const directory = directories.pathOf(name);
      // idx and ts go along with the directory that they are written to.
      channel.chain.flushIndexes();
      directories.putInPlace(staging, directory);
      channel.relocate(directory);
      if (change !== undefined) change.isMade = true;
      this.#host.adopt(name, channel);
    }
    for (const { path, parts: channel, change } of this.#deleted) {
      channel.discard();
      if (change !== undefined) directories.bury(path, change);
    }
    for (const part of parts) part.finish();
  }

  async #result(): Promise<CommitResult> {
    const channels: Record<string, { firstSeq: number; nextSeq: number }> = {};
    const deleted = new Set(this.#deleted.map(({ name }) => name));
    for (const [name, part] of this.#parts) {
      if (!deleted.has(name)) channels[name] = await part.result();
    }
    return { channels };
  }

  /** Channels that were to be made are not. */
  async #abandon(): Promise<void> {
    for (const { staging, parts, change } of this.#created) {
      if (change?.isMade === true) continue;
      await parts.close().catch(() => undefined);
      this.#host.directories.reclaim(staging);
    }
  }
}

function journalOf({ context }: ChannelParts): ChannelJournal {
  const { journal, name } = context;
  if (journal === undefined) throw new Error(`channel ${name} has no journal`);
  return journal;
}
