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
import { applyBytes, applySectors, SECTOR_SIZE, type Lose } from './crash-sectors.js';

/** All that the crash leaves open. */
interface Undecided {
  readonly entries: readonly EntryOperation[];
  /** The last operation of all. */
  readonly lastSequence: number;
  /** The last operation that happened before some sync, of anything, that succeeded. */
  readonly syncedSequence: number;
}

export interface UndecidedFile {
  readonly visible: ChunkedBytes;
  /** Absent when all that is visible is durable. */
  readonly unsynced: Unsynced | undefined;
  /** Writes that were called and are not complete, as their buffers are now. */
  readonly inFlight: readonly FileWrite[];
  /** What the file was before it was last cut, if it was. */
  readonly former: ChunkedBytes | undefined;
}

export interface Survival {
  /** Whether the change of names survives. Asked in order, and only if it could. */
  entry(operation: EntryOperation): boolean;
  /** The bytes of a file after the crash, independent of its present ones. */
  file(file: UndecidedFile): ChunkedBytes;
}

/** What a crash may leave. The kit has some: see `profiles`. */
export interface Profile {
  readonly name: string;
  /** Whether what was synced survives. If not, a test can ask for detection only. */
  readonly keepsSynced: boolean;
  draw(undecided: Undecided, choose: Choose): Survival;
}

/** SIGKILL: what was written stays; a write in flight may be cut anywhere. */
export const processKill: Profile = {
  name: 'process-kill',
  keepsSynced: true,
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
  keepsSynced: true,
  draw: (_undecided, choose) => ({
    entry: () => choose(2) === 0,
    file: (file) => strictFile(file, choose),
  }),
};

/** What else may become of a file than in the strict profile. */
interface Damage {
  /** Told of bytes of a write that are lost. */
  readonly lost: Lose;
  /** Told of each write that is not durable, after what survives of it was applied. */
  readonly written: (write: FileWrite) => void;
}

/** `damage` is for a profile that goes further; it is given the bytes that it may change. */
export function strictFile(
  file: UndecidedFile,
  choose: Choose,
  damage?: (bytes: ChunkedBytes) => Damage,
): ChunkedBytes {
  const { unsynced, inFlight, visible } = file;
  if (unsynced === undefined && inFlight.length === 0) return visible.copy();
  const started = inFlight.filter(() => choose(2) === 0);
  const operations = [...(unsynced?.operations ?? []), ...started];
  const bytes = (unsynced?.durable ?? visible).copy();
  const more = damage?.(bytes);
  const synced = operations.findLastIndex((operation) => operation.state === 'durable') + 1;
  // The size is that of a prefix of the operations, data survives independently of it.
  const sized = operations.length - choose(operations.length - synced + 1);
  const size = drawSize(bytes.size, operations.slice(0, sized), synced, choose);
  for (const [index, operation] of operations.entries()) {
    if (operation.state === 'durable') applyTo(bytes, operation);
    else if (operation.kind === 'write') {
      applyPartly(bytes, operation, choose, more?.lost);
      more?.written(operation);
      // What was cut off may come back when the file grows again.
    } else if (index < sized && choose(2) === 0) bytes.truncate(operation.size);
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
    if (operation.kind === 'truncate') size = operation.size;
    else {
      const end = operation.position + operation.bytes.length;
      // A write that failed may have left the size alone, and a later sync does not repair that.
      if (end > size && (operation.state !== 'lost' || choose(2) === 0)) size = end;
    }
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
function applyPartly(bytes: ChunkedBytes, write: FileWrite, choose: Choose, lose?: Lose): void {
  const { length } = write.bytes;
  switch (choose(4)) {
    case 0:
      return applyBytes(bytes, write, length, lose);
    case 1:
      return applyBytes(bytes, write, 0, lose);
    case 2:
      return applyBytes(bytes, write, choose(length + 1), lose);
    default:
      return applySectors(bytes, write, choose, lose);
  }
}
