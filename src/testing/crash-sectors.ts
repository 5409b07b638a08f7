/**
 * Writes of which a disk keeps a part: it writes sectors of 512 bytes, each of them as a whole.
 */
import type { ChunkedBytes } from '../fs/chunked-bytes.js';
import type { Choose } from './choices.js';
import type { FileWrite } from './crash-nodes.js';

export const SECTOR_SIZE = 512;
const SECTORS_PER_CHOICE = 8;

/** Told where bytes of a write are lost: positions in the file, the second one excluded. */
export type Lose = (from: number, to: number) => void;

/** The first `length` bytes of a write. */
export function applyBytes(
  bytes: ChunkedBytes,
  write: FileWrite,
  length: number,
  lose?: Lose,
): void {
  const { position } = write;
  bytes.write(write.bytes, 0, length, position);
  if (length < write.bytes.length) lose?.(position + length, position + write.bytes.length);
}

/** A subset of the sectors of a write; choice 0 keeps all of them. */
export function applySectors(
  bytes: ChunkedBytes,
  write: FileWrite,
  choose: Choose,
  lose?: Lose,
): void {
  const { position } = write;
  const { length } = write.bytes;
  let lost = 0;
  let left = 0;
  for (let start = 0; start < length; left -= 1, lost >>= 1) {
    if (left === 0) {
      lost = choose(1 << SECTORS_PER_CHOICE);
      left = SECTORS_PER_CHOICE;
    }
    const toBoundary = SECTOR_SIZE - ((position + start) % SECTOR_SIZE);
    const part = Math.min(toBoundary, length - start);
    if ((lost & 1) === 0) bytes.write(write.bytes, start, part, position + start);
    else lose?.(position + start, position + start + part);
    start += part;
  }
}
