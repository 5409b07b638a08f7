/**
 * Removes files of a channel that nobody needs any more, in the background and off the calling
 * thread (RULES G6): segments that retention or trim have let go, once no read holds them, and
 * what a process before has left behind. What cannot be removed now is found by the next open.
 */
import { fileOwner, segmentFileName } from '../format/file-name.js';
import { systemCodeOf } from '../fs/system-error.js';
import { parentOf } from '../fs/whole-file.js';
import type { Segment } from '../segment/segment.js';
import { derivedNames } from '../segment/segment-index.js';
import type { ChannelContext } from './channel-context.js';
import type { SegmentChain } from './segment-chain.js';

export class FileReclaim {
  readonly #context: ChannelContext;
  readonly #chain: SegmentChain;
  /** Segments that are not in the chain any more. */
  readonly #segments: Segment[] = [];
  /** Files and directories without a segment. A directory is removed after all segments in it. */
  readonly #paths: string[] = [];
  readonly #directories: string[] = [];
  #running: Promise<void> | undefined;
  /** Something may have become free since the last look. */
  #isWanted = false;
  #stopped = false;

  constructor(context: ChannelContext, chain: SegmentChain) {
    this.#context = context;
    this.#chain = chain;
    chain.onLetGo = (): void => this.start();
  }

  /** Segments whose records no manifest names any more. */
  addSegments(segments: readonly Segment[]): void {
    this.#segments.push(...segments);
    this.start();
  }

  /** Files, and directories that hold nothing but what is removed with them. */
  add(paths: readonly string[], directories: readonly string[]): void {
    this.#paths.push(...paths);
    this.#directories.push(...directories);
    this.start();
  }

  /** Goes on with what can go now. Costs next to nothing when there is nothing to do. */
  start(): void {
    const waiting = this.#segments.length + this.#paths.length + this.#directories.length;
    if (waiting === 0 || this.#stopped) return;
    this.#isWanted = true;
    this.#running ??= this.#run();
  }

  /** Leaves the rest for the next open. Resolves when nothing is being removed any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isWanted && !this.#stopped) {
      this.#isWanted = false;
      while (!this.#stopped && (await this.#step()));
    }
    this.#running = undefined;
  }

  /** Removes what can go; false when that is nothing. */
  async #step(): Promise<boolean> {
    const segment = take(this.#segments, (each) => !this.#chain.isHeld(each));
    if (segment !== undefined) {
      this.#chain.forget(segment);
      // dat goes last: without it the others mean nothing to the next open.
      const names = [...derivedNames(segment.baseSeq), segmentFileName(segment.baseSeq, 'dat')];
      for (const name of names) await this.#remove(`${segment.directory}/${name}`);
      return true;
    }
    const path = this.#paths.shift();
    if (path !== undefined) {
      await this.#remove(path);
      return true;
    }
    const isFree = (directory: string): boolean =>
      !this.#segments.some((each) => each.directory === directory);
    const directory = take(this.#directories, isFree);
    if (directory === undefined) return false;
    await this.removeGeneration(directory);
    return true;
  }

  async #remove(path: string): Promise<void> {
    try {
      await this.#context.fs.unlink(path);
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') this.#report(path, error);
    }
  }

  /**
   * Removes a generation that is not live, now. What cannot be removed is reported and found by the
   * next open: its number may be used again only when it is durably gone (RULES G4).
   */
  async removeGeneration(directory: string): Promise<void> {
    const { fs } = this.#context;
    try {
      for (const { name } of fs.readDirectorySync(directory)) {
        if (fileOwner(name) !== undefined) await this.#remove(`${directory}/${name}`);
      }
      fs.rmdirSync(directory);
      await fs.syncDirectory(parentOf(directory));
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') this.#report(directory, error);
    }
  }

  #report(path: string, error: unknown): void {
    const { name, settings } = this.#context;
    settings.logger.warn('a file could not be removed', { channel: name, path, error });
  }
}

/** Takes the first that fits out of a list. */
function take<T>(list: T[], fits: (item: T) => boolean): T | undefined {
  const index = list.findIndex(fits);
  return index < 0 ? undefined : list.splice(index, 1)[0];
}
