/**
 * Goal: after a crash at any moment of any use nothing acknowledged is lost, nothing else is there,
 * and the store goes on (invariants I1 to I7, I11 to I13; docs/crash-safety.md says what they are).
 * Method: workloads over the public API on a file system that loses what no sync covers, a model
 * that knows only what was asked for and answered, images of power cuts and kills. First what was
 * found before, then what fast-check draws and shrinks, then as many images as there is time for,
 * in processes of their own. REDEX_CRASH_IMAGES and REDEX_CRASH_SEED make that run longer and
 * another one; `scripts/crash-run.mjs` is the same without the tests around it.
 */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crashTestIn } from '../../scripts/lib/crash-pool.mjs';
import { noCounters, unreached, type Counters } from '../../src/crash-test/counters.js';
import { runWorkload, type RunOptions } from '../../src/crash-test/crash-run.js';
import { writeScene, type CrashScene } from '../../src/crash-test/scene.js';
import { COMMIT_SEEDS, drawWorkload, type Workload } from '../../src/crash-test/workload.js';
import { nodeFs } from '../../src/fs/node-fs.js';
import { choicesFrom } from '../../src/testing/choices.js';
import { profileNamed } from '../../src/testing/profile-list.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CORPUS = `${ROOT}/fixtures/workloads`;
const images = Number(process.env['REDEX_CRASH_IMAGES'] ?? 4_000);
/** Is there when something was left in it. */
const KEEP = join(tmpdir(), `redex-crash-${process.pid}`);
const seed = Number(process.env['REDEX_CRASH_SEED'] ?? 1);

interface Kept {
  readonly story: string;
  readonly profile: string;
  readonly workload: Workload;
}

const keepIn = (): string => join(mkdtempSync(join(tmpdir(), 'redex-crash-')), 'failure');

/** Runs a workload; when it fails, what the crash has left stays on the disk. */
async function runKept(workload: Workload, options: Omit<RunOptions, 'counters'>): Promise<void> {
  let scene: CrashScene | undefined;
  const onScene = (found: CrashScene): void => {
    scene = found;
  };
  try {
    await runWorkload(workload, { ...options, counters: noCounters(), onScene });
  } catch (error) {
    if (scene === undefined) throw error;
    const directory = keepIn();
    const profile = options.profile?.name;
    writeScene(nodeFs, directory, scene, { error: String(error), profile, workload });
    const lines = [String(error), ...scene.differences, `what is left is in ${directory}`];
    throw new Error(lines.join('\n'), { cause: error });
  }
}

test.each(readdirSync(CORPUS))('found before: %s', async (name) => {
  const { profile, workload } = JSON.parse(readFileSync(`${CORPUS}/${name}`, 'utf8')) as Kept;
  await runKept(workload, { profile: profileNamed(profile) });
});

const LEGAL = ['strict', 'ext4-ordered', 'xfs', 'process-kill'] as const;

test.each(LEGAL)('drawn and shrunk: %s', async (name) => {
  const values = fc.array(fc.nat(65_535), { minLength: 400, maxLength: 400, size: 'max' });
  const profile = profileNamed(name);
  const numbers = fc.oneof(
    fc.nat(1_000_000),
    fc.nat(1_000_000).map((n) => COMMIT_SEEDS + n),
  );
  const property = fc.asyncProperty(numbers, values, async (number, draws) => {
    const workload = drawWorkload(number, choicesFrom(draws));
    await runWorkload(workload, { counters: noCounters(), profile, imagesALife: 12 });
  });
  const given = { seed: seed + 77, numRuns: 12, interruptAfterTimeLimit: 120_000 };
  const found = await fc.check(property, given);
  if (!found.failed) return;
  // It tells its seed, its path, and how small it became.
  console.error(await fc.asyncDefaultReportMessage(found));
  const [number, draws] = found.counterexample ?? [0, []];
  await runKept(drawWorkload(number, choicesFrom(draws)), { profile, imagesALife: 12 });
  throw found.errorInstance;
});

async function runFrom(first: number, profile: string, wanted: number): Promise<Counters> {
  const run = { images: wanted, seed: first, profiles: [profile], shrink: true, keep: KEEP };
  const { failure, hangs, crashed, counters } = await crashTestIn(ROOT, run);
  const { error, seed: at, differences = [], kept } = failure ?? {};
  const told = `seed ${at}\n${differences.join('\n')}\nwhat is left is in ${kept}`;
  expect(error ?? hangs ?? crashed, told).toBeUndefined();
  if (counters === undefined) throw new Error('no report');
  console.log(`${profile} from seed ${first}: ${JSON.stringify(counters)}`);
  expect(counters.images + counters.nested).toBeGreaterThanOrEqual(wanted);
  return counters;
}

test.each([
  ['strict', 1],
  ['ext4-ordered', 0.2],
  ['xfs', 0.2],
  ['process-kill', 0.1],
] as const)(
  'as many images as there is time for: %s',
  { timeout: 120_000 + images * 20 },
  async (profile, share) => {
    const half = (images * share) / 2;
    const plain = await runFrom(seed, profile, half);
    const withCommits = await runFrom(COMMIT_SEEDS + seed, profile, half);
    const missed = unreached(plain).filter((name) => unreached(withCommits).includes(name));
    if (share >= 0.5) expect(missed, 'never reached').toEqual([]);
  },
);
