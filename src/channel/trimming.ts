/**
 * Lets go of the beginning of a channel: by hand (trim) or by policy (retention). Records are gone
 * for readers, and for good, once the manifest says so; files follow in the background (RULES G1,
 * G2, G6).
 */
import type { Health } from './health.js';
import { ioError } from './io-error.js';
import { segmentPath } from '../segment/segment.js';
import type { ChannelContext } from './channel-context.js';
import type { CheckpointHolds } from './checkpoint-holds.js';
import type { FileReclaim } from './file-reclaim.js';
import type { ManifestKeeper } from './manifest-keeper.js';
import type { AgingChannel } from './retention-clock.js';
import { retainedFrom, type RetentionPolicy } from './retention.js';
import type { SegmentChain } from './segment-chain.js';
import type { Unsynced } from './unsynced.js';

export interface TrimmingParts {
  readonly context: ChannelContext;
  readonly health: Health;
  readonly chain: SegmentChain;
  readonly unsynced: Unsynced;
  readonly manifest: ManifestKeeper;
  readonly reclaim: FileReclaim;
  readonly holds: CheckpointHolds;
  /** Writes and syncs what was appended before. */
  readonly syncAll: () => Promise<void>;
}

export class Trimming implements AgingChannel {
  readonly #parts: TrimmingParts;
  #running: Promise<void> | undefined;
  #isWanted = false;
  #isStopped = false;

  constructor(parts: TrimmingParts) {
    this.#parts = parts;
  }

  /** No record below `beforeSeq` is in the channel any more when this resolves. */
  async trim(beforeSeq: number): Promise<void> {
    const { unsynced, syncAll, manifest } = this.#parts;
    // What is not durable may not push out what is: a power cut would lose both.
    if (unsynced.durableSeq < beforeSeq) await syncAll();
    if (beforeSeq > manifest.current.firstSeq) await this.#raise(() => beforeSeq);
    else await manifest.makeDurable();
  }

  /** Applies the channel's retention policy. */
  async applyRetention(): Promise<void> {
    const { context, manifest, holds, syncAll } = this.#parts;
    const { retention } = context.stored;
    if (retention === undefined) return;
    // What is not durable pushes nothing out, so where there is something to let go it is synced.
    const most = this.#retainedFrom(retention, Infinity, Infinity);
    if (most > manifest.current.firstSeq) await syncAll();
    const { waitFor = [] } = retention;
    const isHeld = waitFor.length > 0;
    const wanted = this.#retainedFrom(retention, Infinity);
    if (!isHeld || wanted <= manifest.current.firstSeq) {
      await this.#raise(() => wanted);
      return;
    }
    const found = await holds.durableStateOf(waitFor);
    // Asked again when it is done: a fold may have been opened, or be waited for, since.
    const heldFrom = (): number => {
      const { waitFor: names = [] } = context.stored.retention ?? {};
      return holds.heldFrom(names, found);
    };
    const firstSeq = this.#retainedFrom(retention, heldFrom());
    await this.#raise(() => Math.min(firstSeq, heldFrom()));
  }

  #retainedFrom(
    retention: RetentionPolicy,
    heldFrom: number,
    durableSeq: number = this.#parts.unsynced.durableSeq,
  ): number {
    const { context, chain, manifest } = this.#parts;
    return retainedFrom(retention, {
      segments: chain.all,
      firstSeq: manifest.current.firstSeq,
      durableSeq,
      heldFrom,
      nowMs: context.settings.runtime.now(),
    });
  }

  /** A fold has a newer checkpoint. */
  onCheckpoint(name: string): void {
    const { waitFor } = this.#parts.context.stored.retention ?? {};
    if (waitFor?.includes(name) === true) this.applyRetentionSoon();
  }

  get maxAgeMs(): number | undefined {
    return this.#parts.context.stored.retention?.maxAgeMs;
  }

  onAge(): void {
    this.applyRetentionSoon();
  }

  /** The policy is this one from now on: at the open, and when the channel is configured. */
  onPolicy(): void {
    this.#parts.context.shared.clock.watch(this);
    this.applyRetentionSoon();
  }

  /** The same in the background: what fails is reported, and tried again at the next occasion. */
  applyRetentionSoon(): void {
    if (this.#isStopped || this.#parts.context.stored.retention === undefined) return;
    this.#isWanted = true;
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    const { context, health } = this.#parts;
    const { name, directory, settings, shared } = context;
    while (this.#isWanted) {
      this.#isWanted = false;
      try {
        await this.applyRetention();
      } catch (cause) {
        const error = ioError('apply retention', directory, cause, 'absent');
        settings.logger.warn('retention failed', { channel: name, error });
        // Until it is opened again this channel refuses every change: nothing is left to try.
        if (health.writeError() !== undefined) {
          shared.clock.unwatch(this);
          this.#isWanted = false;
        }
      }
    }
    this.#running = undefined;
  }

  async #raise(firstSeq: () => number): Promise<void> {
    const { chain, unsynced, manifest } = this.#parts;
    if (firstSeq() > manifest.current.firstSeq) {
      // From when the manifest says so, it can be told how many there are.
      await chain.learnHidden(Math.min(firstSeq(), unsynced.durableSeq));
      await manifest.update((current) => {
        const raised = Math.min(firstSeq(), unsynced.durableSeq);
        return raised <= current.firstSeq ? current : { ...current, firstSeq: raised };
      });
    }
    this.dropSegments();
  }

  /** Segments below `firstSeq` go, once no sync has to come to them any more. */
  dropSegments(): void {
    const { chain, manifest, reclaim } = this.#parts;
    // Asked after every sync, and mostly there is only the segment that stays.
    if (chain.all.length < 2) {
      reclaim.start();
      return;
    }
    const dropped = chain.dropBelow(manifest.current.firstSeq, (segment) =>
      this.#isNeeded(segmentPath(segment, 'dat')),
    );
    // Also what was held before may go by now.
    reclaim.addSegments(dropped);
  }

  /** A sync, or a checkpoint of the journal, has still to come to this file. */
  #isNeeded(path: string): boolean {
    const { unsynced, context } = this.#parts;
    return unsynced.isInherited(path) || context.journal?.waitingFor(path) !== undefined;
  }

  /** Ends what is done in the background. */
  async stop(): Promise<void> {
    this.#parts.context.shared.clock.unwatch(this);
    this.#isStopped = true;
    this.#isWanted = false;
    await this.#running;
  }
}
