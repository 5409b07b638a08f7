/**
 * The crash test of queues: workloads from seeds, images of power cuts and kills at operations of
 * the file system, and a judgement of each. After some crashes the workload goes on with what was
 * left, and the model with what was found.
 */
import { benign, choicesFromSeed, Random, worst, type Choose } from '../testing/choices.js';
import { CrashFs } from '../testing/crash-fs.js';
import { ext4Ordered, xfs } from '../testing/crash-journal.js';
import { processKill, strict, type Profile } from '../testing/crash-profiles.js';
import { ManualRuntime } from '../testing/manual-runtime.js';
import { changesState } from './image.js';
import { openStore, QueuesJudge, type Deep, type QueuesImage } from './queues-judge.js';
import { look, openQueues } from './queues-look.js';
import { isFanout, QUEUES } from './queues-options.js';
import { plainSight } from './queues-lines.js';
import { QueuesModel } from './queues-model.js';
import { QueueActions } from './queues-actions.js';
import { QueuesScene } from './queues-scene.js';
import { WideActions } from './queues-wide-actions.js';
import { UnderWay } from './queues-under-way.js';
import { QueuesWorkload } from './queues-workload.js';
import { Violation } from './violation.js';

export interface QueuesCrashOptions {
  /** Images that are judged, about. */
  readonly images: number;
  readonly seed: number;
  /** Steps of each workload. Default: 40. */
  readonly steps?: number;
  /** One in so many operations is photographed. Default: 2. */
  readonly every?: number;
}

export interface QueuesCrashReport {
  readonly images: number;
  /** Of these, those whose bytes no other one of their workload had. */
  readonly distinct: number;
  readonly workloads: number;
  /** How often each kind of step was done. */
  readonly steps: Readonly<Record<string, number>>;
  /** How many images were judged in which way, and taken while what was under way. */
  readonly counts: Readonly<Record<string, number>>;
}

/**
 * Resolves when all images were as they may be. Rejects with the first that is not, and its seed.
 */
export async function queuesCrashTest(options: QueuesCrashOptions): Promise<QueuesCrashReport> {
  const steps: Record<string, number> = {};
  const counts: Record<string, number> = { images: 0, distinct: 0 };
  let workloads = 0;
  for (let { seed } = options; (counts['images'] ?? 0) < options.images; seed++) {
    try {
      await new QueuesRun(seed, options, steps, counts).run();
    } catch (error) {
      throw new Violation(`seed ${seed}, after ${counts['images'] ?? 0} images: ${String(error)}`, {
        cause: error,
      });
    }
    workloads++;
  }
  const { images = 0, distinct = 0 } = counts;
  return { images, distinct, workloads, steps, counts };
}

/** Those that keep what was synced. */
const PROFILES: readonly Profile[] = [processKill, xfs, ext4Ordered, strict];

/** Every image is opened and compared; what else is done with it goes by turns. */
const TURNS: readonly Deep[] = [
  ...(['again', 'open', 'open', 'scratch', 'open', 'ids', 'open', 'nested'] as const),
  ...(['open', 'older', 'open', 'open', 'nested', 'open', 'use', 'open'] as const),
  ...(['open', 'open', 'scratch', 'open', 'verify', 'open', 'ids', 'open'] as const),
  ...(['nested', 'open', 'open', 'older', 'open', 'open', 'open', 'open'] as const),
];
/** While space is given back. */
const RECLAIM_TURNS: readonly Deep[] = [
  ...(['older', 'open', 'scratch', 'open', 'older', 'open', 'nested', 'open'] as const),
];

/** Microtasks that an operation of the file system may take. */
const MOST_TURNS = 12;

class QueuesRun {
  readonly #seed: number;
  readonly #random: Random;
  readonly #choices: Random;
  readonly #options: QueuesCrashOptions;
  readonly #steps: Record<string, number>;
  readonly #counts: Record<string, number>;
  readonly #underWay = new UnderWay();
  readonly #judge: QueuesJudge;
  readonly #model = new QueuesModel();
  readonly #workload: QueuesWorkload;
  #disk: CrashFs;
  #runtime: ManualRuntime;
  #images: QueuesImage[] = [];
  #operation = 0;
  #number: number;
  /** Photographs until the one with which the workload goes on; below 0 for none. */
  #untilCrash = -1;
  #left: QueuesImage | undefined;

  constructor(
    seed: number,
    options: QueuesCrashOptions,
    steps: Record<string, number>,
    counts: Record<string, number>,
  ) {
    this.#seed = seed;
    this.#number = seed;
    this.#judge = new QueuesJudge(this.#model, counts);
    this.#random = new Random(seed);
    this.#choices = new Random(seed ^ 0x5eed);
    this.#runtime = new ManualRuntime({ seed });
    this.#options = options;
    this.#steps = steps;
    this.#counts = counts;
    this.#disk = new CrashFs({ defer: this.#defer });
    this.#workload = new QueuesWorkload(this.#random, this.#model, steps);
  }

