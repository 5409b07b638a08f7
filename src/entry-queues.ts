/** Durable queues: work queues and fan-out in a data directory. */
export { jsonCodec, utf8Codec } from './channel/codec.js';
export type { Codec, JsonCodec } from './channel/codec.js';
export type { TakeOptions } from './queues/certain-message.js';
export { Delivery } from './queues/delivery.js';
export type { Acking, AckOptions, NackOptions } from './queues/delivery.js';
export { DurableEventQueue } from './queues/durable-event-queue.js';
export type {
  DurableEvent,
  DurableEventQueueOptions,
  UndecodedEvent,
} from './queues/durable-event-queue.js';
export type { EnqueueInput, EnqueueOptions } from './queues/enqueue-input.js';
export type { Enqueued } from './queues/enqueued.js';
export type { EnqueueResult } from './queues/enqueue-plan.js';
export { EventQueue } from './queues/event-queue.js';
export type { EventQueueOptions } from './queues/event-queue.js';
export { Queue } from './queues/queue.js';
export type { ReceiveOptions } from './queues/receive-options.js';
export type { SettleResult } from './queues/queue.js';
export type { BrowseOptions, MessageState, QueueMessage } from './queues/queue-browser.js';
export type { GroupInfo, GroupStart, SeekResult } from './queues/queue-groups.js';
export type { BlockedKey, UnblockOptions } from './queues/queue-keys.js';
export type {
  AckUpToOptions,
  MessageChange,
  PendingDelivery,
  PendingOptions,
  PopOptions,
  RedriveOptions,
} from './queues/queue-manager.js';
export type { QueueLag, QueueRates } from './queues/queue-meter.js';
export type { DedupMode, QueueOptions, StoredQueueOptions } from './queues/queue-options.js';
export type { DeadCause, FailedDelivery, Origin } from './queues/queue-records.js';
export type { QueueStats } from './queues/queue-stats.js';
export { QueueStore } from './queues/queue-store.js';
export type { OpenQueueOptions } from './queues/queue-store.js';
export type { QueueStoreOptions } from './queues/queue-settings.js';
export type { QueueCommitResult, QueueCommitStep } from './queues/queue-store-commit.js';
export { seedQueueStore } from './queues/seed-queue-store.js';
export type {
  SeedBumpedAttempt,
  SeedPendingDelivery,
  SeedQueueSide,
  SeedQueueStore,
} from './queues/seed-queue-store.js';
