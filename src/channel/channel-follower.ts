/**
 * A channel that is only looked at, beside a process that writes it or when nobody does. Changes
 * nothing on disk. A look takes up what was written since the last one and then reads the manifest
 * again: what it has found holds when that is still the one that it began with (RULES N4).
 */
import { assert } from '../core/assert.js';
import { RedexError, redexError, type RedexErrorOf } from '../core/errors.js';
import { generationName } from '../format/file-name.js';
import type { Manifest } from '../format/manifest.js';
import type { Segment } from '../segment/segment.js';
import type { ChannelContext } from './channel-context.js';
import { readConfig, readManifest } from './channel-files.js';
import { unreadable } from './finished-segment.js';
import { Health } from './health.js';
import { ioError } from './io-error.js';
import { RecordReader } from './record-reader.js';
import type { RecoveryPlan } from './recovery-plan.js';
import { SegmentChain } from './segment-chain.js';
import { SegmentTracker, type SegmentsView, type TrackedSegment } from './segment-tracker.js';

/** How often a look starts over because something changed while it was looking. */
const MAX_PASSES = 16;

export class ChannelFollower {
  readonly chain: SegmentChain;
  readonly health: Health;
  /** Reads what the last look has found. A read that fails looks again by itself. */
  readonly reader: RecordReader;
  readonly #context: ChannelContext;
  /** Of the last look, and what the current one goes by. */
  #manifest: Manifest;
  #current: Manifest;
  #visibleSeq = 0;
  #durableSeq = 0;
  #tracker: SegmentTracker;
  /** Readers see what the tracker knows. */
  #isShown = false;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #gone: RedexErrorOf<'NOT_FOUND'> | undefined;

  private constructor(context: ChannelContext, manifest: Manifest) {
    assert(context.owner.readOnly, 'a follower may not write');
    this.#context = context;
    this.#manifest = manifest;
    this.#current = manifest;
    this.health = new Health(context, undefined);
    this.chain = new SegmentChain(context, []);
    this.#tracker = this.#trackerOf(manifest);
    const firstSeq = (): number => this.#manifest.firstSeq;
    const visibleSeq = (): number => this.#visibleSeq;
    this.reader = new RecordReader(
      context,
      this.chain,
      this.health,
      {
        get firstSeq() {
          return firstSeq();
        },
        get visibleSeq() {
          return visibleSeq();
        },
      },
      (error, attempt) => this.#recheck(error, attempt),
    );
  }

  /**
   * Looks for the first time. No descriptor stays open, so that many channels can be listed.
   * Rejects with NOT_FOUND, CORRUPT (manifest), FORMAT_VERSION, IO.
   */
  static async open(context: ChannelContext): Promise<ChannelFollower> {
    const follower = new ChannelFollower(context, readOwnManifest(context));
    try {
      await follower.look();
    } finally {
      follower.#tracker.close();
    }
    return follower;
  }

  get manifest(): Manifest {
    return this.#manifest;
  }

  /** One past the last record that was seen; with damage, past what is known to be missing. */
  get visibleSeq(): number {
    return this.#visibleSeq;
  }

  /** Every record below it is known to have been synced: the highest witness that was seen. */
  get durableSeq(): number {
    return this.#durableSeq;
  }

