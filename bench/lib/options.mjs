/** The command line of the bench. */
import { mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { fileSystemOf, isMemory } from './machine.mjs';

export const USAGE = `Usage: npm run bench -- [options]
  --only P1,P4    only these figures
  --rounds N      rounds of every comparison (default 5; fewer is for trying out)
  --scale F       records and seconds, times F (default 1; targets are meant for 1)
  --dir PATH      where the stores are put (default: a temporary directory on a disk)
  --contenders A  only rows of these contenders, e.g. redex,raw (targets may stay open)
  --full          P8 with 100 M records too, S1 and Q2 with 10 M messages
  --no-strace     do not count syncs
  --help          this text`;

export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      scale: { type: 'string', default: '1' },
      dir: { type: 'string' },
      contenders: { type: 'string' },
      full: { type: 'boolean', default: false },
      'no-strace': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const rounds = Number(values.rounds);
  const scale = Number(values.scale);
  if (!Number.isInteger(rounds) || rounds < 1) throw new RangeError('--rounds must be 1 or more');
  if (!(scale > 0 && scale <= 10)) throw new RangeError('--scale must be above 0, at most 10');
  return {
    only: values.only?.toUpperCase().split(','),
    contenders: values.contenders?.split(','),
    rounds,
    scale,
    dir: values.dir,
    full: values.full,
    strace: !values['no-strace'],
    help: values.help,
  };
}

/** A new directory of our own; without --dir, on the first place that is not memory. */
export function workDirectory(dir) {
  const places = dir === undefined ? [os.tmpdir(), '/var/tmp', process.cwd()] : [dir];
  const place = places.find((each) => !isMemory(fileSystemOf(each).type)) ?? places[0];
  return mkdtempSync(path.join(place, 'redex-bench-'));
}
