/**
 * Goal: whatever a crash leaves of a compaction, with appends, rolls and trims in flight, opens to
 * one of the two generations: nothing synced is lost that was not condemned, nothing acknowledged
 * as gone comes back, no record is there twice, and orphans are swept.
 * Method: random histories on a disk that loses what no sync covers; an image of a power cut or a
 * kill before the operations of each compaction. REDEX_CRASH_IMAGES makes the run longer,
 * REDEX_CRASH_SEED another one.
 */
import { expect, test } from 'vitest';
import { CompactCrashRun, noCompactStats } from '../support/compact-crash.js';

const wanted = Number(process.env['REDEX_CRASH_IMAGES'] ?? 2500);
const seed = Number(process.env['REDEX_CRASH_SEED'] ?? 1);

test(
  'G1 to G5: every image of a crash of a compaction',
  { timeout: 60_000 + wanted * 20 },
  async () => {
    const stats = noCompactStats();
    for (let run = 0; stats.images + stats.nested < wanted; run++) {
      await new CompactCrashRun(seed + run, stats).run();
    }
    const counts = Object.entries(stats).map(([name, count]) => `${name} ${count}`);
    console.log(`compaction crash images from seed ${seed}: ${counts.join(', ')}`);
    for (const [name, count] of Object.entries(stats)) {
      expect.soft(count, `${name} was never reached`).toBeGreaterThan(0);
    }
  },
);
