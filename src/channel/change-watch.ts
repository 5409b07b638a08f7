/**
 * Tells that something may have been written in some directories, where the file system can tell.
 * What cannot be watched, or is missed, is found by whoever looks from time to time: nothing
 * depends on it but how soon.
 */
import type { FileSystem } from '../fs/file-system.js';

export class ChangeWatch {
  readonly #fs: FileSystem;
  readonly #onChange: () => void;
  /** What ends the watching of a directory, by its path. */
  readonly #ends = new Map<string, () => void>();

  constructor(fs: FileSystem, onChange: () => void) {
    this.#fs = fs;
    this.#onChange = onChange;
  }

  /** Watches these directories from now on, and no others. */
  follow(paths: readonly string[]): void {
    for (const [path, end] of this.#ends) {
      if (paths.includes(path)) continue;
      this.#ends.delete(path);
      end();
    }
    for (const path of paths) {
      if (this.#ends.has(path)) continue;
      try {
        const end = this.#fs.watch?.(path, this.#onChange);
        if (end !== undefined) this.#ends.set(path, end);
      } catch {
        // It is not there yet, or there are too many watches: the next call tries again.
      }
    }
  }
}
