/**
 * The scene of a failure of the crash test: the files that a crash has left, and those that the
 * last open before the failure has found, so that somebody can look at them. Only a run that is
 * asked for it keeps copies: a failure is run again, which makes the same choices.
 */
import type { FileSystem } from '../fs/file-system.js';
import { writeWholeFileSync } from '../fs/whole-file.js';
import type { CrashFs } from '../testing/crash-fs.js';

/** Bytes by path below the data directory; undefined for a directory. In the order of the paths. */
export type SceneFiles = ReadonlyMap<string, Uint8Array | undefined>;

export interface CrashScene {
  /** What was under way. */
  readonly place: string;
  /** Operations of the file system, in the life of the process, before the crash. */
  readonly operation: number;
  /** What the crash has left. */
  readonly image: SceneFiles;
  /** What the last open has found: after a second crash, say. */
  readonly last: SceneFiles;
  /** How the image differs from what the process saw, a line for each file. */
  readonly differences: readonly string[];
}

interface Cut {
  readonly place: string;
  readonly operation: number;
  /** What the crash has left, and what the process saw when it came. Copies of their own. */
  readonly fs: CrashFs;
  readonly seen: CrashFs;
}

/** Keeps what is looked at, the latest of it. */
export class SceneKeeper {
  readonly #directory: string;
  #cut: Cut | undefined;
  #last: CrashFs | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** An image that is checked from now on. */
  onImage(cut: Cut): void {
    this.#cut = { ...cut, fs: cut.fs.kill() };
    this.#last = undefined;
  }

  /** A store that is opened now. */
  onLook(fs: CrashFs): void {
    this.#last = fs.kill();
  }

  /** No image is checked, what goes on is the run itself. */
  onRun(): void {
    this.#cut = undefined;
    this.#last = undefined;
  }

  /** The scene of a failure that has just come; `disk` is that of the run. */
  scene(disk: CrashFs): CrashScene {
    const operation = disk.operations.length;
    const cut = this.#cut ?? { place: 'no crash', operation, fs: disk, seen: disk };
    const image = filesBelow(cut.fs.kill(), this.#directory);
    const last = filesBelow((this.#last ?? cut.fs).kill(), this.#directory);
    const differences = differencesOf(filesBelow(cut.seen.kill(), this.#directory), image);
    return { place: cut.place, operation: cut.operation, image, last, differences };
  }
}

/** All that is below a directory, which may not be there. */
export function filesBelow(fs: FileSystem, directory: string): SceneFiles {
  const files = new Map<string, Uint8Array | undefined>();
  if (fs.statSync(directory)?.kind === 'directory') collect(fs, directory, '', files);
  return files;
}

function collect(
  fs: FileSystem,
  directory: string,
  below: string,
  files: Map<string, Uint8Array | undefined>,
): void {
  const entries = fs.readDirectorySync(`${directory}${below}`);
  for (const { name, kind } of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = `${below}/${name}`;
    files.set(path, kind === 'directory' ? undefined : bytesOf(fs, `${directory}${path}`));
    if (kind === 'directory') collect(fs, directory, path, files);
  }
}

function bytesOf(fs: FileSystem, path: string): Uint8Array {
  const file = fs.openSync(path, 'read');
  try {
    const bytes = new Uint8Array(file.sizeSync());
    file.readSync(bytes, 0, bytes.byteLength, 0);
    return bytes;
  } finally {
    file.closeSync();
  }
}

/** What is in `image` another way than in `seen`, a line for each path. */
export function differencesOf(seen: SceneFiles, image: SceneFiles): string[] {
  const lines: string[] = [];
  for (const path of [...new Set([...seen.keys(), ...image.keys()])].toSorted()) {
    const before = seen.get(path);
    const after = image.get(path);
    if (!image.has(path)) lines.push(`${path} is missing${sizeOf(before)}`);
    else if (!seen.has(path)) lines.push(`${path} is there again${sizeOf(after)}`);
    else if (before !== undefined && after !== undefined) {
      const line = differenceOf(before, after);
      if (line !== undefined) lines.push(`${path} ${line}`);
    }
  }
  return lines;
}

function sizeOf(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : ` (${bytes.byteLength} bytes)`;
}

function differenceOf(before: Uint8Array, after: Uint8Array): string | undefined {
  const shorter = Math.min(before.byteLength, after.byteLength);
  let first = 0;
  while (first < shorter && before[first] === after[first]) first += 1;
  const isCut = before.byteLength !== after.byteLength;
  if (!isCut && first === shorter) return undefined;
  const size = isCut ? `has ${after.byteLength} bytes of ${before.byteLength}` : '';
  if (first === shorter) return size;
  let end = shorter;
  while (end > first && before[end - 1] === after[end - 1]) end -= 1;
  const bytes = `has other bytes between ${first} and ${end}`;
  return size === '' ? bytes : `${size}, and ${bytes}`;
}

/**
 * Writes a scene into a directory, which is created with its parents and must not be there: the
 * data directories `image` and `last`, and `failure.json` with the rest of it and what is to be
 * `told` of the failure beside it.
 */
export function writeScene(
  fs: FileSystem,
  directory: string,
  { image, last, ...rest }: CrashScene,
  told: object,
): void {
  makeDirectories(fs, directory.slice(0, directory.lastIndexOf('/')));
  fs.mkdirSync(directory);
  writeFiles(fs, `${directory}/image`, image);
  writeFiles(fs, `${directory}/last`, last);
  const json = `${JSON.stringify({ ...told, ...rest }, undefined, 2)}\n`;
  writeWholeFileSync(fs, `${directory}/failure.json`, Buffer.from(json));
}

function writeFiles(fs: FileSystem, directory: string, files: SceneFiles): void {
  fs.mkdirSync(directory);
  for (const [path, bytes] of files) {
    if (bytes === undefined) fs.mkdirSync(`${directory}${path}`);
    else writeWholeFileSync(fs, `${directory}${path}`, bytes);
  }
}

function makeDirectories(fs: FileSystem, path: string): void {
  if (path === '' || fs.statSync(path) !== undefined) return;
  makeDirectories(fs, path.slice(0, path.lastIndexOf('/')));
  fs.mkdirSync(path);
}
