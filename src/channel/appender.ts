/**
 * The way of an append: gathered with the others of its tick, encoded into a frame, written, and
 * told to its caller when it has what it asked for. The first append of a tick is written inside
 * the call; the others of that tick follow in one frame. One dat write at a time (RULES W1).
 */
import { assert } from '../core/assert.js';
import type { RedexError } from '../core/errors.js';
import type { Runtime } from '../core/runtime.js';
import type { FrameContent } from '../format/frame-encoder.js';
import type { EncodedFrame, SegmentWriter } from '../segment/segment-writer.js';
import { AppendLock } from './append-lock.js';
import { AppendQueue, type PendingAppend } from './append-queue.js';
import { AppendWaits, isLong, journalIsFull, largestFrame } from './append-waits.js';
import type { AppenderParts, PreparedFrame, WriteInFlight } from './appender-parts.js';
import { isJournaled } from './channel-context.js';
import { FailedWrites } from './failed-writes.js';
import { FrameWriteFailure } from './frame-writer.js';
import { WRITER_FILES } from './open-holder.js';
import { busyError } from './sync-worker.js';

export class Appender {
  readonly #parts: AppenderParts;
  #filling: AppendQueue;
  #writing: AppendQueue;
  #inFlight: WriteInFlight | undefined;
  readonly #failed: FailedWrites;
  #tickOpen = false;
  #tickMs = 0;
  #syncWanted = false;
  readonly #waits: AppendWaits;
  #isPumping = false;
  /** A frame was begun under the append lock, and its segment has to stay open for it. */
  #isBegun = false;
  /** Who holds the append lock writes what is queued. */
  #isDraining = false;
  #idleWaiters: (() => void)[] = [];
  readonly #lock = new AppendLock();
  readonly #endTick = (): void => this.#onTickEnd();

  constructor(parts: AppenderParts) {
    this.#parts = parts;
    this.#waits = new AppendWaits(parts, this);
    this.#failed = new FailedWrites(parts, () => this.#inFlight !== undefined);
    const maxFrameBytes = largestFrame(parts.context);
    this.#filling = new AppendQueue(maxFrameBytes);
    this.#writing = new AppendQueue(maxFrameBytes);
  }

  /** The queue that the next append is added to. */
  get queue(): AppendQueue {
    return this.#filling;
  }

  /** The seq that the next append gets. */
  get nextSeq(): number {
    const { gather } = this.#filling;
    if (!gather.isEmpty) return gather.seqOf(gather.recordCount - 1) + 1;
    const writing = this.#writing.gather;
    if (!writing.isEmpty) return writing.seqOf(writing.recordCount - 1) + 1;
    return this.#parts.unsynced.writtenSeq;
  }

