#!/usr/bin/env node
/**
 * A long run of the crash test: node scripts/crash-run.mjs --images 1000000 --seed 1
 * [--profiles strict,ext4-ordered,xfs,process-kill] [--jobs 2]
 * Prints rate and progress, and at the end what was reached; ends with 1 when a promise is broken,
 * with the smallest workload that breaks it. The package has to be built.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { crashTestIn, inParallel } from './lib/crash-pool.mjs';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    profiles: { type: 'string', default: 'strict,ext4-ordered,xfs,process-kill' },
    jobs: { type: 'string', default: String(availableParallelism()) },
  },
});
for (const name of ['images', 'seed', 'jobs']) {
  if (/^[1-9]\d{0,11}$/.test(values[name])) continue;
  console.error(`--${name} must be a whole number from 1, not ${values[name]}`);
  process.exit(2);
}
const [images, seed, jobs] = [Number(values.images), Number(values.seed), Number(values.jobs)];
const root = fileURLToPath(new URL('..', import.meta.url));
const started = performance.now();
/** Seeds of two processes are further apart than either gets. */
const APART = 10_000_000;
/** A process starts anew after so many: what it had to keep is gone with it. */
const PIECE = 100_000;

const sum = {};
let workloads = 0;
let done = 0;
let toldMs = started;
const running = new Map();
const failures = [];

function tell() {
  const now = performance.now();
  if (now - toldMs < 10_000) return;
  toldMs = now;
  const count = done + [...running.values()].reduce((a, b) => a + b, 0);
  const minutes = (now - started) / 60_000;
  console.error(`${count} images, ${Math.round(count / minutes)} a minute`);
}

const pieces = [];
for (let left = images; left > 0; left -= PIECE) pieces.push(Math.min(PIECE, left));
await inParallel([...pieces.entries()], jobs, async ([index, wanted]) => {
  if (failures.length > 0) return;
  const run = {
    images: wanted,
    seed: seed + index * APART,
    profiles: values.profiles.split(','),
    shrink: true,
  };
  const report = await crashTestIn(root, run, (count) => {
    running.set(index, count);
    tell();
  });
  running.delete(index);
  if (report.counters === undefined) failures.push({ run, error: report.hangs ?? report.crashed });
  else {
    for (const [name, count] of Object.entries(report.counters)) {
      sum[name] = (sum[name] ?? 0) + count;
    }
    workloads += report.workloads;
    done += report.counters.images + report.counters.nested;
  }
  if (report.failure !== undefined) failures.push(report.failure);
});

const minutes = (performance.now() - started) / 60_000;
for (const [name, count] of Object.entries(sum)) console.log(`${name.padEnd(20)} ${count}`);
console.log(`${workloads} workloads, ${done} images in ${minutes.toFixed(1)} minutes`);
console.log(`${Math.round(done / minutes / jobs)} images a minute and process`);
for (const { error, ...rest } of failures) console.log(`BROKEN ${error}\n${JSON.stringify(rest)}`);
process.exitCode = failures.length > 0 ? 1 : 0;
