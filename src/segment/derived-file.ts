/**
 * One derived file (idx or ts): a header and entries of a fixed width, entry n for the n-th record
 * of the segment. New entries wait in memory and are written in larger pieces. Nothing depends on
 * it: when it cannot be written or read it turns `unusable`, the caller falls back to the dat
 * file, and it is rebuilt from there.
 */
import { writeAllSync } from '../fs/whole-file.js';
import { sharedBytes, viewOf } from '../format/bytes.js';
import { sameChecksum } from '../format/checksum.js';
import { decodeFileHeader, FILE_HEADER_BYTES } from '../format/file-header.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { PAGE_BYTES, type EntryPages } from './entry-pages.js';
import type { Segment } from './segment.js';

const TAIL_ENTRIES = 4096;
const NO_BYTES = new Uint8Array(0);
const NO_VIEW = viewOf(NO_BYTES);

export interface DerivedFileOptions {
  readonly fs: FileSystem;
  readonly path: string;
  readonly magic: number;
  readonly entryBytes: number;
  /** The header for a file that has to be created. */
  readonly header: () => Uint8Array;
  readonly pages: EntryPages;
}

export class DerivedFile {
  /** Entries that stand in the file. */
  flushedCount = 0;
  /** Entries that wait in memory behind these. */
  tailCount = 0;
  unusable = false;
  /** While the file is being rebuilt entries wait in memory, however many they become. */
  held = false;
  readonly #options: DerivedFileOptions;
  /** The file's number in the page cache. */
  #file: number;
  #handle: FileHandle | undefined;
  #tail: Uint8Array = NO_BYTES;
  #tailView: DataView = NO_VIEW;
  /** For one entry; there is none before the first. */
  #scratch: Uint8Array = NO_BYTES;
  #scratchView: DataView = NO_VIEW;

  constructor(options: DerivedFileOptions) {
    this.#options = options;
    this.#file = options.pages.newFile();
  }

  get count(): number {
    return this.flushedCount + this.tailCount;
  }

