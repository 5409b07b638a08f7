/**
 * The FileSystem port over the operating system: the only importer of node:fs. Raw descriptors and
 * one small wrapper for each call, because a synchronous append costs hardly more than its pwrite.
 *
 * Interrupted calls: libuv repeats every call but close on EINTR, and goes on after a short write
 * until an error stops it, so that a short count means what the contract says. EAGAIN is not
 * reported for regular files. Nothing is retried here, least of all a failed sync.
 *
 * Syncing: on Linux datasync is fdatasync(2), which includes the size. On macOS only F_FULLFSYNC
 * empties the drive's cache; libuv issues it for fsync and for fdatasync alike (and falls back to a
 * weaker call where the volume refuses it), fsync is used there. On Windows both are
 * FlushFileBuffers, which needs a handle that may write, and a directory cannot be synced at all:
 * syncing one does nothing there, and that a name survives a power cut is not promised.
 *
 * Locking: see native-lock.ts. No child inherits a descriptor (libuv opens with O_CLOEXEC), and
 * Node closes those of a worker thread with the thread, unless `trackUnmanagedFds` is off: no lock
 * outlives its holder. While operations are in flight a closed handle keeps its lock.
 */
import * as fs from 'node:fs';
import type {
  DirectoryEntry,
  EntryKind,
  FileHandle,
  FileStat,
  FileSystem,
  OpenMode,
} from './file-system.js';
import { tryLockDescriptor } from './native-lock.js';
import { systemError } from './system-error.js';

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL } = fs.constants;
/** Where the flag does not exist (Windows), directories are not opened at all. */
const O_DIRECTORY = fs.constants.O_DIRECTORY ?? 0;
const WINDOWS = process.platform === 'win32';
const FULL_FLUSH = process.platform === 'darwin';

const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  write: O_RDWR,
  create: O_RDWR | O_CREAT | O_EXCL,
};

const datasyncDescriptorSync = FULL_FLUSH ? fs.fsyncSync : fs.fdatasyncSync;
const datasyncDescriptor = FULL_FLUSH ? fs.fsync : fs.fdatasync;

type Settle<T> = (error: Error | null, value: T) => void;

/** Turns one callback call into a promise. */
function settled<T>(start: (done: Settle<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error) reject(error);
      else resolve(value);
    });
  });
}

function completed(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return settled<void>((done) => start((error) => done(error, undefined)));
}

class NodeFileHandle implements FileHandle {
  readonly path: string;
  readonly #writable: boolean;
  /** -1 once closed: the number may belong to another file by then. */
  #descriptor: number;
  /** Asynchronous calls that hold the descriptor; it is given back after the last of them. */
  #inFlight = 0;
  #closing = -1;
  #locked = false;

  constructor(descriptor: number, path: string, writable: boolean) {
    this.#descriptor = descriptor;
    this.path = path;
    this.#writable = writable;
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const descriptor = this.#open('readSync');
    let done = 0;
    while (done < length) {
      const at = position + done;
      const count = fs.readSync(descriptor, buffer, offset + done, length - done, at);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    let done = 0;
    // A length of 0 asks once too, so that a closed handle is reported.
    do {
      const start = offset + done;
      const count = await this.#call<number>('read', (descriptor, settle) =>
        fs.read(descriptor, buffer, start, length - done, position + done, settle),
      );
      if (count === 0) break;
      done += count;
    } while (done < length);
    return done;
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    return fs.writeSync(this.#open('writeSync'), buffer, offset, length, position);
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#call('write', (descriptor, settle) =>
      fs.write(descriptor, buffer, offset, length, position, settle),
    );
  }

