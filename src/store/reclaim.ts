/**
 * Removes, in the background, what deleted channels and unfinished creations leave behind: file
 * by file and off the calling thread, because freeing a large file takes milliseconds (RULES G6).
 * What cannot be removed is reported and left for the next open.
 */
import type { ChannelSettings } from '../channel/settings.js';
import { isDrawnName } from './drawn-name.js';

export class Reclaim {
  readonly #settings: ChannelSettings;
  readonly #queue: string[] = [];
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(settings: ChannelSettings) {
    this.#settings = settings;
  }

  /** Everything of a drawn name in `directories`. Nothing is begun when one cannot be listed. */
  addAllIn(...directories: readonly string[]): void {
    const found = directories.flatMap((directory) =>
      this.#settings.fs
        .readDirectorySync(directory)
        // Only what was drawn for it is removed, whatever else somebody has put there.
        .filter(({ name, kind }) => kind === 'directory' && isDrawnName(name))
        .map(({ name }) => `${directory}/${name}`),
    );
    for (const path of found) this.add(path);
  }

  /** A directory that is no channel any more. */
  add(path: string): void {
    this.#queue.push(path);
    this.#running ??= this.#run();
  }

  /** Leaves the rest for the next open. Resolves when nothing is being removed any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let path = this.#queue.shift(); path !== undefined; path = this.#queue.shift()) {
      if (this.#stopped) break;
      try {
        await this.#removeTree(path);
      } catch (error) {
        this.#settings.logger.warn('a directory could not be removed', { path, error });
      }
    }
    this.#running = undefined;
  }

  async #removeTree(directory: string): Promise<void> {
    const { fs } = this.#settings;
    for (const { name, kind } of fs.readDirectorySync(directory)) {
      if (this.#stopped) return;
      const path = `${directory}/${name}`;
      if (kind === 'directory') await this.#removeTree(path);
      else await fs.unlink(path);
    }
    if (!this.#stopped) fs.rmdirSync(directory);
  }
}
