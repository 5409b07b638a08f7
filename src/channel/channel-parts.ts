/**
 * Puts the parts of an open channel together and takes them apart again: who is told of what, and
 * the order of a close.
 */
import { ZERO_NANOS } from '../core/nanos.js';
import type { Manifest } from '../format/manifest.js';
import { Appender } from './appender.js';
import type { ChannelContext } from './channel-context.js';
import type { ChannelCore } from './channel-core.js';
import { CleanMarks } from './clean-marks.js';
import { ChannelPolicy } from './channel-policy.js';
import { CheckpointHolds } from './checkpoint-holds.js';
import { Compaction } from './compaction.js';
import { FileReclaim } from './file-reclaim.js';
import type { FoldSync } from './fold-host.js';
import { Folds } from './folds.js';
import { FrameWriter } from './frame-writer.js';
import { Health } from './health.js';
import { Intake } from './intake.js';
import { ioError } from './io-error.js';
import { sweepLeftovers } from './leftovers.js';
import { ManifestKeeper } from './manifest-keeper.js';
import { movedSegment } from '../segment/segment.js';
import { RecordReader } from './record-reader.js';
import type { RecoveredChannel } from './recovery.js';
import type { WritingSide } from './open-holder.js';
import { SegmentChain } from './segment-chain.js';
import { settleJournal } from './settle-journal.js';
import { SyncSchedule } from './sync-schedule.js';
import { SyncWorker, type SyncListener } from './sync-worker.js';
import { TailHub, type TailSource } from './tail-hub.js';
import { tailSourceOf } from './tail-source.js';
import { Trimming } from './trimming.js';
import { Unsynced } from './unsynced.js';

export class ChannelParts implements ChannelCore {
  readonly context: ChannelContext;
  readonly keeper: ManifestKeeper;
  readonly policy: ChannelPolicy;
  readonly trimming: Trimming;
  readonly holds: CheckpointHolds;
  readonly compaction: Compaction;
  readonly reclaim: FileReclaim;
  readonly health: Health;
  readonly chain: SegmentChain;
  readonly unsynced: Unsynced;
  readonly worker: SyncWorker;
  readonly schedule: SyncSchedule;
  readonly frames: FrameWriter;
  readonly appender: Appender;
  readonly intake: Intake;
  readonly reader: RecordReader;
  readonly #marks: CleanMarks;
  #progressWaiters: (() => void)[] = [];
  /** A sync was begun so that descriptors can be closed. */
  #isSettling = false;
  readonly #tailSource: TailSource;
  #tails: TailHub | undefined;
  #folds: Folds | undefined;

  #closing: Promise<void> | undefined;
  readonly #onClosed: () => void;