  /**
   * Opens a file that is there and takes the entries it has, at most `limit`. Returns false, and
   * is unusable, when it is missing or not this segment's.
   */
  openExisting(segment: Segment, limit: number, mode: 'read' | 'write'): boolean {
    const { fs, path, magic, entryBytes } = this.#options;
    this.unusable = true;
    let handle: FileHandle;
    try {
      handle = fs.openSync(path, mode);
    } catch {
      return false;
    }
    this.#handle = handle;
    try {
      const header = sharedBytes(FILE_HEADER_BYTES);
      const length = handle.readSync(header, 0, FILE_HEADER_BYTES, 0);
      const decoded = decodeFileHeader(magic, header.subarray(0, length));
      if (!decoded.ok || !sameChecksum(decoded.value.nonce, segment.nonce)) return false;
      const entries = Math.floor((handle.sizeSync() - FILE_HEADER_BYTES) / entryBytes);
      this.flushedCount = Math.min(entries, limit);
      this.unusable = false;
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Takes the entries that another process has written since; at most `limit`. A file that was
   * missing, or is short although its segment is complete, and so was replaced, is opened again.
   */
  lookAgain(segment: Segment, limit: number): void {
    const { entryBytes, pages } = this.#options;
    if (this.#handle !== undefined && !this.unusable) {
      try {
        const entries = Math.floor((this.#handle.sizeSync() - FILE_HEADER_BYTES) / entryBytes);
        this.flushedCount = Math.max(0, Math.min(entries, limit));
        if (this.flushedCount === limit || !segment.sealed) return;
      } catch {
        this.flushedCount = 0;
      }
    }
    this.close();
    this.#file = pages.newFile();
    this.openExisting(segment, limit, 'read');
  }

  /** A place in `view` for `count` more entries in a row, to be filled by the caller. */
  reserve(count: number): number {
    const { entryBytes } = this.#options;
    if (this.tailCount + count > TAIL_ENTRIES && !this.held) this.flush();
    const at = this.tailCount * entryBytes;
    this.#growTail(at + count * entryBytes);
    this.tailCount += count;
    return at;
  }

  get view(): DataView {
    return this.#tailView;
  }

  #growTail(needed: number): void {
    if (needed <= this.#tail.byteLength) return;
    const least = 64 * this.#options.entryBytes;
    const tail = new Uint8Array(Math.max(needed, least, 2 * this.#tail.byteLength));
    tail.set(this.#tail);
    this.#tail = tail;
    this.#tailView = viewOf(tail);
  }

  /** Writes what waits in memory. Never throws: a file that cannot be written is given up. */
  flush(): void {
    if (this.tailCount === 0 || this.held || this.unusable) {
      if (this.unusable && !this.held) this.tailCount = 0;
      return;
    }
    const { entryBytes } = this.#options;
    try {
      const handle = this.#handle ?? this.#create();
      const position = FILE_HEADER_BYTES + this.flushedCount * entryBytes;
      writeAllSync(handle, this.#tail, this.tailCount * entryBytes, position);
      this.flushedCount += this.tailCount;
    } catch {
      this.unusable = true;
      this.flushedCount = 0;
    }
    this.tailCount = 0;
  }

  #create(): FileHandle {
    const { fs, path } = this.#options;
    const header = this.#options.header();
    // What stands under the name belongs to an earlier segment of this base, or is no file of ours.
    if (fs.statSync(path) !== undefined) fs.unlinkSync(path);
    const handle = fs.openSync(path, 'create');
    this.#handle = handle;
    writeAllSync(handle, header, header.byteLength, 0);
    return handle;
  }

  /**
   * Where entry `ordinal` can be read in the returned view, or undefined when it is not there or
   * cannot be read. The view lives until the next call.
   */
  entry(ordinal: number): { readonly view: DataView; readonly at: number } | undefined {
    if (this.unusable) return undefined;
    const { entryBytes } = this.#options;
    const inTail = ordinal - this.flushedCount;
    if (inTail >= 0) {
      if (inTail >= this.tailCount) return undefined;
      return { view: this.#tailView, at: inTail * entryBytes };
    }
    if (this.held || this.#handle === undefined) return undefined;
    const perPage = PAGE_BYTES / entryBytes;
    const page = Math.floor(ordinal / perPage);
    if ((page + 1) * perPage <= this.flushedCount) {
      const view = this.#page(page);
      const at = (ordinal - page * perPage) * entryBytes;
      return view === undefined ? undefined : { view, at };
    }
    const position = FILE_HEADER_BYTES + ordinal * entryBytes;
    if (this.#scratch === NO_BYTES) {
      this.#scratch = sharedBytes(entryBytes);
      this.#scratchView = viewOf(this.#scratch);
    }
    try {
      const length = this.#handle.readSync(this.#scratch, 0, entryBytes, position);
      return length === entryBytes ? { view: this.#scratchView, at: 0 } : undefined;
    } catch {
      return undefined;
    }
  }

  /** A page that is full, and so never changes. */
  #page(page: number): DataView | undefined {
    const { pages } = this.#options;
    const cached = pages.get(this.#file, page);
    if (cached !== undefined) return cached;
    const bytes = new Uint8Array(PAGE_BYTES);
    try {
      const position = FILE_HEADER_BYTES + page * PAGE_BYTES;
      const length = this.#handle?.readSync(bytes, 0, PAGE_BYTES, position);
      if (length !== PAGE_BYTES) return undefined;
    } catch {
      return undefined;
    }
    const view = viewOf(bytes);
    pages.put(this.#file, page, view);
    return view;
  }

  /** Gives up what is in the file and in memory; entries from `count` on are kept from now. */
  holdFrom(count: number): void {
    this.close();
    this.#file = this.#options.pages.newFile();
    this.held = true;
    this.unusable = false;
    this.flushedCount = count;
    this.tailCount = 0;
  }

  close(): void {
    try {
      this.#handle?.closeSync();
    } catch {
      // A derived file has nothing to lose.
    }
    this.#handle = undefined;
  }
}
