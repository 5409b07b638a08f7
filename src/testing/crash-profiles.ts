/**
 * What may be on disk after a crash. A profile draws, for each change of names and for each file
 * that is not all durable, what survives; choice 0 keeps it. Profiles that need more than one file
 * at a time (a journal shared by the file system) find the order of everything in the sequence
 * numbers, and draw once in `draw`.
 */
import type { ChunkedBytes } from '../fs/chunked-bytes.js';
import type { Choose } from './choices.js';
import {
  applyTo,
  type EntryOperation,
  type FileOperation,
  type FileWrite,
  type Unsynced,
} from './crash-nodes.js';

/** All that the crash leaves open. */
interface Undecided {
  readonly entries: readonly EntryOperation[];
  /** The last operation that happened before some sync, of anything, that succeeded. */
  readonly syncedSequence: number;
}

interface UndecidedFile {
  readonly visible: ChunkedBytes;
  /** Absent when all that is visible is durable. */
  readonly unsynced: Unsynced | undefined;
  /** Writes that were called and are not complete, as their buffers are now. */
  readonly inFlight: readonly FileWrite[];
}

export interface Survival {
  /** Whether the change of names survives. Asked in order, and only if it could. */
  entry(operation: EntryOperation): boolean;
  /** The bytes of a file after the crash, independent of its present ones. */
  file(file: UndecidedFile): ChunkedBytes;
}

export interface Profile {
  readonly name: string;
  draw(undecided: Undecided, choose: Choose): Survival;
}

/** SIGKILL: what was written stays; a write in flight may be cut anywhere. */
export const processKill: Profile = {
  name: 'process-kill',
  draw: (_undecided, choose) => ({
    entry: (operation) => !operation.inFlight || choose(2) === 0,
    file: ({ visible, inFlight }) => {
      const bytes = visible.copy();
      for (const write of inFlight) {
        const length = write.bytes.length - choose(write.bytes.length + 1);
        bytes.write(write.bytes, 0, length, write.position);
      }
      return bytes;
    },
  }),
};

/**
 * Power cut under nothing but POSIX: each file, each directory and each sector for itself. Names
 * keep the order of what happened to the same name.
 */
export const strict: Profile = {
  name: 'strict',
  draw: (_undecided, choose) => ({
    entry: () => choose(2) === 0,
    file: (file) => strictFile(file, choose),
  }),
};

const SECTOR_SIZE = 512;
const SECTORS_PER_CHOICE = 8;

function strictFile(file: UndecidedFile, choose: Choose): ChunkedBytes {
  const { unsynced, inFlight, visible } = file;
  if (unsynced === undefined && inFlight.length === 0) return visible.copy();
  const started = inFlight.filter(() => choose(2) === 0);
  const operations = [...(unsynced?.operations ?? []), ...started];
  const bytes = (unsynced?.durable ?? visible).copy();
  const synced = operations.findLastIndex((operation) => operation.state === 'durable') + 1;
  // The size is that of a prefix of the operations, data survives independently of it.
  const sized = operations.length - choose(operations.length - synced + 1);
  const size = drawSize(bytes.size, operations.slice(0, sized), synced, choose);
  for (const [index, operation] of operations.entries()) {
    if (operation.state === 'durable') applyTo(bytes, operation);
    else if (operation.kind === 'write') applyPartly(bytes, operation, choose);
    // What was cut off may come back when the file grows again.
    else if (index < sized && choose(2) === 0) bytes.truncate(operation.size);
  }
  bytes.truncate(size);
  return bytes;
}

/** The size after `operations`; of a last extension that is not synced maybe only a part. */
function drawSize(
  durableSize: number,
  operations: readonly FileOperation[],
  synced: number,
  choose: Choose,
): number {
  let size = durableSize;
  let before = size;
  for (const operation of operations) {
    before = size;
    size =
      operation.kind === 'truncate'
        ? operation.size
        : Math.max(size, operation.position + operation.bytes.length);
  }
  if (operations.length <= synced || size <= before) return size;
  switch (choose(4)) {
    case 3:
      return size - choose(size - before + 1);
    case 2: {
      const sector = size - (size % SECTOR_SIZE) - SECTOR_SIZE * choose(8);
      return Math.max(before, sector);
    }
    default:
      return size;
  }
}

/** All of a write, nothing, the bytes up to some point, or a subset of its sectors. */
function applyPartly(bytes: ChunkedBytes, write: FileWrite, choose: Choose): void {
  const { position } = write;
  const { length } = write.bytes;
  switch (choose(4)) {
    case 0:
      return bytes.write(write.bytes, 0, length, position);
    case 1:
      return;
    case 2:
      return bytes.write(write.bytes, 0, choose(length + 1), position);
    default:
      break;
  }
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
    start += part;
  }
}
