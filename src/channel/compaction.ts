/**
 * Compaction: a new generation with the records that survive, swapped in by the manifest while
 * everything else goes on. Segments that lose nothing are linked, so that it costs what is
 * rewritten and not the size of the log. Until the manifest is durable the old generation is the
 * channel; after any failure it still is (RULES G1 to G5).
 */
import { generationName, parseGenerationName } from '../format/file-name.js';
import type { LogRecord } from '../core/record.js';
import { systemCodeOf } from '../fs/system-error.js';
import type { Segment } from '../segment/segment.js';
import { DatWriteError } from '../segment/segment-writer.js';
import type { Appender } from './appender.js';
import { BatchCursor, chunksFor } from './batch-cursor.js';
import { ChainSnapshot } from './chain-snapshots.js';
import type { ChannelContext } from './channel-context.js';
import { planCompaction, type Source, type Step } from './compaction-plan.js';
import { closedMeanwhile, CompactionWriter } from './compaction-writer.js';
import type { FileReclaim } from './file-reclaim.js';
import type { Health } from './health.js';
import { ioError } from './io-error.js';
import type { ManifestKeeper } from './manifest-keeper.js';
import { settleJournal } from './settle-journal.js';
import { WRITER_FILES } from './open-holder.js';
import type { SegmentChain } from './segment-chain.js';
import { survivorsBy, type CompactOptions, type Survivors } from './survivors.js';
import type { Unsynced } from './unsynced.js';

/** Records that are looked at before the event loop gets its turn, about. */
const READ_RECORDS = 4096;

/** A roll opens the active segment again, if it was closed, and the next one. */
const ROLL_FILES = 2 * WRITER_FILES;
/** A segment that is read, and one that is written. */
const REWRITE_FILES = 2 * WRITER_FILES;

export interface CompactReport {
  /**
   * False when nothing was changed: every record survives, and there are not many small segments
   * in a row that could be joined.
   */
  readonly compacted: boolean;
  /** Records and bytes of dat files, before and after, with what came and went meanwhile. */
  readonly recordsBefore: number;
  readonly recordsAfter: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Bytes that were written. */
  readonly writtenBytes: number;
  /** Bytes of files that only got a second name. */
  readonly linkedBytes: number;
  readonly durationMs: number;
}

export interface CompactionParts {
  readonly context: ChannelContext;
  readonly health: Health;
  readonly chain: SegmentChain;
  readonly unsynced: Unsynced;
  readonly appender: Appender;
  readonly manifest: ManifestKeeper;
  readonly reclaim: FileReclaim;
  /** Writes and syncs what was appended before. */
  readonly syncAll: () => Promise<void>;
  /** Syncs everything that is written. */
  readonly syncWritten: () => Promise<void>;
  /** Segments were exchanged: places in files mean nothing any more. */
  readonly onExchanged: () => void;
}

export class Compaction {
  readonly #parts: CompactionParts;
  #last: Promise<unknown> = Promise.resolve();
  /** Of the run that is going on. */
  #chunks = chunksFor(false);
  #stopped = false;

  constructor(parts: CompactionParts) {
    this.#parts = parts;
  }

  /** One after the other. What is appended after the call stays. */
  run(options: CompactOptions): Promise<CompactReport> {
    const end = this.#parts.appender.nextSeq;
    const run = this.#last.then(() => this.#run(options, end));
    this.#last = run.catch(() => undefined);
    return run;
  }

