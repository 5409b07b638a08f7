/**
 * Kills consumers of a queue, again and again: several stores one after the other, each with a
 * number of lives. Every life tells what it finds before it changes anything; at the end of a store
 * it is verified and used up here.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { QueueStore } from '../../src/queues/queue-store.js';
import { Redex } from '../../src/store/redex.js';
import { Random } from '../../src/testing/choices.js';
import { live, type LifeEnd, type Moment } from './process-kill-child.js';
import { QueueLedger } from './process-queue-ledger.js';
import type { QueueKillMessage } from './process-queue-load.js';
import { findQueues, numberOf, QUEUE } from './process-queue-records.js';

const LIVES = 20;

export interface QueueKillRun {
  readonly program: string;
  readonly scratch: string;
  readonly kills: number;
  readonly seed: number;
  readonly onProgress?: (stats: QueueKillStats) => void;
}

export interface QueueKillStats {
  kills: number;
  /** Before the queue was open. */
  killsInOpen: number;
  stores: number;
  /** How often each thing was acknowledged. */
  readonly counts: Map<string, number>;
}

/** Rejects as soon as anything is wrong. */
export async function queueKillRun(run: QueueKillRun): Promise<QueueKillStats> {
  const stats: QueueKillStats = { kills: 0, killsInOpen: 0, stores: 0, counts: new Map() };
  // Two cores: two stores at a time.
  const work = async (): Promise<void> => {
    while (stats.kills < run.kills) await new KilledQueue(run, stats.stores++, stats).run();
  };
  await Promise.all([work(), work()]);
  return stats;
}

class KilledQueue {
  readonly #run: QueueKillRun;
  readonly #stats: QueueKillStats;
  readonly #directory: string;
  readonly #seed: number;
  readonly #random: Random;
  readonly #ledger = new QueueLedger();
  #settledInLife = 0;

  constructor(run: QueueKillRun, index: number, stats: QueueKillStats) {
    this.#run = run;
    this.#stats = stats;
    this.#seed = run.seed + index;
    this.#random = new Random(this.#seed);
    this.#directory = join(run.scratch, `queue-${index}`);
  }

  async run(): Promise<void> {
    mkdirSync(this.#directory);
    const { counts } = this.#stats;
    try {
      for (let life = 0; life < LIVES && this.#stats.kills < this.#run.kills; life++) {
        await this.#live(life);
      }
      await this.#useUp();
    } catch (error) {
      throw new Error(`seed ${this.#seed}, ${this.#directory}: ${String(error)}`, { cause: error });
    }
    for (const [what, count] of this.#ledger.counts) {
      counts.set(what, (counts.get(what) ?? 0) + count);
    }
    rmSync(this.#directory, { recursive: true });
  }

  async #live(life: number): Promise<void> {
    this.#settledInLife = 0;
    const end = await live<QueueKillMessage>({
      program: this.#run.program,
      directory: this.#directory,
      seed: this.#seed,
      life,
      moment: this.#moment(life),
      take: (message) => {
        if (message[0] === 'settled' || message[0] === 'moved') this.#settledInLife++;
        this.#ledger.take(message);
      },
    });
    this.#count(end);
  }

  #moment(life: number): Moment {
    const random = this.#random;
    if (life % 4 === 3) return { kind: 'open', ms: random.below(25) };
    const wanted = random.below(life === 0 ? 400 : 150);
    return { kind: 'load', isDue: () => this.#settledInLife >= wanted, ms: random.below(15) };
  }

  #count({ end, moment, failure }: LifeEnd): void {
    if (failure !== undefined) throw new Error(`it failed: ${failure}`);
    if (end !== 'SIGKILL') throw new Error(`it ended by itself: ${end}`);
    this.#stats.kills++;
    if (moment === 'opening') this.#stats.killsInOpen++;
    this.#run.onProgress?.(this.#stats);
  }

  /** Delivers what is left, here, and looks at the bytes. */
  async #useUp(): Promise<void> {
    const redex = await Redex.open(this.#directory);
    const store = await QueueStore.open(redex, { reserveBytes: 0 });
    const queue = await store.queue(QUEUE, { createIfMissing: false });
    const ledger = this.#ledger;
    ledger.take(['found', await findQueues(queue)]);
    for (let token = -1; ; token--) {
      ledger.take(['receive', token, 8]);
      const deliveries = await queue.receive({ max: 8 });
      const told = deliveries.map(({ payload, id, seq, deliveryCount: count }) => {
        return { number: numberOf(payload), id, seq, count };
      });
      ledger.take(['received', token, told]);
      if (deliveries.length === 0) break;
      for (const delivery of deliveries) {
        const number = numberOf(delivery.payload);
        ledger.take(['settle', token, number, 'ack synced']);
        await delivery.ack({ durability: 'synced' });
        ledger.take(['settled', token, number]);
      }
    }
    const left = await findQueues(queue);
    ledger.take(['found', left]);
    for (const name of [QUEUE, `${QUEUE}.dead`]) {
      const channel = await redex.channel(`$queues/${name}`, { createIfMissing: false });
      const { ok, problems } = await channel.verify();
      if (!ok) throw new Error(`verify of ${name}: ${JSON.stringify(problems)}`);
    }
    await store.close();
    await redex.close();
  }
}
