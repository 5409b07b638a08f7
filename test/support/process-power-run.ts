/** Cuts the power of the disk under a store that is being written to, again and again. */
import { join } from 'node:path';
import { Random } from '../../src/testing/choices.js';
import { live, type LifeEnd, type Moment } from './process-kill-child.js';
import { KillLedger } from './process-kill-ledger.js';
import { verifyStore, verifyTails } from './process-kill-verify.js';
import type { CutKind, PowerDisk } from './process-power-disk.js';

const FIRST_RECORDS = 500;

export interface PowerRun {
  readonly program: string;
  readonly disk: PowerDisk;
  readonly cuts: number;
  readonly seed: number;
  readonly onProgress?: (stats: PowerStats) => void;
}

export interface PowerStats {
  cuts: number;
  /** While the store and its channels were being opened. */
  cutsInOpen: number;
  /** Torn tails that were found after cuts. */
  tornTails: number;
  recoveries: number;
  /** Records that were known to be synced. */
  synced: number;
  /** What the programs were told, by code. */
  readonly failures: Map<string, number>;
  readonly events: ReadonlyMap<string, number>;
}

/** Rejects as soon as anything is lost that was synced, or is there that must not be. */
export async function powerRun(run: PowerRun): Promise<PowerStats> {
  const { disk, seed } = run;
  const ledger = new KillLedger('power');
  const stats: PowerStats = {
    cuts: 0,
    cutsInOpen: 0,
    tornTails: 0,
    recoveries: 0,
    synced: 0,
    failures: new Map(),
    events: ledger.events,
  };
  const random = new Random(seed);
  const directory = join(disk.path, 'store');
  for (let life = 0; life < run.cuts; life++) {
    try {
      const end = await cutOnce(run, ledger, random, life);
      note(stats, end);
      stats.tornTails += await remount(disk, directory);
      stats.synced = ledger.promised;
    } catch (error) {
      throw new Error(`seed ${seed}, cut ${life}`, { cause: error });
    }
    run.onProgress?.(stats);
  }
  await verifyStore(directory, ledger);
  return stats;
}

async function cutOnce(
  { program, disk, seed }: PowerRun,
  ledger: KillLedger,
  random: Random,
  life: number,
): Promise<LifeEnd> {
  ledger.begin(life);
  const kind: CutKind = random.below(3) === 0 ? 'logged' : 'lost';
  const records = life === 0 ? FIRST_RECORDS : random.below(500);
  const isDue = (): boolean => ledger.promisedInLife >= records;
  const ms = random.below(life % 3 === 2 ? 30 : 100);
  const moment: Moment = life % 3 === 2 ? { kind: 'open', ms } : { kind: 'load', isDue, ms };
  return live({
    program,
    directory: join(disk.path, 'store'),
    seed,
    life,
    moment,
    take: (message) => ledger.take(message),
    end: () => disk.cut(kind),
  });
}

function note(stats: PowerStats, { end, moment, isEnded, failure, recoveries }: LifeEnd): void {
  if (!isEnded) throw new Error(`it ended before the cut: ${failure ?? end}`);
  // It is not told of the cut but by what it does.
  if (failure === undefined) throw new Error(`it went on: ${end}`);
  if (failure.startsWith('untyped')) throw new Error(failure);
  stats.failures.set(failure, (stats.failures.get(failure) ?? 0) + 1);
  stats.cuts++;
  if (moment === 'opening') stats.cutsInOpen++;
  stats.recoveries += recoveries;
}

async function remount(disk: PowerDisk, directory: string): Promise<number> {
  await disk.unmount();
  await disk.mount();
  return verifyTails(directory);
}
