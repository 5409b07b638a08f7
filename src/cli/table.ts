/**
 * Columns of text that line up, whatever the width of their characters, and fit the width of the
 * terminal: one column may be cut for that. No borders, so that other programs can read them too.
 */
import { displayWidth, shortened } from './display-width.js';

export interface Column {
  readonly title: string;
  /** Numbers line up at their ends. */
  readonly align?: 'left' | 'right';
  /** What does not fit is cut off here. One of a table. */
  readonly isFlexible?: boolean;
}

const SEPARATOR = '  ';

/** What a flexible column keeps at least. */
const LEAST_WIDTH = 12;

/** Lines without an end of line. A row may hold text with colours. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
  heading: (title: string) => string = (title) => title,
): string[] {
  const widths = columns.map(({ title }, i) =>
    rows.reduce((most, row) => Math.max(most, displayWidth(row[i] ?? '')), displayWidth(title)),
  );
  const total = widths.reduce((sum, each) => sum + each, SEPARATOR.length * (columns.length - 1));
  const flexible = columns.findIndex(({ isFlexible }) => isFlexible === true);
  const natural = widths[flexible] ?? 0;
  if (natural > LEAST_WIDTH && total > width) {
    widths[flexible] = Math.max(LEAST_WIDTH, natural - (total - width));
  }
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align = 'left' }, i) => {
        const room = widths[i] ?? 0;
        const text = shortened(cells[i] ?? '', room);
        const gap = ' '.repeat(room - displayWidth(text));
        return align === 'left' ? text + gap : gap + text;
      })
      .join(SEPARATOR)
      .trimEnd();
  return [columns.map(({ title }) => heading(title)), ...rows].map(line);
}

/** `label   value`, a line each. */
export function fieldLines(
  fields: readonly (readonly [label: string, value: string])[],
  label: (text: string) => string = (text) => text,
): string[] {
  const width = Math.max(0, ...fields.map(([name]) => displayWidth(name)));
  return fields.map(([name, value]) => `${label(name.padEnd(width))}  ${value}`.trimEnd());
}
