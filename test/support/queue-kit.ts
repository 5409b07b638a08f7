/**
 * Queues on a machine that a test takes apart: a disk that crashes, faults, a clock moved by hand,
 * and what was logged. A lab after a kill or a power cut is the next process on the same machine.
 */
import { QueueStore } from '../../src/queues/queue-store.js';
import { Redex } from '../../src/store/redex.js';
import type { RedexOptions } from '../../src/store/store-options.js';
import type { Runtime } from '../../src/core/runtime.js';
import { benign, type Choose } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';

export interface QueueLabOptions {
  readonly disk?: CrashFs;
  readonly startMs?: number;
  /** Of the randomness: two processes draw the same ids only by the same seed. */
  readonly seed?: number;
  readonly redex?: RedexOptions;
  readonly segmentBytes?: number;
  readonly reserveBytes?: number;
  /** Stands between the clock that is moved by hand and everybody else. */
  readonly wrap?: (runtime: ManualRuntime) => Runtime;
}

export class QueueLab {
  readonly disk: CrashFs;
  readonly faults: FaultFs;
  readonly runtime: ManualRuntime;
  readonly redex: Redex;
  readonly queues: QueueStore;
  /** What was warned of, and logged as an error. */
  readonly logged: string[];
  readonly #options: QueueLabOptions;

  private constructor(
    parts: Pick<QueueLab, 'disk' | 'faults' | 'runtime' | 'redex' | 'queues' | 'logged'>,
    options: QueueLabOptions,
  ) {
    this.disk = parts.disk;
    this.faults = parts.faults;
    this.runtime = parts.runtime;
    this.redex = parts.redex;
    this.queues = parts.queues;
    this.logged = parts.logged;
    this.#options = options;
  }

  static async open(options: QueueLabOptions = {}): Promise<QueueLab> {
    const { startMs, segmentBytes, reserveBytes, wrap = (runtime) => runtime } = options;
    const disk = options.disk ?? new CrashFs();
    const faults = new FaultFs(disk);
    const { seed = 1 } = options;
    const runtime = new ManualRuntime(startMs === undefined ? { seed } : { seed, startMs });
    const logged: string[] = [];
    const note = (message: string): void => {
      logged.push(message);
    };
    const logger = { debug: () => {}, info: () => {}, warn: note, error: note };
    const shared = { runtime: wrap(runtime), logger };
    const redex = await Redex.open('/data', { ...options.redex, fs: faults, ...shared });
    const queues = await QueueStore.open(redex, { ...shared, segmentBytes, reserveBytes });
    return new QueueLab({ disk, faults, runtime, redex, queues, logged }, options);
  }

  async close(): Promise<void> {
    await this.queues.close();
    await this.redex.close();
  }

  /** The next process after a close, at a time. */
  async reopened(startMs: number = this.runtime.now()): Promise<QueueLab> {
    await this.close();
    return this.#next(this.disk, startMs);
  }

  /** The next process after a kill, at a time. */
  killed(startMs: number = this.runtime.now()): Promise<QueueLab> {
    return this.#next(this.disk.kill(benign), startMs);
  }

  /** The next process after a power cut. */
  cut(choose: Choose, startMs: number = this.runtime.now()): Promise<QueueLab> {
    return this.#next(this.disk.crash(choose), startMs);
  }

  #next(disk: CrashFs, startMs: number): Promise<QueueLab> {
    const seed = this.runtime.seed + 1;
    return QueueLab.open({ ...this.#options, disk, startMs, seed });
  }
}
