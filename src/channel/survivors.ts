/**
 * Who survives a compaction: asked record by record, answered by the caller's function or by
 * "latest of its key". No record at or above the end condemns one below it (RULES G1).
 */
import type { LogRecord } from '../core/record.js';

export interface CompactOptions {
  /** Whether a record survives. */
  readonly keep?: ((record: LogRecord) => boolean) | undefined;
  /** The latest record of each key survives, and every record without one. */
  readonly key?: ((record: LogRecord) => string | undefined) | undefined;
  /** Stops the compaction: it rejects with the signal's reason, and nothing has changed. */
  readonly signal?: AbortSignal | undefined;
}

const KNOWN: ReadonlySet<string> = new Set(['keep', 'key', 'signal']);

/** Throws TypeError for what cannot be meant. */
export function checkCompactOptions(options: CompactOptions): void {
  for (const name of Object.keys(options)) {
    if (!KNOWN.has(name)) throw new TypeError(`unknown compact option ${name}`);
  }
  const { keep, key, signal } = options;
  if ((keep === undefined) === (key === undefined)) {
    throw new TypeError('compact takes either keep or key');
  }
  if (typeof (keep ?? key) !== 'function') throw new TypeError('keep and key must be functions');
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError('signal must be an AbortSignal');
  }
}

export interface Survivors {
  /** Looks at every record once before anything is decided. */
  readonly survey: ((record: LogRecord) => void) | undefined;
  readonly survives: (record: LogRecord) => boolean;
}

/** Records from `end` on survive, whatever they are, and condemn nobody. */
export function survivorsBy(options: CompactOptions, end: number): Survivors {
  const { survey, survives } = answersOf(options);
  return {
    survey:
      survey === undefined
        ? undefined
        : (record) => {
            if (record.seq < end) survey(record);
          },
    survives: (record) => record.seq >= end || survives(record),
  };
}

function answersOf({ keep, key }: CompactOptions): Survivors {
  if (keep !== undefined) {
    return {
      survey: undefined,
      survives: (record) => {
        const answer: unknown = keep(record);
        if (typeof answer !== 'boolean') throw new TypeError('keep must return a boolean');
        return answer;
      },
    };
  }
  const latest = new Map<string, number>();
  const keyOf = (record: LogRecord): string | undefined => {
    const answer: unknown = key?.(record);
    if (answer !== undefined && typeof answer !== 'string') {
      throw new TypeError('key must return a string or undefined');
    }
    return answer;
  };
  return {
    survey: (record) => {
      const name = keyOf(record);
      if (name !== undefined) latest.set(name, record.seq);
    },
    survives: (record) => {
      const name = keyOf(record);
      return name === undefined || latest.get(name) === record.seq;
    },
  };
}
