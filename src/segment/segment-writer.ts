/**
 * Writes frames to the active segment. The only place that knows the commit point of a write: a
 * frame is in the log when its bytes are in dat, all of them, behind all the frames before it.
 * idx and ts follow and cannot fail an append.
 */
import { writeAllSync } from '../fs/whole-file.js';
import type { Nanos } from '../core/nanos.js';
import { sameChecksum, type Checksum } from '../format/checksum.js';
import { DAT_MAGIC, encodeFileHeader } from '../format/file-header.js';
import { segmentFileName } from '../format/file-name.js';
import type { EncodedUnit, FramePlace } from '../format/frame-encoder.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { OpenSegment, type ReadScratch } from './open-segment.js';
import { SegmentIndex, type IndexOwner, type RecordKeys } from './segment-index.js';
import { readDatHeader, segmentFromHeader } from './segment-scan.js';
import { corruption, segmentPath, type Segment } from './segment.js';

/** A dat write that did not happen. */
export class DatWriteError extends Error {
  /** Whether some of the bytes reached the file before the rest failed. */
  readonly partial: boolean;

  constructor(cause: unknown, partial: boolean) {
    super('a write to dat failed', { cause });
    this.partial = partial;
  }
}

/** A frame that was encoded for the end of the segment. */
export interface EncodedFrame {
  readonly bytes: Uint8Array;
  readonly byteLength: number;
  readonly checksum: Checksum;
  readonly units: readonly EncodedUnit[];
  readonly recordCount: number;
  /** Undefined for a frame without records. */
  readonly keys: RecordKeys | undefined;
  readonly nextSeq: number;
  readonly lastTimestamp: Nanos;
}

export interface SegmentBirth {
  readonly directory: string;
  readonly baseSeq: number;
  readonly nonce: Checksum;
  readonly durableSeq: number;
  readonly timestampFloor: Nanos;
}

export class SegmentWriter {
  readonly segment: Segment;
  readonly open: OpenSegment;
  /**
   * A second descriptor, as old as the first: a synchronous append syncs through it while a
   * background sync is in flight on the other, and each of them is told of an error itself.
   */
  readonly syncHandle: FileHandle;
  /** Bytes or a size were written that no sync has begun after. */
  dirty: boolean;
  /** An asynchronous write has not returned: the descriptor cannot be closed. */
  isWriting = false;
  #attempt: number;

  constructor(open: OpenSegment, syncHandle: FileHandle, attempt: number, dirty: boolean) {
    this.segment = open.segment;
    this.open = open;
    this.syncHandle = syncHandle;
    this.#attempt = attempt;
    this.dirty = dirty;
  }

  /** Creates a segment's dat file. What fails leaves no file, or throws DatWriteError(partial). */
  static create(
    owner: IndexOwner,
    birth: SegmentBirth,
    scratch: ReadScratch,
    attempt: number,
  ): SegmentWriter {
    const header = encodeFileHeader(DAT_MAGIC, { ...birth, channelId: owner.channelId });
    const path = `${birth.directory}/${segmentFileName(birth.baseSeq, 'dat')}`;
    let dat: FileHandle | undefined;
    let second: FileHandle | undefined;
    try {
      dat = owner.fs.openSync(path, 'create');
      second = owner.fs.openSync(path, 'write');
      writeAllSync(dat, header, header.byteLength, 0);
    } catch (error) {
      const removed = dat === undefined || discard(owner.fs, path, dat, second);
      throw new DatWriteError(error, !removed);
    }
    const view = new DataView(header.buffer);
    const checksum = { lo: view.getUint32(56, true), hi: view.getUint32(60, true) };
    const segment = segmentFromHeader(birth.directory, {
      ...birth,
      channelId: owner.channelId,
      checksum,
    });
    const open = new OpenSegment(owner, segment, dat, new SegmentIndex(owner, segment), scratch);
    return new SegmentWriter(open, second, attempt, true);
  }

