/** Checks what is enqueued and brings it into one form, before anything is decided. */
import { checkInteger, checkKnown, checkType } from '../channel/option-checks.js';
import { encodedBytes, type Codec } from '../channel/codec.js';
import { payloadOf, type Durability } from '../channel/record-input.js';
import { isPriority } from './group-state.js';
import {
  DEDUP_MODES,
  MAX_DELAY_MS,
  MAX_DELIVERIES,
  type DedupMode,
  type StoredQueueOptions,
} from './queue-options.js';
import type { NewMessage } from './queue-log.js';
import type { MessageHeader } from './queue-records.js';

export interface EnqueueOptions {
  /** Milliseconds before which it is not delivered. */
  readonly delayMs?: number | undefined;
  /** A Date or Unix milliseconds before which it is not delivered. */
  readonly runAt?: Date | number | undefined;
  /** 0 to 15; higher ones are delivered first. Default: 0. */
  readonly priority?: number | undefined;
  /** Of the messages of one key one at a time is delivered, in their order. Up to 1,024 bytes. */
  readonly key?: string | undefined;
  /** A message of the same in the window of the queue is not enqueued again. Up to 1,024 bytes. */
  readonly dedupKey?: string | undefined;
  /** What happens when one of the same `dedupKey` came before. Default: what the queue has. */
  readonly dedupMode?: DedupMode | undefined;
  /** Milliseconds after which it is not delivered any more, but a dead letter. */
  readonly ttlMs?: number | undefined;
  /** Deliveries of it that may fail. Default: what the queue has as `maxDeliveries`. */
  readonly maxDeliveries?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Default: `synced`. */
  readonly durability?: Durability | undefined;
}

export interface EnqueueInput<T> extends EnqueueOptions {
  readonly payload: T;
}

/** What was checked; times are still to be counted from when it is written. */
export interface CheckedMessage {
  readonly payload: Uint8Array;
  readonly delayMs: number | undefined;
  readonly runAtMs: number | undefined;
  readonly ttlMs: number | undefined;
  readonly dedup: string | undefined;
  readonly dedupMode: DedupMode;
  readonly header: Pick<MessageHeader, 'priority' | 'key' | 'headers' | 'front' | 'max'>;
}

const MAX_KEY_BYTES = 1024;
const KNOWN: ReadonlySet<string> = new Set([
  'delayMs',
  'runAt',
  'priority',
  'key',
  'dedupKey',
  'dedupMode',
  'ttlMs',
  'maxDeliveries',
  'headers',
  'durability',
]);

/** Throws TypeError or RangeError for what cannot be meant. */
export function checkDurability(durability: unknown): void {
  if (durability === undefined || durability === 'synced' || durability === 'written') return;
  throw new TypeError("durability must be 'synced' or 'written'");
}

/** The payload may still be its caller's, see `withOwnPayload`. Throws as its codec does. */
export function checkMessage<T>(
  payload: T,
  options: EnqueueOptions,
  queue: StoredQueueOptions,
  codec: Codec<T> | undefined,
): CheckedMessage {
  checkKnown(options, KNOWN);
  const { ordering, ttlMs: defaultTtlMs } = queue;
  const { delayMs, runAt, priority, key, dedupKey, ttlMs, headers, durability } = options;
  const { maxDeliveries } = options;
  checkDurability(durability);
  checkType('delayMs', delayMs, 'number');
  checkInteger('delayMs', delayMs, 0, MAX_DELAY_MS);
  checkType('ttlMs', ttlMs, 'number');
  checkInteger('ttlMs', ttlMs, 1, MAX_DELAY_MS);
  checkInteger('maxDeliveries', maxDeliveries, 1, MAX_DELIVERIES);
  checkText('key', key);
  checkText('dedupKey', dedupKey);
  checkDedupMode(options, queue);
  checkHeaders(headers);
  if (priority !== undefined && !isPriority(priority)) {
    throw new RangeError(`priority must be an integer from 0 to 15, not ${String(priority)}`);
  }
  const isPutOff = (delayMs ?? 0) > 0 || runAt !== undefined;
  if (delayMs !== undefined && runAt !== undefined) {
    throw new TypeError('give delayMs or runAt, not both');
  }
  if (key !== undefined && ordering === 'strict' && (isPutOff || (priority ?? 0) > 0)) {
    throw new TypeError(
      "a message with a key may have neither delay nor priority, unless ordering is 'relaxed'",
    );
  }
  const hasHeaders = headers !== undefined && Object.keys(headers).length > 0;
  return {
    payload: viewOf(payload, codec),
    delayMs: (delayMs ?? 0) > 0 ? delayMs : undefined,
    runAtMs: runAt === undefined ? undefined : timeOf(runAt),
    ttlMs: ttlMs ?? defaultTtlMs ?? undefined,
    dedup: dedupKey,
    dedupMode: options.dedupMode ?? queue.dedupMode,
    header: {
      priority: (priority ?? 0) > 0 ? priority : undefined,
      key,
      headers: hasHeaders ? { ...headers } : undefined,
      max: maxDeliveries,
    },
  };
}

