/**
 * The options that a channel goes by, and how they change: on the disk first, and with the sync
 * policy the way that appends go, into the journal or directly to dat.
 */
import type { Appender } from './appender.js';
import type { ChannelContext } from './channel-context.js';
import type { Health } from './health.js';
import type { ManifestKeeper } from './manifest-keeper.js';
import { storedWith, type ConfigureOptions, type StoredChannelOptions } from './options.js';
import type { SegmentChain } from './segment-chain.js';
import { settleJournal } from './settle-journal.js';
import { replaceOptions } from './stored-config.js';
import type { SyncSchedule } from './sync-schedule.js';
import type { SyncWorker } from './sync-worker.js';
import type { Trimming } from './trimming.js';

export interface PolicyParts {
  readonly context: ChannelContext;
  readonly health: Health;
  readonly worker: SyncWorker;
  readonly schedule: SyncSchedule;
  readonly keeper: ManifestKeeper;
  readonly trimming: Trimming;
  readonly appender: Appender;
  readonly chain: SegmentChain;
  /** Resolves when what was appended before the call is written or rejected. */
  written(): Promise<void>;
}

export class ChannelPolicy {
  readonly #parts: PolicyParts;
  /** One change after the other. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(parts: PolicyParts) {
    this.#parts = parts;
  }

  /**
   * Stores other options. They hold from when this resolves; on failure the old ones do, unless
   * nobody can say which ones a power cut would leave: then the channel is poisoned.
   */
  configure(options: ConfigureOptions): Promise<void> {
    const change = this.#changing.then(() => this.#configure(options));
    this.#changing = change.catch(() => undefined);
    return change;
  }

  async #configure(options: ConfigureOptions): Promise<void> {
    const { context, health, worker, schedule, keeper, trimming } = this.#parts;
    const { fs, directory } = context;
    await this.#parts.written();
    const refusal = health.writeError();
    if (refusal !== undefined) throw refusal;
    const stored = storedWith(options, context.stored);
    // The options before are in the journal, too, as long as its name is new.
    if (context.journal?.isFresh === true) await settleJournal(context, health);
    const release = await this.#hold(stored);
    try {
      replaceOptions(context, stored);
      try {
        fs.syncDirectorySync(directory);
      } catch (error) {
        worker.poison(directory, error);
        throw health.poisonedError();
      }
      this.#apply(stored);
    } finally {
      release();
    }
    // What retention is just doing, it does by the options before.
    await keeper.idle();
    schedule.onPolicyChanged();
    trimming.onPolicy();
  }

  /** A channel that was made in a commit goes the way of its policy from now on. */
  async follow(): Promise<void> {
    const { stored, settings, name } = this.#parts.context;
    try {
      const release = await this.#hold(stored);
      this.#apply(stored);
      release();
    } catch (error) {
      settings.logger.warn('a channel stays in the journal', { channel: name, error });
    }
  }

  /**
   * Before appends go another way all that was appended is in the files, and nothing is appended
   * until the function that this resolves to is called.
   */
  async #hold({ sync }: StoredChannelOptions): Promise<() => void> {
    const { context, appender, worker, health } = this.#parts;
    const { journal } = context;
    if (journal === undefined || journal.isUsed === (sync === 'always')) return () => undefined;
    const release = await appender.hold();
    try {
      await worker.syncAll();
      await worker.idle();
      await settleJournal(context, health);
      return release;
    } catch (error) {
      release();
      throw error;
    }
  }

  #apply(stored: StoredChannelOptions): void {
    const { context, chain } = this.#parts;
    const { journal } = context;
    const isUsed = stored.sync === 'always';
    if (journal !== undefined && journal.isUsed !== isUsed) {
      // The files are opened again in the way that is right from now on.
      chain.reopenActive();
      journal.isUsed = isUsed;
    }
    context.stored = stored;
  }
}
