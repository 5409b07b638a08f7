#!/usr/bin/env node
/**
 * A long run of the crash test: node scripts/crash-run.mjs --images 1000000 --seed 1
 * [--profiles strict,ext4-ordered,xfs,process-kill] [--jobs 2] [--keep DIR] [--package DIR]
 * Prints rate and progress, and at the end what was reached; ends with 1 when a promise is broken,
 * with the smallest workload that breaks it. What the crash has left is then in a directory below
 * --keep, by default a new one for temporary files: docs/testing-kit.md says what is in it. The
 * package has to be built; --package names the directory of another one.
 */
import { mkdtempSync, rmdirSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { crashTestIn, inParallel } from './lib/crash-pool.mjs';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    profiles: { type: 'string', default: 'strict,ext4-ordered,xfs,process-kill' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    keep: { type: 'string' },
    package: { type: 'string' },
  },
});
for (const name of ['images', 'seed', 'jobs']) {
  if (/^[1-9]\d{0,11}$/.test(values[name])) continue;
  console.error(`--${name} must be a whole number from 1, not ${values[name]}`);
  process.exit(2);
}
const [images, seed, jobs] = [Number(values.images), Number(values.seed), Number(values.jobs)];
const root = values.package ?? fileURLToPath(new URL('..', import.meta.url));
const keep = resolve(values.keep ?? mkdtempSync(join(tmpdir(), 'redex-crash-')));
const started = performance.now();
/** Seeds of two processes are further apart than either gets. */
const APART = 20_000;
/** From this seed on there are commits and small journals: every other process begins there. */
const COMMIT_SEEDS = 2 ** 21;
/** A process starts anew after so many: what it had to keep is gone with it. */
const PIECE = Math.min(50_000, Math.ceil(images / 2));

const sum = {};
let workloads = 0;
let done = 0;
let cpuSeconds = 0;
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
    seed: seed + Math.floor(index / 2) * APART + (index % 2) * COMMIT_SEEDS,
    profiles: values.profiles.split(','),
    shrink: true,
    keep,
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
    cpuSeconds += report.cpuSeconds;
    done += report.counters.images + report.counters.nested;
  }
  if (report.failure !== undefined) failures.push(report.failure);
});

const minutes = (performance.now() - started) / 60_000;
for (const [name, count] of Object.entries(sum)) console.log(`${name.padEnd(20)} ${count}`);
console.log(`${workloads} workloads, ${done} images in ${minutes.toFixed(1)} minutes`);
console.log(`${Math.round(done / minutes / jobs)} images a minute and process`);
const { distinct = 0, wholeImages = 0, openOperations = 0, images: opened = 0, repeated = 0 } = sum;
console.log(
  `${distinct} distinct images, ${wholeImages} whole ones, ` +
    `${(openOperations / Math.max(1, opened - repeated)).toFixed(0)} file operations to open one`,
);
const perMinute = (count) => Math.round((count * 60) / Math.max(1, cpuSeconds));
console.log(
  `a minute of CPU: ${perMinute(done)} images, ${perMinute(distinct)} distinct, ` +
    `${perMinute(wholeImages)} whole`,
);
for (const { error, kept, differences = [], ...rest } of failures) {
  console.log(`BROKEN ${error}\n${JSON.stringify(rest)}`);
  if (differences.length > 0) console.log('what the crash has changed:');
  for (const line of differences) console.log(`  ${line}`);
  if (kept !== undefined) console.log(`what the crash has left is in ${kept}`);
}
// Nothing is left behind where nothing was kept.
if (values.keep === undefined && failures.every(({ kept }) => kept === undefined)) rmdirSync(keep);
process.exitCode = failures.length > 0 ? 1 : 0;
