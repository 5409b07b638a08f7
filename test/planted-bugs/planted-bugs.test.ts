/**
 * Goal: the crash test finds what it must. Every planted bug is found by the workload that found it
 * first, and the engine without bugs passes the same workload.
 * Method: each bug is a text of the source that is replaced in a copy of the package, which a
 * process of its own runs the recorded workload with. `scripts/planted-bugs.mjs` searches for new
 * ones. The shipped code has no hook for any of this.
 */
import { availableParallelism } from 'node:os';
import { beforeAll, describe, expect, test } from 'vitest';
import { crashTestIn, inParallel, type WorkerReport } from '../../scripts/lib/crash-pool.mjs';
import { crashTest, type CrashReport } from '../../src/crash-test/crash-test.js';
import { queuesCrashTest } from '../../src/crash-test/queues-crash-test.js';
import { streamsCrashTest } from '../../src/crash-test/streams-crash-test.js';
import { failsTest, plant, plantedSource, readBugs, unplant } from '../../scripts/lib/planted.mjs';

const COUNTS = { S: 7, W: 5, C: 9, G: 6, N: 5, J: 9 };
const RULES = Object.entries(COUNTS).flatMap(([letter, count]) =>
  Array.from({ length: count }, (_, i) => `${letter}${i + 1}`),
);
const bugs = readBugs();
const seen = bugs.filter(({ equivalent }) => equivalent === undefined);
const found = seen.filter(({ foundByTest }) => foundByTest === undefined);
const byTest = seen.filter(({ foundByTest }) => foundByTest !== undefined);
const jobs = availableParallelism();

async function replay(directory: string, bug: (typeof bugs)[number]): Promise<WorkerReport> {
  const { seed, profile } = bug.found ?? { seed: 1, profile: 'strict' };
  const { layer } = bug;
  const run = layer === undefined ? { profiles: [profile] } : { layer, every: 2 };
  return await crashTestIn(directory, { images: 1, seed, ...run });
}

test('there are enough of them, from people who had not seen the tests too', () => {
  expect(found.length).toBeGreaterThanOrEqual(40);
  const blind = seen.filter((bug) => bug.blind === true);
  expect(blind.length * 3).toBeGreaterThanOrEqual(seen.length);
  expect(new Set(bugs.map(({ name }) => name)).size).toBe(bugs.length);
  const missing = RULES.filter((rule) => !bugs.some((bug) => bug.rule === rule));
  expect(missing, 'rules without a planted bug').toEqual([]);
});

test.each(bugs)('$rule $name is where it was planted', (bug) => {
  expect(plantedSource(bug)).not.toBe('');
  const by = bug.found ?? bug.foundByTest ?? bug.equivalent;
  expect(by, 'found, by a test or by the crash test, or equivalent with a reason').toBeDefined();
  if (bug.found !== undefined) expect(bug.found.images).toBeLessThan(100_000);
});

describe('replayed', () => {
  const reports = new Map<string, WorkerReport>();

  beforeAll(async () => {
    await inParallel(found, jobs, async (bug) => {
      const directory = plant(bug);
      try {
        reports.set(bug.name, await replay(directory, bug));
      } finally {
        unplant(directory);
      }
    });
  }, 400_000);

  test.each(found)('$rule $name is found', ({ name }) => {
    const { failure, crashed, hangs } = reports.get(name) ?? {};
    expect(failure?.error ?? crashed ?? hangs).toBeDefined();
  });
});

describe('no crash shows it', () => {
  const failing = new Set<string>();

  beforeAll(async () => {
    await inParallel(byTest, jobs, async (bug) => {
      if (await failsTest(bug, bug.foundByTest ?? '')) failing.add(bug.name);
    });
  }, 400_000);

  test.each(byTest)('$rule $name is found by $foundByTest', ({ name }) => {
    expect(failing.has(name)).toBe(true);
  });
});

/** Several bugs are found by the same workload. */
const passes = new Map<string, Promise<CrashReport>>();
const ofChannels = found.filter(({ layer }) => layer === undefined);

function seedsOf(wanted: 'queues' | 'streams'): number[] {
  const ofLayer = found.filter(({ layer }) => layer === wanted);
  return [...new Set(ofLayer.map(({ found: by }) => by?.seed ?? 1))];
}

test.each(seedsOf('queues'))('queues without bugs pass workload %i', async (seed) => {
  const { images } = await queuesCrashTest({ images: 1, seed, every: 2 });
  expect(images).toBeGreaterThan(0);
});

test.each(seedsOf('streams'))('streams without bugs pass workload %i', async (seed) => {
  const { images } = await streamsCrashTest({ images: 1, seed, every: 2 });
  expect(images).toBeGreaterThan(0);
});

test.each(ofChannels)('the engine without bugs passes what finds $name', async ({ found: by }) => {
  const { seed, profile } = by ?? { seed: 1, profile: 'strict' };
  const key = `${profile} ${seed}`;
  const report = passes.get(key) ?? crashTest({ images: 1, seed, profiles: [profile] });
  passes.set(key, report);
  expect((await report).failure?.error).toBeUndefined();
});