  /**
   * Looks again. When it resolves, all that was on disk at the call has been seen. Rejects with
   * NOT_FOUND for good when the channel is gone; after CORRUPT (manifest), FORMAT_VERSION and IO
   * what the last look has seen stays, and a later one may succeed.
   */
  look(): Promise<void> {
    if (this.#running === undefined && this.#next === undefined) return this.#start();
    // The one that is running may have passed by what has been written since it began.
    const start = (): Promise<void> => {
      this.#next = undefined;
      return this.#start();
    };
    const before = this.#running ?? Promise.resolve();
    this.#next ??= before.then(start, start);
    return this.#next;
  }

  #start(): Promise<void> {
    const running = this.#look().finally(() => {
      if (this.#running === running) this.#running = undefined;
      if (this.health.isClosed) this.#tracker.close();
    });
    this.#running = running;
    return running;
  }

  async #look(): Promise<void> {
    let failures = 0;
    let damage: string | undefined;
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      if (this.health.isClosed) throw this.health.closedError();
      if (this.#gone !== undefined) throw this.#gone;
      try {
        this.#lookAtJournal();
        const isUnchanged = this.#isShown && this.#tracker.isUnchanged();
        this.#isShown = isUnchanged;
        const view = isUnchanged ? undefined : await this.#tracker.pass(this.#current);
        if (this.#hasOtherManifest()) {
          damage = undefined;
          continue;
        }
        if (view === undefined) return;
        // Damage is believed when it is found twice, the second time below a known witness.
        const found = damageOf(view);
        if (found === undefined || found === damage) {
          this.#show(view);
          await this.chain.learnHidden(this.#manifest.firstSeq);
          return;
        }
        damage = found;
      } catch (error) {
        // Files go with their generation, and whatever was just replaced is looked at again.
        if (!this.#hasOtherManifest()) failures++;
        damage = undefined;
        if (failures > 1) throw ioError('read', this.#context.directory, error, 'absent');
        this.#tracker.list();
      }
    }
    const message = `${this.#context.directory} changes faster than it can be read`;
    const fields = { operation: 'read', path: this.#context.directory, systemCode: 'EAGAIN' };
    throw redexError('IO', message, { ...fields, outcome: 'absent' });
  }

  /** What waits in the journal is shown with the files of the generation that is live. */
  #lookAtJournal(): void {
    const { shared, view, directory } = this.#context;
    if (view === undefined) return;
    shared.view?.look();
    const { generation, redoSegment, redoPosition } = this.#current;
    view.goBy({
      directory: `${directory}/${generationName(generation)}`,
      redoSegment,
      redoPosition,
    });
  }

  #trackerOf({ generation }: Manifest): SegmentTracker {
    const { directory } = this.#context;
    const generationDirectory = `${directory}/${generationName(generation)}`;
    return new SegmentTracker({ ...this.#context, generationDirectory });
  }

  /** Whether the manifest is not the one that this look goes by; then it goes by the new one. */
  #hasOtherManifest(): boolean {
    let manifest: Manifest;
    try {
      // Its directory is still there when the journal says so first, without what waited for it.
      if (this.#context.view?.isDeleted === true) throw absent(this.#context);
      manifest = readOwnManifest(this.#context);
    } catch (error) {
      if (RedexError.is(error, 'NOT_FOUND')) {
        this.#gone = error;
        this.#tracker.close();
      }
      throw error;
    }
    const { generation, recoveryEpoch, firstSeq, redoSeq, nextSeqFloor } = this.#current;
    const { redoSegment, redoPosition } = this.#current;
    const isSameLog =
      manifest.generation === generation && manifest.recoveryEpoch === recoveryEpoch;
    const isSame =
      isSameLog &&
      manifest.firstSeq === firstSeq &&
      manifest.redoSeq === redoSeq &&
      manifest.redoSegment === redoSegment &&
      manifest.redoPosition === redoPosition &&
      manifest.nextSeqFloor === nextSeqFloor;
    if (isSame) return false;
    this.#current = manifest;
    this.#tracker.list();
    if (!isSameLog) {
      this.#tracker.close();
      this.#tracker = this.#trackerOf(manifest);
    }
    return true;
  }

  #show({ finished, ends, plan }: SegmentsView): void {
    if (this.health.isClosed) throw this.health.closedError();
    const segments = finished.map(shown);
    const keptCount = plan.kind === 'keep' ? ends.length : keptOf(plan);
    for (const { tracked } of ends.slice(0, keptCount)) {
      if (tracked !== undefined) segments.push(shown(tracked));
    }
    if (plan.kind === 'damaged') {
      const end = ends[plan.index];
      const { fromSeq, nextSeq, check } = plan;
      const directory = `${this.#context.directory}/${generationName(this.#current.generation)}`;
      const damaged =
        end?.tracked === undefined
          ? unreadable(directory, end?.baseSeq ?? fromSeq, nextSeq, check)
          : shown(end.tracked);
      damaged.damage = { check, position: end?.position ?? 0, fromSeq };
      damaged.nextSeq = nextSeq;
      damaged.sealed = true;
      if (end?.tracked !== undefined) end.tracked.shown = undefined;
      segments.push(damaged);
    }
    const { all } = this.chain;
    const isSame = all.length === segments.length && all.every((old, i) => old === segments[i]);
    if (!isSame) this.chain.replace(segments);
    this.#manifest = this.#current;
    this.#isShown = true;
    this.#visibleSeq = plan.nextSeq;
    const { firstSeq, nextSeqFloor } = this.#current;
    this.#durableSeq = Math.max(this.#tracker.witness, firstSeq, nextSeqFloor);
  }

  /** A read has failed: the files may be others than at the last look. */
  async #recheck(error: RedexError, attempt: number): Promise<boolean> {
    if (attempt > 1 || this.health.isClosed) return false;
    if (RedexError.is(error, 'IO')) {
      if (error.systemCode !== 'ENOENT' || attempt > 0) return false;
      this.#tracker.list();
    } else if (!RedexError.is(error, 'CORRUPT')) {
      return false;
    } else if (attempt === 0) {
      this.#tracker.distrustFinished(error.path);
    } else {
      // Bad twice. What no witness vouches for is not damaged: it is not there any more.
      if ((error.seqRange?.firstSeq ?? 0) < this.#durableSeq) return false;
      this.#tracker.distrust(error.path);
    }
    await this.look();
    return true;
  }

  /** Gives all descriptors back. Whatever is used after it rejects with CLOSED. */
  close(): void {
    if (this.health.isClosed) return;
    this.health.close();
    this.chain.close();
    // A look that is running still reads; it closes what it uses at its end.
    if (this.#running === undefined) this.#tracker.close();
  }
}

/** The manifest, or NOT_FOUND when there is no channel of this id any more. */
function readOwnManifest(context: ChannelContext): Manifest {
  const { fs, directory, channelId } = context;
  try {
    return readManifest(fs, directory, channelId);
  } catch (error) {
    const isOther =
      RedexError.is(error, 'CORRUPT') &&
      (error.check === 'missing' || error.check === 'identity') &&
      !hasOwnConfig(context);
    if (!isOther) throw error;
    throw absent(context, error);
  }

  function hasOwnConfig(of: ChannelContext): boolean {
    try {
      return Buffer.compare(readConfig(of.fs, of.directory).channelId, channelId) === 0;
    } catch (error) {
      // One that cannot be read says nothing about whose it is.
      return !(RedexError.is(error, 'CORRUPT') && error.check === 'missing');
    }
  }
}

function absent({ name, directory }: ChannelContext, cause?: unknown): RedexErrorOf<'NOT_FOUND'> {
  const message = `channel ${name} is not in ${directory} any more`;
  return redexError('NOT_FOUND', message, { kind: 'channel', resource: directory }, cause);
}

/** What a pass takes for damage, to be compared with what the next one does. */
function damageOf({ plan, ends }: SegmentsView): string | undefined {
  if (plan.kind !== 'damaged') return undefined;
  const { check, fromSeq, index } = plan;
  return JSON.stringify([check, fromSeq, index, ends.map((end) => [end.baseSeq, end.position])]);
}

/** How many of the unfinished segments are shown whole. */
function keptOf(plan: Exclude<RecoveryPlan, { kind: 'keep' }>): number {
  return plan.kind === 'cut' ? plan.keptCount : Math.max(0, plan.index);
}

/** The segment as readers see it, brought up to date. */
function shown(tracked: TrackedSegment): Segment {
  const { segment } = tracked;
  tracked.live ??= { ...segment };
  if (tracked.shown !== segment) Object.assign(tracked.live, segment);
  tracked.shown = segment;
  return tracked.live;
}
