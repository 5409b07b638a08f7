/**
 * A place where an import or a backup is to make a store, as it was before: when that fails, no
 * part of the store is left there. Where there is a store already nothing is ever taken away.
 */
import { resolve, sep } from 'node:path';
import { STORE_MANIFEST_NAME } from '../format/file-name.js';
import type { FileSystem } from '../fs/file-system.js';
import { removeEntry, removeTree } from '../fs/remove-tree.js';
import { systemCodeOf } from '../fs/system-error.js';
import { parentOf } from '../fs/whole-file.js';

export class StoreTarget {
  readonly #fs: FileSystem;
  readonly #directory: string;
  /** The uppermost directory that is not there yet. */
  readonly #missing: string | undefined;
  /** What is in a directory that is no store; undefined for a store. */
  readonly #names: ReadonlySet<string> | undefined;

  private constructor(
    fs: FileSystem,
    directory: string,
    missing: string | undefined,
    names: ReadonlySet<string> | undefined,
  ) {
    this.#fs = fs;
    this.#directory = directory;
    this.#missing = missing;
    this.#names = names;
  }

  /** Looks at what is there, before the store is opened. Throws what the file system reports. */
  static look(fs: FileSystem, given: string): StoreTarget {
    const path = resolve(given).replaceAll(sep, '/');
    const missing = uppermostMissing(fs, path);
    if (missing !== undefined) return new StoreTarget(fs, path, missing, undefined);
    const directory = realPath(fs, path);
    const isDirectory = fs.statSync(directory)?.kind === 'directory';
    const names = isDirectory ? namesIn(fs, directory) : undefined;
    const isStore = names?.has(STORE_MANIFEST_NAME) === true;
    return new StoreTarget(fs, directory, undefined, isStore ? undefined : names);
  }

  /** It has failed, and the store is closed. Throws what the file system reports. */
  putBack(): void {
    const fs = this.#fs;
    if (this.#missing !== undefined) {
      if (fs.statSync(this.#missing) !== undefined) removeTree(fs, this.#missing);
      return;
    }
    if (this.#names === undefined) return;
    for (const { name, kind } of fs.readDirectorySync(this.#directory)) {
      if (!this.#names.has(name)) removeEntry(fs, `${this.#directory}/${name}`, kind);
    }
  }
}

/** A link that leads to nothing stays one: whoever opens it says so. */
function realPath(fs: FileSystem, path: string): string {
  try {
    return fs.realpathSync(path).replaceAll(sep, '/');
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error;
    return path;
  }
}

function uppermostMissing(fs: FileSystem, path: string): string | undefined {
  let missing: string | undefined;
  for (let at = path; fs.statSync(at) === undefined; at = parentOf(at)) missing = at;
  return missing;
}

function namesIn(fs: FileSystem, directory: string): Set<string> {
  return new Set(fs.readDirectorySync(directory).map(({ name }) => name));
}
