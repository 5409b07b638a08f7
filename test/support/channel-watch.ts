/**
 * Watches each descriptor of a file system for what no channel may ever do: two syncs at a time
 * through one descriptor, a descriptor closed while it is in use or with bytes that no sync
 * covers, other bytes over a write in flight, bytes above one, a cut below one.
 */
import type {
  DirectoryEntry,
  FileHandle,
  FileStat,
  FileSystem,
  OpenMode,
} from '../../src/fs/file-system.js';

export interface WatchedCall {
  readonly call: 'open' | 'write' | 'truncate' | 'sync' | 'syncDirectory' | 'close' | 'mark';
  readonly path: string;
  /** Number of the descriptor, 0 for a directory. */
  readonly handle: number;
  readonly isAsync: boolean;
  /** Of a write its place, of a truncation the new size. */
  readonly position: number;
  readonly bytes: Uint8Array;
  /** Undefined while it is in flight. */
  ok: boolean | undefined;
  /** Of a write, how many bytes of it were written. */
  count: number;
}

interface WriteInFlight {
  readonly position: number;
  readonly bytes: Uint8Array;
  /** The same bytes were written at the same place by somebody else. */
  completed: boolean;
}

/** What is known of the bytes of one path. */
class WatchedFile {
  readonly inFlight: Set<WriteInFlight> = new Set();
  syncedUpTo = 0;
  /** Its channel is deleted: nobody is promised its bytes any more. */
  isDeleted = false;
}

const NOTHING = new Uint8Array(0);

/** idx and ts are derived: nothing is promised about their bytes. */
const isDerived = (path: string): boolean => /\.(idx|ts)(\.tmp)?$/.test(path);

export class WatchFs implements FileSystem {
  readonly calls: WatchedCall[] = [];
  /** What should never have happened, in words. */
  readonly violations: string[] = [];
  readonly inner: FileSystem;
  readonly #files: Map<string, WatchedFile> = new Map();
  #handles = 0;
  #clock = 0;

  constructor(inner: FileSystem) {
    this.inner = inner;
  }

  mark(label: string): void {
    this.begin('mark', label, 0, false, 0, NOTHING).ok = true;
  }

  /** The calls from the `index`-th on that concern a dat file, for messages and order checks. */
  datCalls(index = 0): WatchedCall[] {
    return this.calls.slice(index).filter(({ path }) => path.endsWith('.dat'));
  }

