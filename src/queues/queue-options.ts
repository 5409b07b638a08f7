/** What a queue is created with, checked one by one: what they say together is stored-options. */
import { checkInteger, checkKnown, checkType } from '../channel/option-checks.js';
import { checkQueueName } from './queue-names.js';

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
  /**
   * What becomes of later messages of a key when one of it is a dead letter. `unblock`: the next
   * one is delivered. `block`: they wait until it has left the dead letters, which a redrive, an
   * acknowledgement or a `cancel` there does, or until `keys.unblock`. Default: `unblock`.
   */
  readonly onDead?: 'unblock' | 'block' | undefined;
  /**
   * A message whose `ttlMs` is over is a dead letter, or dropped. Default: `dead`; without dead
   * letters `drop`.
   */
  readonly onExpired?: 'dead' | 'drop' | undefined;
  /** How long a `dedupKey` is remembered, whatever becomes of its message. Default: 300,000 ms. */
  readonly dedupWindowMs?: number | undefined;
  /**
   * What enqueuing a message does whose `dedupKey` came before, within the window. `keep`: nothing.
   * `extend`: the window begins again. `replace`: the earlier message, if it waits, gets what is
   * new, and the window begins again; if it does not wait any more, the new one is enqueued.
   * Default: `keep`.
   */
  readonly dedupMode?: DedupMode | undefined;
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
  /**
   * For how long after it came a message that is done with is kept, so that it can be delivered
   * again by `seek` or to a new group. Infinity: as long as `keepMessages` and `keepBytes` say.
   * Default: 0, and Infinity where one of these is given.
   */
  readonly keepMs?: number | undefined;
  /** Of the newest messages so many are kept, if `keepMs` does not say less. Default: no limit. */
  readonly keepMessages?: number | undefined;
  /** The newest messages of so many bytes are kept, the same. Default: no limit. */
  readonly keepBytes?: number | undefined;
  /**
   * Messages that a group may have before it. Of one that has more the oldest are skipped, those
   * under way included. For `fanout`. Default: no limit.
   */
  readonly maxLag?: number | undefined;
  /**
   * A group that has had messages before it for so long, and got and settled none, is moved behind
   * the last one. For `fanout`. Default: no limit.
   */
  readonly maxIdleMs?: number | undefined;
}

export type QueueMode = 'work' | 'fanout';
export const DEDUP_MODES = ['keep', 'replace', 'extend'] as const;
export type DedupMode = (typeof DEDUP_MODES)[number];
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
  readonly onDead: 'unblock' | 'block';
  readonly onExpired: 'dead' | 'drop';
  readonly dedupMode: DedupMode;
  readonly keepMs: number | null;
  readonly keepMessages: number | null;
  readonly keepBytes: number | null;
  readonly maxLag: number | null;
  readonly maxIdleMs: number | null;
}

/** Longest time that anything here is put off: 100 years. */
export const MAX_DELAY_MS: number = 100 * 366 * 86_400_000;

export const MAX_DELIVERIES = 1_000_000;

export const NUMBERS: Readonly<Record<string, readonly [min: number, max: number]>> = {
  visibilityTimeoutMs: [1, MAX_DELAY_MS],
  maxDeliveries: [1, MAX_DELIVERIES],
  backoffMs: [0, MAX_DELAY_MS],
  maxBackoffMs: [0, MAX_DELAY_MS],
  dedupWindowMs: [0, MAX_DELAY_MS],
  ttlMs: [1, MAX_DELAY_MS],
  maxInFlight: [1, 1_000_000],
  maxMessages: [1, Number.MAX_SAFE_INTEGER],
  maxBytes: [1, Number.MAX_SAFE_INTEGER],
  keepMs: [0, MAX_DELAY_MS],
  keepMessages: [1, Number.MAX_SAFE_INTEGER],
  keepBytes: [1, Number.MAX_SAFE_INTEGER],
  maxLag: [1, Number.MAX_SAFE_INTEGER],
  maxIdleMs: [1, MAX_DELAY_MS],
};
/** Options for which Infinity means: no limit. */
export const UNLIMITED: ReadonlySet<string> = new Set([
  'ttlMs',
  'maxMessages',
  'maxBytes',
  'keepMs',
  'keepMessages',
  'keepBytes',
  'maxLag',
  'maxIdleMs',
]);

export const CHOICES: Readonly<Record<string, readonly string[]>> = {
  mode: ['work', 'fanout'],
  overflow: ['reject', 'wait', 'drop-oldest'],
  ordering: ['strict', 'relaxed'],
  onDead: ['unblock', 'block'],
  onExpired: ['dead', 'drop'],
  dedupMode: DEDUP_MODES,
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
  checkQueueName(deadLetter, 'the name of a queue for dead letters');
  if (deadLetter === name) throw new TypeError('a queue cannot be its own dead letters');
}
