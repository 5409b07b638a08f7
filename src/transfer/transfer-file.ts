/**
 * An export as a file. It has its name only when it is whole and synced: until then, and after any
 * failure, nothing is there under that name.
 */
import { redexError } from '../core/errors.js';
import { ioError } from '../channel/io-error.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import { parentOf, removeUnfinished } from '../fs/whole-file.js';

const PIECE_BYTES = 256 * 1024;

/**
 * Writes all bytes to a new file and returns how many there were. Rejects with EXISTS when there is
 * one, with IO, or with what the bytes end with; `path` is as it was then.
 */
export async function writeTransferFile(
  fs: FileSystem,
  path: string,
  bytes: AsyncIterable<Uint8Array>,
): Promise<number> {
  requireMissing(fs, path);
  const unfinished = `${path}.part`;
  try {
    removeUnfinished(fs, unfinished);
    const file = fs.openSync(unfinished, 'create');
    let size: number;
    try {
      size = await writePieces(file, bytes);
    } finally {
      file.closeSync();
    }
    fs.renameSync(unfinished, path);
    await fs.syncDirectory(parentOf(path));
    return size;
  } catch (error) {
    removeUnfinished(fs, unfinished);
    if (systemCodeOf(error) === undefined) throw error;
    throw ioError('export', path, error, 'unknown');
  }
}

function requireMissing(fs: FileSystem, path: string): void {
  let isThere: boolean;
  try {
    isThere = fs.statSync(path) !== undefined;
  } catch (error) {
    throw ioError('export', path, error, 'absent');
  }
  if (!isThere) return;
  throw redexError('EXISTS', `${path} is there already`, { kind: 'file', resource: path });
}

async function writePieces(file: FileHandle, bytes: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const piece of bytes) {
    let written = 0;
    while (written < piece.byteLength) {
      const left = piece.byteLength - written;
      written += await file.write(piece, written, left, size + written);
    }
    size += written;
  }
  await file.datasync();
  return size;
}

/** The bytes of a file as they are when each of them is asked for. Rejects with IO. */
export async function* transferFileBytes(
  fs: FileSystem,
  path: string,
): AsyncGenerator<Uint8Array, undefined> {
  let file: FileHandle;
  try {
    file = fs.openSync(path, 'read');
  } catch (error) {
    throw ioError('import', path, error, 'absent');
  }
  try {
    for (let position = 0; ;) {
      const piece = new Uint8Array(PIECE_BYTES);
      const count = await readPiece(file, piece, position, path);
      if (count === 0) return;
      yield piece.subarray(0, count);
      position += count;
    }
  } finally {
    file.closeSync();
  }
}

async function readPiece(
  file: FileHandle,
  piece: Uint8Array,
  position: number,
  path: string,
): Promise<number> {
  try {
    return await file.read(piece, 0, piece.byteLength, position);
  } catch (error) {
    throw ioError('import', path, error, 'absent');
  }
}
