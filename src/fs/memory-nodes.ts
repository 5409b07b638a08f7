/**
 * What a MemoryFs is made of: files and directories, which refer to each other by identity. A file
 * lives as long as a name or a handle refers to it.
 */
import { ChunkedBytes } from './chunked-bytes.js';

export class MemoryFile {
  readonly kind = 'file';
  bytes: ChunkedBytes;
  /** The open handle that has the lock. */
  lockHolder: object | undefined;

  constructor(bytes: ChunkedBytes = new ChunkedBytes()) {
    this.bytes = bytes;
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): void {
    this.bytes.write(buffer, offset, length, position);
  }

  truncate(size: number): void {
    this.bytes.truncate(size);
  }
}

export class MemoryDirectory {
  readonly kind = 'directory';
  readonly entries: Map<string, MemoryNode> = new Map();
}

export type MemoryNode = MemoryFile | MemoryDirectory;

/** What a name in a directory becomes; undefined for no longer there. */
export interface EntryChange {
  readonly directory: MemoryDirectory;
  readonly name: string;
  readonly node: MemoryNode | undefined;
}

/** Where a path leads. The root is its own parent. */
export interface Place {
  readonly directory: MemoryDirectory;
  readonly name: string;
  readonly node: MemoryNode | undefined;
}
