/**
 * Goal: the crash test refuses options that would make it check nothing, or something else than was
 * meant; and a seed stands for one workload, whatever its size.
 * Method: what is drawn from small seeds is compared with a hash, because failures are recorded by
 * their seeds.
 */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { crashTest, workloadOf, type CrashTestOptions } from '../../src/crash-test/crash-test.js';
import { Random, scaledSeed } from '../../src/testing/choices.js';
import { strict } from '../../src/testing/crash-profiles.js';

const refused: readonly (readonly [unknown, typeof TypeError | typeof RangeError])[] = [
  [undefined, TypeError],
  [{}, TypeError],
  [{ images: NaN }, RangeError],
  [{ images: 'many' }, TypeError],
  [{ images: -1 }, RangeError],
  [{ images: 0 }, RangeError],
  [{ images: 1.5 }, RangeError],
  [{ images: Infinity }, RangeError],
  [{ images: 1, profile: strict }, TypeError],
  [{ images: 1, profiles: [] }, RangeError],
  [{ images: 1, profiles: strict }, TypeError],
  [{ images: 1, profiles: 'strict' }, TypeError],
  [{ images: 1, profiles: ['ext5'] }, RangeError],
  [{ images: 1, profiles: [undefined] }, TypeError],
  [{ images: 1, profiles: [{ name: 'mine' }] }, TypeError],
  [{ images: 1, seed: '7' }, TypeError],
  [{ images: 1, seed: -1 }, RangeError],
  [{ images: 1, seed: 2 ** 53 }, RangeError],
  [{ images: 1, onProgress: 'yes' }, TypeError],
  [{ images: 1, signal: true }, TypeError],
];

test.each(refused)('refuses %j', async (options, kind) => {
  const error: unknown = await crashTest(options as CrashTestOptions).catch(
    (each: unknown) => each,
  );
  expect(error).toBeInstanceOf(kind);
});

test('takes profiles by name or as they are', async () => {
  const byName = await crashTest({ images: 1, seed: 8, profiles: ['strict'] });
  const asItIs = await crashTest({ images: 1, seed: 8, profiles: [strict] });
  expect(byName.failure).toBeUndefined();
  expect(byName.counters).toEqual(asItIs.counters);
  expect(byName.counters.images).toBeGreaterThan(0);
});

test('small seeds draw what they have always drawn', () => {
  const hash = createHash('sha256');
  for (let seed = 1; seed <= 50; seed += 1) hash.update(JSON.stringify(workloadOf(seed)));
  expect(hash.digest('hex')).toBe(
    'bac666c38e618af3b9acb74da5b938a2431ee17cae5dd0f8a499f385f3187de8',
  );
  const random = new Random(7);
  for (const seed of [
    0,
    1,
    2 ** 21 - 1,
    ...Array.from({ length: 100 }, () => random.below(2 ** 21)),
  ]) {
    expect(scaledSeed(seed, 2_654_435_761), `${seed}`).toBe((seed * 2_654_435_761) % 2 ** 32);
    expect(scaledSeed(seed, 65_537), `${seed}`).toBe((seed * 65_537) % 2 ** 32);
  }
});

test.each([1, 2 ** 21, 2 ** 32 - 500, 1.7e15])(
  '1000 seeds from %d draw as many workloads',
  (first) => {
    const drawn = new Set<string>();
    for (let i = 0; i < 1000; i += 1) drawn.add(JSON.stringify(workloadOf(first + i).lives));
    expect(drawn.size).toBe(1000);
  },
);

test('seeds that differ above 32 bits draw different workloads', () => {
  const lives = [1, 2, 3].map((high) => JSON.stringify(workloadOf(high * 2 ** 32 + 5).lives));
  expect(new Set(lives).size).toBe(3);
});
