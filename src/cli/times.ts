/** Points in time as people write and read them: always UTC, to the nanosecond where it matters. */
import type { TimeInput } from '../index.js';
import { UsageError } from './failure.js';
import { durationOf } from './units.js';

const TIME_HELP =
  'write 2026-11-21, 2026-11-21T10:30:00Z, unix milliseconds or nanoseconds, or a duration ' +
  'such as 2h for two hours ago';

/** From here on a whole number is one of nanoseconds: as milliseconds it is the year 5138. */
const FIRST_NANOS = 100_000_000_000_000n;
const MAX_TIME_NS = 2n ** 64n - 1n;
/** In the year 2554. */
const MAX_TIME_MS = Number(MAX_TIME_NS / 1_000_000n);

/** A time that an option says; relative ones count back from `nowMs`. Throws UsageError. */
export function parseTime(option: string, text: string, nowMs: number): TimeInput {
  const ago = durationOf(text);
  if (ago !== undefined) return Math.max(0, nowMs - ago);
  const time = /^\d{9,20}$/.test(text) ? numberedTime(BigInt(text)) : calendarTime(text);
  if (time === undefined) {
    throw new UsageError(`option '${option}' cannot read the time '${text}': ${TIME_HELP}`);
  }
  return time;
}

function numberedTime(value: bigint): TimeInput | undefined {
  if (value < FIRST_NANOS) return Number(value);
  return value > MAX_TIME_NS ? undefined : value;
}

function calendarTime(text: string): number | undefined {
  const match =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})?)?$/.exec(
      text,
    );
  if (match === null) return undefined;
  const [, day = '', minute = '00:00', second = ':00', zone = 'Z'] = match;
  // A day that its month does not have would be taken for one of the next month.
  const midnight = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(midnight.getTime()) || !midnight.toISOString().startsWith(day)) return undefined;
  const ms = Date.parse(`${day}T${minute}${second}${zone}`);
  return Number.isNaN(ms) || ms < 0 || ms > MAX_TIME_MS ? undefined : ms;
}

/** `2026-11-21T10:30:00.000Z`. */
export function formatMs(ms: number): string {
  // Beyond that is no year that a Date can have.
  return ms > 8.64e15 ? `${ms} ms` : new Date(ms).toISOString();
}

/** The same with all nine digits where there are more than milliseconds. */
export function formatNanos(nanos: bigint): string {
  const text = formatMs(Number(nanos / 1_000_000n));
  const rest = nanos % 1_000_000n;
  return rest === 0n ? text : text.replace('Z', `${String(rest).padStart(6, '0')}Z`);
}
