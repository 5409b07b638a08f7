/**
 * Columns of text that line up, whatever the width of their characters, and fit the width of the
 * terminal: one column may be cut for that. No borders, so that other programs can read them too.
 */
import Table from 'cli-table3';

export interface Column {
  readonly title: string;
  /** Numbers line up at their ends. */
  readonly align?: 'left' | 'right';
  /** What does not fit is cut off here. One of a table. */
  readonly isFlexible?: boolean;
}

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
} as const;

/** What a flexible column keeps at least. */
const LEAST_WIDTH = 12;

/** Lines without an end of line. A row may hold text with colours. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
  heading: (title: string) => string = (title) => title,
): string[] {
  const flexible = columns.findIndex(({ isFlexible }) => isFlexible === true);
  const cells = [columns.map(({ title }) => heading(title)), ...rows];
  const natural = render(columns, cells, []);
  const { excess, column } = measure(natural, cells, flexible, width);
  if (excess <= 0) return natural.lines;
  const widths = columns.map((_, i) => (i === flexible ? column : undefined));
  return render(columns, cells, widths).lines;
}

interface Rendered {
  readonly lines: string[];
  readonly width: number;
}

function render(
  columns: readonly Column[],
  cells: readonly (readonly string[])[],
  widths: readonly (number | undefined)[],
): Rendered {
  const table = new Table({
    chars: NO_BORDERS,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
    colAligns: columns.map(({ align = 'left' }) => align),
    colWidths: widths.map((width) => width ?? null),
  });
  table.push(...cells.map((row) => row.map((content) => ({ content }))));
  const lines = table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
  return { lines, width: table.width };
}

/** How much wider than allowed it is, and what is left for the flexible column. */
function measure(
  { width: total }: Rendered,
  cells: readonly (readonly string[])[],
  flexible: number,
  width: number,
): { readonly excess: number; readonly column: number } {
  if (flexible < 0) return { excess: 0, column: 0 };
  const alone = render(
    [{ title: '' }],
    cells.map((row) => [row[flexible] ?? '']),
    [],
  ).width;
  // The outer borders count although they are empty.
  const excess = total - 2 - width;
  return { excess, column: Math.max(LEAST_WIDTH, alone - 2 - excess) };
}

/** `label   value`, a line each. */
export function fieldLines(
  fields: readonly (readonly [label: string, value: string])[],
  label: (text: string) => string = (text) => text,
): string[] {
  const width = Math.max(0, ...fields.map(([name]) => name.length));
  return fields.map(([name, value]) => `${label(name.padEnd(width))}  ${value}`.trimEnd());
}
