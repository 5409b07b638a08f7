/** A bar on the terminal that errors go to; nothing where that is not a terminal. */
import type { Runtime } from '../core/runtime.js';
import type { Output } from './output.js';
import { formatDuration, perSecond } from './units.js';

export interface Progress {
  /** Both may grow. */
  update(done: number, total: number): void;
  /** Takes the bar away. */
  stop(): void;
}

const NO_PROGRESS: Progress = { update: () => undefined, stop: () => undefined };

const BAR_WIDTH = 24;
const REDRAW_MS = 100;
/** Begins the line again, without what was on it. */
const CLEAR = '\r\u001B[2K';

export function bar(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}

/** What is shown, and how amounts of it are written. */
export interface Measured {
  readonly what: string;
  readonly format: (amount: number) => string;
}

/** The line that shows so much done of a total, and what it leads one to expect. */
export function progressLine(
  { what, format }: Measured,
  done: number,
  total: number,
  elapsedMs: number,
): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const percent = `${String(Math.floor(100 * share)).padStart(3)}%`;
  const rate = perSecond(done, elapsedMs);
  const parts = [
    `${what} ${bar(share, BAR_WIDTH)} ${percent}`,
    `${format(done)} of ${format(total)}`,
  ];
  if (rate > 0) {
    const leftMs = (1000 * Math.max(0, total - done)) / rate;
    parts.push(`${format(Math.round(rate))}/s`, `${formatDuration(leftMs)} left`);
  }
  return parts.join('  ');
}

/** Draws at most ten times a second, and never more than a line of `width`. */
export function progressOn(
  output: Output,
  runtime: Runtime,
  measured: Measured,
  width: number,
): Progress {
  if (!output.isTerminal) return NO_PROGRESS;
  const started = runtime.monotonic();
  let drawn = -Infinity;
  const write = (text: string): void => {
    // Who cannot see the bar any more does not need it.
    output.write(text).catch(() => undefined);
  };
  return {
    update(done, total) {
      const now = runtime.monotonic();
      if (now - drawn < REDRAW_MS) return;
      drawn = now;
      write(CLEAR + progressLine(measured, done, total, now - started).slice(0, width - 1));
    },
    stop() {
      if (drawn > -Infinity) write(CLEAR);
    },
  };
}
