/**
 * Syncs in the background, one sync at a time, and wakes everybody whose records it covered. All
 * who wait while one sync runs share the next one: that is the group commit.
 */
import { redexError, type RedexError } from '../core/errors.js';
import { clearList } from '../core/lists.js';
import { diagnostics } from '../core/runtime.js';
import { parentOf } from '../fs/whole-file.js';
import type { Journal } from '../journal/journal.js';
import { isJournaled, type ChannelContext } from './channel-context.js';
import type { Health, PoisonReason } from './health.js';
import { rewriteInherited, rewriteInheritedSync } from './inherited.js';
import type { SegmentWriter } from '../segment/segment-writer.js';
import type { SyncTarget, Unsynced } from './unsynced.js';

/** Appends that wait for a sync, in the order of their seqs. */
export interface SyncGroup {
  /** The first record that asked for it: from here on nothing is visible before the sync. */
  readonly firstSeq: number;
  readonly endSeq: number;
  settle(error: RedexError | undefined): void;
}

/** Runs a file operation and remembers which path it was for, should it fail. */
class SyncFailure extends Error {
  readonly path: string;

  constructor(path: string, cause: unknown) {
    super(`sync of ${path} failed`, { cause });
    this.path = path;
  }
}

interface SyncCaller {
  resolve(): void;
  reject(error: RedexError): void;
}

/** A sync that has begun. */
interface RunningSync {
  readonly target: SyncTarget;
  readonly callers: readonly SyncCaller[];
  readonly started: number;
}

const NO_CALLERS: readonly SyncCaller[] = [];

export interface SyncListener {
  /** A sync has finished; what it covered is settled. */
  onSynced(): void;
  /** A sync has failed; the channel is poisoned. */
  onPoisoned(): void;
  /** A sealed segment is synced: nobody writes to it any more. */
  onSegmentSynced(writer: SegmentWriter): void;
}

export class SyncWorker {
  readonly #context: ChannelContext;
  readonly #unsynced: Unsynced;
  readonly #health: Health;
  readonly #listener: SyncListener;
  #groups: SyncGroup[] = [];
  #firstGroup = 0;
  #wanted: 'all' | 'sealed' | undefined;
  #isRunning = false;
  readonly #idleWaiters: (() => void)[] = [];
  /** Who waits for a sync of everything that begins from now on. */
  #callers: SyncCaller[] = [];

  constructor(context: ChannelContext, unsynced: Unsynced, health: Health, listener: SyncListener) {
    this.#context = context;
    this.#unsynced = unsynced;
    this.#health = health;
    this.#listener = listener;
  }

