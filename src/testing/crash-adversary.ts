/**
 * A disk that does what none may: to see that damage is noticed, never that nothing is lost.
 *
 * - Lost bytes of an extension are garbage, or what the file held there before it was once cut.
 * - An append that is not synced may garble the whole sector that it begins in, durable bytes too.
 *
 * Syncs that lie are made by FaultFs.
 */
import type { ChunkedBytes } from '../fs/chunked-bytes.js';
import type { Choose } from './choices.js';
import type { FileWrite } from './crash-nodes.js';
import { strictFile, type Profile, type UndecidedFile } from './crash-profiles.js';
import { SECTOR_SIZE } from './crash-sectors.js';

const GARBAGE = 0xa5;

/** `strict` with garbage and stale bytes for what is lost, and appends that garble their sector. */
export const adversary: Profile = {
  name: 'adversary',
  keepsSynced: false,
  draw: (_undecided, choose) => ({
    entry: () => choose(2) === 0,
    file: (file) => strictFile(file, choose, (bytes) => damageTo(bytes, file, choose)),
  }),
};

function damageTo(
  bytes: ChunkedBytes,
  { former }: UndecidedFile,
  choose: Choose,
): { lost: (from: number, to: number) => void; written: (write: FileWrite) => void } {
  const durableSize = bytes.size;
  return {
    lost(from, to) {
      const start = Math.max(from, durableSize);
      if (start >= to) return;
      const choice = choose(4);
      if (choice === 3) fill(bytes, start, to);
      else if (choice === 2 && former !== undefined) recall(bytes, former, start, to);
    },
    written({ position }) {
      const start = position - (position % SECTOR_SIZE);
      if (position < durableSize || start === position || choose(4) !== 3) return;
      fill(bytes, start, start + SECTOR_SIZE);
    },
  };
}

function fill(bytes: ChunkedBytes, from: number, to: number): void {
  bytes.write(new Uint8Array(to - from).fill(GARBAGE), 0, to - from, from);
}

function recall(bytes: ChunkedBytes, former: ChunkedBytes, from: number, to: number): void {
  const stale = new Uint8Array(to - from);
  const length = former.read(stale, 0, stale.length, from);
  bytes.write(stale, 0, length, from);
}
