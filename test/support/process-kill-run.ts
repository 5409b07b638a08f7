/**
 * Kills programs that use a store, again and again: several stores one after the other, each with a
 * number of lives. Every life but the first begins with a recovery of what the one before has left,
 * and says what it found; at the end of a store everything is verified here.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../src/testing/choices.js';
import { live, type LifeEnd, type Moment } from './process-kill-child.js';
import { KillLedger } from './process-kill-ledger.js';
import { verifyStore } from './process-kill-verify.js';
import type { TracedKills } from './process-kill-trace.js';

const LIVES = 20;
/** The first life goes on until this much is acknowledged: recoveries have something to do. */
const FIRST_RECORDS = 1000;

/** The tracer's call has not come by then. */
const TRACED_RECORDS = 1500;

export interface KillRun {
  readonly program: string;
  readonly scratch: string;
  readonly cycles: number;
  readonly seed: number;
  /** Most lives end at a system call, some at a random moment. */
  readonly traced?: TracedKills | undefined;
  readonly onProgress?: (stats: KillStats) => void;
}

export interface KillStats {
  kills: number;
  /** While a store and its channels were being opened. */
  killsInOpen: number;
  /** By a system call. */
  killsAtCalls: number;
  /** Lives that found something to recover. */
  recoveredLives: number;
  stores: number;
  acknowledged: number;
  /** For each kill, how many records its store had acknowledged. */
  readonly acknowledgedBefore: number[];
  /** How often each thing was done. */
  readonly events: Map<string, number>;
  readonly calls: Map<string, number>;
}

/** Rejects as soon as anything is lost, or is there that must not be. */
export async function killRun(run: KillRun): Promise<KillStats> {
  const stats: KillStats = {
    kills: 0,
    killsInOpen: 0,
    killsAtCalls: 0,
    recoveredLives: 0,
    stores: 0,
    acknowledged: 0,
    acknowledgedBefore: [],
    events: new Map(),
    calls: new Map(),
  };
  // Two cores: two stores at a time.
  const work = async (): Promise<void> => {
    while (stats.stores * LIVES < run.cycles)
      await new KilledStore(run, stats.stores++, stats).run();
  };
  await Promise.all([work(), work()]);
  return stats;
}

class KilledStore {
  readonly #run: KillRun;
  readonly #stats: KillStats;
  readonly #directory: string;
  readonly #seed: number;
  readonly #random: Random;
  readonly #ledger = new KillLedger('kill');

  constructor(run: KillRun, index: number, stats: KillStats) {
    this.#run = run;
    this.#stats = stats;
    this.#seed = run.seed + index;
    this.#random = new Random(this.#seed);
    this.#directory = join(run.scratch, `store-${index}`);
  }

  async run(): Promise<void> {
    mkdirSync(this.#directory);
    for (let life = 0; life < LIVES; life++) {
      try {
        await this.#live(life);
      } catch (error) {
        throw new Error(`seed ${this.#seed}, life ${life}, ${this.#directory}`, { cause: error });
      }
    }
    await verifyStore(this.#directory, this.#ledger);
    for (const [event, count] of this.#ledger.events) {
      this.#stats.events.set(event, (this.#stats.events.get(event) ?? 0) + count);
    }
    this.#stats.acknowledged += this.#ledger.promised;
    rmSync(this.#directory, { recursive: true });
  }

  async #live(life: number): Promise<void> {
    const ledger = this.#ledger;
    const { program, traced, onProgress } = this.#run;
    const isTraced = life > 0 && life % 4 !== 3;
    const call = isTraced ? traced?.draw(this.#random) : undefined;
    ledger.begin(life);
    const end = await live({
      program,
      directory: this.#directory,
      seed: this.#seed,
      life,
      moment: call === undefined ? this.#moment(life) : this.#after(TRACED_RECORDS, 0),
      ...(call === undefined ? {} : { wrapper: call.wrapper }),
      take: (message) => ledger.take(message),
    });
    this.#count(end, call?.name);
    onProgress?.(this.#stats);
  }

  #moment(life: number): Moment {
    const random = this.#random;
    if (life === 0) return this.#after(FIRST_RECORDS, random.below(50));
    if (life % 4 === 3) return { kind: 'open', ms: random.below(12) };
    // Some live long enough for what takes several syncs.
    const compactions = life % 8 === 1 ? 1 : 0;
    return this.#after(random.below(1000), random.below(50), compactions);
  }

  #after(records: number, ms: number, compactions: number = 0): Moment {
    const ledger = this.#ledger;
    const done = (ledger.events.get('compacted') ?? 0) + compactions;
    const isDue = (): boolean =>
      ledger.promisedInLife >= records && (ledger.events.get('compacted') ?? 0) >= done;
    return { kind: 'load', isDue, ms };
  }

  #count({ end, moment, failure, isEnded, recoveries }: LifeEnd, call: string | undefined): void {
    const stats = this.#stats;
    if (failure !== undefined) throw new Error(`it failed: ${failure}`);
    // A tracer ends as the program has ended.
    if (end !== 'SIGKILL' && end !== 128 + 9) throw new Error(`it ended by itself: ${end}`);
    stats.kills++;
    if (moment === 'opening') stats.killsInOpen++;
    if (recoveries > 0) stats.recoveredLives++;
    stats.acknowledgedBefore.push(this.#ledger.promised);
    if (call !== undefined && !isEnded) {
      stats.killsAtCalls++;
      stats.calls.set(call, (stats.calls.get(call) ?? 0) + 1);
    }
  }
}
