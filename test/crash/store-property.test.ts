/**
 * Goal: after a crash at any moment each channel of a store is there whole or not at all, what was
 * acknowledged stays, and what was under way is done or not done (RULES N1, N2, N3, S3, S4, S6).
 * Method: random programs of creations, deletions, renames, configures and appends, many at once
 * and with failures, on a file system that loses what no sync covers; images of power cuts and
 * kills are opened and compared with a model that knows only what was asked for and answered.
 * REDEX_CRASH_IMAGES and REDEX_CRASH_SEED make the run longer and another one.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { describeStoreProgram, storeProgram } from '../support/store-program.js';
import { runStoreProgram } from '../support/store-runner.js';
import { describeStoreStats, emptyStoreStats } from '../support/store-stats.js';

const wanted = Number(process.env['REDEX_CRASH_IMAGES'] ?? 3500);
const seed = Number(process.env['REDEX_CRASH_SEED'] ?? 20_240);
const PROGRAMS_A_ROUND = 50;

test(
  'N1 to N3, S3, S4: every image of a crash of a store opens to what was acknowledged',
  { timeout: 60_000 + wanted * 40 },
  async () => {
    const stats = emptyStoreStats();
    // Shrinking takes more of them.
    let imagesNeeded: number | undefined;
    for (let round = 0; stats.images + stats.nested < wanted; round += 1) {
      const property = fc.asyncProperty(storeProgram, async (value) => {
        try {
          await runStoreProgram(value, stats);
        } catch (error) {
          imagesNeeded ??= stats.images;
          throw error;
        }
      });
      await fc.assert(property, {
        seed: seed + round,
        numRuns: PROGRAMS_A_ROUND,
        // Shrinking a failure of a long program ends somewhere.
        interruptAfterTimeLimit: 60_000,
        reporter: (details) => {
          if (!details.failed) return;
          const [counterexample] = details.counterexample ?? [];
          const { counterexamplePath, seed: failedSeed, errorInstance } = details;
          throw new Error(
            `seed ${failedSeed}, path ${counterexamplePath}, images ${imagesNeeded}: ` +
              `${String(errorInstance)}\n` +
              (counterexample === undefined ? '' : describeStoreProgram(counterexample)),
            { cause: errorInstance },
          );
        },
      });
    }
    console.log(`seed ${seed}, crash images of stores: ${describeStoreStats(stats)}`);
    for (const [name, count] of Object.entries(stats)) {
      expect.soft(count, `${name} was never reached`).toBeGreaterThan(0);
    }
  },
);
