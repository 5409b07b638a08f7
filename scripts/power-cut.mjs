#!/usr/bin/env node
/**
 * Cuts the power under a store: node scripts/power-cut.mjs --cuts 500 --fs ext4 --seed 7
 * On ext4 and xfs, or only on one of them; needs root, loop devices, e2fsprogs and xfsprogs.
 * Prints what was cut and what was synced before; ends with 1 when anything synced is lost.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    cuts: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    fs: { type: 'string', default: '' },
  },
});
const { fs, ...numbers } = values;
for (const [name, value] of Object.entries(numbers)) {
  if (/^\d+$/.test(value)) continue;
  console.error(`--${name} must be a whole number, not ${value}`);
  process.exit(2);
}
if (!['', 'ext4', 'xfs'].includes(fs)) {
  console.error(`--fs must be ext4 or xfs, not ${fs}`);
  process.exit(2);
}
const env = {
  ...process.env,
  REDEX_POWER_CUTS: values.cuts,
  REDEX_POWER_SEED: values.seed,
  REDEX_POWER_FS: fs,
};
const vitest = new URL('../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/process/power-cut.test.ts'], {
  env,
  stdio: 'inherit',
  cwd: new URL('..', import.meta.url).pathname,
});
process.exitCode = status ?? 1;
