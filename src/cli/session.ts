/**
 * What a command works with while it runs: where data and errors go, how wide and how coloured they
 * may be, what ends it, and the exit code that it leaves.
 */
import type { Readable } from 'node:stream';
import type { Runtime } from '../core/runtime.js';
import type { RecoveryReport } from '../index.js';
import { EXIT_PROBLEM } from './failure.js';
import type { Output } from './output.js';
import { printable } from './printable.js';
import { progressOn, type Progress } from './progress.js';
import { fieldLines, tableLines, type Column } from './table.js';
import { themeFor, type Theme } from './theme.js';
import { formatBytes } from './units.js';
import { bounded, MOST_ROWS, wrapped } from './wrap.js';

/** What a process gives a command; tests give something else. */
export interface CliIo {
  readonly stdin: Readable;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by the signals that end a process, with Interrupted. */
  readonly signal: AbortSignal;
  readonly runtime: Runtime;
}

const DEFAULT_WIDTH = 80;
const LEAST_WIDTH = 40;

/** Columns of what is written to a terminal, or what COLUMNS says. */
export function widthOf({ stream }: Output, { COLUMNS }: CliIo['env']): number {
  const told = Number(COLUMNS);
  if (Number.isInteger(told) && told > 0) return Math.max(LEAST_WIDTH, told);
  // A terminal that does not know says 0.
  const { columns = 0 } = stream;
  return columns > 0 ? Math.max(LEAST_WIDTH, columns) : DEFAULT_WIDTH;
}

export class Session {
  readonly io: CliIo;
  /** The answer is wanted as JSON. */
  readonly json: boolean;
  readonly width: number;
  readonly theme: Theme;
  /** Ends everything that waits: signals, and output that nobody reads. */
  readonly signal: AbortSignal;
  exitCode = 0;

  constructor(io: CliIo, json: boolean) {
    this.io = io;
    this.json = json;
    this.width = widthOf(io.stdout, io.env);
    this.theme = themeFor(io.stdout.isTerminal, io.env);
    this.signal = AbortSignal.any([io.signal, io.stdout.signal]);
  }

  get out(): Output {
    return this.io.stdout;
  }

  get nowMs(): number {
    return this.io.runtime.now();
  }

  /** Milliseconds since a moment that `io.runtime.monotonic` gave. */
  since(started: number): number {
    return this.io.runtime.monotonic() - started;
  }

  /** The command has done its work, and found something wrong. */
  problem(): void {
    this.exitCode = EXIT_PROBLEM;
  }

  /** One JSON document, or lines for people. */
  async show(document: unknown, lines: () => readonly string[]): Promise<void> {
    const text = this.json ? jsonText(document) : this.#page(lines()).join('\n');
    await this.out.write(`${text}\n`);
  }

  /** Lines for a terminal are no wider than it; other programs get them as they are. */
  #page(lines: readonly string[]): string[] {
    const shown = lines.map(this.#shown);
    return this.out.isTerminal ? shown.flatMap((line) => wrapped(line, this.width)) : shown;
  }

  /**
   * What a terminal shows of a long list, with a line that counts the rest; other programs get all.
   * `what` is the plural of its items.
   */
  bounded(lines: readonly string[], what: string): string[] {
    if (!this.out.isTerminal) return [...lines];
    return bounded(
      lines,
      MOST_ROWS,
      `${what}: a pipe or a file gets all of them, and so does --json`,
    );
  }

  readonly #shown = (text: string): string => printable(text, this.theme.hasColours);

  table(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
    const cells = rows.map((row) => row.map(this.#shown));
    const titles = columns.map(({ title, ...rest }) => ({ title: this.#shown(title), ...rest }));
    return tableLines(titles, cells, this.width, this.theme.heading);
  }

  fields(fields: readonly (readonly [label: string, value: string])[]): string[] {
    return fieldLines(fields, this.theme.label);
  }

  /** Something worth knowing that is not the answer. */
  async note(text: string): Promise<void> {
    await this.io.stderr.line(`redex: ${printable(text)}`);
  }

  /** Of a store that is opened for writing: what a recovery has cut or found is worth a note. */
  readonly onRecovery = ({ channel, tornTail, damage }: RecoveryReport): void => {
    const found: string[] = [];
    if (tornTail !== undefined) {
      const { bytes, regions } = tornTail;
      const files = regions.flatMap(({ keptAside }) =>
        keptAside === undefined ? [] : [keptAside],
      );
      const kept = files.length === 0 ? '' : `, and kept in ${files.join(', ')}`;
      found.push(`recovered '${channel}': a torn tail of ${formatBytes(bytes)} was cut${kept}`);
    }
    if (damage !== undefined) {
      found.push(`'${channel}' takes no records: ${damage.path} is damaged at ${damage.position}`);
    }
    // They tell what has happened; nothing depends on whether they can be read.
    for (const text of found) this.note(text).catch(() => undefined);
  };

  /** Whoever gets it stops it. */
  progress(what: string, format: (amount: number) => string = formatBytes): Progress {
    const { stderr, runtime, env } = this.io;
    return progressOn(stderr, runtime, { what: printable(what), format }, widthOf(stderr, env));
  }
}

/** Nanoseconds are beyond the integers of JSON, so they are strings. */
function jsonText(document: unknown): string {
  const plain = (_: string, value: unknown): unknown =>
    typeof value === 'bigint' ? value.toString() : value;
  return JSON.stringify(document, plain, 2);
}
