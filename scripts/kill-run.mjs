#!/usr/bin/env node
/**
 * Kills a store under load: node scripts/kill-run.mjs --cycles 1000 --seed 7
 * With `--strace` most kills come at system calls instead of random milliseconds.
 * Prints what was killed and how much was acknowledged before; ends with 1 when anything is lost.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    strace: { type: 'boolean', default: false },
  },
});
const { strace, ...numbers } = values;
for (const [name, value] of Object.entries(numbers)) {
  if (/^\d+$/.test(value)) continue;
  console.error(`--${name} must be a whole number, not ${value}`);
  process.exit(2);
}
const env = {
  ...process.env,
  REDEX_KILL_CYCLES: values.cycles,
  REDEX_KILL_SEED: values.seed,
};
const which = strace ? 'at system calls' : 'at random moments';
const vitest = new URL('../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
const args = ['run', 'test/process/kill-store.test.ts', '--testNamePattern', which];
const { status } = spawnSync(process.execPath, [vitest, ...args], {
  env,
  stdio: 'inherit',
  cwd: new URL('..', import.meta.url).pathname,
});
process.exitCode = status ?? 1;