  private constructor(given: ChannelContext, recovered: RecoveredChannel, onClosed: () => void) {
    this.#onClosed = onClosed;
    const { manifest, segments, nextSeq, durableSeq, inherited, damage } = recovered;
    // Beside damage not even a derived file is changed.
    const readOnly = damage !== undefined || given.journal?.refusal !== undefined;
    const context = { ...given, owner: { ...given.owner, readOnly } };
    this.context = context;
    const marked = recovered.clean ? segments.at(-1) : undefined;
    this.#marks = new CleanMarks(context, recovered.cleanCounter, marked && { ...marked });
    this.health = new Health(context, damage);
    this.chain = new SegmentChain(context, segments);
    const { inheritedDirectories } = recovered;
    this.unsynced = new Unsynced(nextSeq, durableSeq, inherited, inheritedDirectories);
    this.worker = new SyncWorker(context, this.unsynced, this.health, this.#syncListener(context));
    const poison = (path: string, cause: unknown): void => this.worker.poison(path, cause);
    const synced = (): number => this.unsynced.durableSeq;
    const keeper = new ManifestKeeper(context, this.health, manifest, poison, synced);
    this.keeper = keeper;
    this.policy = new ChannelPolicy(this);
    this.reclaim = new FileReclaim(context, this.chain);
    this.holds = this.#checkpointHolds(context, keeper);
    this.trimming = new Trimming({
      context,
      health: this.health,
      holds: this.holds,
      chain: this.chain,
      unsynced: this.unsynced,
      manifest: keeper,
      reclaim: this.reclaim,
      syncAll: () => this.syncAll(),
    });
    this.schedule = new SyncSchedule(context, this.unsynced, {
      requestSync: () => this.worker.request('all'),
      writeWitness: () => this.appender.writeWitness(),
      onQuiet: () => this.chain.parkActive(),
    });
    const lastTimestamp = segments.at(-1)?.lastTimestamp ?? ZERO_NANOS;
    this.frames = new FrameWriter(context, this.chain, this.unsynced, lastTimestamp);
    const { unsynced, health, frames, worker, schedule } = this;
    this.appender = new Appender({
      context,
      unsynced,
      health,
      frames,
      worker,
      schedule,
      onProgress: () => this.#wakeProgress(),
      mustYield: () => this.#isSettling && context.shared.files.isContended,
    });
    this.intake = new Intake(context, this.appender, frames);
    this.compaction = new Compaction({
      context,
      health,
      chain: this.chain,
      unsynced,
      appender: this.appender,
      manifest: keeper,
      reclaim: this.reclaim,
      syncAll: () => this.syncAll(),
      syncWritten: () => worker.syncAll(),
      onExchanged: () => {
        this.#marks.forget();
        this.#tails?.reset();
      },
    });
    this.#tailSource = tailSourceOf(keeper, worker);
    this.reader = new RecordReader(context, this.chain, health, this.#tailSource);
  }

  #checkpointHolds(context: ChannelContext, keeper: ManifestKeeper): CheckpointHolds {
    return new CheckpointHolds(context, {
      syncNames: () => {
        this.unsynced.addName(context.directory);
        return this.syncAll();
      },
      manifestIdle: () => keeper.idle(),
      onSaved: (name) => this.trimming.onCheckpoint(name),
    });
  }

  #syncListener({ shared }: ChannelContext): SyncListener {
    return {
      onSynced: () => {
        this.#isSettling = false;
        this.schedule.onSynced();
        this.trimming.dropSegments();
        shared.files.onMayClose();
        this.appender.goOn();
        this.#wakeProgress();
      },
      onPoisoned: () => {
        this.schedule.stop();
        this.appender.rejectAll(this.health.poisonedError());
        this.#isSettling = false;
        shared.files.onMayClose();
        this.#wakeProgress();
      },
      onSegmentSynced: (writer) => {
        this.chain.endWriter(writer);
        this.trimming.applyRetentionSoon();
      },
    };
  }

  /** No descriptor is open when this returns: the first use opens what it needs. */
  static open(
    context: ChannelContext,
    recovered: RecoveredChannel,
    onClosed: () => void,
  ): ChannelParts {
    const parts = new ChannelParts(context, recovered, onClosed);
    parts.#takeUpLastSegment(recovered);
    return parts;
  }

