/**
 * Records as text, hex, base64 or NDJSON, in pieces that are large enough to be written fast. Text
 * is the payload and a newline, byte for byte.
 */
import { Option, type Command } from 'commander';
import type { LogRecord } from '../index.js';
import { UsageError } from './failure.js';
import type { Output } from './output.js';

export type RecordFormat = 'text' | 'hex' | 'base64' | 'ndjson';

/** What is written at once, about. */
const PIECE_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

export interface FormatFlags {
  /** Text when it is not given. */
  readonly format?: RecordFormat;
  readonly json?: boolean;
}

export function addFormatOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--format <format>',
      'How records are written, text when not given; see redex help formats.',
    ).choices(['text', 'hex', 'base64', 'ndjson']),
  );
}

/** `--json` stands for NDJSON where records are the answer. */
export function formatOf({ format, json }: FormatFlags): RecordFormat {
  if (json !== true) return format ?? 'text';
  if (format === undefined || format === 'ndjson') return 'ndjson';
  throw new UsageError(`--json is --format ndjson, and --format ${format} is something else`);
}

export class RecordPrinter {
  readonly #output: Output;
  readonly #format: RecordFormat;
  /** What of `text` has not been written. */
  #piece: Uint8Array = new Uint8Array(0);
  #used = 0;
  #lines = '';

  constructor(output: Output, format: RecordFormat) {
    this.#output = output;
    this.#format = format;
  }

  /** The records are not needed any more when it resolves. */
  async print(records: readonly LogRecord[]): Promise<void> {
    if (this.#format === 'text') {
      for (const record of records) {
        const needed = record.byteLength + 1;
        if (this.#used + needed > this.#piece.byteLength) await this.#room(needed);
        this.#piece.set(record.payload, this.#used);
        this.#used += needed;
        this.#piece[this.#used - 1] = NEWLINE;
      }
      return;
    }
    for (const record of records) {
      this.#lines += `${this.#lineOf(record)}\n`;
      if (this.#lines.length >= PIECE_BYTES) await this.flush();
    }
  }

  async #room(needed: number): Promise<void> {
    await this.flush();
    // What was written may still be on its way: its memory is not used again.
    this.#piece = Buffer.allocUnsafeSlow(Math.max(PIECE_BYTES, needed));
  }

  #lineOf(record: LogRecord): string {
    if (this.#format === 'ndjson') return JSON.stringify(record);
    const { buffer, byteOffset, byteLength } = record.payload;
    const encoding = this.#format === 'hex' ? 'hex' : 'base64';
    return Buffer.from(buffer, byteOffset, byteLength).toString(encoding);
  }

  async flush(): Promise<void> {
    const lines = this.#lines;
    this.#lines = '';
    await this.#output.write(lines);
    const piece = this.#piece.subarray(0, this.#used);
    this.#piece = this.#piece.subarray(this.#used);
    this.#used = 0;
    await this.#output.write(piece);
  }
}
