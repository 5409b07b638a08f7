/**
 * Syncs one directory for any number of callers: those who come while a sync runs share the next
 * one, because a sync covers only the names that were made before it began.
 */
import type { FileSystem } from '../fs/file-system.js';

export class DirectorySync {
  readonly #fs: FileSystem;
  readonly #path: string;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(fs: FileSystem, path: string) {
    this.#fs = fs;
    this.#path = path;
  }

  /** Resolves when the names that are there now are durable. */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    // After a failed sync a second one would say that all is well: nobody makes it (RULES S3).
    this.#next ??= this.#running.then(() => this.#startNext());
    return this.#next;
  }

  #startNext(): Promise<void> {
    this.#next = undefined;
    return this.#start();
  }

  #start(): Promise<void> {
    const running = this.#fs.syncDirectory(this.#path).finally(() => {
      this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
