/**
 * The journal of an open store and what keeps it small: rounds of checkpoints in the background,
 * which write what waits to the dat files, sync these, and only then let the journal go on from a
 * later place (RULES J5). A round takes few channels at a time, so that syncs of the journal find
 * a thread and appends go on.
 */
import type { RedexError } from '../core/errors.js';
import { utf8Bytes } from '../format/text.js';
import type { Cancel, Logger } from '../core/runtime.js';
import type { GroupPlace } from '../format/journal-control.js';
import { Slots } from '../core/slots.js';
import { ChannelJournal, CheckpointSyncError } from './channel-journal.js';
import { NameChanges, type NameChange } from './name-changes.js';
import { Journal, type JournalParts } from './journal.js';
import { idOf } from './redo-plan.js';
import type { RecoveredJournal } from './recovered-journal.js';

/** Channels whose files are written and synced at once. */
const AT_ONCE = 2;
/** Milliseconds without a new group after which what waits is written to its files. */
const IDLE_MS = 1000;

export interface StoreJournalParts extends Omit<JournalParts, 'onUse'> {
  readonly logger: Logger;
  /** Syncs the files and names that a channel begins with. */
  readonly syncCreated: (directory: string, creation: Uint8Array) => Promise<void>;
  /** Syncs the directories that hold the names of channels. */
  readonly syncNames: () => Promise<void>;
}

export class StoreJournal {
  readonly journal: Journal;
  readonly #parts: StoreJournalParts;
  /** Names that no sync of a directory has covered. */
  readonly names: NameChanges = new NameChanges();
  /** By id, those of which something waits. */
  readonly #waiting = new Map<string, ChannelJournal>();
  readonly #slots = new Slots(AT_ONCE);
  #round: Promise<void> | undefined;
  #cancelIdle: Cancel | undefined;
  #seenNumber = 0;
  #isClosing = false;

  constructor(parts: StoreJournalParts, recovered: RecoveredJournal | undefined) {
    this.#parts = parts;
    this.journal = new Journal(
      { ...parts, onUse: (isRoomNeeded) => this.#onUse(isRoomNeeded) },
      recovered,
    );
  }

  /**
   * What a channel has in the journal; `name` is the entry of its directory. What an earlier use
   * of the channel could not write to its files is taken up again.
   */
  channel(channelId: Uint8Array, name: string, isUsed: boolean): ChannelJournal {
    const waiting = this.find(channelId);
    if (waiting !== undefined) {
      // What is pinned stays there, and what comes behind it, too.
      waiting.isUsed = (isUsed || waiting.isPinned) && waiting.refusal === undefined;
      return waiting;
    }
    const channel = this.#make(channelId, name);
    channel.isUsed = isUsed;
    return channel;
  }

  /** The channel of this id, when something of it waits. */
  find(channelId: Uint8Array): ChannelJournal | undefined {
    return this.#waiting.size === 0 ? undefined : this.#waiting.get(idOf(channelId));
  }

  /** A channel whose entries could not be redone: nothing of it is let go. */
  hold(channelId: Uint8Array, firstGroup: number, error: RedexError): ChannelJournal {
    const channel = this.#make(channelId, '');
    channel.refusal = error;
    channel.isPinned = true;
    channel.heldGroup = firstGroup;
    this.#waiting.set(channel.id, channel);
    return channel;
  }

  /**
   * A channel is deleted: what the journal has of it is not redone any more. Durable when this
   * resolves; undefined when there never was a journal that could have something of it.
   */
  async delete(channelId: Uint8Array, name: string): Promise<NameChange | undefined> {
    const held = this.find(channelId);
    // That it is empty may be what a process before has written and not synced (RULES S4).
    if (this.journal.control.epoch === 0 && held === undefined) return undefined;
    const channel = held ?? this.#make(channelId, name);
    const bytes = channel.roomFor(name.length);
    while (!this.journal.ensureRoom(bytes, 'reserved')) await this.journal.freed(bytes);
    const change = this.addDeletion(channel, name);
    await this.journal.synced();
    channel.forget();
    return change;
  }

  /** The same without waiting for anything; there must be room for it. */
  addDeletion(channel: ChannelJournal, name: string): NameChange {
    return this.names.begin(channel.delete(utf8Bytes(name)));
  }

  /** A channel is made. Durable when this resolves; its directory is then put in its place. */
  async create(
    channelId: Uint8Array,
    name: string,
    creation: Uint8Array,
  ): Promise<{ readonly channel: ChannelJournal; readonly change: NameChange }> {
    const channel = this.#make(channelId, name);
    const bytes = channel.roomFor(creation.byteLength);
    while (!this.journal.ensureRoom(bytes)) await this.journal.freed(bytes);
    const change = this.addCreation(channel, creation);
    await this.journal.synced();
    return { channel, change };
  }

  /** The same without waiting for anything; there must be room for it. */
  addCreation(channel: ChannelJournal, creation: Uint8Array): NameChange {
    const change = this.names.begin(channel.create(creation));
    channel.nameChange = change;
    return change;
  }

  #make(channelId: Uint8Array, name: string): ChannelJournal {
    const { fs, syncCreated } = this.#parts;
    const parts = {
      fs,
      syncCreated,
      syncNames: () => this.#syncNames(),
      journal: this.journal,
      slots: this.#slots,
      channelId,
      name: utf8Bytes(name),
      onWaiting: (channel: ChannelJournal, isWaiting: boolean): void => {
        if (isWaiting) this.#waiting.set(channel.id, channel);
        else this.#waiting.delete(channel.id);
      },
    };
    return new ChannelJournal(parts);
  }

