/** Small files read and written as a whole, and what goes with it. */
import { systemCodeOf } from './system-error.js';
import type { FileHandle, FileSystem } from './file-system.js';

/** Most files that are read as a whole are shorter than this, the 1024 bytes of marks too. */
const SMALL_BYTES = 1025;

/** A file's bytes, at most `limit` + 1 of them; undefined when there is no such file. */
export function readWholeFile(fs: FileSystem, path: string, limit: number): Uint8Array | undefined {
  let file: FileHandle;
  try {
    file = fs.openSync(path, 'read');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    // One byte more than there can be: a decoder then sees the version first, the length next.
    const small = readStart(file, Math.min(limit + 1, SMALL_BYTES));
    if (small.byteLength < SMALL_BYTES || small.byteLength > limit) return small;
    return readStart(file, limit + 1);
  } finally {
    file.closeSync();
  }
}

function readStart(file: FileHandle, most: number): Uint8Array {
  // Of the memory that small Buffers share: most of it is not needed for long.
  const { buffer, byteOffset } = Buffer.allocUnsafe(most);
  const bytes = new Uint8Array(buffer, byteOffset, most);
  return new Uint8Array(buffer, byteOffset, file.readSync(bytes, 0, most, 0));
}

/** The bytes at a place, as far as they are there, in memory of their own. */
export function readAt(file: FileHandle, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(0, length));
  return bytes.subarray(0, file.readSync(bytes, 0, bytes.byteLength, position));
}

/** Creates a file with these bytes and syncs it; its name is synced by the caller. */
export async function writeWholeFile(
  fs: FileSystem,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const file = fs.openSync(path, 'create');
  try {
    writeAllSync(file, bytes, bytes.byteLength, 0);
    await file.datasync();
  } finally {
    file.closeSync();
  }
}

/** The same before it returns. */
export function writeWholeFileSync(fs: FileSystem, path: string, bytes: Uint8Array): void {
  const file = fs.openSync(path, 'create');
  try {
    writeAllSync(file, bytes, bytes.byteLength, 0);
    file.datasyncSync();
  } finally {
    file.closeSync();
  }
}

/** Removes what was to take the place of a file and did not, if that is possible. */
export function removeUnfinished(fs: FileSystem, path: string): void {
  try {
    if (fs.statSync(path) !== undefined) fs.unlinkSync(path);
  } catch {
    // The next open finds it.
  }
}

/** Writes all of `length` bytes, or throws what the file system reports for the rest. */
export function writeAllSync(
  handle: FileHandle,
  bytes: Uint8Array,
  length: number,
  position: number,
): void {
  let written = 0;
  while (written < length) {
    const count = handle.writeSync(bytes, written, length - written, position + written);
    if (count === 0) throw Object.assign(new Error('EIO: nothing was written'), { code: 'EIO' });
    written += count;
  }
}

/** The directory that holds the name of `path`. */
export function parentOf(path: string): string {
  const end = path.replace(/\/+$/, '');
  const slash = end.lastIndexOf('/');
  if (slash < 0) return '.';
  return slash === 0 ? '/' : end.slice(0, slash);
}
