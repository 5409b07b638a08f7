#!/usr/bin/env node
/**
 * A long run of the crash test of queues: node scripts/queues-crash-run.mjs --images 100000
 * [--seed 1] [--every 2] [--jobs 2] [--package DIR]. Prints the rate, and at the end what was done
 * and what was under way when images were taken; ends with 1 and the seed when a promise is broken.
 * The package has to be built; --package names the directory of another one.
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
const run = { layer: 'queues', every: Number(values.every) };
const result = await runInPieces({ root, images, seed, jobs, run });
const { sum } = result;
for (const [name, count] of Object.entries(sum)) console.log(`${name.padEnd(14)} ${count}`);
const share = (name) => `${((100 * (sum[name] ?? 0)) / Math.max(1, sum.images)).toFixed(1)} %`;
console.log(
  `taken in a checkpoint ${share('inCheckpoint')}, a trim ${share('inTrim')}, ` +
    `a compaction ${share('inCompaction')}, a move of dead letters ${share('inMove')}`,
);
tellRate(result);
