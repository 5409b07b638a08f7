/**
 * The same streams by the names of an older contract, whose operations are called in snake_case and
 * answer with names of outcomes. Everything is done by StreamStore; errors are its errors.
 */
import type { StreamOptions } from './stream-config.js';
import { isGoneError } from './stream-errors.js';
import type { StreamHead } from './stream-info.js';
import { START_OFFSET } from './stream-position.js';
import type { ProducerTuple } from './stream-state.js';
import type { StreamStore } from './stream-store.js';

export interface SeedConfig {
  readonly content_type: string;
  readonly ttl_seconds?: number | undefined;
  /** A Date or unix milliseconds. */
  readonly expires_at?: Date | number | undefined;
  readonly created_closed?: boolean | undefined;
}

export type SeedCreated = 'Created' | 'AlreadyExists';

export interface SeedMetadata {
  readonly config: SeedConfig;
  readonly next_offset: string;
  readonly closed: boolean;
  readonly total_bytes: number;
  readonly message_count: number;
  readonly created_at: Date;
  /** Null before the first append or close. */
  readonly updated_at: Date | null;
}

export interface SeedReadResult {
  readonly messages: readonly Uint8Array[];
  readonly next_offset: string;
  readonly at_tail: boolean;
  readonly closed: boolean;
}

export interface SeedProducerResult {
  readonly status: 'Accepted' | 'Duplicate';
  /** The highest that was accepted. */
  readonly epoch: number;
  readonly seq: number;
  readonly next_offset: string;
  readonly closed: boolean;
}

type Bytes = Uint8Array | string;

export interface SeedStorage {
  create_stream(name: string, config: SeedConfig): Promise<SeedCreated>;
  create_stream_with_data(
    name: string,
    config: SeedConfig,
    messages: readonly Bytes[],
    should_close: boolean,
  ): Promise<{ status: SeedCreated; next_offset: string; closed: boolean }>;
  /** Resolves to the offset of the message. */
  append(name: string, data: Bytes, content_type: string): Promise<string>;
  /** Resolves to the offset of what comes next. */
  batch_append(
    name: string,
    messages: readonly Bytes[],
    content_type: string,
    seq?: string,
  ): Promise<string>;
  append_with_producer(
    name: string,
    messages: readonly Bytes[],
    content_type: string,
    producer: ProducerTuple,
    should_close: boolean,
    seq?: string,
  ): Promise<SeedProducerResult>;
  /** Everything from the offset to the tail, whatever memory it takes. */
  read(name: string, from_offset?: string): Promise<SeedReadResult>;
  head(name: string): Promise<SeedMetadata>;
  close_stream(name: string): Promise<void>;
  delete(name: string): Promise<void>;
  exists(name: string): Promise<boolean>;
  /** Null for a stream that is missing, expired or deleted. */
  subscribe(name: string): Promise<AsyncIterableIterator<void> | null>;
  cleanup_expired_streams(): Promise<number>;
  list_streams(): Promise<[name: string, metadata: SeedMetadata][]>;
  create_fork(
    name: string,
    source_name: string,
    fork_offset: string | undefined,
    config: SeedConfig,
  ): Promise<SeedCreated>;
  total_bytes(): Promise<number>;
}

/** The streams of a store by those names. There is nothing of it to close. */
export function seedStorage(streams: StreamStore): SeedStorage {
  return { ...creating(streams), ...appending(streams), ...reading(streams), ...ending(streams) };
}

type Creating = 'create_stream' | 'create_stream_with_data' | 'create_fork';
type Appending = 'append' | 'batch_append' | 'append_with_producer' | 'close_stream';
type Ending = 'delete' | 'cleanup_expired_streams' | 'total_bytes';

function creating(streams: StreamStore): Pick<SeedStorage, Creating> {
  return {
    create_stream: async (name, config) =>
      statusOf(await streams.createStream(name, optionsOf(config))),
    create_stream_with_data: async (name, config, messages, shouldClose) => {
      const { created_closed: closed = false } = config;
      const options = optionsOf({ ...config, created_closed: closed || shouldClose });
      const result = await streams.createStream(name, options, { data: messages });
      const { nextOffset, closed: isClosed } = result;
      return { status: statusOf(result), next_offset: nextOffset, closed: isClosed };
    },
    create_fork: async (name, source, offset, config) =>
      statusOf(await streams.createFork(name, source, { ...optionsOf(config), offset })),
  };
}

function appending(streams: StreamStore): Pick<SeedStorage, Appending> {
  return {
    append: async (name, data, contentType) =>
      (await streams.append(name, data, { contentType })).offset,
    batch_append: async (name, messages, contentType, streamSeq) =>
      (await streams.appendBatch(name, messages, { contentType, streamSeq })).nextOffset,
    append_with_producer: async (name, messages, contentType, producer, close, streamSeq) => {
      const options = { contentType, producer, close, streamSeq };
      const result = await streams.appendBatch(name, messages, options);
      const { epoch, seq } = result.producer ?? producer;
      return {
        status: result.duplicate ? 'Duplicate' : 'Accepted',
        epoch,
        seq,
        next_offset: result.nextOffset,
        closed: result.closed,
      };
    },
    close_stream: async (name) => {
      await streams.closeStream(name);
    },
  };
}

function reading(streams: StreamStore): Omit<SeedStorage, Creating | Appending | Ending> {
  return {
    read: async (name, fromOffset = START_OFFSET) => {
      const messages: Uint8Array[] = [];
      let page = await streams.read(name, { offset: fromOffset });
      for (;;) {
        for (const message of page.messages) messages.push(message);
        if (page.atTail) break;
        page = await streams.read(name, { offset: page.nextOffset });
      }
      const { nextOffset, closed } = page;
      return { messages, next_offset: nextOffset, at_tail: true, closed };
    },
    head: async (name) => metadataOf(await streams.head(name)),
    exists: (name) => streams.exists(name),
    subscribe: async (name) => {
      try {
        return (await streams.exists(name)) ? streams.subscribe(name) : null;
      } catch (error) {
        if (isGoneError(error)) return null;
        throw error;
      }
    },
    list_streams: async () => {
      const listed: [string, SeedMetadata][] = [];
      for (const { name } of await streams.listStreams()) {
        try {
          listed.push([name, metadataOf(await streams.head(name))]);
        } catch (error) {
          // It has gone meanwhile.
          if (!isGoneError(error)) throw error;
        }
      }
      return listed;
    },
  };
}

function ending(streams: StreamStore): Pick<SeedStorage, Ending> {
  return {
    delete: (name) => streams.deleteStream(name),
    cleanup_expired_streams: () => streams.cleanupExpiredStreams(),
    total_bytes: async () => (await streams.stats()).totalBytes,
  };
}

function statusOf({ created }: { readonly created: boolean }): SeedCreated {
  return created ? 'Created' : 'AlreadyExists';
}

function optionsOf(config: SeedConfig): StreamOptions {
  return {
    contentType: config.content_type,
    ttlSeconds: config.ttl_seconds,
    expiresAt: config.expires_at,
    closed: config.created_closed,
  };
}

function metadataOf(head: StreamHead): SeedMetadata {
  return {
    config: {
      content_type: head.contentType,
      ttl_seconds: head.ttlSeconds,
      expires_at: head.expiresAt,
    },
    next_offset: head.nextOffset,
    closed: head.closed,
    total_bytes: head.totalBytes,
    message_count: head.messageCount,
    created_at: new Date(head.createdAt),
    updated_at: head.updatedAt === undefined ? null : new Date(head.updatedAt),
  };
}
