/**
 * Kills banks, again and again: several stores one after the other, each with a number of lives.
 * What the next life finds is judged by what the ones before have begun and acknowledged; between
 * two lives the journal is looked at as the kill has left it.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CHANNELS_NAME, generationName, segmentFileName } from '../../src/format/file-name.js';
import { nodeFs } from '../../src/fs/node-fs.js';
import { readJournal } from '../../src/journal/recovered-journal.js';
import { planRedo } from '../../src/journal/redo-plan.js';
import { Random } from '../../src/testing/choices.js';
import { live, type LifeEnd, type Moment } from './process-kill-child.js';
import type { BankMessage } from './process-bank-load.js';
import type { FoundBank } from './process-bank-records.js';

const LIVES = 20;

export interface BankRun {
  readonly program: string;
  readonly scratch: string;
  readonly kills: number;
  readonly seed: number;
  readonly onProgress?: (stats: BankStats) => void;
}

export interface BankStats {
  kills: number;
  stores: number;
  acknowledged: number;
  /** Recoveries that found groups in the journal. */
  withRedo: number;
  /** Kills after which something of the journal was not in its file yet. */
  beforeCheckpoint: number;
  /** Kills before the store was open, with something to redo. */
  inRecovery: number;
}

/** What may and must be found. */
export class BankLedger {
  readonly #begun = new Set<number>();
  readonly #acknowledged = new Set<number>();
  /** Told by the kill before as there: it must stay. */
  #present: readonly (readonly [number, number])[] = [];

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  begin(id: number): void {
    this.#begun.add(id);
  }

  acknowledge(id: number): void {
    this.#acknowledged.add(id);
  }

  /** Throws for whatever is wrong. */
  check({ sum, half, whole }: FoundBank): void {
    if (sum !== 0) throw new Error(`the sum of all ledgers is ${sum}`);
    if (half.length > 0) throw new Error(`half of ${half.length} transfers: ${half[0]}`);
    const there = new Set<number>();
    for (const [from, to] of whole) for (let id = from; id < to; id++) there.add(id);
    for (const id of this.#acknowledged) {
      if (!there.has(id)) throw new Error(`transfer ${id} was acknowledged and is gone`);
    }
    for (const id of there) {
      if (!this.#begun.has(id)) throw new Error(`nobody has begun transfer ${id}`);
    }
    for (const [from, to] of this.#present) {
      for (let id = from; id < to; id++) {
        if (!there.has(id)) throw new Error(`transfer ${id} was there and is gone`);
      }
    }
    this.#present = whole;
  }
}

/** Rejects as soon as anything is wrong. */
export async function bankRun(run: BankRun): Promise<BankStats> {
  const stats: BankStats = {
    kills: 0,
    stores: 0,
    acknowledged: 0,
    withRedo: 0,
    beforeCheckpoint: 0,
    inRecovery: 0,
  };
  // Two cores: two stores at a time.
  const work = async (): Promise<void> => {
    while (stats.kills < run.kills) await new KilledBank(run, stats.stores++, stats).run();
  };
  await Promise.all([work(), work()]);
  return stats;
}

class KilledBank {
  readonly #run: BankRun;
  readonly #stats: BankStats;
  readonly #directory: string;
  readonly #seed: number;
  readonly #random: Random;
  readonly #ledger = new BankLedger();
  #isStoreOpen = false;
  #acknowledgedInLife = 0;

  constructor(run: BankRun, index: number, stats: BankStats) {
    this.#run = run;
    this.#stats = stats;
    this.#seed = run.seed + index;
    this.#random = new Random(this.#seed);
    this.#directory = join(run.scratch, `bank-${index}`);
  }

  async run(): Promise<void> {
    const { kills } = this.#run;
    mkdirSync(this.#directory);
    for (let life = 0; life < LIVES && this.#stats.kills < kills; life++) {
      try {
        await this.#live(life);
      } catch (error) {
        throw new Error(`seed ${this.#seed}, life ${life}, ${this.#directory}`, { cause: error });
      }
    }
    this.#stats.acknowledged += this.#ledger.acknowledged;
    rmSync(this.#directory, { recursive: true });
  }

  async #live(life: number): Promise<void> {
    const before = leftIn(this.#directory);
    if (before.groups > 0) this.#stats.withRedo++;
    this.#isStoreOpen = false;
    this.#acknowledgedInLife = 0;
    const end = await live<BankMessage>({
      program: this.#run.program,
      directory: this.#directory,
      seed: this.#seed,
      life,
      moment: this.#moment(life),
      take: (message) => this.#take(message),
    });
    this.#count(end, before.groups);
  }

  #take(message: BankMessage): void {
    const [what] = message;
    if (what === 'store') this.#isStoreOpen = true;
    else if (what === 'found') this.#ledger.check(message[1]);
    else if (what === 'begin') this.#ledger.begin(message[1]);
    else if (what === 'ack') {
      this.#acknowledgedInLife++;
      this.#ledger.acknowledge(message[1]);
    }
  }

  #moment(life: number): Moment {
    const random = this.#random;
    if (life % 4 === 3) return { kind: 'open', ms: random.below(15) };
    const wanted = life === 0 ? 100 : random.below(200);
    return {
      kind: 'load',
      isDue: () => this.#isStoreOpen && this.#acknowledgedInLife >= wanted,
      ms: random.below(20),
    };
  }

  #count({ end, failure }: LifeEnd, groupsBefore: number): void {
    const stats = this.#stats;
    if (failure !== undefined) throw new Error(`it failed: ${failure}`);
    if (end !== 'SIGKILL') throw new Error(`it ended by itself: ${end}`);
    stats.kills++;
    if (!this.#isStoreOpen && groupsBefore > 0) stats.inRecovery++;
    if (leftIn(this.#directory).missing > 0) stats.beforeCheckpoint++;
    this.#run.onProgress?.(stats);
  }
}

/** Groups in the journal, and entries of it whose bytes are not in their files. */
function leftIn(directory: string): { readonly groups: number; readonly missing: number } {
  const manifest = join(directory, 'redex.json');
  if (nodeFs.statSync(manifest) === undefined) return { groups: 0, missing: 0 };
  const { storeId } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly storeId: string };
  const contents = readJournal(nodeFs, directory, Buffer.from(storeId, 'hex'));
  if (contents === undefined) return { groups: 0, missing: 0 };
  let missing = 0;
  for (const { hint, writes } of planRedo(contents.groups, contents.names)) {
    const generation = join(directory, CHANNELS_NAME, hint ?? '', generationName(1));
    for (const { baseSeq, position, data } of writes) {
      const path = join(generation, segmentFileName(baseSeq, 'dat'));
      const bytes = nodeFs.statSync(path) === undefined ? undefined : readFileSync(path);
      const there = bytes?.subarray(position, position + data.byteLength);
      if (there === undefined || Buffer.compare(there, data) !== 0) missing++;
    }
  }
  return { groups: contents.groups.length, missing };
}
