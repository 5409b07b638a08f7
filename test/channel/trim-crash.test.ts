/**
 * Goal: after a crash at any moment of a channel that lets go of its beginning, acknowledged trims
 * stay, of one in flight the old or the new firstSeq counts, nothing that is kept is lost, nothing
 * that was let go comes back, and no seq is given twice (RULES G1, G2, G5, C8, S4).
 * Method: random lives with appends, rolls, trims, retention, reads and faults on a CrashFs; images
 * of power cuts and kills before every change, opened and compared with a model. Of some the
 * recovery is crashed again. REDEX_CRASH_IMAGES and REDEX_CRASH_SEED make it longer and another.
 */
import { expect, test } from 'vitest';
import { TrimRun } from '../support/trim-crash.js';
import { emptyTrimStats } from '../support/trim-verify.js';

const wanted = Number(process.env['REDEX_CRASH_IMAGES'] ?? 10_000);
const seed = Number(process.env['REDEX_CRASH_SEED'] ?? 7_000);

test('G1, G5, C8: every image of a crash', { timeout: 60_000 + wanted * 20 }, async () => {
  const stats = emptyTrimStats();
  for (let program = 0; stats.images < wanted; program += 1) {
    try {
      await new TrimRun(seed + program, stats).run();
    } catch (error) {
      throw new Error(`seed ${seed + program}: ${String(error)}`, { cause: error });
    }
  }
  const text = Object.entries(stats).map(([name, count]) => `${name} ${count}`);
  console.log(`trim crash images from seed ${seed}: ${text.join(', ')}`);
  for (const [name, count] of Object.entries(stats)) {
    expect.soft(count, `${name} was never reached`).toBeGreaterThan(0);
  }
});
