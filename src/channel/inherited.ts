/**
 * Bytes that a process finds in the page cache but that no sync of its own covers. If the sync of
 * the process before failed, the kernel may have lost them on disk and yet return them, and call
 * the next sync a success. Writing the same bytes again makes that next sync cover them (RULES S4).
 */
import { writeAllSync } from '../fs/whole-file.js';
import type { FileSystem } from '../fs/file-system.js';

const PIECE_BYTES = 1024 * 1024;

export interface InheritedRange {
  readonly path: string;
  readonly from: number;
  readonly to: number;
}

/** Writes a range again, in place and with the same bytes, and syncs it. */
export async function rewriteInherited(fs: FileSystem, range: InheritedRange): Promise<void> {
  const file = fs.openSync(range.path, 'write');
  try {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, range.to - range.from));
    for (let position = range.from; position < range.to; position += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, range.to - position);
      const count = await file.read(piece, 0, length, position);
      let written = 0;
      while (written < count) {
        written += await file.write(piece, written, count - written, position + written);
      }
    }
    await file.datasync();
  } finally {
    file.closeSync();
  }
}

/** The same at once, for a synchronous append that has to be synced before it returns. */
export function rewriteInheritedSync(fs: FileSystem, range: InheritedRange): void {
  const file = fs.openSync(range.path, 'write');
  try {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, range.to - range.from));
    for (let position = range.from; position < range.to; position += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, range.to - position);
      const count = file.readSync(piece, 0, length, position);
      writeAllSync(file, piece, count, position);
    }
    file.datasyncSync();
  } finally {
    file.closeSync();
  }
}