  /**
   * Opens a segment to go on writing behind its last frame. `attempt` is the last number used, or
   * one that is not likely to have been. Throws what opening dat throws.
   */
  static reopen(
    owner: IndexOwner,
    segment: Segment,
    scratch: ReadScratch,
    attempt: number,
  ): SegmentWriter {
    const path = segmentPath(segment, 'dat');
    const dat = owner.fs.openSync(path, 'write');
    const second = openSecond(owner.fs, path, dat);
    try {
      requireSame(dat, segment);
    } catch (error) {
      dat.closeSync();
      second.closeSync();
      throw error;
    }
    const index = new SegmentIndex(owner, segment);
    const open = new OpenSegment(owner, segment, dat, index, scratch);
    // Without all entries none is added: the first lookup rebuilds the files.
    if (segment.recordCount > 0 && !index.openExisting('write')) index.giveUp();
    return new SegmentWriter(open, second, attempt, false);
  }

  /** The last attempt number that was used. */
  get attempt(): number {
    return this.#attempt;
  }

  /** What the next frame has to be encoded with. Every call takes a new attempt number. */
  nextPlace(durableSeq: number): FramePlace {
    const { datLength, lastChecksum, nonce } = this.segment;
    this.#attempt = (this.#attempt + 1) >>> 0;
    return { position: datLength, attempt: this.#attempt, link: lastChecksum, nonce, durableSeq };
  }

  /** Writes a frame behind the last one. Throws DatWriteError; the caller cuts back. */
  writeSync(bytes: Uint8Array, byteLength: number): void {
    const { datLength } = this.segment;
    this.dirty = true;
    let written = 0;
    try {
      while (written < byteLength) {
        const rest = byteLength - written;
        const count = this.open.dat.writeSync(bytes, written, rest, datLength + written);
        if (count === 0) throw Object.assign(new Error('nothing was written'), { code: 'EIO' });
        written += count;
      }
    } catch (error) {
      throw new DatWriteError(error, written > 0);
    }
  }

  /** The same off the calling thread. `bytes` must not change before it settles. */
  async write(bytes: Uint8Array, byteLength: number): Promise<void> {
    const { datLength } = this.segment;
    this.dirty = true;
    this.isWriting = true;
    let written = 0;
    try {
      while (written < byteLength) {
        const rest = byteLength - written;
        const count = await this.open.dat.write(bytes, written, rest, datLength + written);
        if (count === 0) throw Object.assign(new Error('nothing was written'), { code: 'EIO' });
        written += count;
      }
    } catch (error) {
      throw new DatWriteError(error, written > 0);
    } finally {
      // The bytes landed at some moment until now, so a sync that began before does not cover them.
      this.dirty = true;
      this.isWriting = false;
    }
  }

  /** Takes away what a failed write may have left behind the last frame. */
  cutBack(): void {
    this.dirty = true;
    this.open.dat.truncateSync(this.segment.datLength);
  }

  /** The bytes of a frame are in dat: it is part of the segment from now on. */
  accept(frame: EncodedFrame): void {
    const { segment } = this;
    segment.datLength += frame.byteLength;
    segment.lastChecksum = frame.checksum;
    segment.frameCount++;
    if (frame.keys === undefined) return;
    segment.nextSeq = frame.nextSeq;
    segment.recordCount += frame.recordCount;
    segment.lastTimestamp = frame.lastTimestamp;
    this.open.index.append(frame.units, frame.keys);
  }

  /** The bytes of a seal are in dat: the segment is written no more. */
  acceptSeal(byteLength: number, checksum: Checksum, nextSeq: number): void {
    const { segment } = this;
    segment.datLength += byteLength;
    segment.lastChecksum = checksum;
    segment.nextSeq = nextSeq;
    segment.sealed = true;
    this.open.index.flush();
  }
}

/** The directory may have been replaced: nothing is written into a file of somebody else. */
function requireSame(dat: FileHandle, segment: Segment): void {
  const read = readDatHeader(dat);
  const isSame = read.ok && sameChecksum(read.header.checksum, segment.headerChecksum);
  if (!isSame) throw corruption(dat.path, 0, 'identity');
  if (dat.sizeSync() !== segment.datLength) throw corruption(dat.path, segment.datLength, 'length');
}

function openSecond(fs: FileSystem, path: string, first: FileHandle): FileHandle {
  try {
    return fs.openSync(path, 'write');
  } catch (error) {
    first.closeSync();
    throw error;
  }
}

/** Whether a file that could not be made whole is gone again. */
function discard(
  fs: FileSystem,
  path: string,
  dat: FileHandle,
  second: FileHandle | undefined,
): boolean {
  dat.closeSync();
  second?.closeSync();
  try {
    fs.unlinkSync(path);
    return true;
  } catch {
    return false;
  }
}
