/**
 * A dat file with what the journal has of it in its place: what is below that, or behind it, is
 * read from the file.
 */
import type { FileHandle } from '../fs/file-system.js';
import type { WaitingFile, WaitingFiles } from './waiting-file.js';

export class OverlaidDat implements FileHandle {
  readonly path: string;
  protected readonly waitingFiles: WaitingFiles;
  protected readonly file: FileHandle;

  /** `file` belongs to this from now on. */
  constructor(path: string, waitingFiles: WaitingFiles, file: FileHandle) {
    this.path = path;
    this.waitingFiles = waitingFiles;
    this.file = file;
  }

  protected get waiting(): WaitingFile | undefined {
    return this.waitingFiles.isWaiting ? this.waitingFiles.waitingFor(this.path) : undefined;
  }

  /** Whether the file can have more than what waits. */
  protected get mayBeLonger(): boolean {
    return true;
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const { waiting, file } = this;
    if (waiting === undefined) return file.readSync(buffer, offset, length, position);
    if (waiting.hasGaps) {
      const count = file.readSync(buffer, offset, length, position);
      return Math.max(count, copyOver(waiting, buffer, offset, length, position));
    }
    const below = copyWaiting(waiting, buffer, offset, length, position);
    if (below > 0) {
      const count = file.readSync(buffer, offset, below, position);
      if (count < below) return count;
    }
    const reached = reachedBy(waiting, length, position);
    if (reached === length || !this.mayBeLonger) return reached;
    return reached + file.readSync(buffer, offset + reached, length - reached, position + reached);
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    const { waiting, file, mayBeLonger } = this;
    if (waiting === undefined) return file.read(buffer, offset, length, position);
    if (waiting.hasGaps) {
      // What it lets go of meanwhile is in the file, but may have come there after this read.
      const seen = waiting.at(this.path);
      const count = await file.read(buffer, offset, length, position);
      return Math.max(count, copyOver(seen, buffer, offset, length, position));
    }
    // What waits now is taken now: it may be in the file, and in memory no more, after the read.
    const below = copyWaiting(waiting, buffer, offset, length, position);
    const reached = reachedBy(waiting, length, position);
    if (below > 0) {
      const count = await file.read(buffer, offset, below, position);
      if (count < below) return count;
    }
    if (reached === length || !mayBeLonger) return reached;
    const from = offset + reached;
    return reached + (await file.read(buffer, from, length - reached, position + reached));
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    return this.file.writeSync(buffer, offset, length, position);
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.file.write(buffer, offset, length, position);
  }

  truncateSync(size: number): void {
    this.file.truncateSync(size);
  }

  sizeSync(): number {
    const { waiting } = this;
    if (waiting === undefined) return this.file.sizeSync();
    return this.mayBeLonger ? Math.max(waiting.end, this.file.sizeSync()) : waiting.end;
  }

  datasyncSync(): void {
    this.file.datasyncSync();
  }

  datasync(): Promise<void> {
    return this.file.datasync();
  }

  tryLockSync(): boolean {
    return this.file.tryLockSync();
  }

  closeSync(): void {
    this.file.closeSync();
  }
}

/** Copies what waits of a range, and returns how many bytes of it lie below that. */
function copyWaiting(
  waiting: WaitingFile,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
): number {
  const end = Math.min(position + length, waiting.end);
  const from = Math.max(position, waiting.start);
  if (from < end) waiting.copyTo(buffer, offset + from - position, from, end);
  return Math.max(0, Math.min(position + length, waiting.start) - position);
}

/** Copies what waits of a range over what is there, and returns how far that reaches. */
function copyOver(
  waiting: WaitingFile,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
): number {
  waiting.copyTo(buffer, offset, position, Math.min(position + length, waiting.end));
  return reachedBy(waiting, length, position);
}

/** How many bytes of a range lie below the end of what waits. */
function reachedBy(waiting: WaitingFile, length: number, position: number): number {
  return Math.max(0, Math.min(length, waiting.end - position));
}
