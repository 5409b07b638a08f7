/**
 * Keeps the bytes of a torn tail before they are cut. The copy is named by place and content, so
 * that a recovery which is interrupted and repeated finds its own work and does not pile up files.
 */
import { systemCodeOf } from '../fs/system-error.js';
import { writeAllSync } from '../fs/whole-file.js';
import { checksumOf } from '../format/checksum.js';
import { cutFileName } from '../format/file-name.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';

const PIECE_BYTES = 1024 * 1024;

export interface CutSource {
  readonly path: string;
  readonly baseSeq: number;
  readonly position: number;
  readonly byteLength: number;
}

/**
 * Copies a region to a synced file in `directory` and returns its path; undefined when the bytes
 * are all zeros, or when there is no space for them. The caller syncs the directory.
 */
export function keepAside(
  fs: FileSystem,
  directory: string,
  source: CutSource,
): string | undefined {
  const file = fs.openSync(source.path, 'read');
  try {
    const digest = digestOf(file, source);
    if (digest === undefined) return undefined;
    const name = cutFileName(source.baseSeq, source.position, digest);
    const path = `${directory}/${name}`;
    const present = fs.statSync(path);
    if (present?.size === source.byteLength && syncIfSame(fs, path, source, digest)) return path;
    // A copy that was begun by a recovery that did not get far enough to sync it.
    if (present !== undefined) fs.unlinkSync(path);
    return copyRegion(fs, file, source, path) ? path : undefined;
  } finally {
    file.closeSync();
  }
}

/** A hash over all bytes of the region, or undefined when they are all zeros. */
function digestOf(file: FileHandle, source: CutSource): string | undefined {
  const largest = Math.min(PIECE_BYTES, source.byteLength);
  const zeros = new Uint8Array(largest);
  // Each piece is hashed behind the hash of the pieces before it.
  const piece = new Uint8Array(8 + largest);
  const view = new DataView(piece.buffer);
  let allZeros = true;
  forEachPiece(source, (position, length) => {
    const count = file.readSync(piece, 8, length, position);
    const bytes = piece.subarray(8, 8 + count);
    if (Buffer.compare(bytes, zeros.subarray(0, count)) !== 0) allZeros = false;
    const { hi, lo } = checksumOf(piece, 0, 8 + count);
    view.setUint32(0, hi);
    view.setUint32(4, lo);
  });
  return allZeros ? undefined : Buffer.from(piece.subarray(0, 8)).toString('hex');
}

/** Syncs an earlier copy, if it has the bytes that it should have. */
function syncIfSame(fs: FileSystem, path: string, source: CutSource, digest: string): boolean {
  const file = fs.openSync(path, 'write');
  try {
    if (digestOf(file, { ...source, position: 0 }) !== digest) return false;
    file.datasyncSync();
    return true;
  } finally {
    file.closeSync();
  }
}

function copyRegion(fs: FileSystem, file: FileHandle, source: CutSource, path: string): boolean {
  let copy: FileHandle | undefined;
  try {
    copy = fs.openSync(path, 'create');
    const target = copy;
    const piece = new Uint8Array(Math.min(PIECE_BYTES, source.byteLength));
    forEachPiece(source, (position, length) => {
      const count = file.readSync(piece, 0, length, position);
      writeAllSync(target, piece, count, position - source.position);
    });
    copy.datasyncSync();
    copy.closeSync();
    return true;
  } catch (error) {
    copy?.closeSync();
    const code = systemCodeOf(error);
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    if (fs.statSync(path) !== undefined) fs.unlinkSync(path);
    return false;
  }
}

function forEachPiece(source: CutSource, visit: (position: number, length: number) => void): void {
  const end = source.position + source.byteLength;
  for (let position = source.position; position < end; position += PIECE_BYTES) {
    visit(position, Math.min(PIECE_BYTES, end - position));
  }
}
