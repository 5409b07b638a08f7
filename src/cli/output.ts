/**
 * Where a command writes to, with back pressure. When nobody reads it any more (`| head`) whoever
 * writes gets OutputClosed, and so does whoever looks at the signal: that ends a command quietly.
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { OutputClosed, Problem } from './failure.js';

/** A stream of a process, or what stands for one. */
export interface OutputStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export class Output {
  readonly stream: OutputStream;
  readonly #closed = new AbortController();

  constructor(stream: OutputStream) {
    this.stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => this.#fail(error));
  }

  get isTerminal(): boolean {
    return this.stream.isTTY === true;
  }

  /** Aborted when nothing can be written any more. */
  get signal(): AbortSignal {
    return this.#closed.signal;
  }

  #fail(error: NodeJS.ErrnoException): void {
    const isGone = error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED';
    const reason = isGone
      ? new OutputClosed('nobody reads the output')
      : new Problem(`cannot write the output (${error.code ?? error.message})`);
    this.#closed.abort(reason);
  }

  /** Resolves when there is room for more. The bytes may not be changed afterwards. */
  async write(data: string | Uint8Array): Promise<void> {
    this.signal.throwIfAborted();
    if (data.length === 0 || this.stream.write(data)) return;
    try {
      await once(this.stream, 'drain', { signal: this.signal });
    } catch (error) {
      this.signal.throwIfAborted();
      throw error;
    }
  }

  async line(text: string = ''): Promise<void> {
    await this.write(`${text}\n`);
  }

  /** Resolves when everything was handed over, or cannot be. */
  flush(): Promise<void> {
    if (this.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.signal.addEventListener('abort', () => resolve(), { once: true });
      this.stream.write('', () => resolve());
    });
  }
}
