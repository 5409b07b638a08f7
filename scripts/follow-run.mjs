#!/usr/bin/env node
/**
 * A long run of readers that follow a writer: node scripts/follow-run.mjs --seconds 600 --seed 7
 * Prints how much was followed, and what the writer did meanwhile; ends with 1 when a reader is
 * told anything that is not so.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: '1' },
  },
});
for (const [name, value] of Object.entries(values)) {
  if (/^\d+$/.test(value)) continue;
  console.error(`--${name} must be a whole number, not ${value}`);
  process.exit(2);
}
const env = {
  ...process.env,
  REDEX_FOLLOW_SECONDS: values.seconds,
  REDEX_FOLLOW_SEED: values.seed,
};
const vitest = new URL('../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/process/follow.test.ts'], {
  env,
  stdio: 'inherit',
  cwd: new URL('..', import.meta.url).pathname,
});
process.exitCode = status ?? 1;
