/**
 * What looks have found that were taken at the same time, by the bytes that they were given: an
 * open is decided by these, by the clock and by what it draws, and so needs no second one.
 * Invariant: one of these is for one life of one run, whose clock stands still while its images
 * are checked.
 */
import type { CrashFs } from '../testing/crash-fs.js';
import { imageKey } from './image-key.js';
import { foundBy, look, type Depth, type LookSetting, type SeenStore } from './look.js';
import { writtenFiles } from './written-files.js';

/** A store that was opened, and what that has changed but derived files. */
export interface KnownLook {
  readonly seen: SeenStore;
  readonly written: readonly string[];
  /** Nobody had opened these bytes before. */
  readonly isNew: boolean;
}

export class KnownLooks {
  readonly #looks = new Map<string, Omit<KnownLook, 'isNew'>>();
  /** Keys of images, of all lives of the run. */
  readonly #images: Set<string>;

  constructor(images: Set<string>) {
    this.#images = images;
  }

  /** Notes an image of a crash; false when there was one with the same bytes. */
  addImage(key: string): boolean {
    const { size } = this.#images;
    return this.#images.add(key).size > size;
  }

  find(key: string, depth: Depth): SeenStore | undefined {
    return this.#looks.get(`${depth} ${key}`)?.seen;
  }

  add(key: string, depth: Depth, seen: SeenStore): void {
    this.#looks.set(`${depth} ${key}`, { seen, written: [] });
  }

  /** What is known of these bytes, or a look at them: then they are open afterwards. */
  async look(
    fs: CrashFs,
    setting: LookSetting,
    depth: Depth,
    key: string = imageKey(fs),
  ): Promise<KnownLook> {
    const name = `${depth} ${key}`;
    const known = this.#looks.get(name);
    if (known !== undefined) return { ...known, isNew: false };
    const opened = await look(fs, setting, depth);
    const found = { seen: foundBy(opened), written: writtenFiles(opened) };
    this.#looks.set(name, found);
    return { ...found, isNew: true };
  }
}
