/**
 * The crash test of streams: workloads from seeds, images of power cuts and kills at operations of
 * the file system, and a judgement of each.
 */
import { RedexError } from '../core/errors.js';
import { microtasksDone } from '../core/runtime.js';
import { Redex } from '../store/redex.js';
import { StreamStore } from '../streams/stream-store.js';
import { choicesFromSeed, Random, worst, type Choose } from '../testing/choices.js';
import { CrashFs } from '../testing/crash-fs.js';
import { processKill, strict, type Profile } from '../testing/crash-profiles.js';
import { ext4Ordered, xfs } from '../testing/crash-journal.js';
import { ManualRuntime } from '../testing/manual-runtime.js';
import { changesState } from './image.js';
import { imageKey } from './image-key.js';
import { judgeStreams, type StreamsDepth, type StreamsImage } from './streams-judge.js';
import { StreamsModel } from './streams-model.js';
import {
  MAX_TOTAL_BYTES,
  STREAM_NAMES,
  StreamsWorkload,
  type StreamStep,
} from './streams-workload.js';
import { Violation } from './violation.js';

export interface StreamsCrashOptions {
  /** Images that are judged, about, with those that a crash of an opening leaves. */
  readonly images: number;
  readonly seed: number;
  /** Steps of each workload. Default: 40. */
  readonly steps?: number;
  /** One in so many operations is photographed. Default: 8. */
  readonly every?: number;
}

export interface StreamsCrashReport {
  readonly images: number;
  /** Of these, those that were judged: others had the same bytes, and the same may be there. */
  readonly distinct: number;
  readonly workloads: number;
  /** How often each kind of step was done. */
  readonly steps: Readonly<Record<string, number>>;
  /**
   * Beside `images` and `distinct`: how many were left by a crash of an opening, and how many were
   * closed and opened again.
   */
  readonly counts: Readonly<Record<string, number>>;
}

/**
 * Resolves when all images were as they may be. Rejects with the first that is not, and its seed.
 */
export async function streamsCrashTest(options: StreamsCrashOptions): Promise<StreamsCrashReport> {
  const steps: Record<string, number> = {};
  const counts = { images: 0, distinct: 0, nested: 0, again: 0 };
  let workloads = 0;
  for (let { seed } = options; counts.images < options.images; seed++) {
    const run = new StreamsRun(seed, options, steps);
    try {
      await run.run();
      await judgeAll(run.images, counts);
    } catch (error) {
      throw new Violation(`seed ${seed}: ${String(error)}`, { cause: error });
    }
    workloads++;
  }
  const { images, distinct } = counts;
  return { images, distinct, workloads, steps, counts };
}

/** Counts the images, those that a crash of an opening left included. */
async function judgeAll(
  images: readonly StreamsImage[],
  counts: Record<string, number>,
): Promise<void> {
  const judged = new Set<string>();
  for (const image of images) {
    const left = await judgeNew(image, judged, counts);
    if (left !== undefined) await judgeNew(left, judged, counts);
  }
}

/** The same bytes were judged already when the same may be there. */
async function judgeNew(
  image: StreamsImage,
  judged: Set<string>,
  counts: Record<string, number>,
): Promise<StreamsImage | undefined> {
  const { fs, possible, nowMs } = image;
  add(counts, 'images');
  const key = `${imageKey(fs)} ${nowMs} ${JSON.stringify([...possible])}`;
  if (judged.has(key)) return undefined;
  judged.add(key);
  add(counts, 'distinct');
  const left = await judgeStreams(image);
  if (left !== undefined) add(counts, 'nested');
  if (image.depth === 'again') add(counts, 'again');
  // A turn of the event loop: what was opened can be collected.
  await microtasksDone();
  return left;
}

function add(counts: Record<string, number>, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1;
}

/** Every image is opened and compared; what else is done with it goes by turns. */
const TURNS: readonly StreamsDepth[] = ['open', 'nested', 'open', 'again', 'nested', 'open'];

/** Those that keep what was synced. */
const PROFILES: readonly Profile[] = [processKill, xfs, ext4Ordered, strict];

class StreamsRun {
  readonly images: StreamsImage[] = [];
  readonly #random: Random;
  readonly #disk = new CrashFs();
  readonly #runtime: ManualRuntime;
  readonly #model = new StreamsModel(STREAM_NAMES);
  readonly #workload: StreamsWorkload;
  readonly #options: StreamsCrashOptions;
  readonly #counts: Record<string, number>;
  #operation = 0;
  #where = 'open';

