#!/usr/bin/env node
/**
 * A long run of the crash test of streams: node scripts/streams-crash-run.mjs --images 100000
 * [--seed 1] [--every 4] [--jobs 2] [--package DIR]. Prints what was done; ends with 1 and the seed
 * when a promise is broken. The package has to be built; --package names the directory of another.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { crashTestIn, inParallel } from './lib/crash-pool.mjs';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    every: { type: 'string', default: '4' },
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
/** Seeds of two processes are further apart than either gets. */
const APART = 10_000;
const PIECE = Math.min(20_000, Math.ceil(images / jobs));
const started = performance.now();
const sum = { images: 0, distinct: 0 };
const failures = [];
let cpuSeconds = 0;
let toldMs = started;
const running = new Map();

function tell() {
  const now = performance.now();
  if (now - toldMs < 10_000) return;
  toldMs = now;
  console.error(`${[...running.values()].reduce((a, b) => a + b, sum.images)} images`);
}

const pieces = [];
for (let left = images; left > 0; left -= PIECE) pieces.push(Math.min(PIECE, left));
await inParallel([...pieces.entries()], jobs, async ([index, wanted]) => {
  if (failures.length > 0) return;
  const run = { images: wanted, seed: seed + index * APART, every: Number(values.every) };
  const report = await crashTestIn(root, run, (count) => {
    running.set(index, count);
    tell();
  });
  running.delete(index);
  for (const [name, count] of Object.entries(report.counters ?? {})) {
    sum[name] = (sum[name] ?? 0) + count;
  }
  cpuSeconds += report.cpuSeconds ?? 0;
  const { failure } = report;
  if (failure !== undefined) failures.push(failure);
  else if (report.counters === undefined) failures.push({ ...run, ...report });
});

const perMinute = (count) => Math.round((count * 60) / Math.max(1, cpuSeconds));
console.log(JSON.stringify(sum));
console.log(
  `a minute of CPU: ${perMinute(sum.images)} images, ${perMinute(sum.distinct)} distinct`,
);
for (const failure of failures) console.log(`BROKEN ${JSON.stringify(failure)}`);
console.error(`${Math.round((performance.now() - started) / 1000)} s`);
process.exitCode = failures.length > 0 ? 1 : 0;
