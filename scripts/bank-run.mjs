#!/usr/bin/env node
/**
 * Kills a bank whose transfers are commits: node scripts/bank-run.mjs --kills 1000 --seed 7
 * Prints what was killed, acknowledged and redone; ends with 1 when a transfer is lost or half.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
  },
});
for (const [name, value] of Object.entries(values)) {
  if (/^\d+$/.test(value)) continue;
  console.error(`--${name} must be a whole number, not ${value}`);
  process.exit(2);
}
const env = { ...process.env, REDEX_BANK_KILLS: values.kills, REDEX_BANK_SEED: values.seed };
const vitest = new URL('../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
const args = ['run', 'test/process/bank-transfer.test.ts'];
const { status } = spawnSync(process.execPath, [vitest, ...args], {
  env,
  stdio: 'inherit',
  cwd: new URL('..', import.meta.url).pathname,
});
process.exitCode = status ?? 1;
