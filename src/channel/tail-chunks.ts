/**
 * The chunks from which all tails of a channel get what has just been written. Nothing overwrites
 * them, so that tails can share them. What was just written is in the page cache: a little of it is
 * read at once, because handing it to another thread would take longer than the read.
 */
import { alignTo8, viewOf } from '../format/bytes.js';
import type { FileHandle } from '../fs/file-system.js';
import { newBuffer, type Chunk, type ChunkSource } from '../segment/chunk.js';

/** More than this is read off the calling thread. */
const SYNC_BYTES = 256 * 1024;
/** A slow consumer keeps a whole chunk in memory, so they are not large. */
const LARGEST_CHUNK_BYTES = 64 * 1024;
/** Small chunks share allocations of this size. */
const SLAB_BYTES = 8 * 1024;

export class TailChunks implements ChunkSource {
  #slab: Uint8Array = new Uint8Array(0);
  #used = 0;

  read(file: FileHandle, position: number, needed: number, end: number): Chunk | Promise<Chunk> {
    const remaining = end - position;
    const length = Math.min(remaining, Math.max(needed, LARGEST_CHUNK_BYTES));
    const bytes = this.#room(length);
    if (remaining > SYNC_BYTES) return readAsync(file, bytes, position);
    const byteLength = file.readSync(bytes, 0, length, position);
    return { bytes, view: viewOf(bytes), position, byteLength };
  }

  #room(byteLength: number): Uint8Array {
    if (byteLength > SLAB_BYTES / 2) return newBuffer(byteLength);
    if (this.#used + byteLength > this.#slab.byteLength) {
      this.#slab = newBuffer(SLAB_BYTES);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += alignTo8(byteLength);
    return new Uint8Array(this.#slab.buffer, start, byteLength);
  }
}

async function readAsync(file: FileHandle, bytes: Uint8Array, position: number): Promise<Chunk> {
  const byteLength = await file.read(bytes, 0, bytes.byteLength, position);
  return { bytes, view: viewOf(bytes), position, byteLength };
}
