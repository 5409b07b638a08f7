/**
 * The journal of a store: entries of any number of channels are gathered into groups, each group is
 * one write, and one sync covers all groups that were written before it began. A failed write or
 * sync is the end of the store: nobody can say any more what is on the disk (RULES S3, W2).
 */
import { redexError, type RedexError } from '../core/errors.js';
import type { Runtime } from '../core/runtime.js';
import type { Checksum } from '../format/checksum.js';
import { entryBytes, GROUP_HEADER_BYTES, type JournalEntry } from '../format/journal-group.js';
import type { GroupPlace } from '../format/journal-control.js';
import { ControlFile } from './control-file.js';
import {
  JournalSegments,
  syncSegment,
  type JournalPlace,
  type JournalSegment,
} from './journal-segments.js';
import { JournalSyncError } from './journal-sync-error.js';
import { OpenGroup } from './open-group.js';
import { RoomWaiters, type Proceed } from './room-waiters.js';
import type { RecoveredJournal } from './recovered-journal.js';
import type { AddedBytes } from './waiting-file.js';

/** Appends leave so much free: what ends a segment, and what deletes a channel, always fits. */
export const RESERVED_BYTES: number = 16 * 1024;

const NO_LINK: Checksum = { hi: 0, lo: 0 };

export interface JournalParts extends JournalPlace {
  readonly runtime: Runtime;
  /** The journal takes nothing any more: a write or a sync of `path` has failed. */
  readonly onFailed: (path: string, cause: unknown) => void;
  /** A sync has finished, or room is needed: it may be time for a checkpoint. */
  readonly onUse: (isRoomNeeded: boolean) => void;
}

/** What ends something may take the room that is kept for it. */
export type RoomUse = 'append' | 'reserved';

/** Told in one turn of the loop, for all that one sync has covered. */
export type SyncDone = (error: unknown) => void;

export class Journal {
  readonly segments: JournalSegments;
  readonly control: ControlFile;
  readonly #parts: JournalParts;
  /** Groups have been written since the store was opened, or can be. */
  isReady = false;
  #failure: { readonly cause: unknown } | undefined;
  readonly #group = new OpenGroup();
  #number: number;
  #link: Checksum;
  #syncedNumber: number;
  /** Where the group after the last synced one stands, or will stand. */
  #syncedEnd: GroupPlace | undefined;
  readonly #syncWaiters: SyncDone[] = [];
  #isSyncScheduled = false;
  #syncing: Promise<void> | undefined;
  readonly #room = new RoomWaiters();
  #allocating: Promise<void> | undefined;

  constructor(parts: JournalParts, recovered: RecoveredJournal | undefined) {
    this.#parts = parts;
    this.segments = new JournalSegments(parts);
    this.control = new ControlFile(parts, this.segments.directory, recovered);
    this.#number = recovered?.end.number ?? 1;
    this.#link = recovered?.end.link ?? NO_LINK;
    this.#syncedNumber = this.#number - 1;
    this.#syncedEnd = recovered?.end;
    for (const segment of recovered?.segments ?? []) {
      const isActive = segment.number === recovered?.end.segment;
      this.segments.adopt(segment, isActive, recovered?.end.position ?? 0);
    }
  }

  /** The number that the next group gets. */
  get nextNumber(): number {
    return this.#number;
  }

  /** Every group up to this number is synced. */
  get syncedNumber(): number {
    return this.#syncedNumber;
  }

  /** Where a redo can begin when nothing up to the last synced group needs one. */
  get syncedEnd(): GroupPlace | undefined {
    return this.#syncedEnd;
  }

  /** Changes whenever groups go to another segment. */
  get segmentUse(): number {
    return this.segments.useCount;
  }

  get isFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Something was added that no sync has begun after. */
  get hasUnsynced(): boolean {
    return !this.#group.isEmpty || this.#number - 1 > this.#syncedNumber;
  }

  /** The largest run of entries that can be in one group. */
  get maxEntryBytes(): number {
    return this.segments.maxGroupBytes - GROUP_HEADER_BYTES - RESERVED_BYTES;
  }

