/**
 * Compares one derived file of a segment with the records that a walk over dat has verified: its
 * header, its length, and every entry that stands in the file. What a writer still has in memory
 * is not in the file, and is not missed before the segment is complete.
 */
import { viewOf } from '../format/bytes.js';
import { decodeFileHeader, FILE_HEADER_BYTES } from '../format/file-header.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import { problemOf, type ProblemPlace } from './verify-problem.js';
import type { ProblemList } from './verify-report.js';

const PIECE_BYTES = 256 * 1024;
/** Runs of wrong entries that are reported one by one. */
const MAX_RUNS = 1000;

export interface DerivedKind {
  readonly kind: 'idx' | 'ts';
  readonly magic: number;
  readonly entryBytes: number;
}

export class DerivedCheck {
  /** The entries from `loadedFrom` to `loadedEnd` stand in `view`. */
  view: DataView = new DataView(new ArrayBuffer(0));
  loadedFrom = 0;
  loadedEnd = 0;
  /** Entries of the file that are compared. */
  count = 0;
  readonly #fs: FileSystem;
  readonly #path: string;
  readonly #kind: DerivedKind;
  readonly #problems: ProblemList;
  #file: FileHandle | undefined;
  #buffer: Uint8Array = new Uint8Array(0);
  /** Of the file; undefined when there is none. */
  #size: number | undefined;
  #isBad = false;
  #runFrom = -1;
  #runEnd = -1;
  #runs = 0;

  constructor(fs: FileSystem, path: string, kind: DerivedKind, problems: ProblemList) {
    this.#fs = fs;
    this.#path = path;
    this.#kind = kind;
    this.#problems = problems;
  }

  /** Opens the file, if it is there, and compares its header. */
  async open(header: Uint8Array): Promise<void> {
    try {
      this.#file = this.#fs.openSync(this.#path, 'read');
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return;
      this.#cannotRead(error, 0);
      return;
    }
    try {
      this.#size = this.#file.sizeSync();
      const bytes = new Uint8Array(FILE_HEADER_BYTES);
      const length = await this.#file.read(bytes, 0, FILE_HEADER_BYTES, 0);
      this.#compareHeader(bytes.subarray(0, length), header);
    } catch (error) {
      this.#cannotRead(error, 0);
    }
    if (this.#isBad) return;
    const rest = (this.#size ?? 0) - FILE_HEADER_BYTES;
    this.count = Math.max(0, Math.floor(rest / this.#kind.entryBytes));
  }

  #compareHeader(bytes: Uint8Array, expected: Uint8Array): void {
    if (Buffer.compare(bytes, expected) === 0) return;
    const decoded = decodeFileHeader(this.#kind.magic, bytes);
    const failed = decoded.ok ? 'identity' : decoded.check;
    const check = failed === 'version' ? 'fields' : failed;
    this.#isBad = true;
    this.#report({ path: this.#path, check }, 'has no file header of this segment');
  }

  #report(place: ProblemPlace, what: string): void {
    const { kind } = this.#kind;
    this.#problems.add(problemOf('derived', kind, place, `${this.#path} ${what}`));
  }

  /** EIO is a finding; that there are no descriptors, say, is not. */
  #cannotRead(error: unknown, position: number): void {
    if (systemCodeOf(error) !== 'EIO') throw error;
    this.#isBad = true;
    this.count = 0;
    const what = `${this.#path} cannot be read at byte ${position} (EIO)`;
    const place = { path: this.#path, position };
    this.#problems.add(problemOf('derived', 'unreadable', place, what));
  }

  /** Whether `view` has the entries of these records, those that stand in the file at all. */
  isLoaded(first: number, count: number): boolean {
    if (first >= this.count) return true;
    return first >= this.loadedFrom && Math.min(first + count, this.count) <= this.loadedEnd;
  }

  /** Reads the entries of at least `count` records from `first` on. */
  async load(first: number, count: number): Promise<void> {
    const { entryBytes } = this.#kind;
    const entries = Math.min(Math.max(count, PIECE_BYTES / entryBytes), this.count - first);
    const length = entries * entryBytes;
    if (this.#buffer.byteLength < length) {
      this.#buffer = new Uint8Array(length);
      this.view = viewOf(this.#buffer);
    }
    this.loadedFrom = first;
    this.loadedEnd = first;
    const position = FILE_HEADER_BYTES + first * entryBytes;
    let filled = 0;
    try {
      filled = (await this.#file?.read(this.#buffer, 0, length, position)) ?? 0;
    } catch (error) {
      this.#cannotRead(error, position);
    }
    this.loadedEnd = first + Math.floor(filled / entryBytes);
    // The file has become shorter meanwhile.
    if (filled < length) this.count = Math.min(this.count, this.loadedEnd);
  }

  /** Where entry `ordinal` stands in `view`; -1 when it is not in the file. */
  at(ordinal: number): number {
    if (ordinal < this.loadedFrom || ordinal >= this.loadedEnd) return -1;
    return (ordinal - this.loadedFrom) * this.#kind.entryBytes;
  }

  /** Entry `ordinal` does not say what dat says. They come in order. */
  wrong(ordinal: number): void {
    if (ordinal !== this.#runEnd) {
      this.#endRun();
      this.#runFrom = ordinal;
    }
    this.#runEnd = ordinal + 1;
  }

  #endRun(): void {
    if (this.#runFrom < 0) return;
    this.#runs++;
    if (this.#runs > MAX_RUNS) this.#problems.more++;
    else {
      const position = FILE_HEADER_BYTES + this.#runFrom * this.#kind.entryBytes;
      const entries = this.#runEnd - this.#runFrom;
      const what = `is wrong at byte ${position}: ${entries} entries do not agree with dat`;
      this.#report({ path: this.#path, position, check: 'fields' }, what);
    }
    this.#runFrom = -1;
  }

  /**
   * Ends the comparison. `records`: how many entries there have to be, undefined when nobody knows
   * or some may be missing yet.
   */
  finish(records: number | undefined): void {
    this.#endRun();
    if (this.#isBad || records === undefined) return;
    if (this.#size === undefined) {
      if (records > 0) this.#report({ path: this.#path, check: 'missing' }, 'is not there');
      return;
    }
    // What is left of a segment that lost all its records is replaced with the first one.
    if (records === 0) return;
    const length = FILE_HEADER_BYTES + records * this.#kind.entryBytes;
    if (this.#size === length) return;
    const position = Math.min(this.#size, length);
    const what = `has ${this.#size} bytes, and ${length} belong to ${records} records`;
    this.#report({ path: this.#path, position, check: 'length' }, what);
  }

  close(): void {
    this.#file?.closeSync();
    this.#file = undefined;
  }
}
