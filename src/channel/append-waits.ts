/**
 * What a frame may have to wait for before it can be written: a sync of the segments before, a
 * descriptor, room in the journal. Each is asked for once; when it is there the writing goes on.
 */
import type { RedexError } from '../core/errors.js';
import { frameBound } from '../format/frame-bound.js';
import type { FrameContent } from '../format/frame-encoder.js';
import { FILE_HEADER_BYTES } from '../format/file-header.js';
import { SEAL_BYTES } from '../format/unit.js';
import type { ChannelJournal } from '../journal/channel-journal.js';
import type { EncodedFrame } from '../segment/segment-writer.js';
import type { AppenderParts } from './appender-parts.js';
import { isJournaled, type ChannelContext } from './channel-context.js';
import { WRITER_FILES } from './open-holder.js';
import { busyError } from './sync-worker.js';

/** Frames above this size are written off the calling thread. */
const ASYNC_WRITE_BYTES = 512 * 1024;

/** Bytes of the journal that a frame of these records may take, with a new segment for it. */
export function journalBytes(
  channel: ChannelJournal,
  recordCount: number,
  payloadBytes: number,
): number {
  const roll = channel.roomFor(SEAL_BYTES) + channel.roomFor(FILE_HEADER_BYTES);
  return roll + channel.roomFor(frameBound(recordCount, payloadBytes));
}

/** BUSY, of a synchronous append; also when a sync that had to come first has used the room. */
export function journalIsFull(): RedexError {
  return busyError('the journal has to be freed first');
}

export interface WaitingAppends {
  /** Writes what waited, as far as that is possible now. */
  goOn(): void;
  rejectAll(error: RedexError): void;
}

export class AppendWaits {
  readonly #parts: AppenderParts;
  readonly #appends: WaitingAppends;
  #forPast = false;
  #forFiles = false;
  #forRoom = false;

  constructor(parts: AppenderParts, appends: WaitingAppends) {
    this.#parts = parts;
    this.#appends = appends;
  }

  /** What is queued cannot be written before a checkpoint has made room in the journal. */
  get isForRoom(): boolean {
    return this.#forRoom;
  }

  /** Throws BUSY unless such records can be written now, as far as the journal goes. */
  requireRoom(recordCount: number, payloadBytes: number): void {
    const { context } = this.#parts;
    if (!isJournaled(context)) return;
    const bytes = journalBytes(context.journal, recordCount, payloadBytes);
    if (!context.journal.journal.ensureRoomNow(bytes)) throw journalIsFull();
  }

  /**
   * Whether a frame can be written now. If not it is waited for, or, when `blocking`, everything
   * is done that can be done at once.
   */
  canWrite(content: FrameContent, rolls: boolean, blocking: boolean): boolean {
    if (rolls && this.#parts.unsynced.hasOpenPast && !this.#syncPast(blocking)) return false;
    return isJournaled(this.#parts.context)
      ? this.#hasRoom(content, blocking)
      : this.#hasFiles(rolls, blocking);
  }

  /** Segment k+2 is not created before segment k and its name are synced (RULES C2). */
  #syncPast(blocking: boolean): boolean {
    const { worker, health } = this.#parts;
    if (blocking) {
      worker.syncNow();
      return true;
    }
    if (this.#forPast) return false;
    this.#forPast = true;
    worker.syncAll().then(
      () => {
        this.#forPast = false;
        this.#appends.goOn();
      },
      () => {
        this.#forPast = false;
        this.#appends.rejectAll(health.poisonedError());
      },
    );
    return false;
  }

  /** There are descriptors for the segments that a frame opens, or there is room for them. */
  #hasFiles(rolls: boolean, blocking: boolean): boolean {
    const { frames, context } = this.#parts;
    const { files } = context.shared;
    const fileCount = WRITER_FILES * frames.opensFor(rolls);
    if (fileCount === 0 || files.makeRoom(fileCount)) return true;
    if (blocking) {
      files.makeRoomNow(fileCount);
      return true;
    }
    if (this.#forFiles) return false;
    this.#forFiles = true;
    files.whenRoom(fileCount, () => {
      this.#forFiles = false;
      this.#appends.goOn();
    });
    return false;
  }

  /** The journal has room for a frame, or a checkpoint is asked to make some (RULES J7). */
  #hasRoom(content: FrameContent, blocking: boolean): boolean {
    const { context } = this.#parts;
    if (!isJournaled(context)) return true;
    const { journal } = context.journal;
    const bytes = journalBytes(context.journal, content.recordCount, content.payloadBytes);
    if (blocking ? journal.ensureRoomNow(bytes) : journal.ensureRoom(bytes)) return true;
    if (this.#forRoom) return false;
    this.#forRoom = true;
    journal.whenRoom(bytes, (error) => {
      this.#forRoom = false;
      if (error === undefined) this.#appends.goOn();
      else this.#appends.rejectAll(error);
    });
    return false;
  }
}

/** Appends are merged into frames of at most so many bytes; many of them fit into the journal. */
export function largestFrame({ settings, journal }: ChannelContext): number {
  const { maxFrameBytes } = settings;
  return journal === undefined
    ? maxFrameBytes
    : Math.min(maxFrameBytes, Math.floor(journal.journal.maxEntryBytes / 8));
}

/** To be written off the calling thread; what goes to the journal is in memory for the moment. */
export function isLong({ byteLength }: EncodedFrame, context: ChannelContext): boolean {
  return byteLength > ASYNC_WRITE_BYTES && !isJournaled(context);
}
