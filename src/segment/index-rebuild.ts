/**
 * Builds idx and ts anew from what a walk over dat found. Where the files on disk already say the
 * same nothing is written, so that a second recovery changes nothing; at the first difference a
 * temporary file takes over, and replaces the old one by a rename at the end.
 */
import { writeAllSync } from '../fs/whole-file.js';
import { sharedBytes, viewOf } from '../format/bytes.js';
import { FILE_HEADER_BYTES, IDX_MAGIC, TS_MAGIC } from '../format/file-header.js';
import { rebuiltFileName } from '../format/file-name.js';
import { IDX_ENTRY_BYTES, TS_ENTRY_BYTES, writeIndexEntry } from '../format/index-entry.js';
import type { UnitHeader } from '../format/unit.js';
import { visitRecordKeys } from '../format/unit-records.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { derivedHeader, type IndexOwner } from './segment-index.js';
import { segmentPath, type Segment } from './segment.js';

const PIECE_BYTES = 64 * 1024;
/** Enough for the entries of a small segment. */
const FIRST_PIECE_BYTES = 1024;
const NO_BYTES = new Uint8Array(0);

/** Compares a stream of bytes with a file and rewrites it from the first difference on. */
class ComparingWriter {
  readonly #fs: FileSystem;
  readonly #path: string;
  #piece: Uint8Array = sharedBytes(FIRST_PIECE_BYTES);
  #present: Uint8Array = NO_BYTES;
  view: DataView = viewOf(this.#piece);
  #old: FileHandle | undefined;
  #new: FileHandle | undefined;
  #position = 0;
  #filled = 0;

  constructor(fs: FileSystem, path: string) {
    this.#fs = fs;
    this.#path = path;
    try {
      this.#old = fs.openSync(path, 'read');
    } catch {
      this.#old = undefined;
    }
  }

  /** A place in `view` for `length` bytes, which divide the size of a piece. */
  reserve(length: number): number {
    if (this.#filled + length > this.#piece.byteLength) this.#makeRoom();
    const at = this.#filled;
    this.#filled += length;
    return at;
  }

  #makeRoom(): void {
    if (this.#piece.byteLength === PIECE_BYTES) return this.#flush();
    const larger = new Uint8Array(PIECE_BYTES);
    larger.set(this.#piece);
    this.#piece = larger;
    this.view = viewOf(larger);
  }

  append(bytes: Uint8Array): void {
    const at = this.reserve(bytes.byteLength);
    this.#piece.set(bytes, at);
  }

  #flush(): void {
    const length = this.#filled;
    if (this.#new === undefined && !this.#matches(length)) this.#startNew();
    if (this.#new !== undefined) writeAllSync(this.#new, this.#piece, length, this.#position);
    this.#position += length;
    this.#filled = 0;
  }

  #matches(length: number): boolean {
    if (this.#old === undefined) return false;
    this.#reservePresent(length);
    const count = this.#old.readSync(this.#present, 0, length, this.#position);
    return (
      count === length &&
      Buffer.compare(this.#present.subarray(0, length), this.#piece.subarray(0, length)) === 0
    );
  }

  #reservePresent(length: number): void {
    if (this.#present.byteLength < length) this.#present = sharedBytes(length);
  }

  #startNew(): void {
    const path = rebuiltFileName(this.#path);
    if (this.#fs.statSync(path) !== undefined) this.#fs.unlinkSync(path);
    this.#new = this.#fs.openSync(path, 'create');
    for (let at = 0; at < this.#position; at += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, this.#position - at);
      this.#reservePresent(length);
      this.#old?.readSync(this.#present, 0, length, at);
      writeAllSync(this.#new, this.#present, length, at);
    }
  }

  /** Ends the file after `byteLength` bytes and puts it in place if it differs. */
  finish(byteLength: number): void {
    this.#flush();
    if (this.#new === undefined && this.#old?.sizeSync() !== byteLength) this.#startNew();
    if (this.#new !== undefined) {
      this.#new.truncateSync(byteLength);
      this.#fs.renameSync(rebuiltFileName(this.#path), this.#path);
    }
    this.close();
  }

  /** Leaves the old file as it is. */
  abandon(): void {
    const started = this.#new !== undefined;
    this.close();
    if (started) this.#fs.unlinkSync(rebuiltFileName(this.#path));
  }

  close(): void {
    this.#old?.closeSync();
    this.#new?.closeSync();
    this.#old = undefined;
    this.#new = undefined;
  }
}

/** Collects the entries of a segment's records in order. Give it to nobody who may not write. */
export class IndexRebuild {
  readonly #segment: Segment;
  readonly #idx: ComparingWriter;
  readonly #ts: ComparingWriter;
  /** Records added so far. */
  count = 0;
  #failed = false;

  constructor(owner: IndexOwner, segment: Segment) {
    this.#segment = segment;
    this.#idx = new ComparingWriter(owner.fs, segmentPath(segment, 'idx'));
    this.#ts = new ComparingWriter(owner.fs, segmentPath(segment, 'ts'));
    this.#idx.append(derivedHeader(owner, segment, IDX_MAGIC));
    this.#ts.append(derivedHeader(owner, segment, TS_MAGIC));
  }

  /** Adds the records of a verified unit. Errors are kept for `finish`: a walk goes on without. */
  add(view: DataView, at: number, unit: UnitHeader): void {
    if (this.#failed) return;
    const { baseSeq } = this.#segment;
    const { position, byteLength, checksum } = unit;
    try {
      visitRecordKeys(view, at, unit, (seq, nanosHi, nanosLo) => {
        const idxAt = this.#idx.reserve(IDX_ENTRY_BYTES);
        writeIndexEntry(this.#idx.view, idxAt, seq - baseSeq, position, byteLength, checksum.lo);
        const tsAt = this.#ts.reserve(TS_ENTRY_BYTES);
        this.#ts.view.setUint32(tsAt, nanosLo, true);
        this.#ts.view.setUint32(tsAt + 4, nanosHi, true);
      });
    } catch {
      this.#failed = true;
    }
    this.count += unit.recordCount;
  }

  /**
   * Puts the files in place with the first `count` records. False when that was not possible: the
   * log is complete without them, only slower.
   */
  finish(count: number): boolean {
    if (count === 0) {
      this.abandon();
      return true;
    }
    try {
      if (!this.#failed) {
        this.#idx.finish(FILE_HEADER_BYTES + count * IDX_ENTRY_BYTES);
        this.#ts.finish(FILE_HEADER_BYTES + count * TS_ENTRY_BYTES);
        return true;
      }
    } catch {
      this.#failed = true;
    }
    this.abandon();
    return false;
  }

  /** Changes nothing on disk but a temporary file that it may have begun. */
  abandon(): void {
    for (const writer of [this.#idx, this.#ts]) {
      try {
        writer.abandon();
      } catch {
        // What is left of a temporary file is replaced by the next rebuild.
      }
    }
  }
}
