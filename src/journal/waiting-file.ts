/**
 * Bytes of a dat file that stand in the journal and not yet, or not for sure, in the file itself.
 */

/** Bytes in memory. They do not change, and live as long as somebody refers to them. */
export interface AddedBytes {
  readonly bytes: Uint8Array;
  readonly offset: number;
  /** The number of the group that they are in. */
  readonly group: number;
}

/** And where they belong in their dat file. */
export interface WaitingChunk {
  readonly position: number;
  readonly length: number;
  readonly added: AddedBytes;
}

/** Where bytes for a dat file begin. */
export type FileStart = Pick<WaitingFile, 'path' | 'baseSeq' | 'start' | 'isNew'>;

/** The dat files of one channel that have something in the journal. */
export interface WaitingFiles {
  readonly isWaiting: boolean;
  /** What waits for the file of this path; undefined when nothing does. */
  waitingFor(path: string): WaitingFile | undefined;
  /** Those of the live generation. */
  readonly files: readonly WaitingFile[];
}

export class WaitingFile {
  readonly baseSeq: number;
  readonly path: string;
  /** What is below it is in the file. */
  start: number;
  /** Where the next bytes go. */
  end: number;
  /** In the order of their positions. */
  readonly chunks: WaitingChunk[] = [];
  /** Between them is what was written to the file directly, and synced before what follows it. */
  hasGaps = false;
  /** Its name is not known to be synced. */
  isNew: boolean;

  constructor({ baseSeq, path, start, isNew }: FileStart) {
    this.baseSeq = baseSeq;
    this.path = path;
    this.start = start;
    this.end = start;
    this.isNew = isNew;
  }

  /** The same at another path. */
  at(path: string): WaitingFile {
    const { baseSeq, start, isNew } = this;
    const moved = new WaitingFile({ path, baseSeq, start, isNew });
    moved.chunks.push(...this.chunks);
    moved.end = this.end;
    moved.hasGaps = this.hasGaps;
    return moved;
  }

  /** Adds bytes behind what there is. */
  push(added: AddedBytes, length: number, position: number = this.end): void {
    if (position < this.end) throw new Error(`${this.path} is written twice at ${position}`);
    if (position > this.end) this.hasGaps = true;
    this.chunks.push({ position, length, added });
    this.end = position + length;
  }

  /** Copies what is here of a range of the file. */
  copyTo(target: Uint8Array, offset: number, from: number, to: number): void {
    for (let i = this.#indexOf(from); i < this.chunks.length; i++) {
      const chunk = this.chunks[i];
      if (chunk === undefined || chunk.position >= to) return;
      const low = Math.max(from, chunk.position);
      const high = Math.min(to, chunk.position + chunk.length);
      if (low >= high) continue;
      const { bytes, offset: at } = chunk.added;
      const source = at + low - chunk.position;
      target.set(bytes.subarray(source, source + high - low), offset + low - from);
    }
  }

  #indexOf(position: number): number {
    let low = 0;
    let high = this.chunks.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.chunks[middle]?.position ?? Infinity) <= position) low = middle;
      else high = middle;
    }
    return low;
  }
}
