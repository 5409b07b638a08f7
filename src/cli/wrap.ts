/**
 * Lines for a terminal: what is wider than it goes on in another line at a space, below the text
 * that it belongs to, and of a list that nobody could read the rest is only counted.
 */
import { displayWidth } from './display-width.js';

/** Rows of one table, or lines of one list, that are shown on a terminal. */
export const MOST_ROWS = 100;

/** A label and what stands behind it, or the space in front of a text. */
const LABEL = /^ *(?:[a-z]+ {2,})?/;

/** A line without a space to break at stays as it is. */
export function wrapped(line: string, width: number): string[] {
  if (displayWidth(line) <= width) return [line];
  const [label = ''] = LABEL.exec(line) ?? [];
  const indent = ' '.repeat(label.trim() === '' ? label.length + 2 : label.length);
  const lines: string[] = [];
  let current = label;
  let isBegun = false;
  for (const word of line.slice(label.length).split(' ')) {
    const next = isBegun ? `${current} ${word}` : current + word;
    // A path that no line has room for stays where it is: it is to be copied.
    const isBreak = isBegun && displayWidth(next) > width && displayWidth(indent + word) <= width;
    if (isBreak) {
      lines.push(current);
      current = indent + word;
    } else current = next;
    isBegun = true;
  }
  return [...lines, current];
}

/** The first of them, and how many more there are. */
export function bounded(lines: readonly string[], most: number, more: string): string[] {
  if (lines.length <= most) return [...lines];
  return [...lines.slice(0, most), `and ${lines.length - most} more ${more}`];
}
