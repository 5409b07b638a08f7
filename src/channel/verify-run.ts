/**
 * One run of a verification, over the files of one generation. Works in pieces, beside appends and
 * reads, and beside another process that writes: there a problem counts when two looks in a row
 * have found it. Changes nothing, and holds three descriptors at a time.
 */
import { ZERO_NANOS, type Nanos } from '../core/nanos.js';
import { MAX_CHECKPOINT_HEADER_BYTES } from '../format/checkpoint.js';
import type { CleanMark } from '../format/clean-mark.js';
import { generationName, segmentFileName } from '../format/file-name.js';
import type { Manifest } from '../format/manifest.js';
import { systemCodeOf } from '../fs/system-error.js';
import { segmentPath, type Segment } from '../segment/segment.js';
import { chunksFor } from './batch-cursor.js';
import type { ChainSnapshot } from './chain-snapshots.js';
import type { ChannelCore } from './channel-core.js';
import { ReservedFiles } from '../fs/open-files.js';
import { missingSegment, problemOf, rangeOf } from './verify-problem.js';
import type { Progress } from './verify-progress.js';
import {
  findCheckpoints,
  verifyCheckpoint,
  verifyCheckpointNames,
  type FoundCheckpoint,
} from './verify-checkpoints.js';
import {
  verifyCleanMark,
  verifyConfig,
  verifyManifest,
  verifyMarked,
  verifyNames,
} from './verify-files.js';
import { ProblemList, type VerifyOptions, type VerifyReport } from './verify-report.js';
import { laterOf } from './verify-entries.js';
import { QUICK_BYTES, verifySegmentQuickly } from './verify-quick.js';
import { verifySegment } from './verify-segment.js';
import type { SegmentVerdict } from './verify-segment-ends.js';

/** dat, idx and ts. */
const FILES = 3;
/** How often a look that has found something is repeated beside another process. */
const MAX_LOOKS = 4;
/** The files that were to be read went with their generation. */
export class OtherGeneration extends Error {}

interface SegmentPlace {
  /** The segment as it was at the call, and as it is now. */
  readonly known: Segment;
  readonly now: Segment;
  readonly nextBase: number | undefined;
}

interface Snapshot {
  readonly manifest: Manifest;
  readonly segments: readonly Omit<SegmentPlace, 'nextBase'>[];
  readonly checkpoints: readonly FoundCheckpoint[];
}

export class Verification {
  /** What the caller has ended it with. */
  stoppedBy: { readonly reason: unknown } | undefined;
  readonly #core: ChannelCore;
  readonly #options: VerifyOptions;
  readonly #problems = new ProblemList();
  readonly #chunks = chunksFor(false);
  #recordCount = 0;
  #byteCount = 0;
  #lastTime: Nanos = ZERO_NANOS;
  /** Bytes of the files before the current one, and with it. */
  #offset = 0;
  #offsetBehind = 0;
  #mark: CleanMark | undefined;
  readonly #progress: Progress;
  /** Keeps the files of what is not verified yet, whatever the channel lets go meanwhile. */
  #held: ChainSnapshot | undefined;

  constructor(core: ChannelCore, options: VerifyOptions, progress: Progress) {
    this.#core = core;
    this.#options = options;
    this.#progress = progress;
  }

