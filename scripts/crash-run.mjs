#!/usr/bin/env node
/**
 * A long run of the crash property: node scripts/crash-run.mjs --images 1000000 --seed 7
 * Prints how many images were taken and what they reached; ends with 1 when one breaks a rule.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
  },
});
for (const [name, value] of Object.entries(values)) {
  if (/^\d+$/.test(value)) continue;
  console.error(`--${name} must be a whole number, not ${value}`);
  process.exit(2);
}
const env = { ...process.env, REDEX_CRASH_IMAGES: values.images, REDEX_CRASH_SEED: values.seed };
const vitest = new URL('../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/crash'], {
  env,
  stdio: 'inherit',
  cwd: new URL('..', import.meta.url).pathname,
});
process.exitCode = status ?? 1;
