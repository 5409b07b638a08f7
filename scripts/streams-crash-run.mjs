#!/usr/bin/env node
/**
 * A long run of the crash test of streams: node scripts/streams-crash-run.mjs --images 100000
 * [--seed 1] [--every 2] [--jobs 2] [--package DIR]. Prints what was done; ends with 1 and the seed
 * when a promise is broken. The package has to be built; --package names the directory of another.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runInPieces, tellRate } from './lib/crash-pieces.mjs';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    every: { type: 'string', default: '2' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    package: { type: 'string' },
  },
});
for (const name of ['images', 'seed', 'every', 'jobs']) {
  if (/^[1-9]\d{0,9}$/.test(values[name])) continue;
  console.error(`--${name} must be a whole number from 1, not ${values[name]}`);
  process.exit(2);
}
const root = values.package ?? fileURLToPath(new URL('..', import.meta.url));
const [images, seed, jobs] = [Number(values.images), Number(values.seed), Number(values.jobs)];
const result = await runInPieces({
  root,
  images,
  seed,
  jobs,
  run: { every: Number(values.every) },
});
console.log(JSON.stringify(result.sum));
tellRate(result);
