/**
 * Changes of the catalog, one commit after the other: what is asked for while one is being written
 * shares the next, so that creating and deleting many streams costs few syncs. What a change means
 * is planned in the turn in which its commit begins, by what the catalog is then.
 */
import type { CommitOperation } from '../store/commit-input.js';
import type { Redex } from '../store/redex.js';
import type { Catalog } from './catalog.js';
import { encodeCatalogRecord, type CatalogRecord } from './catalog-records.js';

/** Changes that one commit makes at most, and bytes of messages after which it takes no more. */
const CHANGES_AT_ONCE = 64;
const BYTES_AT_ONCE = 1024 * 1024;

export interface CatalogPlan {
  /** What goes into the catalog; the first record gets the seq that the plan was made for. */
  readonly records: readonly CatalogRecord[];
  /** What else goes into the commit. */
  readonly operations: readonly CommitOperation[];
  /** Payload bytes of these. */
  readonly bytes: number;
  /** Names and ids that it depends on: two plans of one commit have none in common. */
  readonly keys: readonly (string | number)[];
  /** In the turn in which the catalog has taken the records in. */
  readonly onDone?: () => void;
  /** Nothing of it is there. */
  readonly onFailed?: () => void;
}

/**
 * Makes a plan, given the seq that its first record will get; undefined when there is nothing to
 * do. What it throws is what the change is refused with.
 */
export type CatalogChange = (seq: number) => CatalogPlan | undefined;

interface Waiting {
  readonly change: CatalogChange;
  readonly resolve: (isDone: boolean) => void;
  readonly reject: (error: unknown) => void;
}

interface Planned {
  readonly waiting: Waiting;
  readonly plan: CatalogPlan;
}

export class CatalogWriter {
  readonly #redex: Redex;
  readonly #catalog: Catalog;
  #queue: Waiting[] = [];
  #isRunning = false;
  #nextSeq: number;

  constructor(redex: Redex, catalog: Catalog) {
    this.#redex = redex;
    this.#catalog = catalog;
    this.#nextSeq = catalog.channel.nextSeq;
  }

  /**
   * Resolves to whether there was something to do, when it is synced. Rejects with what the plan
   * was refused with, and as `redex.commit` does, with nothing changed.
   */
  submit(change: CatalogChange): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ change, resolve, reject });
      if (!this.#isRunning) void this.#run();
    });
  }

  /** Never rejects: each change is told by itself. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    // Everything that this turn asks for goes together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#takeBatch();
      if (batch.length > 0) await this.#write(batch);
    }
    this.#isRunning = false;
  }

  #takeBatch(): Planned[] {
    const batch: Planned[] = [];
    const keys = new Set<string | number>();
    const later: Waiting[] = [];
    let seq = this.#nextSeq;
    let bytes = 0;
    for (const waiting of this.#queue) {
      if (batch.length >= CHANGES_AT_ONCE || bytes >= BYTES_AT_ONCE) {
        later.push(waiting);
        continue;
      }
      const plan = this.#plan(waiting, seq, keys, later);
      if (plan === undefined) continue;
      batch.push({ waiting, plan });
      seq += plan.records.length;
      bytes += plan.bytes;
    }
    this.#queue = later;
    return batch;
  }

  /** Undefined when it is refused, has nothing to do, or has to wait for another of the batch. */
  #plan(
    waiting: Waiting,
    seq: number,
    keys: Set<string | number>,
    later: Waiting[],
  ): CatalogPlan | undefined {
    let plan: CatalogPlan | undefined;
    try {
      plan = waiting.change(seq);
    } catch (error) {
      waiting.reject(error);
      return undefined;
    }
    if (plan === undefined) {
      waiting.resolve(false);
      return undefined;
    }
    if (plan.keys.some((key) => keys.has(key))) {
      plan.onFailed?.();
      later.push(waiting);
      return undefined;
    }
    for (const key of plan.keys) keys.add(key);
    return plan;
  }

  async #write(batch: readonly Planned[]): Promise<void> {
    try {
      await this.#commit(batch.map(({ plan }) => plan));
    } catch (error) {
      for (const { plan } of batch) plan.onFailed?.();
      const [first] = batch;
      if (batch.length === 1) first?.waiting.reject(error);
      // One of them may be the reason: each by itself, for which it is planned again.
      else for (const { waiting } of batch) await this.#writeAlone(waiting);
      return;
    }
    for (const { waiting } of batch) waiting.resolve(true);
  }

  async #writeAlone(waiting: Waiting): Promise<void> {
    const plan = this.#plan(waiting, this.#nextSeq, new Set(), []);
    if (plan !== undefined) await this.#write([{ waiting, plan }]);
  }

  async #commit(plans: readonly CatalogPlan[]): Promise<void> {
    const { channel } = this.#catalog;
    const records = plans.flatMap((plan) => plan.records);
    const expectedSeq = this.#nextSeq;
    await this.#redex.commit([
      { channel: channel.name, records: records.map(encodeCatalogRecord), expectedSeq },
      ...plans.flatMap((plan) => plan.operations),
    ]);
    let seq = expectedSeq;
    this.#nextSeq += records.length;
    for (const { records: own, onDone } of plans) {
      for (const record of own) this.#catalog.apply(seq++, record);
      onDone?.();
    }
  }
}
