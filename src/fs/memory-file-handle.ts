/**
 * An open file of a MemoryFs. Invariant: the file outlives its names, the handle alone keeps it.
 */
import type { FileHandle, OpenMode } from './file-system.js';
import type { MemoryFile } from './memory-nodes.js';
import { systemError } from './system-error.js';

export class MemoryFileHandle<File extends MemoryFile = MemoryFile> implements FileHandle {
  readonly path: string;
  readonly file: File;
  readonly #writable: boolean;
  #closed = false;

  constructor(file: File, path: string, mode: OpenMode) {
    this.file = file;
    this.path = path;
    this.#writable = mode !== 'read';
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    this.requireOpen('readSync');
    requireRange(buffer, offset, length, position);
    return this.file.bytes.read(buffer, offset, length, position);
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    return this.readSync(buffer, offset, length, position);
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    this.requireWritable('writeSync');
    requireRange(buffer, offset, length, position);
    this.file.write(buffer, offset, length, position);
    return length;
  }

  async write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    return this.writeSync(buffer, offset, length, position);
  }

  truncateSync(size: number): void {
    this.requireWritable('truncateSync');
    requireNatural(size, 'size');
    this.file.truncate(size);
  }

  sizeSync(): number {
    this.requireOpen('sizeSync');
    return this.file.bytes.size;
  }

  datasyncSync(): void {
    this.requireOpen('datasyncSync');
  }

  async datasync(): Promise<void> {
    this.requireOpen('datasync');
  }

  tryLockSync(): boolean {
    this.requireWritable('tryLockSync');
    this.file.lockHolder ??= this;
    return this.file.lockHolder === this;
  }

  closeSync(): void {
    this.requireOpen('closeSync');
    this.#closed = true;
    if (this.file.lockHolder === this) this.file.lockHolder = undefined;
  }

  protected requireOpen(operation: string): void {
    if (this.#closed) throw systemError('EBADF', operation, this.path);
  }

  protected requireWritable(operation: string): void {
    if (this.#closed || !this.#writable) throw systemError('EBADF', operation, this.path);
  }
}

function requireNatural(value: number, what: string): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${what} is ${value}`);
}

/** Wrong arguments are programming mistakes: a RangeError, as node:fs throws. */
export function requireRange(
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
): void {
  requireNatural(offset, 'offset');
  requireNatural(length, 'length');
  requireNatural(position, 'position');
  if (offset + length > buffer.length) {
    throw new RangeError(`${offset} + ${length} exceeds the buffer of ${buffer.length}`);
  }
}
