#!/usr/bin/env node
/**
 * A long run of the crash test of queues: node scripts/queues-crash-run.mjs --images 100000
 * [--seed 1] [--every 1] [--package DIR]. Prints what was done; ends with 1 and the seed when a
 * promise is broken. The package has to be built; --package names the directory of another one.
 */
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    every: { type: 'string', default: '4' },
    package: { type: 'string' },
  },
});
for (const name of ['images', 'seed', 'every']) {
  if (/^[1-9]\d{0,9}$/.test(values[name])) continue;
  console.error(`--${name} must be a whole number from 1, not ${values[name]}`);
  process.exit(2);
}
const root = values.package ?? fileURLToPath(new URL('..', import.meta.url));
const { queuesCrashTest } = await import(pathToFileURL(join(root, 'dist/entry-testing.js')).href);
const started = performance.now();
let seed = Number(values.seed);
const total = Number(values.images);
const sum = {};
let images = 0;
try {
  while (images < total) {
    const report = await queuesCrashTest({ images: 1, seed, every: Number(values.every) });
    images += report.images;
    seed += report.workloads;
    for (const [kind, count] of Object.entries(report.steps)) sum[kind] = (sum[kind] ?? 0) + count;
    if (seed % 50 === 0) console.error(`${images} images, next seed ${seed}`);
  }
  console.log(JSON.stringify({ images, nextSeed: seed, steps: sum }));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
console.error(`${Math.round((performance.now() - started) / 1000)} s`);
