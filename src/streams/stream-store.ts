/**
 * Durable streams in a data directory: each is a channel of its own, with its messages and its
 * state in the same records; the catalog lists them. This class is what users hold: it checks what
 * it is given and leaves the work to its parts.
 */
import { checkKnown, checkInteger } from '../channel/option-checks.js';
import { checkName } from '../channel/options.js';
import { MemoryFs } from '../fs/memory-fs.js';
import { Redex } from '../store/redex.js';
import { appendRequest, messagesOf, type StreamAppendOptions } from './append-input.js';
import { StreamEngine } from './stream-engine.js';
import { retainAll } from './retention-run.js';
import { appendTo, type AppendResult } from './stream-appends.js';
import { checkStreamOptions, type StreamOptions } from './stream-config.js';
import type { StreamContext } from './stream-context.js';
import {
  createFork,
  createStream,
  type CreateForkOptions,
  type CreateResult,
} from './stream-creation.js';
import { notFound, streamGone } from './stream-errors.js';
import { headOf, listInfos, type StreamHead, type StreamInfo } from './stream-info.js';
import { deleteStream } from './stream-lifecycle.js';
import { START_OFFSET } from './stream-position.js';
import { readFrom, type ReadResult } from './stream-reads.js';
import { streamSettings, type StreamSettings, type StreamStoreOptions } from './stream-settings.js';
import { trimTo } from './stream-trim.js';

export interface StreamData {
  /** The first message, or the first messages, of the stream. */
  readonly data?: Uint8Array | string | readonly (Uint8Array | string)[] | undefined;
}

export interface StreamReadOptions {
  /** Where the first message is; `'-1'` for the first that is there, `'now'` for the tail. */
  readonly offset?: string | undefined;
  /** Bytes of messages after which a page ends; at least one is read. Default: 4 MiB. */
  readonly maxBytes?: number | undefined;
  /** Messages after which a page ends. Default: 65,536. */
  readonly maxMessages?: number | undefined;
}

export interface StreamStoreStats {
  /** Streams that are listed, expired ones that no sweep has met included. */
  readonly streams: number;
  /** Deleted streams that are kept for their forks. */
  readonly tombstones: number;
  /** Streams whose channels are open. */
  readonly openStreams: number;
  /** Bytes of all messages that are kept. */
  readonly totalBytes: number;
}

const PAGE_BYTES = 4 * 1024 * 1024;
const PAGE_MESSAGES = 65_536;

export class StreamStore {
  readonly #engine: StreamEngine;
  readonly #context: StreamContext;
  readonly #owned: Redex | undefined;
  #closing: Promise<void> | undefined;

  private constructor(opened: StreamEngine, owned: Redex | undefined) {
    this.#engine = opened;
    this.#context = opened.context;
    this.#owned = owned;
  }

  /**
   * The streams of a data directory, created when there are none. A path is opened, and closed
   * again by `close()`; a Redex stays its owner's, and has at most one StreamStore. Expired streams
   * are removed first; with `maxTotalBytes`, after a crash, all streams are looked at once. Rejects
   * as `Redex.open` does, with BUSY, CORRUPT, FORMAT_VERSION, IO, READ_ONLY.
   */
  static async open(
    redexOrPath: Redex | string,
    options: StreamStoreOptions = {},
  ): Promise<StreamStore> {
    const settings = streamSettings(options);
    if (redexOrPath instanceof Redex) {
      return new StreamStore(await StreamEngine.open(redexOrPath, settings), undefined);
    }
    const { runtime, logger } = settings;
    return StreamStore.#owning(await Redex.open(redexOrPath, { runtime, logger }), settings);
  }

  /** Streams that are gone when they are closed, with the same semantics. */
  static async memory(options: StreamStoreOptions = {}): Promise<StreamStore> {
    const settings = streamSettings(options);
    const { runtime, logger } = settings;
    const redex = await Redex.open('/streams', { fs: new MemoryFs(), runtime, logger });
    return StreamStore.#owning(redex, settings);
  }

