#!/usr/bin/env node
/**
 * Kills consumers of a queue with SIGKILL: node scripts/queue-kills.mjs --kills 500 [--seed 1]
 * Prints what was acknowledged before; ends with 1 when anything is lost or done twice.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
  },
});
for (const [name, value] of Object.entries(values)) {
  if (/^\d+$/.test(value)) continue;
  console.error(`--${name} must be a whole number, not ${value}`);
  process.exit(2);
}
const env = { ...process.env, REDEX_QUEUE_KILLS: values.kills, REDEX_QUEUE_SEED: values.seed };
const vitest = new URL('../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', 'test/process/queue-kills.test.ts'],
  {
    env,
    stdio: 'inherit',
    cwd: new URL('..', import.meta.url).pathname,
  },
);
process.exitCode = status ?? 1;
