/**
 * When a background sync starts by itself, and when an idle log says in its own file how far it
 * is synced. Sets a timer only while there is something to sync: an idle channel costs none.
 */
import type { Cancel } from '../core/runtime.js';
import type { ChannelContext } from './channel-context.js';
import type { SyncPolicy } from './options.js';
import type { Unsynced } from './unsynced.js';

/** Milliseconds without appends after which a witness is written (RULES C4). */
export const IDLE_WITNESS_MS = 1000;

/** Whether so much is uncovered that a sync is due; a pure decision. */
function isSyncDue(
  policy: SyncPolicy,
  uncovered: { readonly records: number; readonly bytes: number },
): boolean {
  if (typeof policy !== 'object' || uncovered.records === 0) return false;
  const { everyN, maxBytes } = policy;
  return (
    (everyN !== undefined && uncovered.records >= everyN) ||
    (maxBytes !== undefined && uncovered.bytes >= maxBytes)
  );
}

/** How long a record may stay uncovered; undefined for as long as it likes. */
function syncDelayMs(policy: SyncPolicy, maxSyncDelayMs: number): number | undefined {
  if (policy === 'always') return maxSyncDelayMs;
  return policy === 'never' ? undefined : policy.intervalMs;
}

export interface ScheduleActions {
  requestSync(): void;
  /** Writes a witness, if the channel is still idle. */
  writeWitness(): 'written' | 'later' | 'failed';
  /** Everything is synced, and what is on disk says so. */
  onQuiet(): void;
}

export class SyncSchedule {
  readonly #context: ChannelContext;
  readonly #unsynced: Unsynced;
  readonly #actions: ScheduleActions;
  #cancelSync: Cancel | undefined;
  #cancelWitness: Cancel | undefined;
  /** What the last witness on disk states. */
  #witnessedSeq: number;
  #writtenAtLastLook = -1;
  #isEnded = false;

  constructor(context: ChannelContext, unsynced: Unsynced, actions: ScheduleActions) {
    this.#context = context;
    this.#unsynced = unsynced;
    this.#actions = actions;
    this.#witnessedSeq = unsynced.durableSeq;
  }

  /** A frame was written. */
  onWritten(): void {
    const { stored, settings } = this.#context;
    if (this.#isEnded || stored.sync === 'never') return;
    if (isSyncDue(stored.sync, this.#unsynced.uncovered)) {
      this.#actions.requestSync();
      return;
    }
    if (this.#cancelSync !== undefined) return;
    const delayMs = syncDelayMs(stored.sync, settings.maxSyncDelayMs);
    if (delayMs === undefined) return;
    this.#cancelSync = settings.runtime.schedule(() => {
      this.#cancelSync = undefined;
      if (this.#unsynced.uncovered.records > 0) this.#actions.requestSync();
    }, delayMs);
  }

  /** Nothing is put off: everything is synced, and what is on disk says so. */
  get isQuiet(): boolean {
    return this.#cancelSync === undefined && this.#cancelWitness === undefined;
  }

  /** A sync has finished. */
  onSynced(): void {
    if (this.#isEnded) return;
    if (this.#cancelWitness !== undefined) return;
    if (this.#unsynced.durableSeq <= this.#witnessedSeq) {
      this.#actions.onQuiet();
      return;
    }
    this.#watch();
  }

  /** Looks again when it has been quiet for a while. */
  #watch(): void {
    this.#writtenAtLastLook = this.#unsynced.writtenSeq;
    this.#cancelWitness = this.#context.settings.runtime.schedule(
      () => this.#lookAgain(),
      IDLE_WITNESS_MS,
    );
  }

  #lookAgain(): void {
    this.#cancelWitness = undefined;
    const { writtenSeq, durableSeq } = this.#unsynced;
    if (writtenSeq !== this.#writtenAtLastLook || durableSeq < writtenSeq) {
      // Appends went on meanwhile: they carry witnesses themselves. Look again later.
      if (durableSeq === writtenSeq) this.onSynced();
      return;
    }
    const outcome = this.#actions.writeWitness();
    if (outcome === 'later') this.#watch();
    if (outcome !== 'written') return;
    this.#witnessedSeq = durableSeq;
    this.#actions.requestSync();
  }

  /** The policy has changed: what was put off under the old one is synced now. */
  onPolicyChanged(): void {
    this.#cancelSync?.();
    this.#cancelSync = undefined;
    if (this.#context.stored.sync !== 'never' && this.#unsynced.uncovered.records > 0) {
      this.#actions.requestSync();
    }
  }

  /** Whatever still ends puts off nothing any more: the channel is deleted. */
  end(): void {
    this.#isEnded = true;
    this.stop();
  }

  stop(): void {
    this.#cancelSync?.();
    this.#cancelWitness?.();
    this.#cancelSync = undefined;
    this.#cancelWitness = undefined;
  }
}
