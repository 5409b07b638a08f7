/**
 * Takes messages that are done with when they are handed over, from either end of a work queue.
 * A message is taken by one, and one that could not be written down as taken waits again.
 */
import { checkInteger, checkKnown } from '../channel/option-checks.js';
import type { Durability } from '../channel/record-input.js';
import { checkDurability } from './enqueue-input.js';
import type { GroupState } from './group-state.js';
import type { LeasedMessage } from './lease.js';
import { readMessage } from './message-picker.js';
import type { QueueBrowser, QueueMessage } from './queue-browser.js';
import type { QueueCore } from './queue-core.js';
import { runsOf } from './queue-records.js';

export interface PopOptions {
  readonly max?: number | undefined;
  readonly durability?: Durability | undefined;
}

const POP: ReadonlySet<string> = new Set(['max', 'durability']);
const MOST = 100_000;

export class QueuePops<T> {
  readonly #core: QueueCore;
  readonly #browser: QueueBrowser<T>;

  constructor(core: QueueCore, browser: QueueBrowser<T>) {
    this.#core = core;
    this.#browser = browser;
  }

  async pop(options: PopOptions, end: 'first' | 'last'): Promise<QueueMessage<T>[]> {
    this.#core.requireOpen();
    checkKnown(options, POP);
    const { max = 1, durability = 'synced' } = options;
    checkInteger('max', max, 1, MOST);
    checkDurability(durability);
    return end === 'first' ? this.#popFirst(max, durability) : this.#popLast(max, durability);
  }

  async #popFirst(max: number, durability: Durability): Promise<QueueMessage<T>[]> {
    const group = this.#core.group(undefined);
    const request = { max, maxBytes: Infinity, waitMs: 0, signal: undefined, consumer: undefined };
    const leases = await this.#core.receiver(group).receive(request);
    const messages = leases.map(({ message }) => message);
    const views = messages.map((message) => this.#browser.view(message, undefined));
    for (const lease of leases) lease.isSettling = true;
    try {
      await this.#take(messages, durability);
    } finally {
      for (const lease of leases) {
        lease.isSettling = false;
        if (group.settled.has(lease.message.seq)) this.#core.leases.end(lease, 'settled');
      }
    }
    return views;
  }

  async #take(messages: readonly LeasedMessage[], durability: Durability): Promise<void> {
    if (messages.length === 0) return;
    const { log } = this.#core;
    const s = runsOf(messages.map(({ seq }) => seq));
    const z = messages.map(({ payload }) => payload.length);
    await log.run(() => log.operate({ o: 'done', s, why: 'pop', z }, durability));
    this.#core.wake();
  }

  async #popLast(max: number, durability: Durability): Promise<QueueMessage<T>[]> {
    const core = this.#core;
    const group = core.group(undefined);
    const messages = await core.log.run(() => this.#reserveLast(group, max));
    const views = messages.map((message) => this.#browser.view(message, undefined));
    // An operation names its seqs in their order.
    const ascending = messages.toSorted((a, b) => a.seq - b.seq);
    try {
      await this.#take(ascending, durability);
    } catch (error) {
      const seqs = ascending.map(({ seq }) => seq);
      await core.log.run(() => core.giveBack(group.name, seqs, { isUndone: false }));
      throw error;
    }
    return views;
  }

  /** From the end; those that were put before all others come last. */
  async #reserveLast(group: GroupState, max: number): Promise<LeasedMessage[]> {
    const core = this.#core;
    const taken: LeasedMessage[] = [];
    const front: LeasedMessage[] = [];
    if (core.state.isPaused) return taken;
    const take = (message: LeasedMessage | undefined): void => {
      if (message === undefined || !this.#mayBeTaken(group, message)) return;
      core.reserve(group, message);
      taken.push(message);
    };
    let seq = group.settled.prevMissing(core.log.limit - 1);
    while (seq !== undefined && taken.length < max) {
      const message = group.isFree(seq) ? await readMessage(core, seq) : undefined;
      if (message?.header.front === true) front.push(message);
      else take(message);
      seq = seq === 0 ? undefined : group.settled.prevMissing(seq - 1);
    }
    while (taken.length < max && front.length > 0) take(front.pop());
    return taken;
  }

  #mayBeTaken(group: GroupState, { seq, header }: LeasedMessage): boolean {
    if (!group.isFree(seq)) return false;
    const nowMs = this.#core.log.clock.now();
    const due = group.attempts.get(seq)?.dueMs ?? header.at ?? 0;
    return due <= nowMs && (header.until === undefined || header.until > nowMs);
  }
}
