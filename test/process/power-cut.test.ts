/**
 * Goal: what was synced is there after a power cut, on real file systems: every record below what
 * was said to be synced, every change of names, trim and compaction that was acknowledged; nothing
 * that nobody appended; what is damaged is the torn tail of a segment, no more.
 * Method: an image file is mounted through a loop device. While a program writes to a store on it
 * the file system is shut down, which loses the page cache and, most times, the journal in memory;
 * it is mounted again, and the next program tells what it finds, before it goes on. The
 * acknowledgements go through a pipe. REDEX_POWER_CUTS, REDEX_POWER_FS and REDEX_POWER_SEED make
 * another run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildProcessPackage, type ProcessPackage } from '../support/process-package.js';
import { PowerDisk, type DiskKind } from '../support/process-power-disk.js';
import { powerRun, type PowerStats } from '../support/process-power-run.js';
import { requires } from '../support/requirements.js';

const ASKED = process.env['REDEX_POWER_CUTS'];
const CUTS = Number(ASKED ?? '6');
const ONLY = process.env['REDEX_POWER_FS'] ?? '';
const SEED = Number(process.env['REDEX_POWER_SEED'] ?? '77');
/** Of one store; then a new file system is made. */
const CUTS_OF_DISK = 50;
const HOURS = 12 * 3_600_000;
const DISKS: readonly DiskKind[] = ['ext4', 'xfs'];

let built: ProcessPackage;
let scratch: string;
const obstacles = new Map<DiskKind, string | undefined>();

beforeAll(async () => {
  built = await buildProcessPackage();
  scratch = process.env['REDEX_POWER_SCRATCH'] ?? mkdtempSync(join(tmpdir(), 'redex-power-'));
  for (const kind of DISKS) obstacles.set(kind, await PowerDisk.obstacle(scratch, kind));
});

afterAll(() => {
  built.remove();
  rmSync(scratch, { recursive: true, force: true });
});

function told({ failures, events, ...counts }: PowerStats): string {
  const lists = [...failures, ...events].map(([name, count]) => `${name} ${count}`).toSorted();
  return `${JSON.stringify(counts)} ${lists.join(', ')}`;
}

async function cutDisk(kind: DiskKind, cuts: number, seed: number): Promise<PowerStats> {
  const disk = await PowerDisk.make(scratch, kind);
  try {
    const program = built.path('test/support/process-kill-load.ts');
    const onProgress = (stats: PowerStats): void => {
      if (ASKED !== undefined && stats.cuts % 10 === 0) {
        process.stdout.write(`${kind}: ${told(stats)}\n`);
      }
    };
    return await powerRun({ program, disk, cuts, seed, onProgress });
  } finally {
    await disk.release();
  }
}

describe('what was synced survives power cuts', { timeout: ASKED ? HOURS : 120_000 }, () => {
  test.for(DISKS)('on %s', async (kind, context) => {
    requires(context, ONLY === '' || ONLY === kind, 'another file system was asked for');
    const obstacle = obstacles.get(kind);
    requires(context, obstacle === undefined, obstacle ?? '');
    for (let done = 0; done < CUTS; done += CUTS_OF_DISK) {
      const cuts = Math.min(CUTS_OF_DISK, CUTS - done);
      const stats = await cutDisk(kind, cuts, SEED + done);
      process.stdout.write(`${kind}, seed ${SEED + done}: ${told(stats)}\n`);
      expect(stats.cuts).toBe(cuts);
      expect(stats.synced).toBeGreaterThan(500);
    }
  });
});
