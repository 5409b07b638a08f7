/**
 * Groups that are too far behind, or that nobody asks for any more, are moved on, so that they do
 * not keep everything. It is looked when something happens in the queue: as long as nothing does,
 * nothing grows.
 */
import type { GroupState } from './group-state.js';
import { passGroup } from './passing.js';
import type { QueueContext } from './queue-context.js';
import { reportQueue } from './queue-report.js';

/** Who was not there, because the queue was not open or paused, has so long to come back. */
const LONGEST_GRACE_MS = 300_000;

export class GroupLag {
  readonly #core: QueueContext;
  /** When each group was asked for last, in this process. */
  readonly #askedMs = new Map<string, number>();
  #running: Promise<void> | undefined;
  /** Something has happened while it was looked. */
  #isBehind = false;
  #idleLookMs: number | undefined;
  #wasPaused = false;

  constructor(core: QueueContext) {
    this.#core = core;
  }

  /** Somebody wants messages of a group. */
  onAsked(group: string): void {
    if (this.#core.options.maxIdleMs === null) return;
    this.#askedMs.set(group, this.#core.log.clock.now());
  }

  /** Messages were written or settled. */
  onProgress(): void {
    const { maxLag, maxIdleMs } = this.#core.options;
    if (maxLag === null && maxIdleMs === null) return;
    if (this.#core.isClosed) return;
    if (this.#running !== undefined) {
      this.#isBehind = true;
      return;
    }
    if (!this.#isLagging() && !this.#isTimeForIdle()) return;
    this.#running = this.#run()
      .catch((error: unknown) => {
        if (this.#core.isClosed) return;
        const { logger, name } = this.#core;
        logger.warn('groups of a queue could not be moved on', { queue: name, error });
      })
      .finally(() => {
        this.#running = undefined;
        const isBehind = this.#isBehind;
        this.#isBehind = false;
        if (isBehind) this.onProgress();
      });
  }

  /** Messages of a group that are too many. Not a few, because each time costs a look at them. */
  #excess({ open }: GroupState): number {
    const { maxLag } = this.#core.options;
    if (maxLag === null || open <= maxLag + Math.floor(maxLag / 8)) return 0;
    return open - maxLag;
  }

  #isLagging(): boolean {
    for (const group of this.#core.state.groups.values()) if (this.#excess(group) > 0) return true;
    return false;
  }

  #isTimeForIdle(): boolean {
    const { options, state, log } = this.#core;
    const { maxIdleMs } = options;
    if (maxIdleMs === null) return false;
    const nowMs = log.clock.now();
    const isFirst = this.#idleLookMs === undefined || this.#wasPaused;
    this.#wasPaused = state.isPaused;
    if (isFirst) this.#idleLookMs = nowMs + Math.min(maxIdleMs, LONGEST_GRACE_MS);
    return !state.isPaused && nowMs >= (this.#idleLookMs ?? 0);
  }

  async #run(): Promise<void> {
    const { state, options } = this.#core;
    const isTime = this.#isTimeForIdle();
    const { maxIdleMs } = options;
    if (isTime && maxIdleMs !== null) {
      this.#idleLookMs = this.#core.log.clock.now() + Math.ceil(maxIdleMs / 8);
    }
    for (const group of Array.from(state.groups.values())) {
      const excess = this.#excess(group);
      const isIdle = isTime && (await this.#isIdle(group));
      if (!isIdle && excess === 0) continue;
      const below = this.#core.log.limit;
      const most = isIdle ? Infinity : excess;
      // Who has come meanwhile is not passed over.
      const isMeant = (): boolean => !isIdle || !this.#isActive(group);
      const how = { below, most, why: 'skipped', durability: 'written', isMeant } as const;
      this.#tell(group, isIdle, await passGroup(this.#core, group, how));
    }
  }

  #tell(group: GroupState, isIdle: boolean, count: number): void {
    if (count === 0) return;
    const { name: queue, logger, counters } = this.#core;
    counters.skipped += count;
    const why = isIdle ? 'nobody asked for its messages' : 'it was too far behind';
    logger.warn('a group of a queue was moved on', { queue, group: group.name, count, why });
    reportQueue(queue, 'skipped', count);
  }

  /** It is asked for messages, or was in the time, or got or settled some. */
  #isActive({ name, inFlight, activeMs }: GroupState): boolean {
    const { log, options } = this.#core;
    // Who waits for long asks all the time.
    if (this.#core.isAsked(name)) this.onAsked(name);
    if (inFlight > 0) return true;
    const sinceMs = log.clock.now() - (options.maxIdleMs ?? Infinity);
    return activeMs > sinceMs || (this.#askedMs.get(name) ?? 0) > sinceMs;
  }

  async #isIdle(group: GroupState): Promise<boolean> {
    const { log, options } = this.#core;
    const { open, settled } = group;
    if (open === 0 || options.maxIdleMs === null || this.#isActive(group)) return false;
    const sinceMs = log.clock.now() - options.maxIdleMs;
    const [oldest] = await log.channel.readBatch({ from: settled.floor, limit: 1 });
    return oldest !== undefined && oldest.timestamp <= sinceMs;
  }

  /** Waits for what is under way. Never rejects. */
  async stop(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }
}
