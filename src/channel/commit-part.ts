/**
 * One channel's part of a commit over several: a batch that is in the log when the group of the
 * journal that holds it is synced, together with the parts of the others (RULES J1). The store
 * calls the steps, each of them for all parts before the next one.
 */
import { RedexError, redexError } from '../core/errors.js';
import { segmentFileName } from '../format/file-name.js';
import { systemCodeOf } from '../fs/system-error.js';
import type { EncodedFrame } from '../segment/segment-writer.js';
import { Waiter } from './append-queue.js';
import type { PreparedFrame } from './appender-parts.js';
import type { BatchResult } from './append-side.js';
import { journalBytes } from './append-waits.js';
import type { ChannelParts } from './channel-parts.js';
import { FrameWriteFailure } from './frame-writer.js';
import { ioError } from './io-error.js';
import type { Batch } from './intake.js';

export class CommitPart {
  readonly parts: ChannelParts;
  readonly #batch: Batch;
  readonly #expectedSeq: number | undefined;
  #release: (() => void) | undefined;
  #waiter: Waiter<BatchResult> | undefined;
  #prepared: PreparedFrame | undefined;
  #frame: EncodedFrame | undefined;

  constructor(parts: ChannelParts, batch: Batch, expectedSeq: number | undefined) {
    this.parts = parts;
    this.#batch = batch;
    this.#expectedSeq = expectedSeq;
  }

  get #isEmpty(): boolean {
    return this.#batch.records.length === 0;
  }

  /** Its appends go through the journal anyway, and so does what makes a segment for them. */
  get isJournaled(): boolean {
    return this.parts.context.journal?.isUsed === true;
  }

  /** Bytes of the journal that this part may take. */
  get bytes(): number {
    const { journal } = this.parts.context;
    if (journal === undefined || this.#isEmpty) return 0;
    return journalBytes(journal, this.#batch.records.length, this.#batch.payloadBytes);
  }

  /** From now on nothing is appended to the channel before `release`. */
  async hold(): Promise<void> {
    this.#release = await this.parts.appender.hold();
  }

  /** Writes what was appended before. False when that has to be waited for. Throws what refuses. */
  drain(): boolean {
    const { appender, health, isClosing } = this.parts;
    const refusal = isClosing ? health.closedError() : health.writeError();
    if (refusal !== undefined) throw refusal;
    return appender.drain();
  }

  /**
   * What stands against the commit; everything before it is written. Throws RangeError for seqs
   * that cannot be.
   */
  check(): RedexError | undefined {
    const { appender, context, intake } = this.parts;
    const expectedSeq = this.#expectedSeq;
    if (expectedSeq === undefined || expectedSeq === appender.nextSeq) {
      if (!this.#isEmpty) intake.checkSpan(this.#batch);
      return undefined;
    }
    const { nextSeq: actualSeq } = appender;
    const { name: channel } = context;
    const message = `expected the next seq of ${channel} to be ${expectedSeq}: it is ${actualSeq}`;
    return redexError('SEQ_CONFLICT', message, { expectedSeq, actualSeq, channel });
  }

  /** Makes the file that a new channel begins with. Throws what the file system says. */
  makeFile(): void {
    if (this.#isEmpty) return;
    const { context, unsynced } = this.parts;
    const name = segmentFileName(unsynced.writtenSeq, 'dat');
    context.journal?.makeFile(`${context.generationDirectory}/${name}`);
  }

  /** Gives the records their seqs. Throws RangeError for impossible ones, with nothing changed. */
  take(): void {
    if (this.#isEmpty) return;
    const { intake, appender } = this.parts;
    const span = intake.take(this.#batch);
    this.#waiter = new Waiter(span.firstSeq, span.nextSeq, true, span);
    this.#prepared = appender.beginFrame(this.#waiter);
  }

  /** A channel that writes to dat directly has it synced before its frame is in the journal. */
  async sync(): Promise<void> {
    const { context, worker } = this.parts;
    if (context.journal?.isUsed !== true) await worker.syncAll();
  }

  /**
   * Adds the frame to the journal; there is room for it. Of a channel whose appends go there anyway
   * it is in the log then, and waits for the sync.
   */
  add(): void {
    const { appender, context } = this.parts;
    const prepared = this.#prepared;
    const { journal } = context;
    if (prepared === undefined || journal === undefined) return;
    const frame = appender.encodeFrame(prepared);
    this.#frame = frame;
    if (journal.isUsed) {
      appender.writeFrame(prepared, frame);
      return;
    }
    const { segment, open } = prepared.writer;
    const { baseSeq, datLength: start } = segment;
    journal.add(
      { path: open.dat.path, baseSeq, start, isNew: false },
      frame.bytes,
      0,
      frame.byteLength,
    );
  }

  /** The journal is synced: the records are there for all who read. */
  finish(): void {
    const { appender, context, worker, unsynced, health } = this.parts;
    const prepared = this.#prepared;
    const frame = this.#frame;
    // Of a channel that was poisoned meanwhile the next open takes it from the journal.
    if (prepared === undefined || frame === undefined || health.isPoisoned) return;
    if (context.journal?.isUsed !== true) {
      try {
        appender.writeFrame(prepared, frame);
      } catch (error) {
        // The journal has it: the next open of the channel writes it.
        worker.poison(prepared.writer.open.dat.path, error, 'cut');
        return;
      }
    }
    worker.covered(this.#waiter?.endSeq ?? unsynced.durableSeq);
  }

  /** Nothing of it is in the log, nor of what came after it. */
  reject(error: RedexError): void {
    if (this.#waiter !== undefined) this.parts.appender.rejectAll(this.#ownError(error));
  }

  /** The poison of another channel is none of this one: what came behind it can be given again. */
  #ownError(error: RedexError): RedexError {
    const { health, context } = this.parts;
    if (!RedexError.is(error, 'POISONED') || health.isPoisoned) return error;
    if (context.journal?.journal.isFailed === true) return error;
    const { path } = error;
    const message = `a commit before it could not be written: ${error.message}`;
    const systemCode = systemCodeOf(error.cause) ?? 'UNKNOWN';
    const fields = { operation: 'commit', path, systemCode, outcome: 'absent' } as const;
    return redexError('IO', message, fields, error);
  }

  release(): void {
    this.#release?.();
    this.#release = undefined;
  }

  /** Resolves to the seqs. Rejects with POISONED when the channel could not take its part. */
  result(): Promise<BatchResult> {
    const { appender, health } = this.parts;
    if (this.#waiter !== undefined) return this.#waiter.promise();
    if (health.isPoisoned) return Promise.reject(health.poisonedError());
    return Promise.resolve({ firstSeq: appender.nextSeq, nextSeq: appender.nextSeq });
  }

  /** Resolves when the records that are in the way are visible, or have failed. */
  async conflictVisible(): Promise<void> {
    const { appender, worker, health } = this.parts;
    const contested = appender.nextSeq;
    while (worker.visibleSeq < contested && appender.nextSeq >= contested) {
      const refusal = health.writeError();
      if (refusal !== undefined) throw refusal;
      await this.parts.progress();
    }
  }
}

/** What a commit failed with before anything of it was written. */
export function commitError(directory: string, cause: unknown): RedexError {
  const error = cause instanceof FrameWriteFailure ? cause.error : cause;
  return ioError('commit', directory, error, 'absent');
}
