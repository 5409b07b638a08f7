/**
 * The crash test: random workloads from a seed, until so many images have been checked. What it
 * finds can be run again by the seed of its workload alone.
 */
import { choicesFromSeed } from '../testing/choices.js';
import { strict, type Profile } from '../testing/crash-profiles.js';
import { noCounters, type Counters } from './counters.js';
import { runWorkload } from './crash-run.js';
import { shrinkWorkload } from './shrink.js';
import { drawWorkload, type Workload } from './workload.js';

export interface CrashTestOptions {
  /** Images to check, at least. */
  readonly images: number;
  /** The seed of the first workload; the next one has the next. Default: 1. */
  readonly seed?: number;
  /** The profiles that power cuts are drawn from, in turns. Default: `strict`. */
  readonly profiles?: readonly Profile[];
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

/** Stops at the first failure. Rejects only with the reason of the signal. */
export async function crashTest(options: CrashTestOptions): Promise<CrashReport> {
  const { images, seed: first = 1, profiles = [strict], onProgress, signal } = options;
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

function workloadOf(seed: number): Workload {
  return drawWorkload(seed, choicesFromSeed(seed * 2_654_435_761));
}
