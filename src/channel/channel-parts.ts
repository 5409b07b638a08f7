/**
 * Puts the parts of an open channel together and takes them apart again: who is told of what, and
 * the order of a close.
 */
import { ZERO_NANOS } from '../core/nanos.js';
import type { Manifest } from '../format/manifest.js';
import { Appender } from './appender.js';
import type { ChannelContext } from './channel-context.js';
import type { ChannelCore } from './channel-core.js';
import { cleanMarkOf, writeCleanMark } from './channel-files.js';
import { CheckpointHolds } from './checkpoint-holds.js';
import { Compaction } from './compaction.js';
import { FileReclaim } from './file-reclaim.js';
import type { FoldSync } from './fold-host.js';
import { Folds } from './folds.js';
import { FrameWriter } from './frame-writer.js';
import { Health } from './health.js';
import { ioError } from './io-error.js';
import { sweepLeftovers } from './leftovers.js';
import { ManifestKeeper } from './manifest-keeper.js';
import { storedWith, type ConfigureOptions } from './options.js';
import { RecordReader } from './record-reader.js';
import type { RecoveredChannel } from './recovery.js';
import { SegmentChain, type WritingSide } from './segment-chain.js';
import { replaceOptions } from './stored-config.js';
import { SyncSchedule } from './sync-schedule.js';
import { SyncWorker, type SyncListener } from './sync-worker.js';
import { TailHub, type TailSource } from './tail-hub.js';
import { Trimming } from './trimming.js';
import { Unsynced } from './unsynced.js';

export class ChannelParts implements ChannelCore {
  readonly context: ChannelContext;
  readonly keeper: ManifestKeeper;
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
  readonly reader: RecordReader;
  #cleanCounter: number;
  /** Segment and end that the clean mark on disk describes. */
  #marked: { readonly baseSeq: number; readonly datLength: number } | undefined;
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
    // Beside damage not even a derived file is changed before somebody has looked at it.
    const readOnly = damage !== undefined;
    const context = { ...given, owner: { ...given.owner, readOnly } };
    this.context = context;
    this.#cleanCounter = recovered.cleanCounter;
    const last = segments.at(-1);
    if (recovered.clean && last !== undefined) this.#marked = { ...last };
    this.health = new Health(context, damage);
    this.chain = new SegmentChain(context, segments);
    const { inheritedDirectories } = recovered;
    this.unsynced = new Unsynced(nextSeq, durableSeq, inherited, inheritedDirectories);
    this.worker = new SyncWorker(context, this.unsynced, this.health, this.#syncListener(context));
    const poison = (path: string, cause: unknown): void => this.worker.poison(path, cause);
    const keeper = new ManifestKeeper(context, this.health, manifest, poison);
    this.keeper = keeper;
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
    const onProgress = (): void => this.#wakeProgress();
    this.appender = new Appender({
      context,
      unsynced,
      health,
      frames,
      worker,
      schedule,
      onProgress,
      mustYield: () => this.#isSettling && context.shared.files.isContended,
    });
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
        this.#marked = undefined;
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
    if (recovered.damage !== undefined) return;
    const last = recovered.segments.at(-1);
    const { settings, stored } = this.context;
    if (last?.sealed === false) {
      const random = settings.runtime.random(new Uint8Array(4));
      const attempt = new DataView(random.buffer, random.byteOffset, 4).getUint32(0);
      this.chain.park(last, attempt);
    }
    if (!recovered.clean && stored.sync === 'always') this.#markClean();
    sweepLeftovers(this.context, recovered.leftovers, this.keeper, this.reclaim);
    this.trimming.onPolicy();
  }

  /** When the descriptors of the active segment may be closed, and what makes it possible. */
  #writingSide(): WritingSide {
    const { unsynced, appender, worker, health } = this;
    return {
      isIdle: (writer) => {
        return !appender.isWriting && (unsynced.isSettled(writer) || this.#isLost);
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
    await this.#written();
    await this.worker.syncAll();
  }

  /** Resolves when what was appended before the call is written or rejected. */
  async #written(): Promise<void> {
    const { appender, unsynced } = this;
    const end = appender.nextSeq;
    // What is rejected gives its seqs back.
    while (unsynced.writtenSeq < end && appender.nextSeq >= end) await this.progress();
  }

  /**
   * A clean mark: everything up to the end of the last segment is synced. Written after the sync
   * that makes it true, and only when the mark on disk says something else.
   */
  #markClean(): void {
    const segment = this.chain.last;
    if (segment === undefined) return;
    const { baseSeq, datLength } = segment;
    if (this.#marked?.baseSeq === baseSeq && this.#marked.datLength === datLength) return;
    const { fs, directory, channelId } = this.context;
    this.#cleanCounter++;
    const { generation } = this.manifest;
    const mark = cleanMarkOf(segment, channelId, generation, this.#cleanCounter);
    writeCleanMark(fs, directory, mark);
    this.#marked = { baseSeq, datLength };
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

  /** Closes once, however often it is called. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /**
   * Stores other options. They hold from when this resolves; on failure the old ones do, unless
   * nobody can say which ones a power cut would leave: then the channel is poisoned.
   */
  async configure(options: ConfigureOptions): Promise<void> {
    const { context, health, worker, schedule } = this;
    const { fs, directory } = context;
    await this.#written();
    const refusal = health.writeError();
    if (refusal !== undefined) throw refusal;
    const stored = storedWith(options, context.stored);
    replaceOptions(context, stored);
    try {
      fs.syncDirectorySync(directory);
    } catch (error) {
      worker.poison(directory, error);
      throw health.poisonedError();
    }
    context.stored = stored;
    // What retention is just doing, it does by the options before.
    await this.keeper.idle();
    schedule.onPolicyChanged();
    this.trimming.onPolicy();
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
      unsynced.active?.open.index.flush();
      if (health.damage === undefined) this.#markClean();
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

function tailSourceOf(keeper: ManifestKeeper, worker: SyncWorker): TailSource {
  return {
    get firstSeq() {
      return keeper.current.firstSeq;
    },
    get visibleSeq() {
      return worker.visibleSeq;
    },
    // Whatever becomes visible is told by the parts that make it so.
    onWaiting: () => {},
    onIdle: () => {},
  };
}
