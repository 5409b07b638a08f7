/** What a queue is created with and stores, checked and with its defaults. */
import { checkInteger, checkKnown, checkType } from '../channel/option-checks.js';
import { redexError } from '../core/errors.js';

/** Stored with the queue; `configure` changes all but `mode`. */
export interface QueueOptions {
  /**
   * `work`: each message is done with when one consumer has acknowledged it. `fanout`: each group
   * of consumers gets every message. Default: `work`.
   */
  readonly mode?: QueueMode | undefined;
  /** How long a delivery may take before it counts as failed. Default: 30,000 ms. */
  readonly visibilityTimeoutMs?: number | undefined;
  /** Deliveries of a message, all that failed, before it is a dead letter. Default: 5. */
  readonly maxDeliveries?: number | undefined;
  /**
   * The queue that takes dead letters; `false`: none, messages are delivered without end. Default:
   * the name of the queue with `.dead` behind it, which itself has none.
   */
  readonly deadLetter?: string | false | undefined;
  /** Delay of the first redelivery, doubled for each further one. Default: 1,000 ms. */
  readonly backoffMs?: number | undefined;
  /** The longest delay of a redelivery. Default: 300,000 ms. */
  readonly maxBackoffMs?: number | undefined;
  /** How long a `dedupKey` is remembered, whatever becomes of its message. Default: 300,000 ms. */
  readonly dedupWindowMs?: number | undefined;
  /** Time to live of a message that is enqueued without one. Default: no limit. */
  readonly ttlMs?: number | undefined;
  /** Messages that may be delivered and not settled, for each group. Default: 10,000. */
  readonly maxInFlight?: number | undefined;
  /** Messages that the queue holds. Default: no limit. */
  readonly maxMessages?: number | undefined;
  /** Bytes of payloads that the queue holds. Default: no limit. */
  readonly maxBytes?: number | undefined;
  /**
   * What enqueuing does at a limit: fail with LIMIT, wait for room, or let go of the oldest
   * messages, which become dead letters. Default: `reject`.
   */
  readonly overflow?: Overflow | undefined;
  /**
   * `strict`: a message with a key comes behind all earlier ones of its key, so it may have neither
   * delay nor priority. `relaxed`: it may, and only one of a key is in flight. Default: `strict`.
   */
  readonly ordering?: 'strict' | 'relaxed' | undefined;
}

export type QueueMode = 'work' | 'fanout';
type Overflow = 'reject' | 'wait' | 'drop-oldest';

/** Every option with its value; `null` for no limit, because it is stored as JSON. */
export interface StoredQueueOptions {
  readonly mode: QueueMode;
  readonly visibilityTimeoutMs: number;
  readonly maxDeliveries: number;
  readonly deadLetter: string | false;
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  readonly dedupWindowMs: number;
  readonly ttlMs: number | null;
  readonly maxInFlight: number;
  readonly maxMessages: number | null;
  readonly maxBytes: number | null;
  readonly overflow: Overflow;
  readonly ordering: 'strict' | 'relaxed';
}

/** Longest time that anything here is put off: 100 years. */
export const MAX_DELAY_MS: number = 100 * 366 * 86_400_000;

export const MAX_DELIVERIES = 1_000_000;

const NUMBERS: Readonly<Record<string, readonly [min: number, max: number]>> = {
  visibilityTimeoutMs: [1, MAX_DELAY_MS],
  maxDeliveries: [1, MAX_DELIVERIES],
  backoffMs: [0, MAX_DELAY_MS],
  maxBackoffMs: [0, MAX_DELAY_MS],
  dedupWindowMs: [0, MAX_DELAY_MS],
  ttlMs: [1, MAX_DELAY_MS],
  maxInFlight: [1, 1_000_000],
  maxMessages: [1, Number.MAX_SAFE_INTEGER],
  maxBytes: [1, Number.MAX_SAFE_INTEGER],
};
/** Options for which Infinity means: no limit. */
const UNLIMITED: ReadonlySet<string> = new Set(['ttlMs', 'maxMessages', 'maxBytes']);

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  mode: ['work', 'fanout'],
  overflow: ['reject', 'wait', 'drop-oldest'],
  ordering: ['strict', 'relaxed'],
};

export const QUEUE_OPTION_NAMES: readonly string[] = [
  ...Object.keys(NUMBERS),
  ...Object.keys(CHOICES),
  'deadLetter',
];

/** Throws TypeError or RangeError for what cannot be meant. */
export function checkQueueOptions(
  options: QueueOptions,
  name: string,
  known: ReadonlySet<string> = new Set(QUEUE_OPTION_NAMES),
): void {
  checkKnown(options, known);
  const given = options as Readonly<Record<string, unknown>>;
  for (const [option, [min, max]] of Object.entries(NUMBERS)) {
    const value = given[option];
    if (value === Infinity && UNLIMITED.has(option)) continue;
    checkType(option, value, 'number');
    checkInteger(option, value as number | undefined, min, max);
  }
  for (const [option, values] of Object.entries(CHOICES)) {
    const value = given[option];
    if (value === undefined || values.includes(value as string)) continue;
    throw new TypeError(`${option} must be ${values.map((one) => `'${one}'`).join(' or ')}`);
  }
  const { deadLetter } = options;
  if (deadLetter === undefined || deadLetter === false) return;
  if (typeof deadLetter !== 'string') throw new TypeError('deadLetter must be a name or false');
  if (deadLetter === name) throw new TypeError('a queue cannot be its own dead letters');
}

/** What is stored for a new queue. A queue of dead letters has none of its own by default. */
export function storedQueueOptions(
  options: QueueOptions,
  name: string,
  isForDeadLetters = false,
): StoredQueueOptions {
  const { deadLetter = isForDeadLetters ? false : `${name}.dead` } = options;
  return {
    mode: options.mode ?? 'work',
    visibilityTimeoutMs: options.visibilityTimeoutMs ?? 30_000,
    maxDeliveries: options.maxDeliveries ?? 5,
    deadLetter,
    backoffMs: options.backoffMs ?? 1000,
    maxBackoffMs: options.maxBackoffMs ?? 300_000,
    dedupWindowMs: options.dedupWindowMs ?? 300_000,
    ttlMs: limited(options.ttlMs),
    maxInFlight: options.maxInFlight ?? 10_000,
    maxMessages: limited(options.maxMessages),
    maxBytes: limited(options.maxBytes),
    overflow: options.overflow ?? 'reject',
    ordering: options.ordering ?? 'strict',
  };
}

/** The stored ones with some of them changed. */
export function changedOptions(
  stored: StoredQueueOptions,
  options: Omit<QueueOptions, 'mode'>,
): StoredQueueOptions {
  const changed: Record<string, unknown> = { ...stored };
  for (const [option, value] of Object.entries(options)) {
    if (value !== undefined) changed[option] = value === Infinity ? null : value;
  }
  return changed as unknown as StoredQueueOptions;
}

function limited(value: number | undefined): number | null {
  return value === undefined || value === Infinity ? null : value;
}

/** Throws OPTIONS_CONFLICT for the first given option that is stored otherwise. */
export function refuseQueueConflict(
  name: string,
  stored: StoredQueueOptions,
  options: QueueOptions,
): void {
  for (const [option, given] of Object.entries(options)) {
    const kept = (stored as unknown as Readonly<Record<string, unknown>>)[option];
    if (given === undefined || kept === (given === Infinity ? null : given)) continue;
    throw redexError(
      'OPTIONS_CONFLICT',
      `queue ${name} has ${option} ${String(kept)}, not ${String(given)}`,
      { option, stored: kept, given },
    );
  }
}
