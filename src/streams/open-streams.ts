/**
 * The streams whose channels are open, each once. Those that were not used for longest are closed
 * when there are too many: an idle stream costs no more than its line in the catalog.
 */
import type { Logger } from '../core/runtime.js';
import { RedexError } from '../core/errors.js';
import type { Redex } from '../store/redex.js';
import type { ByteCaps } from './byte-caps.js';
import type { CatalogEntry } from './catalog-entry.js';
import { storeClosed, strangeRecord } from './stream-errors.js';
import { loadStream, type LoadedStream } from './stream-loading.js';
import { StreamLog } from './stream-log.js';

export interface OpenStreamsParts {
  readonly redex: Redex;
  readonly caps: ByteCaps;
  readonly logger: Logger;
  readonly maxOpenStreams: number;
}

/** Channels that are being closed before another is opened: until then each costs what it did. */
const CLOSING_AT_MOST = 64;

interface OpenEntry {
  log: StreamLog | undefined;
  readonly opening: Promise<StreamLog>;
}

export class OpenStreams {
  readonly #parts: OpenStreamsParts;
  /** By id, those that were used last at the end. */
  readonly #open = new Map<number, OpenEntry>();
  readonly #closing = new Set<Promise<void>>();
  /** Who opens a channel when fewer are being closed. */
  #waiting: (() => void)[] = [];
  #isEnded = false;

  constructor(parts: OpenStreamsParts) {
    this.#parts = parts;
  }

  get count(): number {
    return this.#open.size;
  }

  /** The stream if it is open; it counts as used. */
  find({ id }: CatalogEntry): StreamLog | undefined {
    const entry = this.#open.get(id);
    if (entry?.log === undefined) return undefined;
    this.#open.delete(id);
    this.#open.set(id, entry);
    return entry.log;
  }

  /** Whether this is the one that is open. */
  has({ id }: CatalogEntry, log: StreamLog): boolean {
    return this.#open.get(id)?.log === log;
  }

  /** Rejects with CORRUPT, FORMAT_VERSION, IO, POISONED, CLOSED. */
  open(stream: CatalogEntry): Promise<StreamLog> {
    // Whoever was waiting for something else would leave a channel open behind the end.
    if (this.#isEnded) return Promise.reject(storeClosed());
    return this.#open.get(stream.id)?.opening ?? this.#begin(stream, undefined);
  }

  /** A stream that was just made: nothing of it has to be read. */
  adopt(stream: CatalogEntry, loaded: LoadedStream): void {
    // Whoever needs it is told when it cannot be opened.
    this.#begin(stream, loaded).catch(() => undefined);
  }

  #begin(stream: CatalogEntry, loaded: LoadedStream | undefined): Promise<StreamLog> {
    const opening = this.#openLog(stream, loaded);
    const entry: OpenEntry = { log: undefined, opening };
    this.#open.set(stream.id, entry);
    opening.then(
      (log) => {
        entry.log = log;
      },
      () => {
        if (this.#open.get(stream.id) === entry) this.#open.delete(stream.id);
      },
    );
    this.closeSome();
    return opening;
  }

  async #openLog(stream: CatalogEntry, made: LoadedStream | undefined): Promise<StreamLog> {
    const { redex, caps } = this.#parts;
    try {
      if (this.#closing.size >= CLOSING_AT_MOST) await this.#closed();
      const channel = await redex.channel(stream.channelName, { createIfMissing: false });
      const loaded = made ?? (await loadStream(channel));
      const { updatedAtMs = 0, retainedBytes } = loaded.state;
      stream.accessedAtMs = Math.max(stream.accessedAtMs, updatedAtMs);
      stream.isKnown = true;
      caps.found(stream, retainedBytes);
      stream.noteSize(loaded.state);
      return new StreamLog(channel, loaded);
    } catch (error) {
      if (!RedexError.is(error, 'NOT_FOUND') || stream.isRemoved) throw error;
      throw strangeRecord(stream.channelName, 0, 'the channel of a stream is missing');
    }
  }

  /** Its channel is gone, or will be. */
  forget({ id }: CatalogEntry): void {
    this.#open.delete(id);
  }

  /** Closes those that were not used for longest, while there are too many. */
  closeSome(): void {
    let tooMany = this.#open.size - this.#parts.maxOpenStreams;
    if (tooMany <= 0) return;
    for (const [id, { log }] of this.#open) {
      if (log === undefined || !log.isIdle) continue;
      this.#open.delete(id);
      this.#close(log);
      if (--tooMany <= 0) return;
    }
  }

  #close({ channel }: StreamLog): void {
    const closing = channel
      .close()
      .catch((error: unknown) => {
        const { name } = channel;
        this.#parts.logger.warn('a stream could not be closed', { channel: name, error });
      })
      .finally(() => {
        this.#closing.delete(closing);
        if (this.#closing.size >= CLOSING_AT_MOST) return;
        for (const wake of this.#waiting.splice(0)) wake();
      });
    this.#closing.add(closing);
  }

  /** Resolves when fewer channels are being closed. */
  #closed(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Waits for what is under way, and closes all channels; none is opened any more. */
  async closeAll(): Promise<void> {
    this.#isEnded = true;
    const open = [...this.#open.values()];
    const logs = await Promise.allSettled(open.map(({ opening }) => opening));
    this.#open.clear();
    for (const result of logs) {
      if (result.status !== 'fulfilled') continue;
      await result.value.settled();
      this.#close(result.value);
    }
    await Promise.all(this.#closing);
  }
}
