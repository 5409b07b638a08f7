/** A file system that passes everything on: what is to be different overrides it. */
import type { DirectoryEntry, FileHandle, FileStat, FileSystem, OpenMode } from './file-system.js';

export class PassingFs implements FileSystem {
  protected readonly fs: FileSystem;

  constructor(fs: FileSystem) {
    this.fs = fs;
  }

  openSync(path: string, mode: OpenMode): FileHandle {
    return this.fs.openSync(path, mode);
  }

  mkdirSync(path: string): void {
    this.fs.mkdirSync(path);
  }

  readDirectorySync(path: string): DirectoryEntry[] {
    return this.fs.readDirectorySync(path);
  }

  statSync(path: string): FileStat | undefined {
    return this.fs.statSync(path);
  }

  renameSync(from: string, to: string): void {
    this.fs.renameSync(from, to);
  }

  linkSync(from: string, to: string): void {
    this.fs.linkSync(from, to);
  }

  unlinkSync(path: string): void {
    this.fs.unlinkSync(path);
  }

  unlink(path: string): Promise<void> {
    return this.fs.unlink(path);
  }

  rmdirSync(path: string): void {
    this.fs.rmdirSync(path);
  }

  syncDirectorySync(path: string): void {
    this.fs.syncDirectorySync(path);
  }

  syncDirectory(path: string): Promise<void> {
    return this.fs.syncDirectory(path);
  }

  realpathSync(path: string): string {
    return this.fs.realpathSync(path);
  }

  watch(path: string, onChange: () => void): () => void {
    return this.fs.watch?.(path, onChange) ?? nothingToEnd;
  }
}

const nothingToEnd = (): void => {};