  /**
   * Makes sure that entries of so many bytes can be added, and get into the same group. False when
   * something has to be waited for. `use` is `reserved` for what may take the last room.
   */
  ensureRoom(bytes: number, use: RoomUse = 'append'): boolean {
    if (this.isFailed || !this.#prepare()) return false;
    const open = this.#group.byteLength;
    const left = this.segments.freeBytes - open - bytes - GROUP_HEADER_BYTES;
    if (use === 'append' && left < RESERVED_BYTES) {
      this.#parts.onUse(true);
      return false;
    }
    const fits = open + bytes <= this.segments.remaining;
    if (open > 0 && fits && this.#group.fits(bytes)) return true;
    this.flush();
    if (this.isFailed) return false;
    const groupBytes = GROUP_HEADER_BYTES + bytes;
    if (this.#begin(groupBytes)) return true;
    // What ends something does not wait.
    if (use === 'reserved') return this.#allocateNow(groupBytes) && this.#begin(groupBytes);
    this.#allocate(groupBytes);
    return false;
  }

  /** The same for who cannot wait: space that may be allocated is allocated before it returns. */
  ensureRoomNow(bytes: number): boolean {
    if (this.ensureRoom(bytes)) return true;
    return this.#allocateNow(GROUP_HEADER_BYTES + bytes) && this.ensureRoom(bytes);
  }

  #allocateNow(groupBytes: number): boolean {
    if (!this.isReady || this.isFailed) return false;
    if (!this.segments.canAllocate(groupBytes)) return false;
    try {
      this.segments.allocateNow(groupBytes);
      return true;
    } catch (error) {
      if (error instanceof JournalSyncError) this.fail(error.path, error.cause);
      return false;
    }
  }

  /** Begins a group that can become so large. */
  #begin(groupBytes: number): boolean {
    if (groupBytes > this.segments.remaining && !this.segments.rotate(groupBytes)) return false;
    this.#group.begin(groupBytes);
    return true;
  }

  /** Adds an entry. There must be room for it. The data is copied. */
  add(
    entry: Omit<JournalEntry, 'data'>,
    data: Uint8Array,
    from: number,
    length: number,
  ): AddedBytes {
    if (this.#group.isEmpty && !this.#begin(GROUP_HEADER_BYTES + entryBytes(length))) {
      throw new Error('an entry was added to the journal without room for it');
    }
    return this.#group.add(entry, data, from, length, this.#number);
  }

  /** Takes back the entry that was added last, of so much data; false when it is written. */
  takeBack(added: AddedBytes, length: number): boolean {
    return added.group === this.#number && this.#group.takeBack(added, length);
  }

  /** Writes what was added. When it fails the journal has failed; nothing is thrown. */
  flush(): void {
    if (this.#group.isEmpty || this.isFailed) return;
    const { bytes, start, byteLength, checksum } = this.#group.seal({
      storeId: this.#parts.storeId,
      epoch: this.control.epoch,
      number: this.#number,
      syncedNumber: this.#syncedNumber,
      link: this.#link,
    });
    try {
      const place = { number: this.#number, link: this.#link };
      this.segments.write(bytes, start, byteLength, place);
    } catch (error) {
      this.fail(this.segments.directory, error);
      return;
    }
    this.#number++;
    this.#link = checksum;
    this.#group.next();
  }

  /** Calls `done` when everything that was added before is synced, or cannot be. */
  sync(done: SyncDone): void {
    this.#syncWaiters.push(done);
    if (this.#isSyncScheduled || this.#syncing !== undefined) return;
    this.#isSyncScheduled = true;
    this.#parts.runtime.defer(this.#startSync);
  }

  readonly #startSync = (): void => {
    this.#isSyncScheduled = false;
    const waiters = this.#syncWaiters.splice(0);
    this.flush();
    const target = this.#target();
    if (this.#failure !== undefined || target.segments.length === 0) {
      this.#settle(waiters, target);
      return;
    }
    this.#syncing = this.#sync(target, waiters);
  };

  #target(): SyncTarget {
    const number = this.#number - 1;
    const segments = this.segments.writtenAfter(this.#syncedNumber);
    return { number, segments, end: this.segments.place(this.#number, this.#link) };
  }

  async #sync(target: SyncTarget, waiters: readonly SyncDone[]): Promise<void> {
    try {
      for (const segment of target.segments) await syncSegment(segment);
    } catch (error) {
      this.fail(this.segments.directory, error);
    }
    this.#syncing = undefined;
    if (this.#failure === undefined) this.segments.onSynced(target.number);
    this.#settle(waiters, target);
  }

  /** In one turn: what one sync has covered becomes visible all together. */
  #settle(waiters: readonly SyncDone[], target: SyncTarget): void {
    const error = this.#failure?.cause;
    if (this.#failure === undefined) this.#covered(target);
    for (const done of waiters) done(error);
    if (this.#syncWaiters.length > 0 && !this.#isSyncScheduled) {
      this.#isSyncScheduled = true;
      this.#parts.runtime.defer(this.#startSync);
    }
    this.#parts.onUse(false);
  }

  #covered({ number, end }: SyncTarget): void {
    if (number <= this.#syncedNumber) return;
    this.#syncedNumber = number;
    this.#syncedEnd = end;
  }

  /** Resolves when everything that was added before is synced. */
  synced(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.sync((error) => {
        if (this.#failure === undefined) resolve();
        else reject(error instanceof Error ? error : new Error(String(error)));
      });
    });
  }

  /** Syncs before it returns, through descriptors of its own. Throws what has failed. */
  syncNow(): void {
    this.flush();
    const target = this.#target();
    try {
      if (this.#failure === undefined) {
        for (const { files } of target.segments) files?.syncFile.datasyncSync();
      }
    } catch (error) {
      this.fail(this.segments.directory, error);
    }
    if (this.#failure !== undefined) throw this.#failure.cause;
    this.#covered(target);
  }

  /**
   * Resolves when there may be room, which then has to be made sure of; rejects with the reason
   * why there will be none.
   */
  async freed(bytes: number): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.cause;
    if (bytes > this.maxEntryBytes) throw this.tooLarge(bytes);
    const refusal = await new Promise<RedexError | undefined>((resolve) => {
      this.whenRoom(bytes, resolve);
    });
    if (refusal !== undefined) throw refusal;
  }

  /** The error for what can never be in one group. */
  tooLarge(actual: number): RedexError {
    const limit = this.maxEntryBytes;
    const message = `${actual} bytes at once are more than the journal can hold: ${limit}`;
    return redexError('LIMIT', message, { what: 'journalBytes', limit, actual });
  }

  /** Calls `proceed` when there may be room, or with the reason why there will be none. */
  whenRoom(bytes: number, proceed: Proceed): void {
    this.#room.add(bytes, proceed);
    // What is being allocated will do: no checkpoint has to be hurried for it.
    if (this.#allocating !== undefined) return;
    if (this.isReady) this.#parts.onUse(true);
    // Whoever could not be told when it was tried is told now.
    else this.#parts.runtime.defer(() => (this.#prepare() ? this.onFreed() : undefined));
  }

  /** Something was freed: who waits for room tries again. */
  onFreed(): void {
    this.#room.wake();
  }

  /** Nothing can be freed: who waits is told that the journal is full. */
  refuseWaiting(): void {
    if (this.#allocating !== undefined) return;
    this.#room.refuse(this.#parts.journalBytes);
  }

  get isAwaited(): boolean {
    return !this.#room.isEmpty;
  }

  /** Space for more is allocated in the background, when that is allowed. */
  #allocate(groupBytes: number): void {
    if (this.#allocating !== undefined) return;
    if (!this.segments.canAllocate(groupBytes)) {
      this.#parts.onUse(true);
      return;
    }
    this.#allocating = this.#allocateSoon(groupBytes);
  }

  async #allocateSoon(groupBytes: number): Promise<void> {
    try {
      await this.segments.allocate(groupBytes);
      this.#allocating = undefined;
      this.onFreed();
    } catch (error) {
      this.#allocating = undefined;
      if (error instanceof JournalSyncError) this.fail(error.path, error.cause);
      // What is full of groups that a checkpoint writes to their channels can be used again.
      if (this.segments.hasFull) this.#parts.onUse(true);
      else this.#room.fail(this.segments.directory, error);
    }
  }

  /** Before the first group: the journal is made, and this open gets its epoch. */
  #prepare(): boolean {
    if (this.isReady) return true;
    try {
      this.control.prepare();
      if (this.segments.remaining === 0 && !this.segments.rotate(0)) this.#firstSegment();
      this.control.beginEpoch(this.segments.place(this.#number, this.#link));
    } catch (error) {
      if (error instanceof JournalSyncError) this.fail(error.path, error.cause);
      else this.#room.fail(this.segments.directory, error);
      return false;
    }
    this.#syncedEnd = this.segments.place(this.#number, this.#link);
    this.isReady = true;
    return true;
  }

  #firstSegment(): void {
    this.segments.allocateNow(0);
    this.segments.rotate(0);
  }

  /** A write or a sync that everything rests on has failed, or the store is poisoned. */
  fail(path: string, cause: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { cause };
    this.#parts.onFailed(path, cause);
    this.#room.wake();
  }

  /** Resolves when nothing is being written or synced. */
  async idle(): Promise<void> {
    while (this.#syncing !== undefined || this.#allocating !== undefined) {
      await this.#syncing;
      await this.#allocating;
    }
  }

  /** Gives the descriptors back. Nothing may be going on. */
  close(): void {
    this.segments.close();
    this.control.close();
  }
}

interface SyncTarget {
  readonly number: number;
  readonly segments: readonly JournalSegment[];
  readonly end: GroupPlace | undefined;
}