  get #isQuick(): boolean {
    return this.#options.quick === true;
  }

  /** What is read of a segment's dat file. */
  #bytesOf({ datLength }: Segment): number {
    return this.#isQuick ? Math.min(datLength, QUICK_BYTES) : datLength;
  }

  #checkpointBytes({ byteLength }: FoundCheckpoint): number {
    return this.#isQuick ? Math.min(byteLength, MAX_CHECKPOINT_HEADER_BYTES) : byteLength;
  }

  /** Beside another process what is seen may be on the way to something else. */
  get #isFollower(): boolean {
    return this.#core.context.owner.readOnly && this.#core.health.damage === undefined;
  }

  async run(): Promise<Omit<VerifyReport, 'durationMs'>> {
    this.#stopIfAsked();
    const { files } = this.#core.context.shared;
    const holder = new ReservedFiles(FILES);
    files.makeRoom(FILES);
    files.added(holder);
    try {
      return await this.#verify();
    } finally {
      if (this.#held !== undefined) this.#core.chain.letGo(this.#held);
      files.removed(holder);
      files.onMayClose();
    }
  }

  async #verify(): Promise<Omit<VerifyReport, 'durationMs'>> {
    // Who writes knows at once what is accepted at the call.
    if (this.#isFollower) await this.#core.look();
    const snapshot = this.#snapshot();
    const { segments, checkpoints } = snapshot;
    const bytesTotal =
      segments.reduce((sum, { known }) => sum + this.#bytesOf(known), 0) +
      checkpoints.reduce((sum, found) => sum + this.#checkpointBytes(found), 0);
    this.#progress.start(bytesTotal);
    await this.#verifyAround(snapshot);
    for (const found of checkpoints) await this.#verifyCheckpoint(snapshot, found);
    if (await this.#hasGeneration(snapshot)) {
      for (let i = 0; i < segments.length; i++) await this.#verifySegmentAt(snapshot, i);
      await this.#verifyNames(snapshot);
    }
    this.#progress.reach(bytesTotal);
    const last = segments.at(-1)?.known;
    this.#tell(last === undefined ? this.#core.context.directory : segmentPath(last, 'dat'));
    const { kept: problems, more: moreProblems, hasDamage } = this.#problems;
    return {
      ok: !hasDamage,
      quick: this.#isQuick,
      problems,
      moreProblems,
      recordCount: this.#recordCount,
      byteCount: this.#byteCount,
      segmentCount: segments.length,
    };
  }

  #snapshot(): Snapshot {
    const { manifest, chain, context } = this.#core;
    this.#held = chain.hold(0);
    const segments = chain.all.map((now) => ({ known: { ...now }, now }));
    return { manifest, segments, checkpoints: findCheckpoints(context) };
  }

  /** Throws what the caller ends it with, or CLOSED. */
  #stopIfAsked(): void {
    const { signal } = this.#options;
    if (signal?.aborted === true) this.#stop(signal.reason);
    const { failure } = this.#progress;
    if (failure !== undefined) this.#stop(failure.reason);
    const { health, isClosing } = this.#core;
    if (health.isClosed || isClosing) throw health.closedError();
  }

  #stop(reason: unknown): never {
    this.stoppedBy = { reason };
    throw reason;
  }

  #onPiece(path: string, position: number): void {
    this.#stopIfAsked();
    // A later look may go further, into what was appended since.
    const done = Math.min(this.#offset + position, this.#offsetBehind);
    if (this.#progress.reach(done)) this.#tell(path);
  }

  #tell(path: string): void {
    try {
      this.#progress.tell(path);
    } catch (error) {
      this.#stop(error);
    }
  }

  /**
   * What `look` finds; beside another process, what two looks in a row have found, with all that
   * was written in between taken up.
   */
  async #confirmed<T extends { readonly problems: ProblemList }>(
    look: () => Promise<T>,
  ): Promise<T> {
    let found = await look();
    for (let i = 1; i < MAX_LOOKS && !found.problems.isEmpty && this.#isFollower; i++) {
      this.#stopIfAsked();
      await this.#core.look();
      const again = await look();
      if (again.problems.isSameAs(found.problems)) return again;
      found = { ...again, problems: again.problems.alsoIn(found.problems) };
    }
    return found;
  }

  async #verifyAround(snapshot: Snapshot): Promise<void> {
    const { context } = this.#core;
    const { problems, mark } = await this.#confirmed(async () => {
      const found = new ProblemList();
      verifyConfig(context, found);
      verifyManifest(context, found);
      return { problems: found, mark: verifyCleanMark(context, found) };
    });
    this.#problems.addAll(problems);
    this.#mark = mark?.generation === snapshot.manifest.generation ? mark : undefined;
  }

  async #verifyCheckpoint({ manifest }: Snapshot, found: FoundCheckpoint): Promise<void> {
    this.#offsetBehind = this.#offset + this.#checkpointBytes(found);
    const { problems } = await this.#confirmed(() =>
      verifyCheckpoint({
        core: this.#core,
        found,
        firstSeq: manifest.firstSeq,
        quick: this.#isQuick,
        onPiece: (position) => this.#onPiece(found.path, position),
      }),
    );
    this.#offset = this.#offsetBehind;
    this.#problems.addAll(problems);
  }

  /** Whether there is a directory with the segments. */
  async #hasGeneration({ manifest }: Snapshot): Promise<boolean> {
    const { context } = this.#core;
    const path = `${context.directory}/${generationName(manifest.generation)}`;
    const isThere = (): boolean => context.fs.statSync(path)?.kind === 'directory';
    if (isThere()) return true;
    await this.#core.look();
    this.#requireGeneration(manifest);
    if (isThere()) return true;
    const seqRange = rangeOf(manifest.firstSeq, this.#core.visibleSeq, manifest.firstSeq);
    const place = { path, check: 'missing', seqRange } as const;
    this.#problems.add(problemOf('damage', 'generation', place, `${path} is not there`));
    return false;
  }

  /** Throws when another generation has taken the place of the one that is verified. */
  #requireGeneration({ generation }: Manifest): void {
    if (this.#core.manifest.generation !== generation) throw new OtherGeneration();
  }

  async #verifySegmentAt(snapshot: Snapshot, index: number): Promise<void> {
    const at = snapshot.segments[index];
    if (at === undefined) return;
    const { manifest } = snapshot;
    const nextBase = snapshot.segments[index + 1]?.known.baseSeq;
    if (index === 0) this.#checkHead(manifest, at.known);
    this.#offsetBehind = this.#offset + this.#bytesOf(at.known);
    let isFirst = true;
    const verdict = await this.#confirmed(async () => {
      const place = isFirst ? { ...at, nextBase } : this.#placeNow(manifest, at.known);
      isFirst = false;
      return place === undefined ? this.#nothing() : this.#look(manifest, place);
    });
    this.#offset = this.#offsetBehind;
    if (this.#held !== undefined) this.#core.chain.pass(this.#held, at.known.nextSeq);
    this.#problems.addAll(verdict.problems);
    this.#recordCount += verdict.recordCount;
    this.#byteCount += verdict.byteCount;
    this.#lastTime = laterOf(verdict.lastTime, this.#lastTime);
  }

  /** Of a segment that is gone, as it may be. */
  #nothing(): SegmentVerdict {
    const problems = new ProblemList();
    return { problems, recordCount: 0, byteCount: 0, lastTime: this.#lastTime, end: undefined };
  }

  /** Records below the first segment that the channel should hold. */
  #checkHead(manifest: Manifest, first: Segment): void {
    const { firstSeq } = manifest;
    const seqRange = rangeOf(firstSeq, first.baseSeq, firstSeq);
    if (seqRange === undefined) return;
    const path = `${first.directory}/${segmentFileName(firstSeq, 'dat')}`;
    this.#problems.add(missingSegment(path, seqRange));
  }

  /** The segment as the channel knows it now; undefined when it is no part of it any more. */
  #placeNow(manifest: Manifest, segment: Segment): SegmentPlace | undefined {
    const { chain } = this.#core;
    const { directory, baseSeq } = segment;
    const index = chain.all.findIndex((it) => it.baseSeq === baseSeq && it.directory === directory);
    const now = chain.all[index];
    if (now !== undefined) {
      return { known: { ...now }, now, nextBase: chain.all[index + 1]?.baseSeq };
    }
    this.#requireGeneration(manifest);
    return undefined;
  }

  async #look(manifest: Manifest, place: SegmentPlace): Promise<SegmentVerdict> {
    const { known, now, nextBase } = place;
    const { context, health } = this.#core;
    const isCut = known.damage !== undefined && nextBase === undefined;
    const isMarked = this.#isMarked(known);
    const path = segmentPath(known, 'dat');
    try {
      const verifyOne = this.#isQuick ? verifySegmentQuickly : verifySegment;
      const verdict = await verifyOne({
        owner: context.owner,
        chunks: this.#chunks(),
        segment: known,
        nextBase,
        firstSeq: manifest.firstSeq,
        notBefore: this.#lastTime,
        mustBeIndexed: () =>
          !isCut && (known.sealed || (isMarked && now.datLength === known.datLength)),
        endIsFinal: context.owner.readOnly || health.isPoisoned,
        onPiece: (position) => this.#onPiece(path, position),
      });
      if (nextBase === undefined && isMarked) verifyMarked(context, this.#mark, known, verdict);
      return verdict;
    } catch (error) {
      if (this.stoppedBy !== undefined) throw error;
      return await this.#cannotOpen(error, manifest, place);
    }
  }

  /** A dat file that is not there, or that the system cannot open. */
  async #cannotOpen(
    error: unknown,
    manifest: Manifest,
    { known, nextBase }: SegmentPlace,
  ): Promise<SegmentVerdict> {
    const code = systemCodeOf(error);
    if (code !== 'ENOENT' && code !== 'EIO') throw error;
    const nothing = this.#nothing();
    if (code === 'ENOENT') {
      await this.#core.look();
      if (this.#placeNow(manifest, known) === undefined) return nothing;
    }
    const path = segmentPath(known, 'dat');
    const seqRange = rangeOf(known.baseSeq, nextBase ?? known.nextSeq, manifest.firstSeq);
    const problem =
      code === 'ENOENT'
        ? missingSegment(path, seqRange)
        : problemOf('damage', 'unreadable', { path, seqRange }, `${path} cannot be opened (EIO)`);
    nothing.problems.add(problem);
    return nothing;
  }

  /** Whether the clean mark on disk is that of a channel that ends with this segment. */
  #isMarked({ baseSeq, datLength }: Segment): boolean {
    return this.#mark?.baseSeq === baseSeq && this.#mark.datLength === datLength;
  }

  async #verifyNames({ manifest }: Snapshot): Promise<void> {
    const { problems } = await this.#confirmed(async () => {
      try {
        return { problems: this.#namesNow(manifest) };
      } catch (error) {
        if (systemCodeOf(error) !== 'ENOENT') throw error;
        // The directory has gone since the last look.
        await this.#core.look();
        return { problems: this.#namesNow(manifest) };
      }
    });
    this.#problems.addAll(problems);
  }

  /** Whose generation is not there any more has been replaced: its names are not looked at. */
  #namesNow({ generation }: Manifest): ProblemList {
    const { context, chain, manifest } = this.#core;
    const found = new ProblemList();
    verifyCheckpointNames(this.#core, found);
    if (manifest.generation === generation) verifyNames(context, generation, chain.all, found);
    return found;
  }
}
