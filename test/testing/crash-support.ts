/** Small helpers for tests of crashes: files as text, and all that images can show. */
import type { FileHandle, FileSystem } from '../../src/fs/file-system.js';
import { benign, choicesFromSeed, worst } from '../../src/testing/choices.js';
import { bytesOf } from '../../src/testing/contract-support.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';

export const SECTOR = 512;

export function put(handle: FileHandle, text: string, position: number = handle.sizeSync()): void {
  handle.writeSync(bytesOf(text), 0, text.length, position);
}

/** A file whose bytes and name are durable. */
export function durableFile(fs: FileSystem, path: string, text: string): FileHandle {
  const handle = fs.openSync(path, 'create');
  put(handle, text);
  handle.datasyncSync();
  fs.syncDirectorySync(path.slice(0, path.lastIndexOf('/')) || '/');
  return handle;
}

/** The content as text, zeros as dots; undefined when there is no such name. */
export function textOf(fs: FileSystem, path: string): string | undefined {
  if (fs.statSync(path) === undefined) return undefined;
  const handle = fs.openSync(path, 'read');
  const bytes = new Uint8Array(handle.sizeSync());
  handle.readSync(bytes, 0, bytes.length, 0);
  handle.closeSync();
  return new TextDecoder().decode(bytes).replaceAll('\0', '.');
}

/** What `look` sees in many crash images, each once. */
export function outcomes<T>(fs: CrashFs, look: (image: CrashFs) => T, images = 400): Set<T> {
  const seen = new Set<T>([look(fs.crash(benign)), look(fs.crash(worst))]);
  for (let seed = 0; seed < images; seed += 1) seen.add(look(fs.crash(choicesFromSeed(seed))));
  return seen;
}

export function repeat(letter: string, sectors: number): string {
  return letter.repeat(sectors * SECTOR);
}

/** For comparing sets of outcomes. */
export function sorted(values: Iterable<string | undefined>): string[] {
  return Array.from(values, String).toSorted();
}
