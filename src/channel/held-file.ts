/**
 * A file that stays open between two looks at it, as long as its descriptor is not needed for
 * something else.
 */
import type { FileHandle } from '../fs/file-system.js';
import type { FileHolder, OpenFiles } from '../fs/open-files.js';

export class HeldFile implements FileHolder {
  readonly fileCount = 1;
  used = true;
  readonly #files: OpenFiles;
  readonly #isBusy: () => boolean;
  #held: { readonly baseSeq: number; readonly file: FileHandle } | undefined;

  /** While `isBusy` says so the file is being read. */
  constructor(files: OpenFiles, isBusy: () => boolean) {
    this.#files = files;
    this.#isBusy = isBusy;
  }

  /** The file of a segment, when it is the one that is open. */
  fileOf(baseSeq: number): FileHandle | undefined {
    if (this.#held?.baseSeq !== baseSeq) return undefined;
    this.used = true;
    return this.#held.file;
  }

  get file(): FileHandle | undefined {
    return this.#held?.file;
  }

  /** Holds another one; the one before is closed. */
  hold(baseSeq: number, file: FileHandle): void {
    this.close();
    this.#held = { baseSeq, file };
    this.used = true;
    this.#files.added(this);
    this.#files.makeRoom(0);
  }

  tryClose(): boolean {
    if (this.#isBusy()) return false;
    this.close();
    return true;
  }

  settle(): boolean {
    return false;
  }

  settleNow(): void {}

  close(): void {
    if (this.#held === undefined) return;
    this.#files.removed(this);
    this.#held.file.closeSync();
    this.#held = undefined;
  }
}