function checkDedupMode({ dedupKey, dedupMode }: EnqueueOptions, queue: StoredQueueOptions): void {
  if (dedupMode === undefined) return;
  if (!DEDUP_MODES.includes(dedupMode)) {
    throw new TypeError("dedupMode must be 'keep', 'replace' or 'extend'");
  }
  if (dedupKey === undefined) throw new TypeError('a dedupMode is for a message with a dedupKey');
  if (dedupMode !== 'keep' && queue.dedupWindowMs === 0) {
    throw new TypeError(`dedupMode '${dedupMode}' needs a dedupWindowMs above 0`);
  }
}

/** Messages that are written together, which makes them as durable as the most durable of them. */
export interface CheckedMessages {
  readonly checked: CheckedMessage[];
  readonly durability: Durability;
}

/** The same for many. */
export function checkMessages<T>(
  messages: readonly EnqueueInput<T>[],
  queue: StoredQueueOptions,
  codec: Codec<T> | undefined,
): CheckedMessages {
  if (!Array.isArray(messages)) throw new TypeError('messages must be an array');
  let durability: Durability | undefined;
  const checked = messages.map((message: EnqueueInput<T>) => {
    if (typeof message !== 'object' || message === null || !('payload' in message)) {
      throw new TypeError('a message must be an object with a payload');
    }
    const { payload, ...options } = message;
    checkDurability(options.durability);
    if (durability !== 'synced') durability = options.durability ?? 'synced';
    return withOwnPayload(checkMessage(payload, options, queue, codec));
  });
  return { checked, durability: durability ?? 'synced' };
}

/** The same with a copy of the bytes: who gave them may change them before they are written. */
export function withOwnPayload(message: CheckedMessage): CheckedMessage {
  return { ...message, payload: Buffer.from(message.payload) };
}

/** A copy of the bytes of a payload. */
export function bytesOf<T>(payload: T, codec: Codec<T> | undefined): Uint8Array {
  return Buffer.from(viewOf(payload, codec));
}

function viewOf<T>(payload: T, codec: Codec<T> | undefined): Uint8Array {
  if (codec !== undefined) return encodedBytes(codec, payload);
  try {
    return payloadOf(payload);
  } catch {
    throw new TypeError('a payload must be a Uint8Array or a string; for others give a codec');
  }
}

function checkText(name: string, value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string`);
  const length = Buffer.byteLength(value);
  if (length < 1 || length > MAX_KEY_BYTES || /\p{Surrogate}/u.test(value)) {
    throw new RangeError(`${name} must have 1 to ${MAX_KEY_BYTES} bytes of UTF-8`);
  }
}

export function checkHeaders(headers: unknown): void {
  if (headers === undefined) return;
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
    throw new TypeError('headers must be an object');
  }
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string') throw new TypeError(`header ${name} must be a string`);
  }
}

function timeOf(runAt: Date | number): number {
  const ms = runAt instanceof Date ? runAt.getTime() : runAt;
  if (typeof ms !== 'number') throw new TypeError('runAt must be a Date or a number');
  if (!Number.isFinite(ms) || ms < 0 || ms > 8.64e15) {
    throw new RangeError(`runAt must be a time in milliseconds, not ${ms}`);
  }
  return Math.ceil(ms);
}

/** The message as it is written at `nowMs`. */
export function messageAt(checked: CheckedMessage, nowMs: number): NewMessage {
  const { payload, delayMs, runAtMs, ttlMs, dedup, header } = checked;
  const due = delayMs === undefined ? runAtMs : nowMs + delayMs;
  const at = due !== undefined && due > nowMs ? due : undefined;
  const until = ttlMs === undefined ? undefined : nowMs + ttlMs;
  const { priority, key, headers, front, max } = header;
  const isPlain =
    at === undefined &&
    until === undefined &&
    dedup === undefined &&
    priority === undefined &&
    key === undefined &&
    headers === undefined &&
    front === undefined &&
    max === undefined;
  return {
    header: isPlain ? undefined : { at, priority, key, dedup, until, headers, front, max },
    payload,
  };
}
