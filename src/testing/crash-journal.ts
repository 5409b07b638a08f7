/**
 * Power cuts under file systems with one journal: a crash keeps a prefix of it, which reaches at
 * least to what the last sync, of anything, captured. Names are in it in the order of their
 * changes; bytes are not, each sector of a file survives for itself.
 *
 * The profiles differ in when a write moves the size. What is called implied are bytes that the
 * size on disk vouches for: they were written before it was.
 */
import type { ChunkedBytes } from '../fs/chunked-bytes.js';
import type { Choose } from './choices.js';
import { applyTo, type FileOperation, type FileWrite } from './crash-nodes.js';
import type { Profile, UndecidedFile } from './crash-profiles.js';
import { applyBytes, applySectors, SECTOR_SIZE } from './crash-sectors.js';

const BLOCK_SIZE = 4096;

interface Rules {
  /** Whether a size within a block that the file already has is journaled before its bytes. */
  readonly sizeBeforeData: boolean;
}

/**
 * ext4 with data=ordered: the size moves within an allocated block at once, so that it can survive
 * with zeros for bytes, and into a new block only with the bytes in it.
 */
export const ext4Ordered: Profile = journaled('ext4-ordered', { sizeBeforeData: true });

/** XFS: the size moves when bytes have been written, never before. */
export const xfs: Profile = journaled('xfs', { sizeBeforeData: false });

function journaled(name: string, rules: Rules): Profile {
  return {
    name,
    keepsSynced: true,
    draw({ lastSequence, syncedSequence }, choose) {
      const journal = lastSequence - choose(lastSequence - syncedSequence + 1);
      return {
        entry({ sequence, state, inFlight }) {
          if (sequence > journal) return false;
          return (!inFlight && state === 'pending') || choose(2) === 0;
        },
        file: (file) => journaledFile(file, journal, rules, choose),
      };
    },
  };
}

function journaledFile(
  file: UndecidedFile,
  journal: number,
  rules: Rules,
  choose: Choose,
): ChunkedBytes {
  const { unsynced, inFlight, visible } = file;
  if (unsynced === undefined && inFlight.length === 0) return visible.copy();
  const started = inFlight.filter(() => choose(2) === 0);
  const operations = [...(unsynced?.operations ?? []), ...started];
  const bytes = (unsynced?.durable ?? visible).copy();
  const sizes = new SizeOnDisk(bytes.size, rules, choose);
  for (const [index, operation] of operations.entries()) {
    if (operation.sequence <= journal) sizes.add(operation, index);
  }
  for (const [index, operation] of operations.entries()) {
    if (operation.state === 'durable') applyTo(bytes, operation);
    else if (operation.kind === 'write') {
      applyJournaled(bytes, operation, sizes.impliedOf(operation, index), choose);
      // The tail of a block that was cut may come back when the file grows again.
    } else if (operation.sequence <= journal && choose(2) === 0) bytes.truncate(operation.size);
  }
  bytes.truncate(sizes.size);
  return bytes;
}

/** Bytes that the operations from `since` to `upTo` have written on disk. */
interface Implied {
  readonly from: number;
  readonly to: number;
  readonly since: number;
  readonly upTo: number;
}

/** Replays what the journal has of a file. */
class SizeOnDisk {
  size: number;
  readonly #rules: Rules;
  readonly #choose: Choose;
  readonly #implied: Implied[] = [];
  /** The size that programs see. */
  #visible: number;
  /** Where the blocks end that the file has on disk. */
  #allocated: number;
  /** The first operation after the last truncation. */
  #since = 0;

  constructor(size: number, rules: Rules, choose: Choose) {
    this.size = size;
    this.#visible = size;
    this.#allocated = blockEnd(size);
    this.#rules = rules;
    this.#choose = choose;
  }

  add(operation: FileOperation, index: number): void {
    if (operation.kind === 'truncate') this.#truncate(operation.size, index);
    else this.#write(operation, index);
  }

  /** Which bytes of a write are certain. */
  impliedOf({ position, bytes, state }: FileWrite, index: number): Implied[] {
    if (state === 'lost') return [];
    const end = position + bytes.length;
    return this.#implied.filter(
      ({ from, to, since, upTo }) => since <= index && index <= upTo && from < end && position < to,
    );
  }

  #truncate(size: number, index: number): void {
    // XFS writes what is left beyond the size on disk before it moves that.
    if (!this.#rules.sizeBeforeData && size > this.size) this.#vouch(this.size, size, index);
    this.size = size;
    this.#visible = size;
    this.#allocated = Math.min(this.#allocated, blockEnd(size));
    this.#since = index + 1;
  }

  #write({ position, bytes, state }: FileWrite, index: number): void {
    const end = position + bytes.length;
    const grows = end > this.#visible;
    if (grows) this.#visible = end;
    if (state === 'durable') return this.#moveTo(Math.max(this.size, end));
    if (!grows) return;
    const { sizeBeforeData } = this.#rules;
    if (sizeBeforeData && (end <= this.#allocated || state === 'lost')) return this.#moveTo(end);
    if (state === 'lost') return;
    const to = this.#drawEnd(end);
    if (to <= this.size) return;
    this.#vouch(sizeBeforeData ? this.#allocated : this.size, to, index);
    this.#moveTo(to);
  }

  /** How far the file was written back: all, up to the edge of a block, or not at all. */
  #drawEnd(end: number): number {
    const lowestEdge = blockEnd(this.size + 1);
    const highestEdge = blockEnd(end) - BLOCK_SIZE;
    const edges = Math.max(0, (highestEdge - lowestEdge) / BLOCK_SIZE + 1);
    const choice = this.#choose(edges + 2);
    if (choice === 0) return end;
    return choice > edges ? this.size : highestEdge - (choice - 1) * BLOCK_SIZE;
  }

  #vouch(from: number, to: number, index: number): void {
    const start = from - (from % SECTOR_SIZE);
    if (start < to) this.#implied.push({ from: start, to, since: this.#since, upTo: index });
  }

  #moveTo(size: number): void {
    this.size = size;
    this.#allocated = Math.max(this.#allocated, blockEnd(size));
  }
}

/** The end of the last block of a file of this size. */
function blockEnd(size: number): number {
  return Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE;
}

/** All of a write, or some sectors or none beside those that are implied. */
function applyJournaled(
  bytes: ChunkedBytes,
  write: FileWrite,
  implied: readonly Implied[],
  choose: Choose,
): void {
  const { position } = write;
  const { length } = write.bytes;
  const choice = choose(3);
  if (choice === 0) return applyBytes(bytes, write, length);
  if (choice === 2) applySectors(bytes, write, choose);
  for (const { from, to } of implied) {
    const start = Math.max(from - position, 0);
    const end = Math.min(to - position, length);
    bytes.write(write.bytes, start, end - start, position + start);
  }
}
