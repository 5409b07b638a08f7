/** A file that stands in memory alone, and is only read. */
import type { FileHandle } from '../fs/file-system.js';

export class MemoryFile implements FileHandle {
  readonly path: string;
  readonly #bytes: Uint8Array;

  constructor(path: string, bytes: Uint8Array) {
    this.path = path;
    this.#bytes = bytes;
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const found = this.#bytes.subarray(position, position + length);
    buffer.set(found, offset);
    return found.byteLength;
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    return this.readSync(buffer, offset, length, position);
  }

  writeSync(): number {
    throw this.#error();
  }

  async write(): Promise<number> {
    throw this.#error();
  }

  truncateSync(): void {
    throw this.#error();
  }

  sizeSync(): number {
    return this.#bytes.byteLength;
  }

  datasyncSync(): void {}

  async datasync(): Promise<void> {}

  tryLockSync(): boolean {
    throw this.#error();
  }

  closeSync(): void {}

  #error(): Error {
    return Object.assign(new Error(`EBADF: ${this.path} is only read`), { code: 'EBADF' });
  }
}
