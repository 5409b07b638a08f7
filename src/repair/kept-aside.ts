/**
 * Where damaged bytes go: `damaged/<date>/` in the data directory, under the path that they had.
 * A date is used by one repair alone. A copy is synced with all its names before anything is done
 * to its original; what is moved is moved by one rename.
 */
import type { Runtime } from '../core/runtime.js';
import { DAMAGED_NAME } from '../format/file-name.js';
import { copyFile } from '../fs/copy-file.js';
import type { FileSystem } from '../fs/file-system.js';
import { parentOf } from '../fs/whole-file.js';
import type { KeptAside } from './repair-report.js';

export class DamagedBytes {
  readonly #fs: FileSystem;
  /** Of the store. */
  readonly #directory: string;
  readonly #isDry: boolean;
  readonly #kept: KeptAside[];
  readonly #unreadable: ReadonlySet<string>;
  readonly #place: string;
  /** Directories whose names are durable. */
  readonly #synced = new Set<string>();

  /** Nothing is made before there is something to keep. */
  constructor(
    fs: FileSystem,
    directory: string,
    runtime: Runtime,
    isDry: boolean,
    kept: KeptAside[],
    unreadable: ReadonlySet<string>,
  ) {
    this.#fs = fs;
    this.#unreadable = unreadable;
    this.#directory = directory;
    this.#isDry = isDry;
    this.#kept = kept;
    this.#place = freePlace(fs, `${directory}/${DAMAGED_NAME}/${dateOf(runtime)}`);
  }

  /** Copies a file, once however often it is asked for. Durable when it resolves. */
  async copy(path: string): Promise<void> {
    const bytes = this.#fs.statSync(path)?.size;
    const keptAt = this.#placeFor(path);
    if (bytes === undefined || this.#kept.some((known) => known.keptAt === keptAt)) return;
    this.#kept.push({ path, keptAt, bytes });
    // What would be copied is not: it may be much.
    if (this.#isDry) return;
    const parent = this.#makeParent(keptAt);
    if (!this.#unreadable.has(path)) await copyFile(this.#fs, path, keptAt);
    // What cannot be read now may be read on another day: the file itself is kept.
    if (this.#unreadable.has(path)) {
      if (this.#fs.statSync(keptAt) !== undefined) this.#fs.unlinkSync(keptAt);
      this.#fs.linkSync(path, keptAt);
    }
    this.#fs.syncDirectorySync(parent);
  }

  /** Moves a file or a directory with all that is in it. Durable when it returns. */
  move(path: string): void {
    const keptAt = this.#unusedPlaceFor(path);
    this.#kept.push({ path, keptAt, bytes: bytesIn(this.#fs, path) });
    const parent = this.#makeParent(keptAt);
    this.#fs.renameSync(path, keptAt);
    this.#fs.syncDirectorySync(parent);
    this.#fs.syncDirectorySync(parentOf(path));
  }

  #placeFor(path: string): string {
    return `${this.#place}${path.slice(this.#directory.length)}`;
  }

  /** Another one when something of a directory was copied there before all of it is moved. */
  #unusedPlaceFor(path: string): string {
    const wanted = this.#placeFor(path);
    for (let i = 1; ; i++) {
      const place = i === 1 ? wanted : `${wanted}-${i}`;
      const isUsed = ({ keptAt }: KeptAside): boolean =>
        keptAt === place || keptAt.startsWith(`${place}/`);
      if (!this.#kept.some(isUsed)) return place;
    }
  }

  /**
   * Makes the directory for a path below the place, with durable names: also those that are there
   * already, which a repair may have made that was killed before it had synced them (RULES S4).
   */
  #makeParent(path: string): string {
    const parent = parentOf(path);
    const above: string[] = [];
    for (let at = parent; at !== this.#directory && !this.#synced.has(at); at = parentOf(at)) {
      above.unshift(at);
    }
    for (const at of above) {
      if (this.#fs.statSync(at) === undefined) this.#fs.mkdirSync(at);
      this.#fs.syncDirectorySync(parentOf(at));
      this.#synced.add(at);
    }
    return parent;
  }
}

function dateOf(runtime: Runtime): string {
  return new Date(runtime.now()).toISOString().replace(/\.\d+/, '').replaceAll(':', '-');
}

function freePlace(fs: FileSystem, wanted: string): string {
  for (let i = 1; ; i++) {
    const place = i === 1 ? wanted : `${wanted}-${i}`;
    if (fs.statSync(place) === undefined) return place;
  }
}

function bytesIn(fs: FileSystem, path: string): number {
  const stat = fs.statSync(path);
  if (stat?.kind !== 'directory') return stat?.size ?? 0;
  const names = fs.readDirectorySync(path);
  return names.reduce((sum, { name }) => sum + bytesIn(fs, `${path}/${name}`), 0);
}
