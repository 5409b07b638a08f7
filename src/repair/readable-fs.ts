/**
 * A file system on which a sector that the disk cannot read (EIO) reads as zeros, so that it is
 * damage like any other: everything around it can still be read. Remembers which files have such
 * sectors, because their bytes cannot be copied, and must not be cut off.
 */
import type { FileHandle, OpenMode } from '../fs/file-system.js';
import { PassingFs } from '../fs/passing-fs.js';
import { systemCodeOf } from '../fs/system-error.js';

const SECTOR_BYTES = 4096;

export class ReadableFs extends PassingFs {
  /** Paths of files with sectors that cannot be read. */
  readonly unreadable: Set<string> = new Set();

  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = this.fs.openSync(path, mode);
    return new ReadableHandle(handle, () => this.unreadable.add(path));
  }
}

/** Passes everything on but reads that fail with EIO. */
class ReadableHandle implements FileHandle {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #onUnreadable: () => void;

  constructor(handle: FileHandle, onUnreadable: () => void) {
    this.path = handle.path;
    this.#handle = handle;
    this.#onUnreadable = onUnreadable;
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    try {
      return this.#handle.readSync(buffer, offset, length, position);
    } catch (error) {
      if (systemCodeOf(error) !== 'EIO') throw error;
      return this.#readAround(buffer, offset, length, position);
    }
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    try {
      return await this.#handle.read(buffer, offset, length, position);
    } catch (error) {
      if (systemCodeOf(error) !== 'EIO') throw error;
      return this.#readAround(buffer, offset, length, position);
    }
  }

  /** Sector by sector, zeros where one cannot be read. */
  #readAround(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const count = Math.max(0, Math.min(length, this.#handle.sizeSync() - position));
    for (let done = 0; done < count;) {
      const rest = SECTOR_BYTES - ((position + done) % SECTOR_BYTES);
      const part = Math.min(rest, count - done);
      done += this.#readSector(buffer, offset + done, part, position + done);
    }
    return count;
  }

  #readSector(buffer: Uint8Array, offset: number, length: number, position: number): number {
    try {
      const count = this.#handle.readSync(buffer, offset, length, position);
      buffer.fill(0, offset + count, offset + length);
    } catch (error) {
      if (systemCodeOf(error) !== 'EIO') throw error;
      buffer.fill(0, offset, offset + length);
      this.#onUnreadable();
    }
    return length;
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    return this.#handle.writeSync(buffer, offset, length, position);
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#handle.write(buffer, offset, length, position);
  }

  truncateSync(size: number): void {
    this.#handle.truncateSync(size);
  }

  sizeSync(): number {
    return this.#handle.sizeSync();
  }

  datasyncSync(): void {
    this.#handle.datasyncSync();
  }

  datasync(): Promise<void> {
    return this.#handle.datasync();
  }

  tryLockSync(): boolean {
    return this.#handle.tryLockSync();
  }

  closeSync(): void {
    this.#handle.closeSync();
  }
}
