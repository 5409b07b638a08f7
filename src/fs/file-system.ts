/**
 * The FileSystem port: every byte and every name that redex keeps goes through it, so that every
 * step can be made to fail, or to be the last one before a crash. The comments are the contract
 * that each implementation keeps and that the contract suite checks.
 *
 * Rules for all of it
 * - A failing operation throws (or rejects with) an Error whose `code` is the errno name (ENOENT,
 *   ENOSPC, EIO ...). Only ENOENT means that something is absent.
 * - Paths are absolute or relative strings with `/`; the port does not interpret them.
 * - Nothing is durable until a sync that began after it has returned: the bytes and the size of a
 *   file by a sync of the file, its name by a sync of the directory that holds the name.
 * - A synchronous operation has taken effect when it returns. An asynchronous one takes effect at
 *   some moment between its call and the settling of its promise.
 */

export interface FileSystem {
  /**
   * Opens a file.
   * - `read`: must exist; writing through it fails with EBADF.
   * - `write`: must exist; reads and writes.
   * - `create`: must not exist (EEXIST); reads and writes. Permission bits 0600.
   */
  openSync(path: string, mode: OpenMode): FileHandle;
  /** Creates one directory (0700). EEXIST if there is anything, ENOENT without its parent. */
  mkdirSync(path: string): void;
  /** The entries of a directory in no particular order, without `.` and `..`. */
  readDirectorySync(path: string): DirectoryEntry[];
  /** What is there, or undefined for ENOENT; every other error is thrown. Follows no links. */
  statSync(path: string): FileStat | undefined;
  /** Atomically gives `from` the name `to`, replacing a file (never a directory) of that name. */
  renameSync(from: string, to: string): void;
  /** A second name for the same file. EEXIST if `to` exists. */
  linkSync(from: string, to: string): void;
  /** Removes a name of a file. Open handles go on working. */
  unlinkSync(path: string): void;
  /** The same off the calling thread: freeing a large file takes milliseconds. */
  unlink(path: string): Promise<void>;
  /** Removes an empty directory (ENOTEMPTY otherwise). */
  rmdirSync(path: string): void;
  /** Makes the names in this directory durable as they were when the sync began. */
  syncDirectorySync(path: string): void;
  syncDirectory(path: string): Promise<void>;
  /** The absolute path with all links resolved. ENOENT when it does not exist. */
  realpathSync(path: string): string;
  /**
   * Calls `onChange` soon after names or bytes of files in a directory have changed, by whichever
   * process. A hint and no more: it may come for nothing, several may come as one, and any may be
   * missed. Returns what ends it. Never keeps the process alive. Throws what the system says when
   * the directory cannot be watched. Absent where nothing is ever told.
   */
  watch?(path: string, onChange: () => void): () => void;
}

export type OpenMode = 'read' | 'write' | 'create';

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: EntryKind;
}

export interface FileStat {
  readonly kind: EntryKind;
  /** Bytes; 0 for what is not a file. */
  readonly size: number;
}

export type EntryKind = 'file' | 'directory' | 'other';

/**
 * An open file. Reads and writes name their position; there is no file pointer. Handles of the
 * same file see each other's writes at once.
 */
export interface FileHandle {
  readonly path: string;
  /**
   * Reads up to `length` bytes at `position` into `buffer` at `offset` and returns how many; less
   * than asked only at the end of the file.
   */
  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number;
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /**
   * Writes bytes of `buffer` at `position` and returns how many were written. Fewer than `length`
   * means that an error is pending: the next attempt at the rest reports it. A gap between the end
   * of the file and `position` reads as zeros. The asynchronous form reads `buffer` until it
   * settles.
   */
  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): number;
  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /** Cuts the file, or extends it with zeros, to `size` bytes. */
  truncateSync(size: number): void;
  /** The size in bytes. */
  sizeSync(): number;
  /**
   * Makes durable the bytes and the size that the file had when the sync began. An error is
   * reported to each handle that was open when writing back failed, once; the bytes may be lost
   * although reads still return them and a later sync succeeds.
   */
  datasyncSync(): void;
  datasync(): Promise<void>;
  /**
   * Asks for an exclusive lock on the whole file, and does not wait for it. True: this handle holds
   * it, until it is closed or its process ends; asking again is true as well. False means one
   * thing, that another handle holds it, of this thread or any other thread or process.
   * - EBADF for a handle that may not write; ENOLCK, EOPNOTSUPP and the like where the file system
   *   has no locks; ENOSYS where the platform has none.
   * - The lock belongs to the file, whatever name it was opened by, and is advisory: it holds off
   *   those who ask for it. Windows keeps others from the bytes too, so a file that is there to be
   *   locked should hold nothing that others read.
   */
  tryLockSync(): boolean;
  /** Gives the handle back. Nothing is synced by it. Any later use fails with EBADF. */
  closeSync(): void;
}
