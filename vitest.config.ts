// One process for each test file: tests take locks, count descriptors and kill children. As many at
// a time as there are processors (the default leaves one of two idle), the longest files first, so
// that none of them is left over at the end.
import { availableParallelism } from 'node:os';
import { defineConfig, type ViteUserConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files of 20 seconds and more, by the part of their path that says which. */
const LONGEST = [
  'test/planted-bugs/',
  'test/crash/property.',
  'test/process/strace-faults.',
  'test/process/kill-store.',
  'test/corruption/corruption.',
  'test/cli/bad-day.',
  'test/repair/crash.',
  'test/repair/sweep.',
  'test/process/follow.',
  'test/crash/coverage.',
  'test/crash/store-exhaustive.',
  'test/store/backup-failures.',
  'test/store/failed-changes.',
  'test/store/open-files.',
  'test/recovery/finished-damage.',
];

class LongestFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const index = LONGEST.findIndex((part) => moduleId.includes(part));
      return index < 0 ? LONGEST.length : index;
    };
    return Promise.resolve(files.toSorted((a, b) => place(a) - place(b)));
  }
}

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: './test/support/global-setup.ts',
    pool: 'forks',
    maxWorkers: availableParallelism(),
    // Images of disks come and go: less of them outlives a collection.
    execArgv: ['--max-semi-space-size=64'],
    sequence: { sequencer: LongestFirst },
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 10_000,
    allowOnly: false,
    passWithNoTests: false,
    reporters: ['default', './scripts/reporter.mjs'],
  },
});

export default config;