  /** Bytes of the journal that are behind the place where a redo would begin, about. */
  get #usedBytes(): number {
    return this.#parts.journalBytes - this.journal.segments.freeBytes;
  }

  #onUse(isRoomNeeded: boolean): void {
    const isDue = this.#usedBytes > this.#parts.journalBytes / 2;
    if ((isRoomNeeded || isDue) && !this.#isClosing) this.#startRound();
    this.#watch();
  }

  /** When no group comes for a while, what waits goes to its files. */
  #watch(): void {
    if (this.#cancelIdle !== undefined || this.#isClosing) return;
    if (this.#waiting.size === 0 && this.names.isEmpty) return;
    this.#seenNumber = this.journal.nextNumber;
    this.#cancelIdle = this.#parts.runtime.schedule(() => {
      this.#cancelIdle = undefined;
      if (this.journal.nextNumber === this.#seenNumber) this.#startRound();
      else this.#watch();
    }, IDLE_MS);
  }

  #startRound(): void {
    if (this.#round !== undefined || this.journal.isFailed) return;
    this.#round = this.#run().then((end) => {
      this.#round = undefined;
      // Who has come for room while it was ending was not heard.
      const { isAwaited, hasUnsynced, syncedEnd } = this.journal;
      const isMore = hasUnsynced || syncedEnd !== end || this.names.made().length > 0;
      if (isAwaited && isMore) this.#onUse(true);
    });
  }

  /** Resolves when everything that was added before is in its files, as far as that is possible. */
  async checkpoint(): Promise<void> {
    await this.#round;
    this.#startRound();
    await this.#round;
  }

  /** Resolves to how far it has tried to get; undefined when the journal has let something go. */
  async #run(): Promise<GroupPlace | undefined> {
    const { journal } = this;
    try {
      if (journal.hasUnsynced) await journal.synced();
      const end = journal.syncedEnd;
      await this.#writeWaiting(journal.syncedNumber);
      await this.#syncNames();
      const hasAdvanced = end !== undefined && (await this.#advance(end));
      return hasAdvanced ? undefined : end;
    } catch (error) {
      // Who waits for the journal is told by whoever has made it fail.
      this.#parts.logger.debug('a checkpoint has ended early', { error });
      return journal.syncedEnd;
    }
  }

  /** Channels with groups up to this one, a few at a time. */
  async #writeWaiting(upTo: number): Promise<void> {
    const channels = [...this.#waiting.values()].filter((channel) => channel.oldestGroup <= upTo);
    await Promise.all(channels.map((channel) => this.#writeOne(channel)));
  }

  /** Names that have changed are durable when this resolves. */
  settleNames(): Promise<void> {
    return this.#syncNames();
  }

  async #syncNames(): Promise<void> {
    const made = this.names.made();
    if (made.length === 0) return;
    await this.#parts.syncNames();
    this.names.synced(made);
  }

  async #writeOne(channel: ChannelJournal): Promise<void> {
    try {
      await channel.checkpoint();
    } catch (error) {
      // It goes on waiting, and keeps its part of the journal; the next round tries again, unless
      // a sync has failed (RULES J7).
      const isSync = error instanceof CheckpointSyncError;
      this.#parts.logger.error('a checkpoint could not be written', { error, isSync });
    }
  }

  /** The redo of a recovery begins later: at `end`, or where what still waits begins. */
  async #advance(end: GroupPlace): Promise<boolean> {
    const { journal } = this;
    if (journal.isFailed) return false;
    let oldest = Math.min(end.number, this.names.oldestGroup);
    for (const channel of this.#waiting.values()) oldest = Math.min(oldest, channel.oldestGroup);
    const { segments } = journal;
    const place = oldest >= end.number ? segments.lastingPlace(end) : segments.startOf(oldest);
    const before = journal.control.current?.redoFrom.number ?? 0;
    if (place !== undefined && place.number > before) {
      try {
        await journal.control.advance(place);
      } catch (error) {
        journal.fail(journal.control.path, error);
        return false;
      }
      segments.release(place.number - 1);
      journal.onFreed();
      return true;
    }
    if (this.#waiting.size === 0) journal.onFreed();
    else if (!journal.hasUnsynced) journal.refuseWaiting();
    return false;
  }

  /** Everything goes to its files; then the journal is empty and says so. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#cancelIdle?.();
    await this.#round;
    const { journal } = this;
    try {
      if (!journal.isFailed && journal.control.epoch > 0) await this.#finish();
    } finally {
      await journal.idle();
      journal.close();
    }
  }

  async #finish(): Promise<void> {
    const { journal } = this;
    if (journal.hasUnsynced) await journal.synced();
    await this.#writeWaiting(journal.syncedNumber);
    await this.#syncNames();
    const end = journal.syncedEnd;
    if (this.#waiting.size > 0 || !this.names.isEmpty || end === undefined) return;
    const { current } = journal.control;
    if (current?.isClosed === true && current.redoFrom.number === end.number) return;
    try {
      await journal.control.advance(end, true);
    } catch (error) {
      journal.fail(journal.control.path, error);
    }
  }
}
