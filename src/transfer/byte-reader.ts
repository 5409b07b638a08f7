/**
 * Bytes that come in pieces of any size, taken in runs of known length or in lines. What is asked
 * for is gathered as it comes: a length in a damaged file never sizes memory by itself.
 */
const LINE_FEED = 0x0a;

export class ByteReader {
  /** For errors: what is read. */
  readonly path: string;
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal | undefined;
  readonly #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** So many held bytes are known to have no line feed. */
  #scanned = 0;
  #position = 0;
  #ended = false;
  /** The source was asked for a piece and has not answered. */
  #isWaiting = false;

  constructor(source: AsyncIterable<Uint8Array>, path: string, signal?: AbortSignal) {
    this.path = path;
    this.#pieces = source[Symbol.asyncIterator]();
    this.#signal = signal;
  }

  /** Bytes that were taken. */
  get position(): number {
    return this.#position;
  }

  /** Bytes that are there without waiting. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Waits for more bytes; false at the end. Rejects with the signal's reason. */
  async pull(): Promise<boolean> {
    while (!this.#ended) {
      this.#signal?.throwIfAborted();
      const piece = await this.#step();
      if (piece.done === true) this.#ended = true;
      else if (piece.value.byteLength > 0) {
        this.#held.push(piece.value);
        this.#heldBytes += piece.value.byteLength;
        return true;
      }
    }
    return false;
  }

  /** An abort does not wait for bytes that may never come. */
  #step(): Promise<IteratorResult<Uint8Array, unknown>> {
    const step: Promise<IteratorResult<Uint8Array, unknown>> = this.#pieces.next();
    const signal = this.#signal;
    if (signal === undefined) return step;
    this.#isWaiting = true;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
      const settled = (): void => {
        this.#isWaiting = false;
        signal.removeEventListener('abort', onAbort);
      };
      // First of all: who gets the piece may ask for the next one at once.
      step.then(settled, settled);
      step.then(resolve, reject);
      // The source itself may have done it, before there was anybody to hear of it.
      if (signal.aborted) onAbort();
    });
  }

  /** Up to `length` bytes from here on, which stay; fewer only at the end. */
  async peek(length: number): Promise<Uint8Array> {
    while (this.#heldBytes < length && (await this.pull()));
    const size = Math.min(length, this.#heldBytes);
    const bytes = this.#gather(size);
    if (size > 0) this.#putBack(bytes);
    return bytes;
  }

  /** The next `length` bytes; undefined, and nothing is taken, when there are fewer. */
  async take(length: number): Promise<Uint8Array | undefined> {
    while (this.#heldBytes < length && (await this.pull()));
    if (this.#heldBytes < length) return undefined;
    return this.#consume(length);
  }

  /** The next line without its line feed when all of it is there. */
  takeLine(): Uint8Array | undefined {
    let at = 0;
    for (const piece of this.#held) {
      const from = Math.max(0, this.#scanned - at);
      const found = from < piece.byteLength ? piece.indexOf(LINE_FEED, from) : -1;
      if (found >= 0) {
        const line = this.#consume(at + found + 1);
        return line.subarray(0, line.byteLength - 1);
      }
      at += piece.byteLength;
    }
    this.#scanned = this.#heldBytes;
    return undefined;
  }

  /** Whether nothing is left. */
  async isAtEnd(): Promise<boolean> {
    return this.#heldBytes === 0 && !(await this.pull());
  }

  /** All that is left, piece by piece. */
  async *rest(): AsyncGenerator<Uint8Array, undefined> {
    while (this.#heldBytes > 0 || (await this.pull())) yield this.#consume(this.#heldBytes);
  }

  /** Tells the source that no more is wanted. */
  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    const closing = this.#pieces.return?.();
    // A source that was left while it waits may end much later, or not at all.
    if (this.#isWaiting) closing?.catch(() => undefined);
    else await closing;
  }

  #consume(length: number): Uint8Array {
    const bytes = this.#gather(length);
    this.#position += length;
    this.#scanned = 0;
    return bytes;
  }

  #gather(length: number): Uint8Array {
    this.#heldBytes -= length;
    const first = this.#held[0];
    if (first !== undefined && first.byteLength >= length) {
      if (first.byteLength === length) this.#held.shift();
      else this.#held[0] = first.subarray(length);
      return first.subarray(0, length);
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    let whole = 0;
    for (const piece of this.#held) {
      const part = piece.subarray(0, length - at);
      bytes.set(part, at);
      at += part.byteLength;
      if (part.byteLength < piece.byteLength) {
        this.#held[whole] = piece.subarray(part.byteLength);
        break;
      }
      whole++;
      if (at === length) break;
    }
    this.#held.splice(0, whole);
    return bytes;
  }

  #putBack(bytes: Uint8Array): void {
    this.#held.unshift(bytes);
    this.#heldBytes += bytes.byteLength;
  }
}
