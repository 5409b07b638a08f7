/**
 * Goal: after a crash at any moment of any use nothing acknowledged is lost, nothing else is there,
 * and the store goes on (invariants I1 to I7, I11 to I13; docs/crash-safety.md says what they are).
 * Method: workloads over the public API on a file system that loses what no sync covers, a model
 * that knows only what was asked for and answered, images of power cuts and kills. First what was
 * found before, then what fast-check draws and shrinks, then as many images as there is time for,
 * in processes of their own. REDEX_CRASH_IMAGES and REDEX_CRASH_SEED make that run longer and
 * another one; `scripts/crash-run.mjs` is the same without the tests around it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crashTestIn } from '../../scripts/lib/crash-pool.mjs';
import { noCounters, unreached } from '../../src/crash-test/counters.js';
import { runWorkload } from '../../src/crash-test/crash-run.js';
import { drawWorkload, type Workload } from '../../src/crash-test/workload.js';
import { choicesFrom } from '../../src/testing/choices.js';
import { profileNamed } from '../../src/testing/profile-list.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CORPUS = `${ROOT}/fixtures/workloads`;
const images = Number(process.env['REDEX_CRASH_IMAGES'] ?? 20_000);
const seed = Number(process.env['REDEX_CRASH_SEED'] ?? 1);

interface Kept {
  readonly story: string;
  readonly profile: string;
  readonly workload: Workload;
}

test.each(readdirSync(CORPUS))('found before: %s', async (name) => {
  const { profile, workload } = JSON.parse(readFileSync(`${CORPUS}/${name}`, 'utf8')) as Kept;
  await runWorkload(workload, { counters: noCounters(), profile: profileNamed(profile) });
});

const LEGAL = ['strict', 'ext4-ordered', 'xfs', 'process-kill'] as const;

test.each(LEGAL)('drawn and shrunk: %s', async (name) => {
  const values = fc.array(fc.nat(65_535), { minLength: 400, maxLength: 400, size: 'max' });
  const profile = profileNamed(name);
  const property = fc.asyncProperty(fc.nat(1_000_000), values, async (number, draws) => {
    const workload = drawWorkload(number, choicesFrom(draws));
    await runWorkload(workload, { counters: noCounters(), profile, imagesALife: 12 });
  });
  // A failure tells its seed, its path, and how small it became.
  await fc.assert(property, { seed: seed + 77, numRuns: 25, interruptAfterTimeLimit: 120_000 });
});

test.each([
  ['strict', 0.5],
  ['ext4-ordered', 0.2],
  ['xfs', 0.2],
  ['process-kill', 0.1],
] as const)(
  'as many images as there is time for: %s',
  { timeout: 120_000 + images * 20 },
  async (profile, share) => {
    const run = { images: images * share, seed, profiles: [profile], shrink: true };
    const { failure, hangs, crashed, counters } = await crashTestIn(ROOT, run);
    expect(failure?.error ?? hangs ?? crashed).toBeUndefined();
    if (counters === undefined) throw new Error('no report');
    console.log(`${profile} from seed ${seed}: ${JSON.stringify(counters)}`);
    expect(counters.images + counters.nested).toBeGreaterThanOrEqual(images * share);
    if (share >= 0.5) expect(unreached(counters), 'never reached').toEqual([]);
  },
);
