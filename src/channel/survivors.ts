/**
 * Who survives a compaction: asked record by record, answered by the caller's function or by
 * "latest of its key". No record at or above the end condemns one below it (RULES G1).
 */
import { catchRejection } from '../core/late-rejection.js';
import type { LogRecord } from '../core/record.js';
import { checkApply } from './fold-options.js';
import { checkKnown } from './option-checks.js';

export interface CompactOptions {
  /** Whether a record survives. It may not be async. */
  readonly keep?: ((record: LogRecord) => boolean) | undefined;
  /** The latest record of each key survives, and every record without one. Not async either. */
  readonly key?: ((record: LogRecord) => string | undefined) | undefined;
  /** Stops the compaction: it rejects with the signal's reason, and nothing has changed. */
  readonly signal?: AbortSignal | undefined;
}

const KNOWN: ReadonlySet<string> = new Set(['keep', 'key', 'signal']);

/** Throws TypeError for what cannot be meant. */
export function checkCompactOptions(options: CompactOptions): void {
  checkKnown(options, KNOWN);
  const { keep, key, signal } = options;
  if ((keep === undefined) === (key === undefined)) {
    throw new TypeError('compact takes either keep or key');
  }
  if (keep === undefined) checkApply('key', key);
  else checkApply('keep', keep);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError('signal must be an AbortSignal');
  }
}

function refuse(answer: unknown, message: string): never {
  catchRejection(answer);
  throw new TypeError(message);
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
        return typeof answer === 'boolean' ? answer : refuse(answer, 'keep must return a boolean');
      },
    };
  }
  const latest = new Map<string, number>();
  const keyOf = (record: LogRecord): string | undefined => {
    const answer: unknown = key?.(record);
    if (answer === undefined || typeof answer === 'string') return answer;
    return refuse(answer, 'key must return a string or undefined');
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
