/**
 * Sizes, durations and counts as people write and read them. What is written is for eyes; programs
 * take `--json`, which has plain numbers of bytes and milliseconds.
 */
import { InvalidArgumentError } from 'commander';

const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
};

const MILLISECONDS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

const BYTES_HELP = 'Write a number of bytes, or one with a unit: 4096, 64KiB, 10MiB, 1GiB, 10MB.';
const DURATION_HELP = 'Write a number with a unit: 500ms, 10s, 5m, 12h, 7d, 2w.';

function amount(
  text: string,
  units: Readonly<Record<string, number>>,
  help: string,
): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const scale = Object.hasOwn(units, unit.toLowerCase()) ? units[unit.toLowerCase()] : undefined;
  if (digits === undefined || scale === undefined) throw new InvalidArgumentError(help);
  const value = Math.round(Number(digits) * scale);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError(help);
  return value;
}

/** `10MiB`: bytes. For commander, too. */
export function parseBytes(text: string): number {
  return amount(text, BYTES, BYTES_HELP) ?? 0;
}

/** `7d`: milliseconds. A number needs its unit: nobody should have to guess it. */
export function parseDuration(text: string): number {
  return amount(text, MILLISECONDS, DURATION_HELP) ?? 0;
}

/** Undefined for what is no duration. */
export function durationOf(text: string): number | undefined {
  try {
    return parseDuration(text);
  } catch {
    return undefined;
  }
}

/** A whole number of at least `least`, for commander. */
export function integerFrom(
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `${least} on` : `${least} to ${most}`;
    throw new InvalidArgumentError(`Write a whole number from ${range}.`);
  };
}

const SIZE_UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const;

export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  let value = bytes;
  let unit = '';
  for (const next of SIZE_UNITS) {
    value /= 1024;
    unit = next;
    // What would be written as 1024.0 belongs to the next unit.
    if (value < 1023.95) break;
  }
  return `${value.toFixed(1)} ${unit}`;
}

export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** `1 segment`, `2 segments`. */
export function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

export function formatDuration(ms: number): string {
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return pair(seconds, 60, 'min', 's');
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return pair(minutes, 60, 'h', 'min');
  return pair(Math.round(minutes / 60), 24, 'd', 'h');
}

function pair(value: number, size: number, large: string, small: string): string {
  const rest = value % size;
  const whole = `${Math.floor(value / size)} ${large}`;
  return rest === 0 ? whole : `${whole} ${rest} ${small}`;
}

/** Of something counted or measured that took so long. */
export function perSecond(amountDone: number, ms: number): number {
  return ms <= 0 ? 0 : (amountDone * 1000) / ms;
}
