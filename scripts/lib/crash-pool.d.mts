import type { Counters } from '../../src/crash-test/counters.js';

export interface CrashTestRun {
  readonly images: number;
  readonly seed: number;
  /** Of the crash test of channels. */
  readonly profiles?: readonly string[];
  /** Another crash test, which photographs one in so many operations. */
  readonly layer?: 'queues' | 'streams';
  readonly every?: number;
  readonly shrink?: boolean;
  /** Where the files of a failure are left, in a directory of their own; absent: nowhere. */
  readonly keep?: string;
}

export interface WorkerReport {
  readonly counters?: Counters;
  readonly workloads?: number;
  /** Of CPU, for all of it. */
  readonly cpuSeconds?: number;
  readonly failure?: {
    readonly seed: number;
    readonly profile: string;
    readonly error: string;
    readonly afterImages: number;
    /** Where its files are, and how they differ from what the process saw. */
    readonly kept?: string;
    readonly differences?: readonly string[];
  };
  readonly hangs?: string | true;
  readonly crashed?: string | true;
  readonly afterImages?: number;
}

export function crashTestIn(
  directory: string,
  run: CrashTestRun,
  onProgress?: (images: number) => void,
  env?: Readonly<Record<string, string>>,
): Promise<WorkerReport>;

export function inParallel<T>(
  items: readonly T[],
  jobs: number,
  work: (item: T) => Promise<void>,
): Promise<void>;
