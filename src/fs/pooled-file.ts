/**
 * A file that is open only while it is used, or nobody else needs its descriptor. Whoever holds
 * ten thousand of these has no more descriptors open than the limit allows. Nothing may depend on
 * the descriptor itself: an error of a sync is told only to those that were open (RULES S6).
 */
import type { FileHandle, FileSystem } from './file-system.js';
import type { FileHolder, OpenFiles } from './open-files.js';

export class PooledFile implements FileHandle, FileHolder {
  readonly path: string;
  readonly fileCount: number = 1;
  used = true;
  readonly #fs: FileSystem;
  readonly #mode: 'read' | 'write';
  readonly #pool: OpenFiles;
  #handle: FileHandle | undefined;
  #users = 0;
  #isClosed = false;

  /** `handle` is a descriptor of the file that is open already and belongs to this from now on. */
  constructor(
    fs: FileSystem,
    path: string,
    mode: 'read' | 'write',
    pool: OpenFiles,
    handle?: FileHandle,
  ) {
    this.path = path;
    this.#fs = fs;
    this.#mode = mode;
    this.#pool = pool;
    if (handle !== undefined) this.#take(handle);
  }

  #take(handle: FileHandle): FileHandle {
    this.#handle = handle;
    this.#pool.added(this);
    return handle;
  }

  get #open(): FileHandle {
    this.used = true;
    if (this.#handle !== undefined) return this.#handle;
    if (this.#isClosed) throw Object.assign(new Error('EBADF: closed'), { code: 'EBADF' });
    this.#pool.makeRoom(1);
    return this.#take(this.#fs.openSync(this.path, this.#mode));
  }

  tryClose(): boolean {
    if (this.#users > 0) return false;
    this.#letGo();
    return true;
  }

  settle(): boolean {
    return false;
  }

  settleNow(): void {}

  #letGo(): void {
    const handle = this.#handle;
    if (handle === undefined) return;
    this.#handle = undefined;
    this.#pool.removed(this);
    handle.closeSync();
  }

  async #use<T>(work: (handle: FileHandle) => Promise<T>): Promise<T> {
    const handle = this.#open;
    this.#users++;
    try {
      return await work(handle);
    } finally {
      this.#users--;
    }
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    return this.#open.readSync(buffer, offset, length, position);
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#use((handle) => handle.read(buffer, offset, length, position));
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    return this.#open.writeSync(buffer, offset, length, position);
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#use((handle) => handle.write(buffer, offset, length, position));
  }

  truncateSync(size: number): void {
    this.#open.truncateSync(size);
  }

  sizeSync(): number {
    return this.#open.sizeSync();
  }

  datasyncSync(): void {
    this.#open.datasyncSync();
  }

  datasync(): Promise<void> {
    return this.#use((handle) => handle.datasync());
  }

  tryLockSync(): boolean {
    return this.#open.tryLockSync();
  }

  closeSync(): void {
    this.#isClosed = true;
    this.#letGo();
  }
}
