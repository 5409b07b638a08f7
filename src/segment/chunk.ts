/**
 * A piece of a dat file in memory, and the reader that fetches the next one. Pieces start at the
 * place that is asked for; they begin small, so that reading ten records does not cost a megabyte,
 * and grow while a scan goes on. A scan reads one piece ahead while the last one is being used.
 * The file is given to each read, because its handle may be another one by then.
 */
import { markAsUntransferable } from 'node:worker_threads';
import { viewOf } from '../format/bytes.js';
import type { FileHandle } from '../fs/file-system.js';

const FIRST_CHUNK_BYTES = 16 * 1024;
const MAX_CHUNK_BYTES = 512 * 1024;
/** Room in front of a piece that was read ahead, for the unfinished end of the one before. */
const HEADROOM_BYTES = 64 * 1024;

const NO_BYTES = new Uint8Array(0);

/** Bytes of a file from `position`. `byteLength` of them are filled. */
export interface Chunk {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly position: number;
  readonly byteLength: number;
}

/** A piece that is being read before anybody asked for it. */
interface ReadAhead {
  readonly buffer: Uint8Array;
  readonly position: number;
  readonly length: number;
  readonly done: Promise<number>;
}

/** Where a walk over a file gets its pieces from. */
export interface ChunkSource {
  /**
   * Reads at least `needed` bytes of `file` from `position`, fewer only where the file ends before
   * that. `needed` is checked by the caller: it never exceeds what the file has. The bytes from
   * `end` on are not looked at.
   */
  read(file: FileHandle, position: number, needed: number, end: number): Chunk | Promise<Chunk>;
}

export interface ChunkOptions {
  /**
   * Every chunk gets a buffer of its own, which is never written again. Otherwise a chunk lives
   * until the next `read`.
   */
  readonly ownBytes: boolean;
  /** Bytes that a chunk is to have at most; asked again for each. Default: 512 KiB. */
  readonly largest?: () => number;
}

/** Reads the chunks of one file. */
export class ChunkReader implements ChunkSource {
  readonly #ownBytes: boolean;
  readonly #largest: (() => number) | undefined;
  #wanted: number = FIRST_CHUNK_BYTES;
  #last: Chunk | undefined;
  #ahead: ReadAhead | undefined;
  /** The buffer that the last chunk does not use. */
  #spare: Uint8Array = NO_BYTES;
  #current: Uint8Array = NO_BYTES;

  constructor(options: ChunkOptions) {
    this.#ownBytes = options.ownBytes;
    this.#largest = options.largest;
  }

  /** Another file comes next, in the memory of the last one: a scan would leave much behind. */
  restart(): void {
    // A piece that is still being read is written to.
    if (this.#ahead !== undefined) this.#spare = NO_BYTES;
    this.#ahead = undefined;
    this.#last = undefined;
  }

  async read(file: FileHandle, position: number, needed: number, end: number): Promise<Chunk> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    const taken = ahead === undefined ? undefined : await this.#take(ahead, position, needed);
    const largest = Math.min(MAX_CHUNK_BYTES, this.#largest?.() ?? MAX_CHUNK_BYTES);
    const chunk = taken ?? (await this.#readHere(file, position, needed, end, largest));
    this.#last = chunk;
    const isScan = this.#wanted === MAX_CHUNK_BYTES && largest === MAX_CHUNK_BYTES;
    if (!this.#ownBytes && isScan) this.#startAhead(file, chunk, end);
    return chunk;
  }

  async #readHere(
    file: FileHandle,
    position: number,
    needed: number,
    end: number,
    largest: number,
  ): Promise<Chunk> {
    const wanted = Math.max(needed, Math.min(largest, this.#wanted));
    this.#wanted = Math.min(MAX_CHUNK_BYTES, 4 * this.#wanted);
    const length = Math.max(0, Math.min(wanted, end - position));
    this.#makeRoom(length, largest, end - position);
    const bytes = this.#current;
    const byteLength = await file.read(bytes, 0, length, position);
    return { bytes, view: viewOf(bytes), position, byteLength };
  }

  /** `available`: what is left of the file, which no later piece exceeds. */
  #makeRoom(length: number, largest: number, available: number): void {
    const present = this.#current.byteLength;
    if (!this.#ownBytes && present >= length && present <= Math.max(length, 2 * largest)) return;
    const usual = Math.min(largest, this.#wanted, available);
    this.#current = newBuffer(this.#ownBytes ? length : Math.max(length, usual));
    if (largest < MAX_CHUNK_BYTES) this.#spare = NO_BYTES;
  }

  /** Begins to read what follows a chunk. */
  #startAhead(file: FileHandle, chunk: Chunk, end: number): void {
    const position = chunk.position + chunk.byteLength;
    const length = Math.min(MAX_CHUNK_BYTES, end - position);
    if (length <= 0) return;
    const size = HEADROOM_BYTES + MAX_CHUNK_BYTES;
    const buffer = this.#spare.byteLength === size ? this.#spare : newBuffer(size);
    const done = file.read(buffer, HEADROOM_BYTES, length, position);
    // Whoever needs it sees the error; nobody may need it.
    done.catch(() => undefined);
    this.#ahead = { buffer, position, length, done };
  }

  /** The piece that was read ahead, with the unused end of the last one put in front of it. */
  async #take(ahead: ReadAhead, position: number, needed: number): Promise<Chunk | undefined> {
    const last = this.#last;
    const read = await ahead.done;
    const rest = ahead.position - position;
    if (last === undefined || rest < 0 || rest > HEADROOM_BYTES || read < ahead.length) {
      return undefined;
    }
    if (needed > rest + read) return undefined;
    const start = HEADROOM_BYTES - rest;
    const from = position - last.position;
    ahead.buffer.set(last.bytes.subarray(from, from + rest), start);
    this.#spare = this.#current;
    this.#current = ahead.buffer;
    const bytes = new Uint8Array(ahead.buffer.buffer, start, rest + read);
    return { bytes, view: viewOf(bytes), position, byteLength: rest + read };
  }
}

/** Memory that all records of a chunk share, so that none of them may take it to another thread. */
export function newBuffer(byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  markAsUntransferable(bytes.buffer);
  return bytes;
}
