/** The options that a queue stores: with their defaults, changed, compared, and read again. */
import { redexError } from '../core/errors.js';
import { nameForDeadLetters } from './queue-names.js';
import {
  CHOICES,
  NUMBERS,
  UNLIMITED,
  type QueueOptions,
  type StoredQueueOptions,
} from './queue-options.js';

/**
 * What is stored for a new queue. A queue of dead letters has none of its own by default. Throws
 * TypeError for options that contradict each other, RangeError for a name without room for `.dead`.
 */
export function storedQueueOptions(
  options: QueueOptions,
  name: string,
  isForDeadLetters = false,
): StoredQueueOptions {
  const { deadLetter = isForDeadLetters ? false : nameForDeadLetters(name) } = options;
  const { keepMessages, keepBytes } = options;
  const isLimited = keepMessages !== undefined || keepBytes !== undefined;
  const stored: StoredQueueOptions = {
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
    onDead: options.onDead ?? 'unblock',
    onExpired: options.onExpired ?? (deadLetter === false ? 'drop' : 'dead'),
    dedupMode: options.dedupMode ?? 'keep',
    keepMs: limited(options.keepMs ?? (isLimited ? Infinity : 0)),
    keepMessages: limited(keepMessages),
    keepBytes: limited(keepBytes),
    maxLag: limited(options.maxLag),
    maxIdleMs: limited(options.maxIdleMs),
  };
  refuseContradictions(stored);
  return stored;
}

/**
 * The stored ones with some of them changed. Throws TypeError as `storedQueueOptions` does, and for
 * the end of the last limit of what is kept, which does not say whether all or nothing is meant.
 */
export function changedOptions(
  stored: StoredQueueOptions,
  options: Omit<QueueOptions, 'mode'>,
): StoredQueueOptions {
  const changed: Record<string, unknown> = { ...stored };
  for (const [option, value] of Object.entries(options)) {
    if (value !== undefined) changed[option] = value === Infinity ? null : value;
  }
  const isWithout = options.deadLetter === false && options.onExpired === undefined;
  if (isWithout) changed['onExpired'] = 'drop';
  const result = changed as unknown as StoredQueueOptions;
  if (options.keepMs === undefined && stored.keepMs === 0 && keepsSome(result)) {
    // As for a new queue.
    changed['keepMs'] = null;
  }
  const isOver = keepsSome(stored) && !keepsSome(result);
  if (isOver && options.keepMs === undefined && stored.keepMs === null) {
    throw new TypeError('nothing limits what is kept any more: say keepMs, too, 0 or Infinity');
  }
  refuseContradictions(result);
  return result;
}

function keepsSome({ keepMessages, keepBytes }: StoredQueueOptions): boolean {
  return keepMessages !== null || keepBytes !== null;
}

/** Each is a pair of options that cannot both be meant. */
function refuseContradictions(stored: StoredQueueOptions): void {
  const { mode, ordering, deadLetter, onDead, onExpired, dedupMode, dedupWindowMs } = stored;
  const { keepMs, maxLag, maxIdleMs } = stored;
  const refuse = (isWrong: boolean, message: string): void => {
    if (isWrong) throw new TypeError(message);
  };
  const blocks = onDead === 'block';
  refuse(blocks && ordering !== 'strict', "onDead 'block' needs ordering 'strict'");
  refuse(blocks && deadLetter === false, "onDead 'block' needs a queue for dead letters");
  refuse(
    onExpired === 'dead' && deadLetter === false,
    "onExpired 'dead' needs a queue for dead letters",
  );
  refuse(
    dedupMode !== 'keep' && dedupWindowMs === 0,
    `dedupMode '${dedupMode}' needs a dedupWindowMs above 0`,
  );
  refuse(
    keepMs === 0 && keepsSome(stored),
    'keepMessages and keepBytes keep nothing with keepMs 0',
  );
  const isOfGroups = maxLag !== null || maxIdleMs !== null;
  refuse(mode === 'work' && isOfGroups, "maxLag and maxIdleMs are for mode 'fanout'");
}

/** Options as they were stored; undefined for what no queue has stored. */
export function storedOptionsFrom(json: unknown): StoredQueueOptions | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const given = json as Readonly<Record<string, unknown>>;
  for (const [option, [min, max]] of Object.entries(NUMBERS)) {
    const value = given[option];
    if (value === null && UNLIMITED.has(option)) continue;
    if (typeof value !== 'number' || !(value >= min && value <= max)) return undefined;
  }
  for (const [option, values] of Object.entries(CHOICES)) {
    if (!values.includes(given[option] as string)) return undefined;
  }
  const { deadLetter } = given;
  if (deadLetter !== false && typeof deadLetter !== 'string') return undefined;
  return json as StoredQueueOptions;
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