  /** Ends what is going on. Nothing of it is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#last;
  }

  #check(options: CompactOptions): void {
    options.signal?.throwIfAborted();
    if (this.#stopped) throw closedMeanwhile(this.#parts.context.name);
    this.#refuse();
  }

  #refuse(): void {
    const refusal = this.#parts.health.writeError();
    if (refusal !== undefined) throw refusal;
  }

  async #run(options: CompactOptions, end: number): Promise<CompactReport> {
    const { runtime } = this.#parts.context.settings;
    const started = runtime.monotonic();
    this.#check(options);
    await this.#parts.manifest.checkKnown();
    // One reservation ends before the next begins, so that no two compactions wait for each other.
    await this.#withFiles(ROLL_FILES, () => this.#rollAndSync());
    return this.#withFiles(REWRITE_FILES, () => this.#compact(options, end, started));
  }

  async #withFiles<T>(fileCount: number, work: () => Promise<T>): Promise<T> {
    const giveBack = await this.#parts.context.shared.files.reserve(fileCount);
    try {
      return await work();
    } finally {
      giveBack();
    }
  }

  async #compact(options: CompactOptions, end: number, started: number): Promise<CompactReport> {
    const { context, chain, unsynced, manifest } = this.#parts;
    const { runtime } = context.settings;
    this.#check(options);
    const { firstSeq } = manifest.current;
    const durableSeq = unsynced.durableSeq;
    const sources = chain.all.filter(
      (segment) => segment.sealed && segment.nextSeq <= durableSeq && segment !== chain.last,
    );
    const before = { records: chain.recordsFrom(firstSeq), bytes: chain.byteCount };
    // Retention may let go of what is being read; its files stay for as long.
    const snapshot = chain.hold(firstSeq);
    try {
      const survivors = survivorsBy(options, end);
      const decided = await this.#decide(sources, survivors, options);
      const steps = planCompaction(decided, context.stored.segmentBytes);
      const written =
        steps.length === 0 ? undefined : await this.#rewrite(sources, steps, durableSeq, options);
      return {
        compacted: written !== undefined,
        recordsBefore: before.records,
        recordsAfter: chain.recordsFrom(manifest.current.firstSeq),
        bytesBefore: before.bytes,
        bytesAfter: chain.byteCount,
        writtenBytes: written?.writtenBytes ?? 0,
        linkedBytes: written?.linkedBytes ?? 0,
        durationMs: runtime.monotonic() - started,
      };
    } finally {
      chain.letGo(snapshot);
      this.#chunks = chunksFor(false);
    }
  }

  /** Seals the active segment, so that all that is there now can be compacted, and syncs it. */
  async #rollAndSync(): Promise<void> {
    const { appender, unsynced, syncAll, syncWritten } = this.#parts;
    await syncAll();
    const release = await appender.hold();
    try {
      // A third segment is not begun before the first is synced, and appends that never pause may
      // have begun a second one each time that the lock is there.
      while (unsynced.hasOpenPast) await syncWritten();
      // A sync may have failed meanwhile: a seal would be written to a poisoned channel.
      this.#refuse();
      appender.roll();
    } finally {
      release();
    }
    await syncWritten();
  }

  async #decide(
    sources: readonly Segment[],
    survivors: Survivors,
    options: CompactOptions,
  ): Promise<Source[]> {
    const { survey } = survivors;
    const { firstSeq } = this.#parts.manifest.current;
    const decided: Source[] = [];
    if (survey !== undefined) {
      for (const segment of sources) await this.#visit(segment, firstSeq, options, survey);
    }
    for (const segment of sources) {
      decided.push(await this.#decideOne(segment, firstSeq, survivors, options));
    }
    return decided;
  }

  async #decideOne(
    segment: Segment,
    firstSeq: number,
    { survives }: Survivors,
    options: CompactOptions,
  ): Promise<Source> {
    const decisions = new Uint8Array(segment.recordCount);
    let survivors = 0;
    let survivingBytes = 0;
    let at = 0;
    await this.#visit(segment, firstSeq, options, (record) => {
      if (survives(record)) {
        decisions[at] = 1;
        survivors++;
        survivingBytes += record.byteLength;
      }
      at++;
    });
    const dropped = at - survivors;
    return {
      segment,
      from: Math.max(segment.baseSeq, firstSeq),
      decisions: dropped === 0 ? undefined : decisions,
      survivors,
      survivingBytes,
      dropped,
    };
  }

  /**
   * Every record of a segment from `firstSeq` on, in its order. Rejects with CORRUPT where one
   * cannot be read. A payload lives until `visit` returns.
   */
  async #visit(
    segment: Segment,
    firstSeq: number,
    options: CompactOptions,
    visit: (record: LogRecord) => void,
    afterBatch: () => Promise<void> = nothing,
  ): Promise<void> {
    const from = Math.max(segment.baseSeq, firstSeq);
    const cursor = new BatchCursor(this.#parts.chain, {
      from,
      to: segment.nextSeq,
      snapshot: new ChainSnapshot([segment], from),
      chunks: this.#chunks,
    });
    for (;;) {
      this.#check(options);
      const records = await this.#read(cursor);
      if (records === undefined) return;
      for (const record of records) visit(record);
      await afterBatch();
    }
  }

  async #read(cursor: BatchCursor): Promise<LogRecord[] | undefined> {
    try {
      return await cursor.next(READ_RECORDS);
    } catch (error) {
      throw ioError('read', this.#parts.context.directory, error, 'absent');
    }
  }

  async #rewrite(
    sources: readonly Segment[],
    steps: readonly Step[],
    durableSeq: number,
    options: CompactOptions,
  ): Promise<CompactionWriter> {
    const { context, manifest, reclaim } = this.#parts;
    const { fs } = context;
    const generation = this.#newGeneration();
    const directory = `${context.directory}/${generationName(generation)}`;
    const writer = new CompactionWriter(context, directory, durableSeq);
    try {
      fs.mkdirSync(directory);
      // Its name is durable before any manifest names it.
      await manifest.syncNames();
      for (const step of steps) {
        if ('linked' in step) await writer.link(step.linked);
        else await this.#join(step.joined, writer, options);
      }
      await fs.syncDirectory(directory);
      this.#check(options);
      await this.#exchange(sources, writer, generation, directory);
      return writer;
    } catch (error) {
      writer.abandon();
      // After a failed sync of the manifest nobody can say which generation is the channel's.
      if (!this.#parts.health.isPoisoned) await reclaim.removeGeneration(directory);
      throw error === options.signal?.reason ? error : compactError(directory, error);
    }
  }

  /** A number that no generation has, live or left over: it was never named by a manifest. */
  #newGeneration(): number {
    const { context, manifest } = this.#parts;
    const { fs, directory } = context;
    try {
      const present = fs
        .readDirectorySync(directory)
        .map(({ name }) => parseGenerationName(name) ?? 0);
      return Math.max(manifest.current.generation, ...present) + 1;
    } catch (error) {
      throw compactError(directory, error);
    }
  }

  /** Neighbours become one segment. */
  async #join(
    sources: readonly [Source, ...Source[]],
    writer: CompactionWriter,
    options: CompactOptions,
  ): Promise<void> {
    writer.begin(sources[0].segment);
    let nextBase = 0;
    for (const { segment, from, survivors, decisions } of sources) {
      let at = 0;
      const add = (record: LogRecord): void => {
        if (decisions === undefined || decisions[at++] === 1) writer.add(record);
      };
      if (survivors > 0) {
        await this.#visit(segment, from, options, add, () => writer.flushIfLarge());
      }
      nextBase = segment.nextSeq;
    }
    await writer.finish(nextBase);
  }

  /** The new generation becomes the channel's, with all that was appended meanwhile. */
  async #exchange(
    sources: readonly Segment[],
    writer: CompactionWriter,
    generation: number,
    directory: string,
  ): Promise<void> {
    const { context, chain, appender, manifest, reclaim, syncWritten } = this.#parts;
    const release = await appender.hold();
    // A trim may let go of what is being linked; its files stay for as long.
    const snapshot = chain.hold(0);
    try {
      await syncWritten();
      // What is linked has to have all its bytes.
      await settleJournal(context, this.#parts.health);
      const old = [...chain.all];
      const oldDirectory = context.generationDirectory;
      const compacted = new Set(sources);
      chain.flushIndexes();
      const nextBase = sources.at(-1)?.nextSeq ?? 0;
      for (const segment of old) {
        // What was let go meanwhile is not in the chain any more, and needs no other name.
        if (!compacted.has(segment) && segment.baseSeq >= nextBase) await writer.link(segment);
      }
      await context.fs.syncDirectory(directory);
      const { firstSeq } = await manifest.update((current) => ({ ...current, generation }));
      context.generationDirectory = directory;
      if (context.journal !== undefined) context.journal.liveDirectory = directory;
      chain.exchange(writer.segments);
      const dropped = chain.dropBelow(firstSeq);
      reclaim.addSegments([...old, ...dropped]);
      reclaim.add([], [oldDirectory]);
      this.#parts.onExchanged();
      await chain.learnHidden(manifest.current.firstSeq);
    } finally {
      chain.letGo(snapshot);
      release();
    }
  }
}

const nothing = (): Promise<void> => Promise.resolve();

/** Errors of the file system become IO; a signal's reason, say, stays what it is. */
function compactError(path: string, error: unknown): unknown {
  const cause: unknown = error instanceof DatWriteError ? error.cause : error;
  return systemCodeOf(cause) === undefined ? cause : ioError('compact', path, cause, 'absent');
}
