#!/usr/bin/env node
/**
 * Cuts the power under a store: node scripts/power-cut.mjs --cuts 500 --fs ext4 --seed 7
 * On ext4 and xfs, or only on one of them; needs root, loop devices, e2fsprogs and xfsprogs.
 * Prints what was cut and what was synced before; ends with 1 when anything synced is lost.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
const GIVE_BACK = 'umount';
const scratch = mkdtempSync(join(tmpdir(), 'redex-power-'));
const env = {
  ...process.env,
  REDEX_POWER_CUTS: values.cuts,
  REDEX_POWER_SEED: values.seed,
  REDEX_POWER_FS: fs,
  REDEX_POWER_SCRATCH: scratch,
};
const vitest = new URL('../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
// When it is interrupted, what was mounted is given back all the same.
process.on('SIGINT', () => undefined);
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/process/power-cut.test.ts'], {
  env,
  stdio: 'inherit',
  cwd: new URL('..', import.meta.url).pathname,
});
for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
  const [, path = ''] = line.split(' ');
  if (path.startsWith(`${scratch}/`)) spawnSync(GIVE_BACK, ['--lazy', path], { stdio: 'inherit' });
}
rmSync(scratch, { recursive: true, force: true });
process.exitCode = status ?? 1;
