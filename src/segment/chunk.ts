/**
 * A piece of a dat file in memory, and the reader that fetches the next one. Pieces start at the
 * place that is asked for; they begin small, so that reading ten records does not cost a megabyte,
 * and grow while a scan goes on.
 */
import { viewOf } from '../format/bytes.js';
import type { FileHandle } from '../fs/file-system.js';

const FIRST_CHUNK_BYTES = 16 * 1024;
const MAX_CHUNK_BYTES = 512 * 1024;

/** Bytes of a file from `position`. `byteLength` of them are filled. */
export interface Chunk {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly position: number;
  readonly byteLength: number;
}

export class ChunkReader {
  readonly #file: FileHandle;
  /** The file's bytes beyond this are not looked at. */
  readonly #end: number;
  readonly #ownBytes: boolean;
  #wanted: number = FIRST_CHUNK_BYTES;
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = viewOf(this.#bytes);

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
    const wanted = Math.max(needed, this.#wanted);
    this.#wanted = Math.min(MAX_CHUNK_BYTES, 4 * this.#wanted);
    const length = Math.max(0, Math.min(wanted, this.#end - position));
    if (this.#ownBytes || this.#bytes.byteLength < length) {
      this.#bytes = new Uint8Array(this.#ownBytes ? length : Math.max(length, this.#wanted));
      this.#view = viewOf(this.#bytes);
    }
    const bytes = this.#bytes;
    const byteLength = await this.#file.read(bytes, 0, length, position);
    return { bytes, view: this.#view, position, byteLength };
  }
}
