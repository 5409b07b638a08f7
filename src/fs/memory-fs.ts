/**
 * The FileSystem port in memory: for in-memory logs and fast tests. Nothing is durable, syncs do
 * nothing, asynchronous forms take effect at the call. Relative paths start at the root.
 *
 * The protected methods are the seams at which the crash kit adds durability: every change of a
 * name goes through `change`, every change of bytes through MemoryFile.
 */
import type { DirectoryEntry, FileHandle, FileStat, FileSystem, OpenMode } from './file-system.js';
import { MemoryFileHandle } from './memory-file-handle.js';
import { MemoryDirectory, MemoryFile, type EntryChange, type Place } from './memory-nodes.js';
import { systemError } from './system-error.js';

export class MemoryFs implements FileSystem {
  protected readonly root: MemoryDirectory;
  /** Where paths of directories lead, as long as no directory comes, goes or moves. */
  readonly #directories = new Map<string, MemoryDirectory>();

  constructor(root: MemoryDirectory = new MemoryDirectory()) {
    this.root = root;
  }

  openSync(path: string, mode: OpenMode): FileHandle {
    const place = this.locate(path, 'openSync');
    if (mode !== 'create') return this.createHandle(this.file(place, path, 'openSync'), path, mode);
    if (place.node !== undefined) throw systemError('EEXIST', 'openSync', path);
    const file = this.createFile();
    this.change([{ directory: place.directory, name: place.name, node: file }]);
    return this.createHandle(file, path, mode);
  }

  mkdirSync(path: string): void {
    const { directory, name, node } = this.locate(path, 'mkdirSync');
    if (node !== undefined) throw systemError('EEXIST', 'mkdirSync', path);
    this.change([{ directory, name, node: this.createDirectory() }]);
  }

  readDirectorySync(path: string): DirectoryEntry[] {
    const entries: DirectoryEntry[] = [];
    for (const [name, node] of this.directory(path, 'readDirectorySync').entries) {
      entries.push({ name, kind: node.kind });
    }
    return entries;
  }

  statSync(path: string): FileStat | undefined {
    const node = this.#find(path, 'statSync')?.node;
    if (node === undefined) return undefined;
    return { kind: node.kind, size: node.kind === 'file' ? node.bytes.size : 0 };
  }

  renameSync(from: string, to: string): void {
    const source = this.locate(from, 'renameSync');
    const target = this.locate(to, 'renameSync');
    const { node } = source;
    if (node === undefined) throw systemError('ENOENT', 'renameSync', from);
    if (node === this.root) throw systemError('EBUSY', 'renameSync', from);
    // As POSIX has it: two names of one file both stay.
    if (target.node === node) return;
    if (target.node?.kind === 'directory') {
      throw systemError(node.kind === 'directory' ? 'EEXIST' : 'EISDIR', 'renameSync', to);
    }
    if (node.kind === 'directory') {
      if (target.node !== undefined) throw systemError('ENOTDIR', 'renameSync', to);
      const inside = `${this.realpathSync(from)}/`;
      if (`/${segmentsOf(to).join('/')}`.startsWith(inside)) {
        throw systemError('EINVAL', 'renameSync', to);
      }
    }
    this.change([
      { directory: target.directory, name: target.name, node },
      { directory: source.directory, name: source.name, node: undefined },
    ]);
  }

  linkSync(from: string, to: string): void {
    const { node } = this.locate(from, 'linkSync');
    if (node === undefined) throw systemError('ENOENT', 'linkSync', from);
    if (node.kind === 'directory') throw systemError('EPERM', 'linkSync', from);
    const target = this.locate(to, 'linkSync');
    if (target.node !== undefined) throw systemError('EEXIST', 'linkSync', to);
    this.change([{ directory: target.directory, name: target.name, node }]);
  }

  unlinkSync(path: string): void {
    const place = this.locate(path, 'unlinkSync');
    this.file(place, path, 'unlinkSync');
    this.change([{ directory: place.directory, name: place.name, node: undefined }]);
  }

  async unlink(path: string): Promise<void> {
    this.unlinkSync(path);
  }

