#!/usr/bin/env node
/**
 * A long run of the crash properties: node scripts/crash-run.mjs --images 1000000 --seed 7
 * With `--only store` or `--only crash` those of a store or of a channel.
 * Prints how many images were taken and what they reached; ends with 1 when one breaks a rule.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
  },
});
const { only, ...numbers } = values;
for (const [name, value] of Object.entries(numbers)) {
  if (/^\d+$/.test(value)) continue;
  console.error(`--${name} must be a whole number, not ${value}`);
  process.exit(2);
}
if (!['', 'store', 'crash'].includes(only)) {
  console.error(`--only must be store or crash, not ${only}`);
  process.exit(2);
}
const env = { ...process.env, REDEX_CRASH_IMAGES: values.images, REDEX_CRASH_SEED: values.seed };
const vitest = new URL('../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
const { status } = spawnSync(process.execPath, [vitest, 'run', `test/crash/${only}`], {
  env,
  stdio: 'inherit',
  cwd: new URL('..', import.meta.url).pathname,
});
process.exitCode = status ?? 1;
