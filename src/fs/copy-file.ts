/** Copies of files and directories, synced. */
import type { FileHandle, FileSystem } from './file-system.js';

const PIECE_BYTES = 1024 * 1024;

export interface CopiedBytes {
  /** In files that got a second name. */
  readonly linkedBytes: number;
  readonly copiedBytes: number;
}

/**
 * Copies the first `limit` bytes of a file to a new one and syncs it; the name is synced by the
 * caller. Returns how many there were.
 */
export async function copyFile(
  fs: FileSystem,
  from: string,
  to: string,
  limit: number = Infinity,
): Promise<number> {
  const source = fs.openSync(from, 'read');
  try {
    return await copyOpenFile(fs, source, to, limit);
  } finally {
    source.closeSync();
  }
}

/** The same for a file that is open, and stays open; it may have lost its name meanwhile. */
export async function copyOpenFile(
  fs: FileSystem,
  source: FileHandle,
  to: string,
  limit: number = Infinity,
): Promise<number> {
  const target = fs.openSync(to, 'create');
  try {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, limit, source.sizeSync() + 1));
    let position = 0;
    while (position < limit) {
      const wanted = Math.min(piece.byteLength, limit - position);
      const count = await source.read(piece, 0, wanted, position);
      if (count === 0) break;
      let written = 0;
      while (written < count) {
        written += await target.write(piece, written, count - written, position + written);
      }
      position += count;
    }
    await target.datasync();
    return position;
  } finally {
    target.closeSync();
  }
}

/** A second name for a file that nobody writes to any more, or a copy where links do not work. */
export async function linkOrCopy(fs: FileSystem, from: string, to: string): Promise<CopiedBytes> {
  try {
    fs.linkSync(from, to);
  } catch {
    // Another file system, or one without links: whatever is really wrong, the copy will say.
    return { linkedBytes: 0, copiedBytes: await copyFile(fs, from, to) };
  }
  return { linkedBytes: fs.statSync(to)?.size ?? 0, copiedBytes: 0 };
}

/** Copies a directory with all files in it as they are. Returns the bytes of the files. */
export async function copyTree(fs: FileSystem, from: string, to: string): Promise<number> {
  fs.mkdirSync(to);
  let bytes = 0;
  for (const { name, kind } of fs.readDirectorySync(from)) {
    const source = `${from}/${name}`;
    const target = `${to}/${name}`;
    if (kind === 'directory') bytes += await copyTree(fs, source, target);
    else if (kind === 'file') bytes += await copyFile(fs, source, target);
  }
  fs.syncDirectorySync(to);
  return bytes;
}
