/** Durable streams: named, ordered streams of messages in a data directory. */
export { isJsonType, joinJsonMessages, splitJsonMessages } from './streams/json-messages.js';
export { seedStorage } from './streams/seed-storage.js';
export type {
  SeedConfig,
  SeedCreated,
  SeedMetadata,
  SeedProducerResult,
  SeedReadResult,
  SeedStorage,
} from './streams/seed-storage.js';
export type { StreamAppendOptions } from './streams/append-input.js';
export type { AppendResult } from './streams/stream-appends.js';
export type { StreamOptions } from './streams/stream-config.js';
export type { CreateForkOptions, CreateResult } from './streams/stream-creation.js';
export type { StreamHead, StreamInfo } from './streams/stream-info.js';
export type { ReadResult } from './streams/stream-reads.js';
export type { StreamRetention } from './streams/stream-retention.js';
export type { StreamStoreOptions } from './streams/stream-settings.js';
export type { ProducerTuple } from './streams/stream-state.js';
export { StreamStore } from './streams/stream-store.js';
export type { StreamData, StreamReadOptions, StreamStoreStats } from './streams/stream-store.js';
