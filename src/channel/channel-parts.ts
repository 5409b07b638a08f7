/**
 * Puts the parts of an open channel together and takes them apart again: who is told of what, and
 * the order of a close.
 */
import { ZERO_NANOS } from '../core/nanos.js';
import type { Manifest } from '../format/manifest.js';
import { SegmentWriter } from '../segment/segment-writer.js';
import { Appender } from './appender.js';
import type { ChannelContext } from './channel-context.js';
import { writeCleanMark } from './channel-files.js';
import { FrameWriter } from './frame-writer.js';
import { Health } from './health.js';
import { ioError } from './io-error.js';
import { RecordReader } from './record-reader.js';
import type { RecoveredChannel } from './recovery.js';
import { SegmentChain } from './segment-chain.js';
import { SyncSchedule } from './sync-schedule.js';
import { SyncWorker } from './sync-worker.js';
import { TailHub, type TailSource } from './tail-hub.js';
import { Unsynced } from './unsynced.js';

export class ChannelParts {
  readonly context: ChannelContext;
  readonly manifest: Manifest;
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
  readonly #tailSource: TailSource;
  #tails: TailHub | undefined;

  private constructor(given: ChannelContext, recovered: RecoveredChannel) {
    const { manifest, segments, nextSeq, durableSeq, inherited, damage } = recovered;
    // Beside damage not even a derived file is changed before somebody has looked at it.
    const readOnly = damage !== undefined;
    const context = { ...given, owner: { ...given.owner, readOnly } };
    this.context = context;
    this.manifest = manifest;
    this.#cleanCounter = recovered.cleanCounter;
    const last = segments.at(-1);
    if (recovered.clean && last !== undefined) this.#marked = { ...last };
    this.health = new Health(context, damage);
    this.chain = new SegmentChain(context, segments);
    const { inheritedDirectories } = recovered;
    this.unsynced = new Unsynced(nextSeq, durableSeq, inherited, inheritedDirectories);
    this.worker = new SyncWorker(context, this.unsynced, this.health, {
      onSynced: () => {
        this.schedule.onSynced();
        this.#wakeProgress();
      },
      onPoisoned: () => {
        this.schedule.stop();
        this.appender.rejectAll(this.health.poisonedError());
        this.#wakeProgress();
      },
      onSegmentSynced: (writer) => this.chain.endWriter(writer),
    });
    this.schedule = new SyncSchedule(context, this.unsynced, {
      requestSync: () => this.worker.request('all'),
      writeWitness: () => this.appender.writeWitness(),
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
    });
    const { firstSeq } = manifest;
    this.#tailSource = {
      firstSeq,
      get visibleSeq() {
        return worker.visibleSeq;
      },
      // Whatever becomes visible is told by the parts that make it so.
      onWaiting: () => {},
      onIdle: () => {},
    };
    this.reader = new RecordReader(context, this.chain, health, this.#tailSource);
  }

  static async open(context: ChannelContext, recovered: RecoveredChannel): Promise<ChannelParts> {
    const parts = new ChannelParts(context, recovered);
    try {
      await parts.#takeUpLastSegment(recovered);
    } catch (error) {
      parts.chain.close();
      throw error;
    }
    return parts;
  }

  async #takeUpLastSegment(recovered: RecoveredChannel): Promise<void> {
    const last = recovered.segments.at(-1);
    if (last === undefined || recovered.damage !== undefined) return;
    const { owner, settings, stored } = this.context;
    if (!last.sealed) {
      const random = settings.runtime.random(new Uint8Array(4));
      const attempt = new DataView(random.buffer, random.byteOffset, 4).getUint32(0);
      const writer = await SegmentWriter.reopen(owner, last, this.chain.scratch, attempt);
      this.unsynced.active = writer;
      this.chain.addWriter(writer);
    }
    if (!recovered.clean && stored.sync === 'always') this.#markClean();
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

  #wakeProgress(): void {
    this.#tails?.onProgress();
    if (this.#progressWaiters.length === 0) return;
    for (const wake of this.#progressWaiters.splice(0)) wake();
  }

  /** Writes what is queued and syncs everything. */
  async syncAll(): Promise<void> {
    await this.appender.idle();
    await this.worker.syncAll();
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
    writeCleanMark(fs, directory, {
      channelId,
      counter: this.#cleanCounter,
      generation: this.manifest.generation,
      baseSeq,
      datLength,
      nextSeq: segment.nextSeq,
      lastChecksum: segment.lastChecksum,
      lastTimestamp: segment.lastTimestamp,
      recordCount: segment.recordCount,
      frameCount: segment.frameCount,
    });
    this.#marked = { baseSeq, datLength };
  }

  async close(): Promise<void> {
    const { appender, worker, schedule, health, chain, unsynced } = this;
    try {
      if (health.isPoisoned) throw health.poisonedError();
      await appender.idle();
      schedule.stop();
      await worker.syncAll();
      await worker.idle();
      schedule.stop();
      unsynced.active?.open.index.flush();
      if (health.damage === undefined) this.#markClean();
      await this.#tails?.finish();
    } catch (error) {
      // Nothing is closed while a write or a sync is in flight on it.
      await appender.idle();
      await worker.idle();
      throw ioError('close', this.context.directory, error, 'unknown');
    } finally {
      schedule.stop();
      health.close();
      chain.close();
      this.#wakeProgress();
    }
  }
}
