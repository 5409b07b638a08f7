/**
 * What is done for all streams together, by one timer: expired ones are removed, the others let go
 * of what they are not to keep, what is known of their times is written down, and the catalog is
 * rewritten when most of it is about streams that are gone.
 */
import { RedexError } from '../core/errors.js';
import type { Cancel } from '../core/runtime.js';
import type { CatalogEntry } from './catalog-entry.js';
import { retainAll } from './retention-run.js';
import type { StreamContext } from './stream-context.js';
import { isDamage } from './stream-errors.js';
import { removeStream } from './stream-lifecycle.js';

/** Streams that are removed at once, and times that one record has at most. */
const REMOVED_AT_ONCE = 64;
const TIMES_AT_ONCE = 4096;

export class StreamSweeper {
  readonly #context: StreamContext;
  #cancel: Cancel | undefined;
  #sweeping: Promise<void> | undefined;

  constructor(context: StreamContext) {
    this.#context = context;
  }

  /** The first sweep, of what has expired meanwhile; never rejects. */
  async begin(): Promise<void> {
    await this.#try(() => this.removeExpired());
    this.#start();
  }

  #start(): void {
    const { sweepIntervalMs } = this.#context.parts.settings;
    this.#cancel = this.#context.runtime.schedule(() => {
      this.#sweeping = this.#sweep().finally(() => {
        this.#sweeping = undefined;
        if (!this.#context.isClosing) this.#start();
      });
    }, sweepIntervalMs);
  }

  /** No more sweeps; resolves when the one that is running has ended. */
  async stop(): Promise<void> {
    this.#cancel?.();
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    await this.#try(() => this.removeExpired());
    await this.#try(() => retainAll(this.#context));
    await this.#try(() => this.writeTimes());
    await this.#try(() => this.compactCatalog());
    this.#context.parts.open.closeSome();
  }

  /** Never rejects: what fails is tried again by the next sweep. */
  async #try(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#context.logger.warn('a sweep of the streams has failed', { error });
    }
  }

  /**
   * Resolves to how many streams were removed. Rejects with IO, POISONED, CLOSED, when it has come
   * to all of them.
   */
  async removeExpired(): Promise<number> {
    const context = this.#context;
    const candidates = [...context.parts.catalog.mortal].filter((each) =>
      context.isExpiredNow(each),
    );
    let removed = 0;
    let failed: PromiseRejectedResult | undefined;
    for (let i = 0; i < candidates.length && !context.isClosing; i += REMOVED_AT_ONCE) {
      const some = candidates.slice(i, i + REMOVED_AT_ONCE);
      const results = await Promise.allSettled(some.map((entry) => this.#removeIfExpired(entry)));
      for (const result of results) {
        if (result.status === 'rejected') failed ??= result;
        else if (result.value) removed++;
      }
    }
    if (failed !== undefined) throw failed.reason;
    return removed;
  }

  async #removeIfExpired(entry: CatalogEntry): Promise<boolean> {
    const context = this.#context;
    try {
      if (!(await context.isExpired(entry))) return false;
    } catch (error) {
      // One that is damaged does not keep the others from it.
      if (!isDamage(error)) throw error;
      context.logger.warn('a stream cannot be read', { stream: entry.name, error });
      return false;
    }
    return removeStream(context, entry, () => context.isExpiredNow(entry));
  }

  /** What changes of the times of streams without a commit. Rejects with IO, POISONED, CLOSED. */
  async writeTimes(): Promise<void> {
    const { used, looked } = this.#context;
    await this.#write('accessed', used, ({ accessedAtMs }) => accessedAtMs);
    await this.#write('kept', looked, ({ keptFromMs }) => keptFromMs);
  }

  async #write(
    type: 'accessed' | 'kept',
    changed: Set<CatalogEntry>,
    timeOf: (entry: CatalogEntry) => number,
  ): Promise<void> {
    const all = [...changed].filter((entry) => !entry.isRemoved && !entry.isTombstone);
    changed.clear();
    let atOnce = TIMES_AT_ONCE;
    for (let i = 0; i < all.length;) {
      const some = all.slice(i, i + atOnce);
      try {
        await this.#context.parts.writer.submit(() => {
          const times = some.map((entry) => [entry.id, timeOf(entry)] as const);
          return { records: [{ type, times }], operations: [], bytes: 0, keys: [] };
        });
        i += some.length;
      } catch (error) {
        if (RedexError.is(error, 'LIMIT') && some.length > 1) {
          // Records of this log may be shorter.
          atOnce = Math.ceil(some.length / 2);
          continue;
        }
        for (const entry of all.slice(i)) changed.add(entry);
        throw error;
      }
    }
  }

  /** Rejects with IO, POISONED, CORRUPT, CLOSED. */
  async compactCatalog(): Promise<void> {
    const { catalog } = this.#context.parts;
    if (!catalog.wantsCompaction) return;
    // All times once more, so that those before can go.
    const timesSeq = catalog.channel.nextSeq;
    for (const entry of catalog.mortal) {
      if (entry.config.ttlSeconds !== undefined) this.#context.used.add(entry);
    }
    for (const entry of catalog.retained) {
      if (entry.config.retention?.maxAgeMs !== undefined) this.#context.looked.add(entry);
    }
    await this.writeTimes();
    await catalog.channel.compact({ keep: catalog.keeper(timesSeq) });
  }
}
