/**
 * A bounded cache of pages of derived files, so that finding a record again does not read its
 * index entry from the file again. Entries never change once they are in a file; a file that is
 * replaced gets a new number, and the pages of the old one age out.
 */

/** Bytes of a page; a multiple of every entry's size. */
export const PAGE_BYTES = 1024;

const LIMIT_BYTES = 16 * 1024 * 1024;
const MAX_PAGES: number = LIMIT_BYTES / PAGE_BYTES;
const PAGES_PER_FILE = 2 ** 32;

export class EntryPages {
  /** Oldest first. */
  readonly #pages = new Map<number, DataView>();
  #files = 0;

  /** A number for a file whose pages are cached from now on. */
  newFile(): number {
    return this.#files++;
  }

  get(file: number, page: number): DataView | undefined {
    return this.#pages.get(file * PAGES_PER_FILE + page);
  }

  put(file: number, page: number, view: DataView): void {
    if (this.#pages.size >= MAX_PAGES) {
      const oldest = this.#pages.keys().next();
      if (oldest.done !== true) this.#pages.delete(oldest.value);
    }
    this.#pages.set(file * PAGES_PER_FILE + page, view);
  }
}
