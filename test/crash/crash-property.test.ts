/**
 * Goal: after a crash at any moment nothing acknowledged is lost, nothing else is there, and the
 * log goes on (invariants I1 to I6, I11, I12).
 * Method: random programs over the public API on a file system that loses what no sync covers;
 * images of power cuts and kills are taken between operations, opened and compared with a model
 * that knows only what the engine was asked for and said. REDEX_CRASH_IMAGES and REDEX_CRASH_SEED
 * make the run longer and another one.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { describeProgram, program } from '../support/crash-program.js';
import { runProgram } from '../support/crash-runner.js';
import { describeStats, emptyStats } from '../support/crash-stats.js';

const wanted = Number(process.env['REDEX_CRASH_IMAGES'] ?? 40_000);
const seed = Number(process.env['REDEX_CRASH_SEED'] ?? 20_240);
const PROGRAMS_A_ROUND = 50;

test(
  'I1 to I6, I11, I12: every image of a crash opens to what was acknowledged',
  { timeout: 60_000 + wanted * 20 },
  async () => {
    const stats = emptyStats();
    for (let round = 0; stats.images + stats.nested < wanted; round += 1) {
      const property = fc.asyncProperty(program, (value) => runProgram(value, stats));
      await fc.assert(property, {
        seed: seed + round,
        numRuns: PROGRAMS_A_ROUND,
        // Shrinking a failure of a long program ends somewhere.
        interruptAfterTimeLimit: 120_000,
        reporter: (details) => {
          if (!details.failed) return;
          const [counterexample] = details.counterexample ?? [];
          const { counterexamplePath, seed: failedSeed, errorInstance } = details;
          throw new Error(
            `seed ${failedSeed}, path ${counterexamplePath}: ${String(errorInstance)}\n` +
              (counterexample === undefined ? '' : describeProgram(counterexample)),
            { cause: errorInstance },
          );
        },
      });
    }
    console.log(`crash images: ${describeStats(stats)}`);
    for (const [name, count] of Object.entries(stats)) {
      expect.soft(count, `${name} was never reached`).toBeGreaterThan(0);
    }
  },
);