  async run(): Promise<void> {
    this.#watch();
    let scene = await this.#begin();
    const { steps = 40 } = this.#options;
    for (let step = 0; step < steps; step++) {
      if (this.#random.below(12) === 0) this.#untilCrash = this.#random.below(6);
      await this.#workload.step(scene);
      if (this.#left !== undefined) scene = await this.#goOn(this.#left);
      else if (this.#random.below(20) === 0) scene = await this.#closeAndOpen(scene);
    }
    await this.#close(scene);
    await this.#judgeAll();
  }

  /** Input and output of some takes a while, in which other things go on. */
  readonly #defer = (complete: () => void): void => {
    const turns = this.#seed % 2 === 0 ? 0 : this.#choices.below(MOST_TURNS);
    void (async () => {
      for (let turn = 0; turn <= turns; turn++) await Promise.resolve();
      complete();
    })();
  };

  #watch(): void {
    this.#disk.onOperation = (operation) => {
      if (changesState(operation)) this.#photograph();
    };
    // The crash that comes first after it.
    this.#model.onAcknowledged = () => this.#photograph();
  }

  #lookAway(): void {
    this.#disk.onOperation = undefined;
    this.#model.onAcknowledged = undefined;
  }

  async #begin(): Promise<QueuesScene> {
    const scene = await this.#open();
    const { names } = this.#workload;
    for (const name of names) await scene.store.queue(name, QUEUES[name]);
    scene.queues = await openQueues(scene.store);
    for (const name of names) {
      if (!isFanout(name) || scene.groupsOf(name).length > 0) continue;
      const deed = this.#model.begin('group g1', true);
      await scene.queue(name).groups.create('g1');
      this.#model.acknowledge(deed);
      this.#model.plainLine(name, 'group g1').push(plainSight('yes'), deed);
    }
    return scene;
  }

  async #open(): Promise<QueuesScene> {
    const reserveBytes = this.#seed % 8 === 0 ? 1 : 0;
    const { redex, store } = await openStore(this.#disk, this.#runtime, reserveBytes);
    this.#underWay.watch(redex);
    const { operations } = this.#disk;
    const parts = { runtime: this.#runtime, redex, store, operations: () => operations.length };
    return new QueuesScene(this.#model, this.#random, parts);
  }

  #close(scene: QueuesScene): Promise<void> {
    const wide = new WideActions(new QueueActions(scene, () => 0, false));
    this.#workload.where = 'close';
    return wide.close(async () => {
      await scene.store.close();
      await scene.redex.close();
    });
  }

  async #closeAndOpen(scene: QueuesScene): Promise<QueuesScene> {
    this.#steps['reopen'] = (this.#steps['reopen'] ?? 0) + 1;
    await this.#close(scene);
    this.#workload.where = 'open';
    return this.#begin();
  }

  /** The process has ended there; another one goes on with what it has left. */
  async #goOn(image: QueuesImage): Promise<QueuesScene> {
    this.#steps['crash'] = (this.#steps['crash'] ?? 0) + 1;
    await this.#judgeAll();
    this.#lookAway();
    this.#left = undefined;
    this.#runtime = new ManualRuntime({
      seed: this.#random.below(1_000_000),
      startMs: image.nowMs,
    });
    this.#disk = image.fs.kill(benign, { defer: this.#defer });
    const scene = await this.#open();
    const queues = await openQueues(scene.store);
    const found = await look(scene.redex, queues, this.#model);
    try {
      this.#model.collapse(this.#model.match(found.sights, image), image);
    } catch (error) {
      throw new Violation(`${image.where}: ${String(error)}`, { cause: error });
    }
    await scene.store.close();
    await scene.redex.close();
    this.#watch();
    return this.#begin();
  }

  async #judgeAll(): Promise<void> {
    this.#lookAway();
    for (const image of this.#images) await this.#judge.judge(image);
    this.#images = [];
  }

  #photograph(): void {
    if (this.#left !== undefined) return;
    const { every = 2 } = this.#options;
    const isCrash = this.#untilCrash >= 0 && this.#untilCrash-- === 0;
    if (this.#operation++ % every !== 0 && !isCrash) return;
    const profile = PROFILES[this.#choices.below(PROFILES.length)] ?? strict;
    const seed = this.#choices.below(1_000_000);
    const choose: Choose = seed % 4 === 0 ? worst : choicesFromSeed(seed);
    const { where } = this.#workload;
    const number = this.#number++;
    const underWay = this.#underWay.kinds();
    for (const kind of underWay) this.#counts[kind] = (this.#counts[kind] ?? 0) + 1;
    const turns = underWay.some((kind) => kind !== 'inMove') ? RECLAIM_TURNS : TURNS;
    const image: QueuesImage = {
      fs: this.#disk.crash(choose, { profile }),
      at: this.#model.time,
      kind: profile === processKill ? 'kill' : 'power',
      nowMs: this.#runtime.now(),
      where: `${where}, operation ${this.#operation}, ${profile.name}, choices ${seed}`,
      number,
      deep: turns[number % turns.length] ?? 'open',
    };
    if (isCrash) this.#left = image;
    else this.#images.push(image);
  }
}
