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
import { crashTestIn, inParallel } from './lib/crash-pool.mjs';

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
const every = Number(values.every);
/** Seeds of two processes are further apart than either gets. */
const APART = 10_000;
/** A process starts anew after so many: what it had to keep is gone with it. */
const PIECE = Math.min(20_000, Math.ceil(images / jobs));
const started = performance.now();
const sum = { images: 0, distinct: 0 };
const failures = [];
let workloads = 0;
let cpuSeconds = 0;
let toldMs = started;
const running = new Map();

function tell() {
  const now = performance.now();
  if (now - toldMs < 10_000) return;
  toldMs = now;
  const count = [...running.values()].reduce((a, b) => a + b, sum.images);
  console.error(`${count} images, ${Math.round((count * 60_000) / (now - started))} a minute`);
}

const pieces = [];
for (let left = images; left > 0; left -= PIECE) pieces.push(Math.min(PIECE, left));
await inParallel([...pieces.entries()], jobs, async ([index, wanted]) => {
  if (failures.length > 0) return;
  const run = { layer: 'queues', images: wanted, seed: seed + index * APART, every };
  const report = await crashTestIn(root, run, (count) => {
    running.set(index, count);
    tell();
  });
  running.delete(index);
  for (const [name, count] of Object.entries(report.counters ?? {})) {
    sum[name] = (sum[name] ?? 0) + count;
  }
  workloads += report.workloads ?? 0;
  cpuSeconds += report.cpuSeconds ?? 0;
  const { failure } = report;
  if (failure !== undefined) failures.push(failure);
  else if (report.counters === undefined) failures.push({ ...run, ...report });
});

const minutes = (performance.now() - started) / 60_000;
for (const [name, count] of Object.entries(sum)) console.log(`${name.padEnd(14)} ${count}`);
const share = (name) => `${((100 * (sum[name] ?? 0)) / Math.max(1, sum.images)).toFixed(1)} %`;
console.log(
  `taken in a checkpoint ${share('inCheckpoint')}, a trim ${share('inTrim')}, ` +
    `a compaction ${share('inCompaction')}, a move of dead letters ${share('inMove')}`,
);
const perMinute = (count) => Math.round((count * 60) / Math.max(1, cpuSeconds));
console.log(
  `${workloads} workloads, ${sum.images} images, ${sum.distinct} distinct, ` +
    `in ${minutes.toFixed(1)} minutes: ${Math.round(sum.images / minutes)} a minute; ` +
    `a minute of CPU: ${perMinute(sum.images)} images, ${perMinute(sum.distinct)} distinct`,
);
for (const failure of failures) console.log(`BROKEN ${JSON.stringify(failure)}`);
process.exitCode = failures.length > 0 ? 1 : 0;