  static async #owning(redex: Redex, settings: StreamSettings): Promise<StreamStore> {
    try {
      return new StreamStore(await StreamEngine.open(redex, settings), redex);
    } catch (error) {
      await redex.close().catch(() => undefined);
      throw error;
    }
  }

  /**
   * Creates a stream, with its first messages, in one step. With one that is there already and has
   * the same options nothing happens, whatever the data. Rejects with CONFIG_MISMATCH, EXISTS (for
   * the path of a deleted stream that has forks), LIMIT, IO, POISONED, CLOSED.
   */
  async createStream(
    name: string,
    options: StreamOptions = {},
    { data }: StreamData = {},
  ): Promise<CreateResult> {
    checkName(name, 'a stream name');
    checkStreamOptions(options);
    const messages = messagesOf(listOf(data));
    const context = this.#context;
    return context.changing(() => createStream(context, name, options, messages));
  }

  /**
   * Creates a stream that begins with the messages of another, up to a place in it. Rejects with
   * NOT_FOUND, STREAM_GONE, INVALID_OFFSET, OUT_OF_RANGE, CONTENT_TYPE_MISMATCH, and as
   * `createStream` does.
   */
  async createFork(
    name: string,
    source: string,
    options: CreateForkOptions = {},
    { data }: StreamData = {},
  ): Promise<CreateResult> {
    checkName(name, 'a stream name');
    checkName(source, 'a stream name');
    const messages = messagesOf(listOf(data));
    const context = this.#context;
    return context.changing(() => createFork(context, name, source, options, messages));
  }

  /**
   * Appends one message. Rejects with NOT_FOUND, STREAM_GONE, STREAM_CLOSED, CONTENT_TYPE_MISMATCH,
   * SEQ_CONFLICT, FENCED, PRODUCER_GAP, LIMIT, CORRUPT, IO, POISONED, CLOSED: nothing has changed
   * then, but where the error says that its outcome is unknown.
   */
  async append(
    name: string,
    message: Uint8Array | string,
    options: StreamAppendOptions = {},
  ): Promise<AppendResult> {
    return this.appendBatch(name, [message], options);
  }

  /** Appends messages that are in the stream all together or not at all; none, to close it. */
  async appendBatch(
    name: string,
    messages: readonly (Uint8Array | string)[],
    options: StreamAppendOptions = {},
  ): Promise<AppendResult> {
    checkName(name, 'a stream name');
    const request = appendRequest(name, messages, options);
    return appendTo(this.#context, name, request, options.durability ?? 'synced');
  }

  /** Closes a stream for good; one that is closed already stays so. */
  async closeStream(
    name: string,
    options: Omit<StreamAppendOptions, 'close'> = {},
  ): Promise<AppendResult> {
    return this.appendBatch(name, [], { ...options, close: true });
  }

  /**
   * A page of messages from an offset on. Rejects with NOT_FOUND, STREAM_GONE, INVALID_OFFSET,
   * OUT_OF_RANGE for what was let go of, CORRUPT, IO, POISONED, CLOSED.
   */
  async read(name: string, options: StreamReadOptions = {}): Promise<ReadResult> {
    checkName(name, 'a stream name');
    checkKnown(options, READ);
    const { offset = START_OFFSET, maxBytes = PAGE_BYTES, maxMessages = PAGE_MESSAGES } = options;
    if (typeof offset !== 'string') throw new TypeError('offset must be a string');
    checkInteger('maxBytes', maxBytes, 1, Number.MAX_SAFE_INTEGER);
    checkInteger('maxMessages', maxMessages, 1, Number.MAX_SAFE_INTEGER);
    return readFrom(this.#context, name, offset, { maxBytes, maxMessages });
  }

  /** What is known of a stream without its messages. It does not count as a use. */
  async head(name: string): Promise<StreamHead> {
    checkName(name, 'a stream name');
    return headOf(this.#context, name);
  }

  /** Whether there is such a stream. Rejects when that cannot be said. */
  async exists(name: string): Promise<boolean> {
    checkName(name, 'a stream name');
    const entry = await this.#context.present(name);
    if (entry === undefined || entry.isTombstone) return false;
    return !(await this.#context.isExpired(entry));
  }

  /** The streams that are there, sorted by name. None is opened for it but to see if it expired. */
  async listStreams({ prefix = '' }: { readonly prefix?: string } = {}): Promise<StreamInfo[]> {
    return listInfos(this.#context, prefix);
  }

  /**
   * Deletes a stream with its messages; one that has forks is kept for them and answers
   * STREAM_GONE. Durable when it resolves. Rejects with NOT_FOUND, STREAM_GONE, IO, POISONED,
   * CLOSED.
   */
  async deleteStream(name: string): Promise<void> {
    checkName(name, 'a stream name');
    await this.#context.changing(() => deleteStream(this.#context, name));
  }

  /** Removes all expired streams now; resolves to how many there were. */
  async cleanupExpiredStreams(): Promise<number> {
    return this.#context.changing(() => this.#engine.sweeper.removeExpired());
  }

  /**
   * Lets go of all messages before an offset. Reads of them are OUT_OF_RANGE from then on, also by
   * forks, which have no copy of them. Space comes back by whole segments.
   */
  async trimStream(name: string, { before }: { readonly before: string }): Promise<void> {
    checkName(name, 'a stream name');
    if (typeof before !== 'string') throw new TypeError('before must be an offset');
    await this.#context.changing(() => trimTo(this.#context, name, before));
  }

  /**
   * Lets streams go of what their `retention` does not keep, which every sweep does; resolves to
   * how many did. Only those are opened that have something to let go of, or may have.
   */
  async applyRetention(): Promise<number> {
    return this.#context.changing(() => retainAll(this.#context));
  }

  /**
   * Hints that something has changed in a stream, from the call on: subscribe, then read, then
   * wait. Ends when the stream is deleted or the store closed. Throws NOT_FOUND, STREAM_GONE.
   */
  subscribe(
    name: string,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncIterableIterator<void> {
    checkName(name, 'a stream name');
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new TypeError('signal must be an AbortSignal');
    }
    const context = this.#context;
    context.requireOpen();
    const entry = context.parts.catalog.find(name);
    if (entry?.isTombstone === true) throw streamGone(name);
    if (entry === undefined || context.isExpiredForSure(entry)) throw notFound(name);
    return context.parts.hints.subscribe(entry.id, signal);
  }

  /** Counts. Without `maxTotalBytes`, the first call looks at every stream. */
  async stats(): Promise<StreamStoreStats> {
    this.#context.requireOpen();
    await this.#engine.counter.countAll();
    const { catalog, open, caps } = this.#context.parts;
    const tombstones = [...catalog.entries].filter((entry) => entry.isTombstone).length;
    const streams = catalog.size - tombstones;
    return { streams, tombstones, openStreams: open.count, totalBytes: caps.total };
  }

  /**
   * Waits for what is under way and closes the channels of all streams, and the Redex if it was
   * opened here. Later calls return the same promise; every other use rejects with CLOSED.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.#engine.close();
    } finally {
      await this.#owned?.close();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const READ: ReadonlySet<string> = new Set(['offset', 'maxBytes', 'maxMessages']);

function listOf(data: StreamData['data']): readonly (Uint8Array | string)[] {
  if (data === undefined) return [];
  return typeof data === 'string' || data instanceof Uint8Array ? [data] : data;
}