  /** Unix milliseconds, read once for all that a tick gathers. */
  tickTime(runtime: Runtime): number {
    if (this.#filling.isEmpty) this.#tickMs = runtime.now();
    return this.#tickMs;
  }

  /** Nothing is queued or being written, or has to be cut off. */
  get isIdle(): boolean {
    return this.#filling.isEmpty && this.#writing.isEmpty && this.#isFree;
  }

  /** The append that was just added to the queue is complete: writes it now or with this tick. */
  submit(waiter: PendingAppend): void {
    this.#filling.push(waiter);
    if (waiter.synced) this.#syncWanted = true;
    if (this.#tickOpen) return;
    this.#tickOpen = true;
    this.#parts.context.settings.runtime.defer(this.#endTick);
    if (this.#writing.isEmpty && this.#inFlight === undefined) this.#pump(false);
  }

  /** The same for a synchronous append, the only one: it is written, or rejected, then. */
  submitNow(waiter: PendingAppend): void {
    this.#filling.push(waiter);
    this.#flushNow();
    if (this.#waits.isForRoom) this.rejectAll(journalIsFull());
  }

  #onTickEnd(): void {
    this.#tickOpen = false;
    this.#pump(false);
    this.#startSync();
  }

  /** Syncs for those who wait for it; who is not written yet waits for the next sync. */
  #startSync(): void {
    if (!this.#syncWanted) return;
    if (this.#writing.isEmpty && this.#filling.isEmpty) this.#syncWanted = false;
    if (this.#parts.worker.isAwaited) this.#parts.worker.request('all');
  }

  /** Writes what can be written now; `blocking`, for a synchronous append, whatever it takes. */
  #pump(blocking: boolean): void {
    // The one that is running writes what is queued: it looks again after each frame.
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      this.#writeAll(blocking);
    } finally {
      this.#isPumping = false;
    }
    if (this.#writing.isEmpty && this.#filling.isEmpty) this.#wakeIdle();
  }

  #writeAll(blocking: boolean): void {
    for (;;) {
      if (this.#isHeldBack) return;
      if (this.#parts.health.isPoisoned) {
        this.rejectAll(this.#parts.health.poisonedError());
        return;
      }
      if (this.#writing.isEmpty) {
        if (this.#filling.isEmpty) break;
        [this.#writing, this.#filling] = [this.#filling, this.#writing];
      }
      if (!this.#writeQueue(blocking)) return;
    }
  }

  /** Writes the frames of the queue. False when it has to wait for something asynchronous. */
  #writeQueue(blocking: boolean): boolean {
    const queue = this.#writing;
    while (queue.nextFrame < queue.gather.frameCount) {
      if (this.#isHeldBack) return false;
      if (this.#inFlight !== undefined && !this.#inFlight.completed) return false;
      if (!this.#failed.cutBack()) return false;
      if (!blocking && this.#parts.mustYield()) return false;
      const content = queue.gather.frame(queue.nextFrame);
      assert(content.recordCount > 0, 'a frame without records');
      const rolls = this.#parts.frames.rollsFor(content);
      if (!this.#waits.canWrite(content, rolls, blocking)) return false;
      try {
        const writer = this.#prepare(content, rolls);
        const frame = this.#parts.frames.encode(writer, queue.gather, content);
        if (isLong(frame, this.#parts.context) && !blocking && this.#inFlight === undefined) {
          this.#writeAsync(writer, this.#parts.frames.detach(frame));
          return false;
        }
        this.#parts.frames.write(writer, frame);
      } catch (error) {
        this.#onWriteFailure(error);
        return true;
      }
      this.#frameWritten(queue);
    }
    queue.clear();
    return true;
  }

  #prepare(content: FrameContent, rolls: boolean): SegmentWriter {
    const { unsynced, frames, worker } = this.#parts;
    const writer = frames.prepare(content, rolls);
    // A sealed segment is synced soon, whatever the policy: the one after the next needs it.
    if (rolls && unsynced.sealed.length > 0) worker.request('sealed');
    return writer;
  }

  #frameWritten(queue: AppendQueue): void {
    queue.nextFrame++;
    const { unsynced, worker, schedule, onProgress, context, health } = this.#parts;
    // Written is what survives the process: it has left its memory.
    if (isJournaled(context) && queue.isWrittenAwaited) {
      context.journal.journal.flush();
      if (health.isPoisoned) return;
    }
    const group = queue.settleWritten(unsynced.writtenSeq);
    if (group !== undefined) worker.wait(group);
    schedule.onWritten();
    onProgress();
  }

  /** Writes what waited, as far as that is possible now. */
  goOn(): void {
    this.#pump(false);
    this.#startSync();
  }

  #writeAsync(writer: SegmentWriter, frame: EncodedFrame): void {
    const flight: WriteInFlight = { writer, frame, completed: false };
    this.#inFlight = flight;
    writer.write(frame.bytes, frame.byteLength).then(
      () => this.#onAsyncWrite(flight, undefined),
      (error: unknown) => this.#onAsyncWrite(flight, error),
    );
  }

  #onAsyncWrite(flight: WriteInFlight, error: unknown): void {
    this.#inFlight = undefined;
    const { frames, health, unsynced, worker } = this.#parts;
    // When a synchronous append has completed it, all its bytes are there whatever this one says.
    if (!flight.completed && !health.isPoisoned) {
      if (error === undefined) {
        frames.accept(flight.writer, flight.frame);
        this.#frameWritten(this.#writing);
        if (this.#writing.nextFrame === this.#writing.gather.frameCount) this.#writing.clear();
      } else {
        this.#onWriteFailure(frames.failureOf(flight.writer, error));
      }
    }
    // The other thread is done with it; a synchronous append completes only what is in flight.
    frames.reuse(flight.frame);
    if (!health.isPoisoned) this.#failed.cutBack();
    this.#lock.wake();
    // Its segment may have been sealed meanwhile, and has now to be synced again to be closed.
    if (unsynced.sealed.includes(flight.writer)) worker.request('sealed');
    this.#pump(false);
    this.#startSync();
    this.#wakeIdle();
  }

  /** Writes an asynchronous write's bytes itself, at the same place (RULES W1). */
  #completeInFlight(): void {
    const flight = this.#inFlight;
    if (flight === undefined || flight.completed) return;
    const { frames } = this.#parts;
    flight.completed = true;
    try {
      frames.write(flight.writer, flight.frame);
    } catch (error) {
      // Even if this one has written nothing, the other may still write all of it.
      const cause = error instanceof FrameWriteFailure ? error.error.cause : error;
      this.#onWriteFailure(frames.failureOf(flight.writer, cause));
      return;
    }
    this.#frameWritten(this.#writing);
    if (this.#writing.nextFrame === this.#writing.gather.frameCount) this.#writing.clear();
  }

  /** None of what is queued is in the log; its seqs are given out again (RULES W2). */
  #onWriteFailure(error: unknown): void {
    const refusal = this.#failed.take(error);
    if (refusal !== undefined) this.rejectAll(refusal);
  }

  /** Writes everything that is queued before it returns. Throws BUSY with nothing written. */
  flushNow(): void {
    this.#flushNow();
    if (this.#waits.isForRoom) throw journalIsFull();
  }

  #flushNow(): void {
    if (this.#lock.isHeld) throw busyError('the segments of the channel are being exchanged');
    this.#completeInFlight();
    const isPending = this.#failed.isPending && this.#inFlight !== undefined;
    if (isPending) throw busyError('a failed write has to be cut off, and another is under way');
    this.#pump(true);
  }

  /** Throws BUSY unless such records can be written now. */
  requireRoom(recordCount: number, payloadBytes: number): void {
    this.#waits.requireRoom(recordCount, payloadBytes);
  }

  /** Writes a witness if nothing else is going on, and there are descriptors for it. */
  writeWitness(): 'written' | 'later' | 'failed' {
    const { unsynced, context } = this.#parts;
    const hasFiles = unsynced.active !== undefined || context.shared.files.makeRoom(WRITER_FILES);
    if (this.#lock.isHeld || !this.isIdle || !hasFiles) return 'later';
    try {
      this.#parts.frames.writeWitness();
      return 'written';
    } catch (error) {
      this.#onWriteFailure(error);
      return 'failed';
    }
  }

  /**
   * Takes the append lock: when it resolves nothing is being written, and what is appended waits
   * until the function that it resolves to is called.
   */
  async hold(): Promise<() => void> {
    await this.#lock.take(() => this.#isFree);
    return () => {
      this.#lock.release();
      this.goOn();
    };
  }

  get #isHeldBack(): boolean {
    return this.#lock.isHeld && !this.#isDraining;
  }

  /**
   * Writes what is queued, before it returns. False when that is not possible yet. Only under the
   * append lock.
   */
  drain(): boolean {
    this.#isDraining = true;
    try {
      this.#pump(true);
    } finally {
      this.#isDraining = false;
    }
    return this.isIdle;
  }

  /**
   * Nothing is queued: the batch that was added last, and no other, is the first frame. Makes the
   * segment ready that it goes to. Only under the append lock, as the two below.
   */
  beginFrame(waiter: PendingAppend): PreparedFrame {
    assert(this.#writing.isEmpty, 'a frame of its own is begun behind others');
    this.#filling.push(waiter);
    this.#filling.gather.closeFrame();
    [this.#writing, this.#filling] = [this.#filling, this.#writing];
    const content = this.#writing.gather.frame(0);
    const { frames, unsynced, worker, health } = this.#parts;
    const rolls = frames.rollsFor(content);
    if (rolls && unsynced.hasOpenPast) worker.syncNow();
    try {
      const writer = this.#prepare(content, rolls);
      this.#isBegun = true;
      return { content, writer };
    } catch (error) {
      throw this.#failed.take(error) ?? health.poisonedError();
    }
  }

  /** Encodes the frame that was begun. Its bytes do not change. */
  encodeFrame({ content, writer }: PreparedFrame): EncodedFrame {
    const { frames } = this.#parts;
    return frames.detach(frames.encode(writer, this.#writing.gather, content));
  }

  /** Writes it; what came after it follows when the lock is released. Throws FrameWriteFailure. */
  writeFrame({ writer }: PreparedFrame, frame: EncodedFrame): void {
    this.#isBegun = false;
    this.#parts.frames.write(writer, frame);
    this.#frameWritten(this.#writing);
  }

  /** Seals the active segment and begins the next one. Only under the append lock. */
  roll(): void {
    const { frames, unsynced, worker } = this.#parts;
    const { active } = unsynced;
    try {
      frames.rollNow();
    } catch (error) {
      throw this.#failed.takeRoll(error, active);
    }
    if (unsynced.sealed.length > 0) worker.request('sealed');
  }

  /** Rejects every append that is not written yet. */
  rejectAll(error: RedexError): void {
    this.#isBegun = false;
    this.#writing.rejectRest(error);
    this.#filling.rejectRest(error);
    if (this.#parts.health.isPoisoned) this.#failed.forget();
    this.#parts.onProgress();
    this.#wakeIdle();
  }

  /** Resolves when nothing is queued or being written. */
  async idle(): Promise<void> {
    while (!this.isIdle) {
      await new Promise<void>((resolve) => {
        this.#idleWaiters.push(resolve);
      });
    }
  }

  get #isFree(): boolean {
    return this.#inFlight === undefined && !this.#failed.isPending;
  }

  /** A write is being made, or was begun, or has to be cut off. */
  get isWriting(): boolean {
    return this.#isPumping || this.#isBegun || !this.#isFree;
  }

  /** Gives memory back until the next append. */
  releaseMemory(): void {
    for (const { gather } of [this.#filling, this.#writing]) if (gather.isEmpty) gather.release();
  }

  #wakeIdle(): void {
    this.#parts.context.shared.files.onMayClose();
    if (this.#idleWaiters.length === 0 || !this.isIdle) return;
    for (const wake of this.#idleWaiters.splice(0)) wake();
  }
}
