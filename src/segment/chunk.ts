/**
 * A piece of a dat file in memory, and the reader that fetches the next one. Pieces start at the
 * place that is asked for; they begin small, so that reading ten records does not cost a megabyte,
 * and grow while a scan goes on. A scan reads one piece ahead while the last one is being used.
 */
import { markAsUntransferable } from 'node:worker_threads';
import { viewOf } from '../format/bytes.js';
import type { FileHandle } from '../fs/file-system.js';

const FIRST_CHUNK_BYTES = 16 * 1024;
const MAX_CHUNK_BYTES = 512 * 1024;
/** Room in front of a piece that was read ahead, for the unfinished end of the one before. */
const HEADROOM_BYTES = 64 * 1024;

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

export class ChunkReader {
  readonly #file: FileHandle;
  /** The file's bytes beyond this are not looked at. */
  readonly #end: number;
  readonly #ownBytes: boolean;
  #wanted: number = FIRST_CHUNK_BYTES;
  #last: Chunk | undefined;
  #ahead: ReadAhead | undefined;
  /** The buffer that the last chunk does not use. */
  #spare: Uint8Array = new Uint8Array(0);
  #current: Uint8Array = new Uint8Array(0);

  /**
   * `ownBytes`: every chunk gets a buffer of its own, which is never written again. Otherwise a
   * chunk lives until the next `read`.
   */
  constructor(file: FileHandle, end: number, options: { ownBytes: boolean }) {
    this.#file = file;
    this.#end = end;
    this.#ownBytes = options.ownBytes;
  }

  /**
   * Reads at least `needed` bytes from `position`, fewer only where the file ends before that.
   * `needed` is checked by the caller: it never exceeds what the file has.
   */
  async read(position: number, needed: number): Promise<Chunk> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    const taken = ahead === undefined ? undefined : await this.#take(ahead, position, needed);
    const chunk = taken ?? (await this.#readHere(position, needed));
    this.#last = chunk;
    if (!this.#ownBytes && this.#wanted === MAX_CHUNK_BYTES) this.#startAhead(chunk);
    return chunk;
  }

  async #readHere(position: number, needed: number): Promise<Chunk> {
    const wanted = Math.max(needed, this.#wanted);
    this.#wanted = Math.min(MAX_CHUNK_BYTES, 4 * this.#wanted);
    const length = Math.max(0, Math.min(wanted, this.#end - position));
    if (this.#ownBytes || this.#current.byteLength < length) {
      this.#current = newBuffer(this.#ownBytes ? length : Math.max(length, this.#wanted));
    }
    const bytes = this.#current;
    const byteLength = await this.#file.read(bytes, 0, length, position);
    return { bytes, view: viewOf(bytes), position, byteLength };
  }

  /** Begins to read what follows a chunk. */
  #startAhead(chunk: Chunk): void {
    const position = chunk.position + chunk.byteLength;
    const length = Math.min(MAX_CHUNK_BYTES, this.#end - position);
    if (length <= 0) return;
    const size = HEADROOM_BYTES + MAX_CHUNK_BYTES;
    const buffer = this.#spare.byteLength === size ? this.#spare : newBuffer(size);
    const done = this.#file.read(buffer, HEADROOM_BYTES, length, position);
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
function newBuffer(byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  markAsUntransferable(bytes.buffer);
  return bytes;
}