  constructor(seed: number, options: StreamsCrashOptions, counts: Record<string, number>) {
    this.#random = new Random(seed);
    this.#runtime = new ManualRuntime({ seed });
    this.#workload = new StreamsWorkload(this.#random, this.#model);
    this.#options = options;
    this.#counts = counts;
  }

  async run(): Promise<void> {
    this.#disk.onOperation = (operation) => {
      if (changesState(operation)) this.#photograph();
    };
    let redex = await this.#openRedex();
    let streams = await this.#openStreams(redex);
    const { steps = 40 } = this.#options;
    for (let step = 0; step < steps; step++) {
      await this.#step(streams);
      const chance = this.#random.below(10);
      if (chance === 0) await this.#runtime.elapse(1500);
      if (chance === 1) await this.#sweep(streams);
      if (chance !== 2) continue;
      this.#where = 'close and open';
      await streams.close();
      await redex.close();
      redex = await this.#openRedex();
      streams = await this.#openStreams(redex);
    }
    this.#where = 'close';
    await streams.close();
    await redex.close();
    this.#disk.onOperation = undefined;
  }

  #openRedex(): Promise<Redex> {
    return Redex.open('/data', { fs: this.#disk, runtime: this.#runtime });
  }

  #openStreams(redex: Redex): Promise<StreamStore> {
    const runtime = this.#runtime;
    // Sweeps are steps of the workload.
    const sweepIntervalMs = 2 ** 31 - 1;
    const maxTotalBytes = MAX_TOTAL_BYTES;
    return StreamStore.open(redex, { maxTotalBytes, sweepIntervalMs, segmentBytes: 4096, runtime });
  }

  async #step(streams: StreamStore): Promise<void> {
    const steps = this.#workload.draw(this.#runtime.now());
    if (!this.#workload.hasRoomFor(steps)) return;
    await Promise.all(steps.map((step) => this.#do(streams, step)));
  }

  async #do(streams: StreamStore, step: StreamStep): Promise<void> {
    const { what, effects, passing = [], isSynced, refused } = step;
    const [kind = what] = what.split(' ');
    this.#counts[kind] = (this.#counts[kind] ?? 0) + 1;
    this.#where = what;
    for (const each of passing) this.#model.begin(each);
    const acknowledge = this.#model.begin(effects);
    let code: string | undefined;
    try {
      await step.run(streams);
    } catch (error) {
      if (!RedexError.is(error)) throw error;
      ({ code } = error);
    }
    if (code !== refused)
      throw new Violation(`${what}: ${code ?? 'done'}, not ${refused ?? 'done'}`);
    acknowledge(isSynced);
  }

  /** All that has expired goes in one sweep, in steps that are each as a whole. */
  async #sweep(streams: StreamStore): Promise<void> {
    await this.#runtime.elapse(12_000);
    this.#where = 'sweep';
    const acknowledged: ((isSynced: boolean) => void)[] = [];
    const nowMs = this.#runtime.now();
    for (let effects = this.#workload.expired(nowMs); effects !== undefined;) {
      acknowledged.push(this.#model.begin(effects));
      effects = this.#workload.expired(nowMs);
    }
    const removed = await streams.cleanupExpiredStreams();
    this.#counts['expire'] = (this.#counts['expire'] ?? 0) + removed;
    for (const acknowledge of acknowledged) acknowledge(true);
  }

  #photograph(): void {
    const { every = 8 } = this.#options;
    if (this.#operation++ % every !== 0) return;
    const profile = PROFILES[this.#random.below(PROFILES.length)] ?? strict;
    const seed = this.#random.below(1_000_000);
    const choose: Choose = seed % 4 === 0 ? worst : choicesFromSeed(seed);
    const where = `${this.#where}, operation ${this.#operation}, ${profile.name}, choices ${seed}`;
    const kind = profile === processKill ? 'kill' : 'power';
    this.images.push({
      fs: this.#disk.crash(choose, { profile }),
      depth: TURNS[seed % TURNS.length] ?? 'open',
      possible: this.#model.possible(kind),
      nowMs: this.#runtime.now(),
      where,
    });
  }
}
