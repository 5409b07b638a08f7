/**
 * The bytes of one file in memory: chunks of 4 KiB, the first of which grows by doubling, so that
 * appending never copies what is there already. A copy shares every chunk with its original;
 * whichever of the two writes into a shared chunk first copies that one chunk.
 *
 * Invariant: bytes beyond the size, beyond a chunk's length and in an absent chunk are zero.
 */

const CHUNK_SIZE = 4096;
const SMALLEST_CHUNK_SIZE = 128;

export class ChunkedBytes {
  #size = 0;
  #chunks: (Uint8Array | undefined)[] = [];
  /** Which chunks no copy shares. */
  #owned: boolean[] = [];

  get size(): number {
    return this.#size;
  }

  /** An independent copy; costs a list of pointers. */
  copy(): ChunkedBytes {
    const copy = new ChunkedBytes();
    copy.#size = this.#size;
    copy.#chunks = this.#chunks.slice();
    this.#owned = [];
    return copy;
  }

  /**
   * The chunks, by their place in the file; nobody may change them. They stay as they are: whoever
   * writes from now on copies the chunk that it writes to.
   */
  frozenChunks(): readonly (Uint8Array | undefined)[] {
    this.#owned = [];
    return this.#chunks;
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const count = Math.max(0, Math.min(length, this.#size - position));
    let done = 0;
    while (done < count) {
      const index = Math.floor((position + done) / CHUNK_SIZE);
      const start = (position + done) % CHUNK_SIZE;
      const part = Math.min(CHUNK_SIZE - start, count - done);
      const target = offset + done;
      const chunk = this.#chunks[index];
      const stored = chunk === undefined ? 0 : Math.min(part, Math.max(0, chunk.length - start));
      if (chunk !== undefined && stored > 0) {
        buffer.set(chunk.subarray(start, start + stored), target);
      }
      if (stored < part) buffer.fill(0, target + stored, target + part);
      done += part;
    }
    return count;
  }

  /** Extends the size if need be; what is skipped reads as zeros. */
  write(buffer: Uint8Array, offset: number, length: number, position: number): void {
    let done = 0;
    while (done < length) {
      const index = Math.floor((position + done) / CHUNK_SIZE);
      const start = (position + done) % CHUNK_SIZE;
      const part = Math.min(CHUNK_SIZE - start, length - done);
      const chunk = this.#writable(index, start + part);
      const from = offset + done;
      const whole = from === 0 && part === buffer.length;
      chunk.set(whole ? buffer : buffer.subarray(from, from + part), start);
      done += part;
    }
    if (length > 0 && position + length > this.#size) this.#size = position + length;
  }

  /** Cuts, or extends with zeros. */
  truncate(size: number): void {
    if (size < this.#size) {
      const count = Math.ceil(size / CHUNK_SIZE);
      if (this.#chunks.length > count) this.#chunks.length = count;
      const rest = size % CHUNK_SIZE;
      const last = rest === 0 ? undefined : this.#chunks[count - 1];
      if (last !== undefined && last.length > rest) {
        this.#chunks[count - 1] = last.slice(0, rest);
        this.#owned[count - 1] = true;
      }
    }
    this.#size = size;
  }

  /** All bytes, in a new array. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#size);
    this.read(bytes, 0, this.#size, 0);
    return bytes;
  }

  /** The chunk at `index`, not shared, with room for `needed` bytes. */
  #writable(index: number, needed: number): Uint8Array {
    const chunk = this.#chunks[index];
    if (chunk !== undefined && chunk.length >= needed && this.#owned[index] === true) return chunk;
    let capacity = CHUNK_SIZE;
    if (index === 0) {
      capacity = Math.max(SMALLEST_CHUNK_SIZE, chunk?.length ?? 0);
      while (capacity < needed) capacity *= 2;
      capacity = Math.min(capacity, CHUNK_SIZE);
    }
    const grown = new Uint8Array(capacity);
    if (chunk !== undefined) grown.set(chunk);
    this.#chunks[index] = grown;
    this.#owned[index] = true;
    return grown;
  }
}