  #takeUpLastSegment(recovered: RecoveredChannel): void {
    this.chain.writingSide = this.#writingSide();
    this.#watchJournal();
    if (recovered.damage !== undefined || this.context.journal?.refusal !== undefined) return;
    const last = recovered.segments.at(-1);
    const { settings, stored, journal } = this.context;
    if (last !== undefined) journal?.openedAt(last.baseSeq, last.datLength);
    if (last?.sealed === false) {
      const random = settings.runtime.random(new Uint8Array(4));
      const attempt = new DataView(random.buffer, random.byteOffset, 4).getUint32(0);
      this.chain.park(last, attempt);
    }
    if (!recovered.clean && stored.sync === 'always') this.#markClean();
    sweepLeftovers(this.context, recovered.leftovers, this.keeper, this.reclaim);
    this.trimming.onPolicy();
  }

  #watchJournal(): void {
    const { journal } = this.context;
    if (journal === undefined) return;
    journal.onSyncFailed = (path, cause) => this.worker.poison(path, cause);
    journal.onEmpty = () => {
      if (this.schedule.isQuiet && !this.isClosing) this.chain.parkActive();
    };
  }

  /** When the descriptors of the active segment may be closed, and what makes it possible. */
  #writingSide(): WritingSide {
    const { unsynced, appender, worker, health } = this;
    return {
      isIdle: (writer) => {
        if (appender.isWriting || this.context.journal?.isWaiting === true) return false;
        return unsynced.isSettled(writer) || this.#isLost;
      },
      isLost: () => !appender.isWriting && this.#isLost,
      onParked: () => {
        unsynced.active = undefined;
        appender.releaseMemory();
      },
      onResumed: (writer) => {
        unsynced.active = writer;
      },
      settle: () => {
        if (this.#isSettling || health.isPoisoned || appender.isWriting) return false;
        if (unsynced.isClean) return false;
        this.#isSettling = true;
        worker.request('all');
        return true;
      },
      settleNow: () => {
        if (health.isPoisoned || appender.isWriting) return;
        try {
          worker.syncNow();
        } catch {
          // This channel is poisoned now, which its own callers are told.
        }
      },
    };
  }

  /** Nothing is synced any more on a poisoned channel: its bytes are as lost as they are. */
  get #isLost(): boolean {
    return this.health.isPoisoned && !this.worker.isRunning;
  }

  /** Resolves when something was written, synced or failed: whenever waiting may be over. */
  progress(): Promise<void> {
    if (this.unsynced.isClean && this.appender.isIdle) return Promise.resolve();
    return new Promise((resolve) => {
      this.#progressWaiters.push(resolve);
    });
  }

  /** What all tails share; there is none before the first tail. */
  get tails(): TailHub {
    const { runtime } = this.context.settings;
    this.#tails ??= new TailHub(this.reader, this.#tailSource, runtime);
    return this.#tails;
  }

  /** The folds that are open. */
  get folds(): Folds {
    this.#folds ??= new Folds(this);
    return this.#folds;
  }

  /** What a checkpoint of a fold relies on. */
  get sync(): FoldSync {
    return {
      addName: (path) => this.unsynced.addName(path),
      syncAll: () => this.syncAll(),
      holds: this.holds,
    };
  }

  #wakeProgress(): void {
    this.#tails?.onProgress();
    if (this.#progressWaiters.length === 0) return;
    for (const wake of this.#progressWaiters.splice(0)) wake();
  }

  /** Writes and syncs what was appended before the call; what comes meanwhile is not waited for. */
  async syncAll(): Promise<void> {
    await this.written();
    await this.worker.syncAll();
    this.health.requireSynced(this.unsynced);
  }

  /** Resolves when what was appended before the call is written or rejected. */
  async written(): Promise<void> {
    const { appender, unsynced } = this;
    const end = appender.nextSeq;
    // What is rejected gives its seqs back.
    while (unsynced.writtenSeq < end && appender.nextSeq >= end) await this.progress();
  }

  #markClean(): void {
    this.#marks.write(this.chain.last, this.manifest.generation);
  }

  get manifest(): Manifest {
    return this.keeper.current;
  }

  get visibleSeq(): number {
    return this.worker.visibleSeq;
  }

  get durableSeq(): number {
    return this.unsynced.durableSeq;
  }

  /** Everything that is written goes through here: there is nothing to look for. */
  async look(): Promise<void> {}

  get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  /** The directory of the channel is another one now, with all that is in it. */
  relocate(directory: string): void {
    const { context, chain } = this;
    const inside = context.generationDirectory.slice(context.directory.length);
    const generationDirectory = `${directory}${inside}`;
    context.directory = directory;
    context.generationDirectory = generationDirectory;
    context.journal?.relocate(generationDirectory);
    context.journal?.created(directory);
    if (chain.all.length > 0) {
      const moved = chain.all.map((segment) => movedSegment(segment, generationDirectory));
      chain.exchange(moved);
    }
    void this.policy.follow();
  }

  /** The channel is deleted: nothing of it is written any more. */
  discard(): void {
    const { health, context } = this;
    // Its files move away in this turn: whatever still works on them fails because of that.
    health.close();
    this.#closing ??= this.#discard();
    this.appender.rejectAll(health.closedError());
    context.journal?.forget();
  }

  async #discard(): Promise<void> {
    const { appender, worker, schedule, chain } = this;
    schedule.end();
    await this.compaction.stop();
    await appender.idle();
    await this.trimming.stop();
    await worker.idle();
    await this.#folds?.finish();
    await this.keeper.idle();
    await this.reclaim.stop();
    chain.close();
    this.#wakeProgress();
    this.#onClosed();
  }

  /** Closes once, however often it is called. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { appender, worker, schedule, health, chain, unsynced } = this;
    try {
      if (health.isPoisoned) throw health.poisonedError();
      await this.compaction.stop();
      await appender.idle();
      await this.trimming.stop();
      schedule.stop();
      await worker.syncAll();
      await worker.idle();
      schedule.stop();
      if (this.context.journal?.isPinned !== true) await settleJournal(this.context, health);
      unsynced.active?.open.index.flush();
      if (!this.context.owner.readOnly) this.#markClean();
      await this.#tails?.finish();
      await this.#folds?.finish();
    } catch (error) {
      // Nothing is closed while a write or a sync is in flight on it.
      await this.compaction.stop();
      await appender.idle();
      await this.trimming.stop();
      await worker.idle();
      await this.#folds?.finish();
      throw ioError('close', this.context.directory, error, 'unknown');
    } finally {
      schedule.stop();
      await this.keeper.idle();
      await this.reclaim.stop();
      health.close();
      chain.close();
      this.#wakeProgress();
      this.#onClosed();
    }
  }
}
