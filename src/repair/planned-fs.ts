/**
 * A directory of another file system with changes that stay in memory: what a repair would do is
 * found out by doing it here. The file system below is read and never changed. Pages that were
 * written to take memory, and nothing else does.
 */
import { ChunkedBytes } from '../fs/chunked-bytes.js';
import type { FileSystem } from '../fs/file-system.js';
import { MemoryFs } from '../fs/memory-fs.js';
import { MemoryDirectory, MemoryFile, type MemoryNode } from '../fs/memory-nodes.js';

const PAGE_BYTES = 4096;

/** A file of the file system below: pages that were written to are here. */
class PlannedBytes extends ChunkedBytes {
  readonly #fs: FileSystem;
  readonly #path: string;
  readonly #pages = new Map<number, Uint8Array>();
  #size: number;
  /** Bytes that are still those of the file below. */
  #below: number;

  constructor(fs: FileSystem, path: string, size: number) {
    super();
    this.#fs = fs;
    this.#path = path;
    this.#size = size;
    this.#below = size;
  }

  override get size(): number {
    return this.#size;
  }

  override read(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const count = Math.max(0, Math.min(length, this.#size - position));
    if (count === 0) return 0;
    this.#readBelow(buffer, offset, count, position);
    const last = Math.floor((position + count - 1) / PAGE_BYTES);
    for (let index = Math.floor(position / PAGE_BYTES); index <= last; index++) {
      const page = this.#pages.get(index);
      if (page === undefined) continue;
      const from = Math.max(position, index * PAGE_BYTES);
      const to = Math.min(position + count, (index + 1) * PAGE_BYTES);
      const start = from - index * PAGE_BYTES;
      buffer.set(page.subarray(start, start + to - from), offset + from - position);
    }
    return count;
  }

  #readBelow(buffer: Uint8Array, offset: number, count: number, position: number): void {
    const there = Math.max(0, Math.min(count, this.#below - position));
    let read = 0;
    if (there > 0) {
      const file = this.#fs.openSync(this.#path, 'read');
      try {
        read = file.readSync(buffer, offset, there, position);
      } finally {
        file.closeSync();
      }
    }
    buffer.fill(0, offset + read, offset + count);
  }

  override write(buffer: Uint8Array, offset: number, length: number, position: number): void {
    for (let done = 0; done < length;) {
      const index = Math.floor((position + done) / PAGE_BYTES);
      const start = (position + done) % PAGE_BYTES;
      const part = Math.min(PAGE_BYTES - start, length - done);
      this.#writable(index).set(buffer.subarray(offset + done, offset + done + part), start);
      done += part;
    }
    if (length > 0) this.#size = Math.max(this.#size, position + length);
  }

  #writable(index: number): Uint8Array {
    const known = this.#pages.get(index);
    if (known !== undefined) return known;
    const page = new Uint8Array(PAGE_BYTES);
    this.#readBelow(page, 0, PAGE_BYTES, index * PAGE_BYTES);
    this.#pages.set(index, page);
    return page;
  }

  override truncate(size: number): void {
    this.#below = Math.min(this.#below, size);
    for (const [index, page] of this.#pages) {
      if ((index + 1) * PAGE_BYTES > size) page.fill(0, Math.max(0, size - index * PAGE_BYTES));
      if (index * PAGE_BYTES >= size) this.#pages.delete(index);
    }
    this.#size = size;
  }
}

class PlannedFile extends MemoryFile {
  constructor(fs: FileSystem, path: string, size: number) {
    super();
    this.bytes = new PlannedBytes(fs, path, size);
  }
}

/** The names in a directory below, read when the first of them is asked for. */
class PlannedEntries extends Map<string, MemoryNode> {
  readonly #load: (() => Map<string, MemoryNode>) | undefined;
  #isLoaded = false;

  constructor(load: () => Map<string, MemoryNode>) {
    super();
    this.#load = load;
  }

  #loaded(): this {
    if (this.#isLoaded) return this;
    this.#isLoaded = true;
    for (const [name, node] of this.#load?.() ?? []) super.set(name, node);
    return this;
  }

  override get size(): number {
    if (this.#isLoaded) return super.size;
    return this.#loaded().size;
  }

  override get(name: string): MemoryNode | undefined {
    this.#loaded();
    return super.get(name);
  }

  override set(name: string, node: MemoryNode): this {
    this.#loaded();
    return super.set(name, node);
  }

  override delete(name: string): boolean {
    this.#loaded();
    return super.delete(name);
  }

  override [Symbol.iterator](): MapIterator<[string, MemoryNode]> {
    this.#loaded();
    return super.entries();
  }
}

class PlannedDirectory extends MemoryDirectory {
  override readonly entries: Map<string, MemoryNode>;

  constructor(fs: FileSystem, path: string) {
    super();
    this.entries = new PlannedEntries(() => nodesIn(fs, path));
  }
}

function nodesIn(fs: FileSystem, directory: string): Map<string, MemoryNode> {
  const nodes = new Map<string, MemoryNode>();
  for (const { name, kind } of fs.readDirectorySync(directory)) {
    const path = `${directory}/${name}`;
    if (kind === 'directory') nodes.set(name, new PlannedDirectory(fs, path));
    else if (kind === 'file') {
      nodes.set(name, new PlannedFile(fs, path, fs.statSync(path)?.size ?? 0));
    }
  }
  return nodes;
}

export class PlannedFs extends MemoryFs {
  /** Names that something was put in place of, by a rename. */
  readonly replaced: Set<string> = new Set();

  /** `directory` is absolute, without links; nothing else is there. */
  constructor(fs: FileSystem, directory: string) {
    super();
    const names = directory.split('/').filter((name) => name !== '');
    let parent: MemoryDirectory = this.root;
    for (const [i, name] of names.entries()) {
      const isLast = i === names.length - 1;
      const next = isLast ? new PlannedDirectory(fs, directory) : new MemoryDirectory();
      parent.entries.set(name, next);
      parent = next;
    }
  }

  override renameSync(from: string, to: string): void {
    super.renameSync(from, to);
    this.replaced.add(to);
  }
}
