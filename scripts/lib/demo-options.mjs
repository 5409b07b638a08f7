/** The command line of the demo. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

export const USAGE = `Usage: scripts/demo [FILE | DIRECTORY | -] [--keep DIR]

Appends the records of a source to a log in a process of its own, kills that process with SIGKILL
while appends are in flight, opens the log again, and compares every acknowledged record with the
source, byte for byte.

  FILE        a file; - is standard input, of which a copy is kept for the comparison
  DIRECTORY   all text files below it, by name; default: node_modules
  --keep DIR  leave the data directory in DIR, which must be empty or not there

A record is one line, or 64 KiB of a longer one. The kill comes after 100,000 acknowledgements; in
a smaller source, when all but the last few records are acknowledged.

Exit code: 0 all there; 1 a record is missing or wrong, or something failed; 2 wrong usage.`;

/** The channel that the demo appends to. */
export const CHANNEL = 'lines';

export class UsageError extends Error {}

export function readOptions(args, defaultSource) {
  const { values, positionals } = parse(args);
  if (positionals.length > 1) throw new UsageError('one source at a time');
  const source = positionals[0] ?? defaultSource;
  const { keep, help, check } = values;
  // What --check is asked about may be the default, which is not installed yet.
  if (!help && positionals.length === 1 && source !== '-') checkSource(source);
  if (keep !== undefined) checkKeep(keep);
  return { source, keep: keep === undefined ? undefined : path.resolve(keep), help, check };
}

function parse(args) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        keep: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
        check: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error.message, { cause: error });
  }
}

function checkSource(source) {
  if (!existsSync(source)) throw new UsageError(`there is no ${source}`);
}

function checkKeep(keep) {
  if (!existsSync(keep)) return;
  const isEmpty = statSync(keep).isDirectory() && readdirSync(keep).length === 0;
  if (!isEmpty) throw new UsageError(`${keep} is not an empty directory`);
}
