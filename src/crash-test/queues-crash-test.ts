/**
 * The crash test of queues: workloads from seeds, images of power cuts and kills at operations of
 * the file system, and a judgement of each. After some crashes the workload goes on with what was
 * left, and the model with what was found.
 */
import { choicesFromSeed, Random, worst, type Choose } from '../testing/choices.js';
import { CrashFs } from '../testing/crash-fs.js';
import { ext4Ordered, xfs } from '../testing/crash-journal.js';
import { processKill, strict, type Profile } from '../testing/crash-profiles.js';
import { ManualRuntime } from '../testing/manual-runtime.js';
import { changesState } from './image.js';
import { judgeQueues, openStore, type QueuesImage } from './queues-judge.js';
import { look, openQueues, QUEUES } from './queues-look.js';
import { plainSight, QueuesModel } from './queues-model.js';
import { QueueActions } from './queues-actions.js';
import { QueuesScene } from './queues-scene.js';
import { WideActions } from './queues-wide-actions.js';
import { QueuesWorkload } from './queues-workload.js';
import { Violation } from './violation.js';

export interface QueuesCrashOptions {
  /** Images that are judged, about. */
  readonly images: number;
  readonly seed: number;
  /** Steps of each workload. Default: 80. */
  readonly steps?: number;
  /** One in so many operations is photographed. Default: 8. */
  readonly every?: number;
}

export interface QueuesCrashReport {
  readonly images: number;
  readonly workloads: number;
  /** How often each kind of step was done. */
  readonly steps: Readonly<Record<string, number>>;
}

/**
 * Resolves when all images were as they may be. Rejects with the first that is not, and its seed.
 */
export async function queuesCrashTest(options: QueuesCrashOptions): Promise<QueuesCrashReport> {
  const steps: Record<string, number> = {};
  let images = 0;
  let workloads = 0;
  for (let { seed } = options; images < options.images; seed++) {
    const run = new QueuesRun(seed, options, steps);
    try {
      await run.run();
    } catch (error) {
      throw new Violation(`seed ${seed}, after ${run.judged} images: ${String(error)}`, {
        cause: error,
      });
    }
    images += run.judged;
    workloads++;
  }
  return { images, workloads, steps };
}

/** Those that keep what was synced. */
const PROFILES: readonly Profile[] = [processKill, xfs, ext4Ordered, strict];

class QueuesRun {
  judged = 0;
  readonly #random: Random;
  readonly #choices: Random;
  readonly #options: QueuesCrashOptions;
  readonly #counts: Record<string, number>;
  readonly #model = new QueuesModel();
  readonly #workload: QueuesWorkload;
  #disk = new CrashFs();
  #runtime: ManualRuntime;
  #images: QueuesImage[] = [];
  #operation = 0;
  #number = 0;
  /** Photographs until the one with which the workload goes on; below 0 for none. */
  #untilCrash = -1;
  #left: QueuesImage | undefined;

  constructor(seed: number, options: QueuesCrashOptions, counts: Record<string, number>) {
    this.#random = new Random(seed);
    this.#choices = new Random(seed ^ 0x5eed);
    this.#runtime = new ManualRuntime({ seed });
    this.#options = options;
    this.#counts = counts;
    this.#workload = new QueuesWorkload(this.#random, this.#model, counts);
  }

  async run(): Promise<void> {
    this.#watch();
    let scene = await this.#begin();
    const { steps = 80 } = this.#options;
    for (let step = 0; step < steps; step++) {
      if (this.#random.below(12) === 0) this.#untilCrash = this.#random.below(6);
      await this.#workload.step(scene);
      if (this.#left !== undefined) scene = await this.#goOn(this.#left);
      else if (this.#random.below(20) === 0) scene = await this.#closeAndOpen(scene);
    }
    await this.#close(scene);
    await this.#judge();
  }

  #watch(): void {
    this.#disk.onOperation = (operation) => {
      if (changesState(operation)) this.#photograph();
    };
  }

  async #begin(): Promise<QueuesScene> {
    const scene = await this.#open();
    for (const [name, options] of Object.entries(QUEUES)) await scene.store.queue(name, options);
    scene.queues = await openQueues(scene.store);
    if (scene.groupsOf('fan').length === 0) {
      const deed = this.#model.begin('group g1', true);
      await scene.queue('fan').groups.create('g1');
      this.#model.acknowledge(deed);
      this.#model.plainLine('fan', 'group g1').push(plainSight('yes'), deed);
    }
    return scene;
  }

  async #open(): Promise<QueuesScene> {
    const { redex, store } = await openStore(this.#disk, this.#runtime);
    const { operations } = this.#disk;
    const parts = { runtime: this.#runtime, redex, store, operations: () => operations.length };
    return new QueuesScene(this.#model, this.#random, parts);
  }

  #close(scene: QueuesScene): Promise<void> {
    const wide = new WideActions(new QueueActions(scene, () => 0));
    this.#workload.where = 'close';
    return wide.close(async () => {
      await scene.store.close();
      await scene.redex.close();
    });
  }

  async #closeAndOpen(scene: QueuesScene): Promise<QueuesScene> {
    this.#counts['reopen'] = (this.#counts['reopen'] ?? 0) + 1;
    await this.#close(scene);
    this.#workload.where = 'open';
    return this.#begin();
  }

  /** The process has ended there; another one goes on with what it has left. */
  async #goOn(image: QueuesImage): Promise<QueuesScene> {
    this.#counts['crash'] = (this.#counts['crash'] ?? 0) + 1;
    this.#disk.onOperation = undefined;
    await this.#judge();
    this.#left = undefined;
    this.#runtime = new ManualRuntime({
      seed: this.#random.below(1_000_000),
      startMs: image.nowMs,
    });
    this.#disk = image.fs;
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

  async #judge(): Promise<void> {
    const { onOperation } = this.#disk;
    this.#disk.onOperation = undefined;
    for (const image of this.#images) {
      await judgeQueues(this.#model, image);
      this.judged++;
    }
    this.#images = [];
    this.#disk.onOperation = onOperation;
  }

  #photograph(): void {
    if (this.#left !== undefined) return;
    const { every = 8 } = this.#options;
    const isCrash = this.#untilCrash >= 0 && this.#untilCrash-- === 0;
    if (this.#operation++ % every !== 0 && !isCrash) return;
    const profile = PROFILES[this.#choices.below(PROFILES.length)] ?? strict;
    const seed = this.#choices.below(1_000_000);
    const choose: Choose = seed % 4 === 0 ? worst : choicesFromSeed(seed);
    const { where } = this.#workload;
    const image: QueuesImage = {
      fs: this.#disk.crash(choose, { profile }),
      at: this.#model.time,
      kind: profile === processKill ? 'kill' : 'power',
      nowMs: this.#runtime.now(),
      where: `${where}, operation ${this.#operation}, ${profile.name}, choices ${seed}`,
      number: this.#number++,
    };
    if (isCrash) this.#left = image;
    else this.#images.push(image);
  }
}