  /** The first seq that is hidden because its append waits for a sync; else what is written. */
  get visibleSeq(): number {
    if (this.#health.isPoisoned) return this.#unsynced.durableSeq;
    return this.#groups[this.#firstGroup]?.firstSeq ?? this.#unsynced.writtenSeq;
  }

  /** Somebody waits for a sync of records that have been written. */
  get isAwaited(): boolean {
    return this.#firstGroup < this.#groups.length;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Adds appends whose records have been written. Their sync has still to be requested. */
  wait(group: SyncGroup): void {
    this.#groups.push(group);
  }

  /** Asks for a sync that begins after this call. */
  request(scope: 'all' | 'sealed'): void {
    if (this.#health.isPoisoned) return;
    if (this.#wanted !== 'all') this.#wanted = scope;
    if (!this.#isRunning) this.#begin(this.#wanted);
  }

  /** Resolves when no sync is running or wanted any more. */
  async idle(): Promise<void> {
    if (!this.#isRunning) return;
    await new Promise<void>((resolve) => {
      this.#idleWaiters.push(resolve);
    });
  }

  /** Resolves when everything written before the call is synced. Rejects with POISONED. */
  async syncAll(): Promise<void> {
    if (this.#health.isPoisoned) throw this.#health.poisonedError();
    if (this.#unsynced.isClean) return;
    const synced = new Promise<void>((resolve, reject) => {
      this.#callers.push({ resolve, reject });
    });
    this.request('all');
    await synced;
  }

  #begin(scope: 'all' | 'sealed'): void {
    this.#isRunning = true;
    this.#wanted = undefined;
    const sync: RunningSync = {
      target: this.#unsynced.begin(scope),
      callers: scope === 'all' && this.#callers.length > 0 ? this.#callers.splice(0) : NO_CALLERS,
      started: this.#context.settings.runtime.monotonic(),
    };
    const { inherited, directories } = sync.target;
    const journal = isJournaled(this.#context) ? this.#context.journal.journal : undefined;
    const hasFiles = journal === undefined || inherited.length > 0 || directories.length > 0;
    // Nothing but the journal: the commonest sync of all does without promises of its own.
    if (hasFiles) void this.#syncFiles(sync, journal);
    else this.#syncJournal(journal, sync);
  }

  /** Syncs the files that are concerned, and then what the journal has, if there is one. */
  async #syncFiles(sync: RunningSync, journal: Journal | undefined): Promise<void> {
    const { target } = sync;
    const { fs } = this.#context;
    try {
      for (const range of target.inherited) {
        await named(range.path, rewriteInherited(fs, range));
      }
      for (const { open } of journal === undefined ? target.writers : []) {
        await named(open.dat.path, open.dat.datasync());
      }
      for (const path of target.directories) await named(path, fs.syncDirectory(path));
    } catch (error) {
      this.#end(sync, error);
      return;
    }
    if (journal === undefined) this.#end(sync, undefined);
    else this.#syncJournal(journal, sync);
  }

  /** What the journal's sync covers becomes visible in one turn, in all channels together. */
  #syncJournal(journal: Journal, sync: RunningSync): void {
    journal.sync((cause) => {
      const { directory } = journal.segments;
      this.#end(sync, cause === undefined ? undefined : new SyncFailure(directory, cause));
    });
  }

  #end({ target, callers, started }: RunningSync, error: unknown): void {
    if (error !== undefined) this.#fail(error);
    this.#finish(target, callers, started);
    if (this.#wanted !== undefined && !this.#health.isPoisoned) {
      this.#begin(this.#wanted);
      return;
    }
    this.#isRunning = false;
    // Only now a poisoned channel gives its descriptors back.
    if (this.#health.isPoisoned) this.#context.shared.files.onMayClose();
    for (const wake of this.#idleWaiters.splice(0)) wake();
  }

  #finish(target: SyncTarget, callers: readonly SyncCaller[], started: number): void {
    // A synchronous sync may have failed while this one ran; then this one proves nothing.
    if (this.#health.isPoisoned) {
      for (const caller of callers) caller.reject(this.#health.poisonedError());
      return;
    }
    this.#publish(target, started);
    this.#succeed(this.#unsynced.finish(target));
    for (const caller of callers) caller.resolve();
  }

  /**
   * Syncs everything before it returns, through the second descriptors: a sync in flight on the
   * first ones is neither waited for nor relied on. Throws POISONED.
   */
  syncNow(): void {
    const { fs, settings } = this.#context;
    const target = this.#unsynced.beginNow();
    const started = settings.runtime.monotonic();
    let path = this.#context.directory;
    try {
      for (const range of target.inherited) {
        ({ path } = range);
        rewriteInheritedSync(fs, range);
      }
      const journal = isJournaled(this.#context) ? this.#context.journal.journal : undefined;
      for (const { syncHandle } of journal === undefined ? target.writers : []) {
        ({ path } = syncHandle);
        syncHandle.datasyncSync();
      }
      for (path of target.directories) fs.syncDirectorySync(path);
      if (journal !== undefined) {
        path = journal.segments.directory;
        journal.syncNow();
      }
    } catch (error) {
      this.#fail(new SyncFailure(path, error));
      throw this.#health.poisonedError();
    }
    this.#publish(target, started);
    this.#succeed(this.#unsynced.finishNow(target));
  }

  /**
   * A sync that was made elsewhere has covered everything below `seq`: who waited for that is told
   * before this returns.
   */
  covered(seq: number): void {
    if (this.#health.isPoisoned) return;
    this.#succeed(this.#unsynced.cover(seq));
  }

  #publish(target: SyncTarget, started: number): void {
    if (!diagnostics.sync.hasSubscribers) return;
    diagnostics.sync.publish({
      channel: this.#context.name,
      segments: target.writers.length,
      nextSeq: target.seq,
      durationMs: this.#context.settings.runtime.monotonic() - started,
    });
  }

  #succeed(done: readonly SegmentWriter[]): void {
    for (const writer of done) this.#listener.onSegmentSynced(writer);
    const { durableSeq } = this.#unsynced;
    for (;;) {
      const group = this.#groups[this.#firstGroup];
      if (group === undefined || group.endSeq > durableSeq) break;
      this.#firstGroup++;
      group.settle(undefined);
    }
    if (this.#firstGroup === this.#groups.length) {
      clearList(this.#groups);
      this.#firstGroup = 0;
    } else if (this.#firstGroup > 1024) {
      this.#groups = this.#groups.slice(this.#firstGroup);
      this.#firstGroup = 0;
    }
    this.#listener.onSynced();
  }

  #fail(error: unknown): void {
    const failure = error instanceof SyncFailure ? error : undefined;
    const { directory, shared } = this.#context;
    const path = failure?.path ?? directory;
    const cause = failure?.cause ?? error;
    this.poison(path, cause);
    // A second sync of it would say that all is well, to the store or to another channel.
    if (path === parentOf(directory)) shared.onNamesLost(path, cause);
  }

  /** The first failed sync, or a write that could not be taken back, ends all promises. */
  poison(path: string, cause: unknown, reason: PoisonReason = 'sync'): void {
    if (this.#health.isPoisoned) return;
    this.#health.poison(path, cause, reason);
    const groups = this.#groups.slice(this.#firstGroup);
    this.#groups = [];
    this.#firstGroup = 0;
    for (const group of groups) group.settle(this.#health.poisonedError());
    for (const caller of this.#callers.splice(0)) caller.reject(this.#health.poisonedError());
    this.#listener.onPoisoned();
  }
}

async function named(path: string, operation: Promise<void>): Promise<void> {
  try {
    await operation;
  } catch (error) {
    throw new SyncFailure(path, error);
  }
}

/** BUSY: a synchronous call would have to wait for something asynchronous. */
export function busyError(reason: string): RedexError {
  return redexError('BUSY', `a synchronous append cannot wait: ${reason}`, { reason });
}
