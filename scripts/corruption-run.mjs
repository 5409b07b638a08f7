#!/usr/bin/env node
/**
 * Every damage of the corruption tests: each bit, each length, each zeroed block, each missing and
 * each swapped file of three images of a small store (target R3):
 * node scripts/corruption-run.mjs [--image closed|killed|'power cut'] [--shares N]
 * The work is divided into shares, as many at a time as there are processors. Prints a table of what
 * became of the damages, and ends with 1 when one breaks a rule.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    image: { type: 'string', default: '' },
    shares: { type: 'string', default: String(availableParallelism()) },
  },
});
if (!/^[1-9]\d*$/.test(values.shares)) {
  console.error(`--shares must be a whole number from 1, not ${values.shares}`);
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
    REDEX_CORRUPTION_SHARES: values.shares,
    REDEX_CORRUPTION_SHARE: String(share),
    REDEX_CORRUPTION_REPORT: join(scratch, `${share}.json`),
  };
  const child = spawn(process.execPath, [vitest, 'run', 'test/corruption/corruption.test.ts'], {
    env,
    cwd,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return new Promise((resolve) => {
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

const started = performance.now();
const shares = Array.from({ length: Number(values.shares) }, (_, share) => share);
const codes = await Promise.all(shares.map(run));
const counts = new Map();
for (const share of shares) {
  const report = JSON.parse(readFileSync(join(scratch, `${share}.json`), 'utf8'));
  for (const [key, count] of report.counts) counts.set(key, (counts.get(key) ?? 0) + count);
}
rmSync(scratch, { recursive: true, force: true });

let total = 0;
console.log(`\n| image | damage | file | outcome | count |\n| --- | --- | --- | --- | ---: |`);
for (const [key, count] of [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
  total += count;
  console.log(`| ${key.replaceAll('|', ' | ')} | ${count} |`);
}
const seconds = Math.round((performance.now() - started) / 1000);
console.log(`\n${total} damages in ${seconds} s`);
process.exitCode = codes.every((code) => code === 0) ? 0 : 1;