  truncateSync(size: number): void {
    const descriptor = this.#open('truncateSync');
    // The system would say EINVAL.
    if (!this.#writable) throw systemError('EBADF', 'truncateSync', this.path);
    fs.ftruncateSync(descriptor, size);
  }

  sizeSync(): number {
    return fs.fstatSync(this.#open('sizeSync')).size;
  }

  datasyncSync(): void {
    datasyncDescriptorSync(this.#open('datasyncSync'));
  }

  datasync(): Promise<void> {
    return this.#call('datasync', (descriptor, settle) =>
      datasyncDescriptor(descriptor, (error) => settle(error, undefined)),
    );
  }

  tryLockSync(): boolean {
    const descriptor = this.#open('tryLockSync');
    // flock(2) would lock it.
    if (!this.#writable) throw systemError('EBADF', 'tryLockSync', this.path);
    // Windows refuses a second lock to its holder too.
    this.#locked ||= tryLockDescriptor(descriptor, this.path);
    return this.#locked;
  }

  closeSync(): void {
    const descriptor = this.#open('closeSync');
    this.#descriptor = -1;
    if (this.#inFlight === 0) fs.closeSync(descriptor);
    else this.#closing = descriptor;
  }

  #open(operation: string): number {
    const descriptor = this.#descriptor;
    if (descriptor < 0) throw systemError('EBADF', operation, this.path);
    return descriptor;
  }

  #call<T>(operation: string, start: (descriptor: number, settle: Settle<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const descriptor = this.#open(operation);
      start(descriptor, (error, value) => {
        this.#inFlight -= 1;
        this.#closeWhenIdle();
        if (error) reject(error);
        else resolve(value);
      });
      // Not before the call: it throws at once when its arguments are wrong.
      this.#inFlight += 1;
    });
  }

  #closeWhenIdle(): void {
    if (this.#inFlight > 0 || this.#closing < 0) return;
    const descriptor = this.#closing;
    this.#closing = -1;
    fs.close(descriptor, () => {});
  }
}

function kindOf(entry: fs.Dirent | fs.Stats): EntryKind {
  if (entry.isFile()) return 'file';
  return entry.isDirectory() ? 'directory' : 'other';
}

function statSync(path: string): FileStat | undefined {
  // Not `throwIfNoEntry: false`, for which some versions of Node also hide ENOTDIR.
  let stats: fs.Stats;
  try {
    stats = fs.lstatSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const kind = kindOf(stats);
  return { kind, size: kind === 'file' ? stats.size : 0 };
}

function renameSync(from: string, to: string): void {
  // rename(2) lets a directory replace an empty one; the port never replaces a directory.
  if (from !== to && statSync(to)?.kind === 'directory') {
    const source = statSync(from);
    if (source === undefined) throw systemError('ENOENT', 'renameSync', from);
    throw systemError(source.kind === 'directory' ? 'EEXIST' : 'EISDIR', 'renameSync', to);
  }
  fs.renameSync(from, to);
}

function syncDirectorySync(path: string): void {
  if (WINDOWS) return;
  const descriptor = fs.openSync(path, O_RDONLY | O_DIRECTORY);
  try {
    fs.fsyncSync(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}

async function syncDirectory(path: string): Promise<void> {
  if (WINDOWS) return;
  const descriptor = await settled<number>((settle) =>
    fs.open(path, O_RDONLY | O_DIRECTORY, settle),
  );
  try {
    await completed((settle) => fs.fsync(descriptor, settle));
  } finally {
    fs.closeSync(descriptor);
  }
}

function watch(path: string, onChange: () => void): () => void {
  const watcher = fs.watch(path, { persistent: false }, () => onChange());
  // What goes on is only not told any more.
  watcher.on('error', () => watcher.close());
  return () => watcher.close();
}

export const nodeFs: FileSystem = {
  openSync: (path, mode) =>
    new NodeFileHandle(fs.openSync(path, OPEN_FLAGS[mode], 0o600), path, mode !== 'read'),
  mkdirSync: (path) => fs.mkdirSync(path, 0o700),
  readDirectorySync: (path): DirectoryEntry[] =>
    fs
      .readdirSync(path, { withFileTypes: true })
      .map((entry) => ({ name: entry.name, kind: kindOf(entry) })),
  statSync,
  renameSync,
  linkSync: (from, to) => fs.linkSync(from, to),
  unlinkSync: (path) => fs.unlinkSync(path),
  unlink: (path) => completed((settle) => fs.unlink(path, settle)),
  rmdirSync: (path) => fs.rmdirSync(path),
  syncDirectorySync,
  syncDirectory,
  realpathSync: (path) => fs.realpathSync.native(path),
  // There an open directory cannot be renamed or removed.
  ...(WINDOWS ? {} : { watch }),
};