  tick(): number {
    return (this.#clock += 1);
  }

  fileOf(path: string): WatchedFile {
    const known = this.#files.get(path) ?? new WatchedFile();
    this.#files.set(path, known);
    return known;
  }

  begin(
    call: WatchedCall['call'],
    path: string,
    handle: number,
    isAsync: boolean,
    position: number,
    bytes: Uint8Array,
  ): WatchedCall {
    const begun = { call, path, handle, isAsync, position, bytes, ok: undefined, count: 0 };
    this.calls.push(begun);
    return begun;
  }

  openSync(path: string, mode: OpenMode): FileHandle {
    const inner = this.inner.openSync(path, mode);
    this.#handles += 1;
    if (mode === 'create') this.#files.delete(path);
    const opened = this.begin('open', path, this.#handles, false, 0, NOTHING);
    opened.ok = true;
    return new WatchedHandle(this, inner, this.#handles, this.fileOf(path));
  }

  syncDirectorySync(path: string): void {
    const call = this.begin('syncDirectory', path, 0, false, 0, NOTHING);
    settleNow(call, () => this.inner.syncDirectorySync(path));
  }

  async syncDirectory(path: string): Promise<void> {
    const call = this.begin('syncDirectory', path, 0, true, 0, NOTHING);
    await settleLater(call, this.inner.syncDirectory(path));
  }

  mkdirSync(path: string): void {
    this.inner.mkdirSync(path);
  }

  readDirectorySync(path: string): DirectoryEntry[] {
    return this.inner.readDirectorySync(path);
  }

  statSync(path: string): FileStat | undefined {
    return this.inner.statSync(path);
  }

  renameSync(from: string, to: string): void {
    this.inner.renameSync(from, to);
    if (!to.includes('/.trash/')) return;
    for (const [path, file] of this.#files) {
      if (!path.startsWith(`${from}/`)) continue;
      file.isDeleted = true;
      this.#files.delete(path);
    }
  }

  linkSync(from: string, to: string): void {
    this.inner.linkSync(from, to);
  }

  unlinkSync(path: string): void {
    this.inner.unlinkSync(path);
  }

  unlink(path: string): Promise<void> {
    return this.inner.unlink(path);
  }

  rmdirSync(path: string): void {
    this.inner.rmdirSync(path);
  }

  realpathSync(path: string): string {
    return this.inner.realpathSync(path);
  }
}

class WatchedHandle implements FileHandle {
  readonly path: string;
  readonly #watch: WatchFs;
  readonly #inner: FileHandle;
  readonly #id: number;
  readonly #file: WatchedFile;
  #lastWriteEnd = 0;
  #writes = 0;
  #syncs = 0;
  /** A sync has failed: there is poison, and nothing to keep the descriptor for. */
  #isLost = false;

  constructor(watch: WatchFs, inner: FileHandle, id: number, file: WatchedFile) {
    this.path = inner.path;
    this.#watch = watch;
    this.#inner = inner;
    this.#id = id;
    this.#file = file;
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    return this.#inner.readSync(buffer, offset, length, position);
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#inner.read(buffer, offset, length, position);
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const bytes = buffer.slice(offset, offset + length);
    const call = this.#watch.begin('write', this.path, this.#id, false, position, bytes);
    this.#checkWrite(position, bytes);
    const count = settleNow(call, () => this.#inner.writeSync(buffer, offset, length, position));
    call.count = count;
    if (count > 0) this.#lastWriteEnd = this.#watch.tick();
    this.#complete(position, bytes.subarray(0, count));
    return count;
  }

  async write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    const bytes = buffer.slice(offset, offset + length);
    const call = this.#watch.begin('write', this.path, this.#id, true, position, bytes);
    this.#checkWrite(position, bytes);
    const flight: WriteInFlight = { position, bytes, completed: false };
    this.#file.inFlight.add(flight);
    this.#writes += 1;
    try {
      const writing = this.#inner.write(buffer, offset, length, position);
      call.count = await settleLater(call, writing);
      return call.count;
    } finally {
      this.#file.inFlight.delete(flight);
      this.#writes -= 1;
      this.#lastWriteEnd = this.#watch.tick();
    }
  }

  truncateSync(size: number): void {
    const call = this.#watch.begin('truncate', this.path, this.#id, false, size, NOTHING);
    if (this.#file.inFlight.size > 0) this.#report('cut while a write was in flight');
    settleNow(call, () => this.#inner.truncateSync(size));
    this.#lastWriteEnd = this.#watch.tick();
  }

  sizeSync(): number {
    return this.#inner.sizeSync();
  }

  datasyncSync(): void {
    const call = this.#watch.begin('sync', this.path, this.#id, false, 0, NOTHING);
    const began = this.#beginSync();
    try {
      settleNow(call, () => this.#inner.datasyncSync());
    } finally {
      this.#endSync(began, call.ok === true);
    }
  }

  async datasync(): Promise<void> {
    const call = this.#watch.begin('sync', this.path, this.#id, true, 0, NOTHING);
    const began = this.#beginSync();
    try {
      await settleLater(call, this.#inner.datasync());
    } finally {
      this.#endSync(began, call.ok === true);
    }
  }

  tryLockSync(): boolean {
    return this.#inner.tryLockSync();
  }

  closeSync(): void {
    const call = this.#watch.begin('close', this.path, this.#id, false, 0, NOTHING);
    if (this.#writes > 0) this.#report('closed while a write was in flight');
    if (this.#syncs > 0) this.#report('closed while a sync was in flight');
    const unsynced = !this.#isLost && this.#lastWriteEnd > this.#file.syncedUpTo;
    // What is being made the journal has, too; a checkpoint writes it again and syncs it.
    const isOurs = !isDerived(this.path) && !this.path.includes('.new/');
    if (unsynced && isOurs && !this.#file.isDeleted) this.#report('closed with unsynced bytes');
    settleNow(call, () => this.#inner.closeSync());
  }

  /** One write at a time; a second one may only repeat the bytes of the one in flight. */
  #checkWrite(position: number, bytes: Uint8Array): void {
    const end = position + bytes.byteLength;
    for (const flight of this.#file.inFlight) {
      const flightEnd = flight.position + flight.bytes.byteLength;
      if (position >= flightEnd) {
        if (!flight.completed) this.#report('written above a write in flight');
      } else if (end > flight.position) {
        const from = Math.max(position, flight.position);
        const to = Math.min(end, flightEnd);
        const mine = bytes.subarray(from - position, to - position);
        const theirs = flight.bytes.subarray(from - flight.position, to - flight.position);
        if (Buffer.compare(mine, theirs) !== 0) this.#report('other bytes over a write in flight');
      }
    }
  }

  #complete(position: number, bytes: Uint8Array): void {
    for (const flight of this.#file.inFlight) {
      const same = flight.position === position && flight.bytes.byteLength === bytes.byteLength;
      if (same) flight.completed = true;
    }
  }

  #beginSync(): number {
    this.#syncs += 1;
    if (this.#syncs > 1) this.#report('synced twice at a time');
    return this.#watch.tick();
  }

  #endSync(began: number, ok: boolean): void {
    this.#syncs -= 1;
    if (ok) this.#file.syncedUpTo = Math.max(this.#file.syncedUpTo, began);
    else this.#isLost = true;
  }

  #report(what: string): void {
    this.#watch.violations.push(`descriptor ${this.#id} of ${this.path}: ${what}`);
  }
}

function settleNow<T>(call: WatchedCall, effect: () => T): T {
  call.ok = false;
  const result = effect();
  call.ok = true;
  return result;
}

async function settleLater<T>(call: WatchedCall, effect: Promise<T>): Promise<T> {
  try {
    const result = await effect;
    call.ok = true;
    return result;
  } catch (error) {
    call.ok = false;
    throw error;
  }
}