  rmdirSync(path: string): void {
    const { directory, name, node } = this.locate(path, 'rmdirSync');
    if (node === undefined) throw systemError('ENOENT', 'rmdirSync', path);
    if (node.kind === 'file') throw systemError('ENOTDIR', 'rmdirSync', path);
    if (node === this.root) throw systemError('EBUSY', 'rmdirSync', path);
    if (node.entries.size > 0) throw systemError('ENOTEMPTY', 'rmdirSync', path);
    this.change([{ directory, name, node: undefined }]);
  }

  syncDirectorySync(path: string): void {
    this.directory(path, 'syncDirectorySync');
  }

  async syncDirectory(path: string): Promise<void> {
    this.directory(path, 'syncDirectory');
  }

  realpathSync(path: string): string {
    const { node } = this.locate(path, 'realpathSync');
    if (node === undefined) throw systemError('ENOENT', 'realpathSync', path);
    return `/${segmentsOf(path).join('/')}`;
  }

  protected createFile(): MemoryFile {
    return new MemoryFile();
  }

  protected createDirectory(): MemoryDirectory {
    return new MemoryDirectory();
  }

  protected createHandle(file: MemoryFile, path: string, mode: OpenMode): FileHandle {
    return new MemoryFileHandle(file, path, mode);
  }

  /** Applies changes that belong to one operation, in order. */
  protected change(changes: readonly EntryChange[]): void {
    for (const { directory, name, node } of changes) {
      const changed = node ?? directory.entries.get(name);
      if (changed?.kind === 'directory') this.#directories.clear();
      if (node === undefined) directory.entries.delete(name);
      else directory.entries.set(name, node);
    }
  }

  /** Where `path` leads; its last name need not exist, what is before it must. */
  protected locate(path: string, operation: string): Place {
    const place = this.#find(path, operation);
    if (place === undefined) throw systemError('ENOENT', operation, path);
    return place;
  }

  protected file(place: Place, path: string, operation: string): MemoryFile {
    if (place.node === undefined) throw systemError('ENOENT', operation, path);
    if (place.node.kind === 'directory') throw systemError('EISDIR', operation, path);
    return place.node;
  }

  protected directory(path: string, operation: string): MemoryDirectory {
    const { node } = this.locate(path, operation);
    if (node === undefined) throw systemError('ENOENT', operation, path);
    if (node.kind === 'file') throw systemError('ENOTDIR', operation, path);
    return node;
  }

  #find(path: string, operation: string): Place | undefined {
    const known = knownPath(path);
    const { name } = known;
    if (name === undefined) return { directory: this.root, name: '', node: this.root };
    const directory = this.#directories.get(known.parent) ?? this.#parentOf(known, path, operation);
    return directory && { directory, name, node: directory.entries.get(name) };
  }

  #parentOf(
    { segments, parent }: KnownPath,
    path: string,
    operation: string,
  ): MemoryDirectory | undefined {
    let directory = this.root;
    for (const segment of segments.slice(0, -1)) {
      const next = directory.entries.get(segment);
      if (next === undefined) return undefined;
      if (next.kind === 'file') throw systemError('ENOTDIR', operation, path);
      directory = next;
    }
    this.#directories.set(parent, directory);
    return directory;
  }
}

/** Paths come again and again, in one file system and in all of its images. */
const KNOWN_PATHS: Map<string, KnownPath> = new Map();
const MAX_KNOWN_PATHS = 4096;

interface KnownPath {
  /** The names on the way from the root. */
  readonly segments: readonly string[];
  /** What stands before the last of them. */
  readonly parent: string;
  /** The last one; undefined for the root. */
  readonly name: string | undefined;
}

function segmentsOf(path: string): readonly string[] {
  return knownPath(path).segments;
}

/** There are no links, so `..` can be taken textually. */
function knownPath(path: string): KnownPath {
  const known = KNOWN_PATHS.get(path);
  if (known !== undefined) return known;
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  if (KNOWN_PATHS.size >= MAX_KNOWN_PATHS) KNOWN_PATHS.clear();
  const made = { segments, parent: segments.slice(0, -1).join('/'), name: segments.at(-1) };
  KNOWN_PATHS.set(path, made);
  return made;
}
