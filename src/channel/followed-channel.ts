/**
 * A channel that another process may be writing to. Every read looks again before it begins; while
 * tails wait, it looks by a timer, less often the longer nothing comes, and soon after the file
 * system tells that something has changed.
 */
import { RedexError } from '../core/errors.js';
import type { Cancel } from '../core/runtime.js';
import type { Manifest } from '../format/manifest.js';
import { generationName } from '../format/file-name.js';
import { ChangeWatch } from './change-watch.js';
import type { ChannelContext } from './channel-context.js';
import type { ChannelCore } from './channel-core.js';
import { CheckpointHolds } from './checkpoint-holds.js';
import { ChannelFollower } from './channel-follower.js';
import { Folds } from './folds.js';
import type { Health } from './health.js';
import { ioError } from './io-error.js';
import type { RecordReader } from './record-reader.js';
import type { SegmentChain } from './segment-chain.js';
import { TailHub, type TailSource } from './tail-hub.js';

/** Between two looks for tails that wait, while records come and when none do. */
const SHORTEST_DELAY_MS = 10;
const LONGEST_DELAY_MS = 200;
/** Between two looks that changes lead to: they may be of other channels in the same journal. */
const LONGEST_GAP_MS = 40;

export class FollowedChannel implements ChannelCore {
  readonly context: ChannelContext;
  readonly tails: TailHub;
  readonly holds: CheckpointHolds;
  readonly #follower: ChannelFollower;
  readonly #onClosed: () => void;
  #folds: Folds | undefined;
  #closing: Promise<void> | undefined;
  #isAwaited = false;
  #delayMs = SHORTEST_DELAY_MS;
  readonly #watch: ChangeWatch;
  #gapMs = SHORTEST_DELAY_MS;
  #lookedAtMs = 0;
  /** Something has changed since the look began that is going on. */
  #hasChanged = false;
  #isLooking = false;
  #cancelTimer: Cancel | undefined;
  /** Why the last look of the timer failed. */
  #failure: RedexError | undefined;
  /** What the tails know of. */
  #shownSeq: number;
  #shownManifest: Manifest;

  private constructor(context: ChannelContext, follower: ChannelFollower, onClosed: () => void) {
    this.context = context;
    this.holds = new CheckpointHolds(context);
    this.#follower = follower;
    this.#onClosed = onClosed;
    this.#watch = new ChangeWatch(context.fs, () => this.#onChange());
    this.#shownSeq = follower.visibleSeq;
    this.#shownManifest = follower.manifest;
    follower.reader.beforeRead = (): Promise<void> => this.look();
    this.tails = new TailHub(follower.reader, this.#tailSource(), context.settings.runtime);
  }

  /** Rejects with NOT_FOUND, CORRUPT, FORMAT_VERSION, IO. */
  static async open(context: ChannelContext, onClosed: () => void): Promise<FollowedChannel> {
    return new FollowedChannel(context, await ChannelFollower.open(context), onClosed);
  }

  get manifest(): Manifest {
    return this.#follower.manifest;
  }

  get health(): Health {
    return this.#follower.health;
  }

  get chain(): SegmentChain {
    return this.#follower.chain;
  }

  get reader(): RecordReader {
    return this.#follower.reader;
  }

  get visibleSeq(): number {
    return this.#follower.visibleSeq;
  }

  get durableSeq(): number {
    return this.#follower.durableSeq;
  }

  get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  /** Their states stay in memory: nothing is written here. */
  get folds(): Folds {
    this.#folds ??= new Folds(this);
    return this.#folds;
  }

  async look(): Promise<void> {
    await this.#follower.look();
    this.#failure = undefined;
    this.#tellTails();
  }

  #tellTails(): void {
    const { manifest, visibleSeq } = this.#follower;
    const before = this.#shownManifest;
    const isOther = manifest.recoveryEpoch !== before.recoveryEpoch || visibleSeq < this.#shownSeq;
    // A compaction takes nothing back: who has seen a record that is gone has not seen it wrongly.
    const isMoved = manifest.generation !== before.generation;
    const isMore = visibleSeq > this.#shownSeq;
    this.#shownManifest = manifest;
    this.#shownSeq = visibleSeq;
    if (isOther) this.tails.reset();
    else if (isMoved) this.tails.resetPlaces();
    else if (isMore) this.tails.onProgress();
  }

  #tailSource(): TailSource {
    const manifest = (): Manifest => this.manifest;
    const visibleSeq = (): number => this.visibleSeq;
    const failure = (): RedexError | undefined => this.#failure;
    return {
      get firstSeq() {
        return manifest().firstSeq;
      },
      get visibleSeq() {
        return visibleSeq();
      },
      get failure() {
        return failure();
      },
      look: () => this.look(),
      onWaiting: () => {
        this.#isAwaited = true;
        this.#failure = undefined;
        if (this.#cancelTimer === undefined) this.#lookLater(SHORTEST_DELAY_MS);
      },
      onIdle: () => {
        this.#isAwaited = false;
      },
    };
  }

  #lookLater(delayMs: number): void {
    if (!this.#isAwaited || this.isClosing) {
      this.#watch.follow([]);
      return;
    }
    this.#watch.follow(this.#directories());
    this.#delayMs = delayMs;
    this.#setTimer(delayMs);
  }

  #setTimer(delayMs: number): void {
    const { runtime } = this.context.settings;
    this.#cancelTimer = runtime.schedule(() => void this.#onTimer(), delayMs);
  }

  /** Where something changes when a record comes, or another generation. */
  #directories(): string[] {
    const { directory, shared } = this.context;
    const journal = shared.view === undefined ? [] : [shared.view.path];
    return [directory, `${directory}/${generationName(this.manifest.generation)}`, ...journal];
  }

  /** Told by the file system: looks, but not much more often the more of it is not for us. */
  #onChange(): void {
    if (this.#isLooking) this.#hasChanged = true;
    if (this.#isLooking || this.#cancelTimer === undefined) return;
    const sinceMs = this.context.settings.runtime.monotonic() - this.#lookedAtMs;
    this.#cancelTimer();
    this.#setTimer(Math.max(0, this.#gapMs - sinceMs));
  }

  async #onTimer(): Promise<void> {
    const before = this.visibleSeq;
    let delayMs = Math.min(2 * this.#delayMs, LONGEST_DELAY_MS);
    this.#isLooking = true;
    this.#hasChanged = false;
    if (this.#isAwaited) {
      try {
        await this.look();
        const isFound = this.visibleSeq !== before;
        if (isFound) delayMs = SHORTEST_DELAY_MS;
        this.#gapMs = isFound ? SHORTEST_DELAY_MS : Math.min(2 * this.#gapMs, LONGEST_GAP_MS);
      } catch (error) {
        const { directory } = this.context;
        this.#failure = RedexError.is(error) ? error : ioError('read', directory, error, 'absent');
        this.tails.onProgress();
      }
    }
    this.#isLooking = false;
    this.#lookedAtMs = this.context.settings.runtime.monotonic();
    this.#cancelTimer = undefined;
    this.#lookLater(delayMs);
    if (this.#hasChanged) this.#onChange();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#watch.follow([]);
    if (this.#folds !== undefined) await this.#folds.finish();
    this.#follower.close();
    this.tails.onProgress();
    this.#onClosed();
  }
}
