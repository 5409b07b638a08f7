/**
 * The crash test: random workloads from a seed, until so many images have been checked. What it
 * finds can be run again by the seed of its workload alone.
 */
import { checkInteger, checkKnown, checkObject, checkType } from '../channel/option-checks.js';
import { choicesFromSeed, scaledSeed } from '../testing/choices.js';
import { strict, type Profile } from '../testing/crash-profiles.js';
import { profileNamed } from '../testing/profile-list.js';
import { noCounters, type Counters } from './counters.js';
import { runWorkload } from './crash-run.js';
import type { CrashScene } from './scene.js';
import { shrinkWorkload } from './shrink.js';
import { drawWorkload, type Workload } from './workload.js';

export interface CrashTestOptions {
  /** Images to check, at least: 1 and more. */
  readonly images: number;
  /** The seed of the first workload; the next one has the next. 0 and more; default: 1. */
  readonly seed?: number;
  /** The profiles, or their names, that power cuts are drawn from, in turns. Default: `strict`. */
  readonly profiles?: readonly (Profile | string)[];
  /** Called after each workload. */
  readonly onProgress?: (counters: Readonly<Counters>) => void;
  readonly signal?: AbortSignal;
}

/** A workload in which the engine broke a promise. */
export interface CrashFailure {
  readonly seed: number;
  readonly profile: string;
  readonly workload: Workload;
  readonly error: Error;
  /** Images that were checked before. */
  readonly afterImages: number;
}

export interface CrashReport {
  readonly counters: Counters;
  readonly workloads: number;
  readonly failure: CrashFailure | undefined;
}

/**
 * Stops at the first failure, which it reports. Rejects with the reason of the signal, and with
 * TypeError or RangeError for options that are not as CrashTestOptions says.
 */
export async function crashTest(options: CrashTestOptions): Promise<CrashReport> {
  checkOptions(options);
  const { images, seed: first = 1, onProgress, signal } = options;
  const profiles = profilesOf(options.profiles ?? [strict]);
  const counters = noCounters();
  let workloads = 0;
  while (counters.images + counters.nested < images) {
    signal?.throwIfAborted();
    const seed = first + workloads;
    const profile = profiles[workloads % profiles.length] ?? strict;
    const workload = workloadOf(seed);
    workloads += 1;
    try {
      await runWorkload(workload, { counters, profile });
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      const afterImages = counters.images + counters.nested;
      const failure = { seed, profile: profile.name, workload, error, afterImages };
      return { counters, workloads, failure };
    }
    onProgress?.(counters);
  }
  return { counters, workloads, failure: undefined };
}

/** The same failure, or another one, from a workload as small as can be found quickly. */
export async function smallestFailure(
  failure: CrashFailure,
  profile: Profile,
): Promise<CrashFailure> {
  let { error } = failure;
  const workload = await shrinkWorkload(failure.workload, async (candidate) => {
    try {
      await runWorkload(candidate, { counters: noCounters(), profile });
      return false;
    } catch (thrown) {
      error = thrown instanceof Error ? thrown : new Error(String(thrown));
      return true;
    }
  });
  return { ...failure, workload, error };
}

/**
 * What a failure has left: the files of its image, and how they differ from what the process saw.
 * Runs the workload of the failure again; undefined when it does not fail.
 */
export async function crashScene(
  { workload }: Pick<CrashFailure, 'workload'>,
  profile: Profile,
): Promise<CrashScene | undefined> {
  let scene: CrashScene | undefined;
  const onScene = (found: CrashScene): void => {
    scene = found;
  };
  try {
    await runWorkload(workload, { counters: noCounters(), profile, onScene });
    return undefined;
  } catch {
    return scene;
  }
}

/** The workload that a seed stands for, in a recorded failure too. */
export function workloadOf(seed: number): Workload {
  return drawWorkload(seed, choicesFromSeed(scaledSeed(seed, 2_654_435_761)));
}

const KNOWN: ReadonlySet<string> = new Set<keyof CrashTestOptions>([
  'images',
  'seed',
  'profiles',
  'onProgress',
  'signal',
]);
/** Seeds go up by one for each workload, and stay integers. */
const MAX = 2 ** 52;

function checkOptions(options: CrashTestOptions): void {
  checkKnown(options, KNOWN);
  // A test that checks nothing because nobody said how much would pass.
  if (options.images === undefined) throw new TypeError('images must be given');
  checkInteger('images', options.images, 1, MAX);
  checkInteger('seed', options.seed, 0, MAX);
  checkType('onProgress', options.onProgress, 'function');
  checkObject('signal', options.signal, 'throwIfAborted');
}

function profilesOf(given: readonly (Profile | string)[]): Profile[] {
  if (!Array.isArray(given)) throw new TypeError('profiles must be an array');
  if (given.length === 0) throw new RangeError('profiles must not be empty');
  return given.map((each: Profile | string): Profile => {
    if (typeof each === 'string') return profileNamed(each);
    checkObject('a profile', each ?? null, 'draw');
    return each;
  });
}
