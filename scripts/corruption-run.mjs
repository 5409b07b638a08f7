#!/usr/bin/env node
/**
 * Every damage of the corruption tests: each bit, each length, each zeroed block, each missing and
 * each swapped file of three images of a small store (target R3):
 * node scripts/corruption-run.mjs [--image closed|killed|'power cut'] [--shares N] [--only N]
 * The work is divided into shares, as many at a time as there are processors; each takes every
 * Nth damage. `--only` runs the first few shares. Prints a table of what became of the damages, and
 * ends with 1 when one breaks a rule.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    image: { type: 'string', default: '' },
    shares: { type: 'string', default: '32' },
    only: { type: 'string', default: '' },
  },
});
const numbers = { shares: values.shares, only: values.only || values.shares };
for (const [name, value] of Object.entries(numbers)) {
  if (/^[1-9]\d*$/.test(value)) continue;
  console.error(`--${name} must be a whole number from 1, not ${value}`);
  process.exit(2);
}
if (!['', 'closed', 'killed', 'power cut'].includes(values.image)) {
  console.error(`--image must be closed, killed or 'power cut', not ${values.image}`);
  process.exit(2);
}

const scratch = mkdtempSync(join(tmpdir(), 'redex-corruption-'));
const vitest = new URL('../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
const cwd = new URL('..', import.meta.url).pathname;

/** Runs one share; resolves to its exit code. */
function run(share) {
  const env = {
    ...process.env,
    REDEX_CORRUPTION: 'all',
    REDEX_CORRUPTION_IMAGE: values.image,
    REDEX_CORRUPTION_SHARES: numbers.shares,
    REDEX_CORRUPTION_SHARE: String(share),
    REDEX_CORRUPTION_REPORT: join(scratch, `${share}.json`),
  };
  const child = spawn(process.execPath, [vitest, 'run', 'test/corruption/corruption.test.ts'], {
    env,
    cwd,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return new Promise((resolve) => {
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

const counts = new Map();
let failed = false;

/** Adds what a share has found; one that has ended early has found nothing. */
function collect(share, code) {
  failed ||= code !== 0;
  const path = join(scratch, `${share}.json`);
  if (!existsSync(path)) return;
  const report = JSON.parse(readFileSync(path, 'utf8'));
  for (const [key, count] of report.counts) counts.set(key, (counts.get(key) ?? 0) + count);
  for (const wrong of report.wrong) console.log(wrong);
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(
    `share ${share + 1} of ${numbers.shares}: ${code === 0 ? 'good' : 'bad'}, ${seconds} s`,
  );
}

const started = performance.now();
const waiting = Array.from({ length: Number(numbers.only) }, (_, share) => share);

async function work() {
  for (let share = waiting.shift(); share !== undefined; share = waiting.shift()) {
    collect(share, await run(share));
  }
}

await Promise.all(Array.from({ length: availableParallelism() }, work));
rmSync(scratch, { recursive: true, force: true });

let total = 0;
console.log(`\n| image | damage | file | outcome | count |\n| --- | --- | --- | --- | ---: |`);
for (const [key, count] of [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
  total += count;
  console.log(`| ${key.replaceAll('|', ' | ')} | ${count} |`);
}
const seconds = Math.round((performance.now() - started) / 1000);
console.log(`\n${total} damages in ${seconds} s`);
process.exitCode = failed ? 1 : 0;
