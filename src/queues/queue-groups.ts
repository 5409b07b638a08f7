/** The groups of a queue: each gets every message from where it begins, and settles its own. */
import { checkKnown } from '../channel/option-checks.js';
import { checkName } from '../channel/options.js';
import { checkSeq, millisecondsOf } from '../channel/record-input.js';
import { redexError } from '../core/errors.js';
import { noGroup } from './queue-errors.js';
import type { QueueCore } from './queue-core.js';
import { groupField } from './queue-state.js';
import { countFor } from './recount.js';

/** The first message, what comes from now on, a seq, or the first message of a time on. */
export type GroupStart = 'earliest' | 'latest' | number | { readonly time: Date | number };

export interface GroupInfo {
  readonly name: string;
  /** Messages that it has before it, the next two included. */
  readonly open: number;
  readonly inFlight: number;
  readonly delayed: number;
  /** Every message below is settled for it. */
  readonly floor: number;
}

/** Where a group begins again. */
export interface SeekResult {
  /** The first seq that it gets. */
  readonly from: number;
  /** Messages that it has before it now. */
  readonly messages: number;
  /**
   * Every message from the place that was asked for on is there, but those that were cancelled or
   * purged. False: some were done with for so long that they are gone; see the option `keepMs`.
   */
  readonly complete: boolean;
}

export class QueueGroups {
  readonly #core: QueueCore;

  constructor(core: QueueCore) {
    this.#core = core;
  }

  /**
   * Makes a group. One that is there already stays as it is. What was let go of before does not
   * come back: `earliest` is the first message that is still kept. Rejects with IO, CLOSED.
   */
  async create(
    name: string,
    options: { readonly start?: GroupStart | undefined } = {},
  ): Promise<{ readonly created: boolean }> {
    this.#requireFanout();
    checkName(name, 'the name of a group');
    checkKnown(options, new Set(['start']));
    const { start = 'earliest' } = options;
    checkStart(start);
    return this.#core.reclaiming(async () => {
      const { log, state } = this.#core;
      return log.alone(async () => {
        if (state.groups.has(name)) return { created: false };
        const from = await this.#seqOf(start);
        const recount = await countFor(log.channel, state, name, from);
        await log.operate({ o: 'group', name, start: from, ...recount }, 'synced');
        return { created: true };
      });
    });
  }

  /** Deletes a group: messages that only it had before it are done with. False: there was none. */
  async delete(name: string): Promise<boolean> {
    this.#requireFanout();
    return this.#core.reclaiming(async () => {
      const { log, state, leases } = this.#core;
      const isDeleted = await log.alone(async () => {
        if (!state.groups.has(name)) return false;
        const recount = await countFor(log.channel, state, name, undefined);
        await log.operate({ o: 'ungroup', name, ...recount }, 'synced');
        leases.endAll(name, 'group deleted');
        this.#core.resetReceiver(name, noGroup(this.#core.name, name));
        return true;
      });
      this.#core.wake();
      return isDeleted;
    });
  }

  /**
   * Lets a group, or in a work queue all consumers, begin again: every message from there on that
   * is still kept is delivered again, and none before. Deliveries under way are lost. Resolves to
   * what there is. Rejects with OUT_OF_RANGE, NOT_FOUND, IO, CLOSED.
   */
  async seek(name: string | undefined, to: GroupStart): Promise<SeekResult> {
    checkStart(to);
    const { log, state, leases } = this.#core;
    const group = this.#core.group(name);
    return this.#core.reclaiming(async () => {
      const result = await log.alone(async () => {
        const seq = await this.#seqOf(to);
        const complete = this.#isComplete(to, seq);
        const recount = await countFor(log.channel, state, group.name, seq);
        const g = groupField(group.name);
        await log.operate({ o: 'seek', g, to: seq, ...recount }, 'synced');
        leases.endAll(group.name, 'sought');
        this.#core.resetReceiver(group.name);
        return { from: seq, messages: recount.open, complete };
      });
      this.#core.wake();
      return result;
    });
  }

  /** All groups, sorted by name; of a work queue the one that it has, without a name. */
  list(): GroupInfo[] {
    const { groups } = this.#core.state;
    return [...groups.values()]
      .map(({ name, open, inFlight, putOff: delayed, settled: { floor } }) => {
        return { name, open, inFlight, delayed, floor };
      })
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  #isComplete(to: GroupStart, from: number): boolean {
    const { log, state } = this.#core;
    const all = Math.max(log.channel.firstSeq, state.sparseBelow);
    if (to === 'latest') return true;
    if (to === 'earliest') return all === 0;
    if (typeof to === 'number') return to >= all;
    return from > all || (millisecondsOf(to.time) ?? 0) >= state.goneMs;
  }

  #requireFanout(): void {
    this.#core.requireOpen();
    if (this.#core.options.mode === 'fanout') return;
    throw new TypeError(`queue ${this.#core.name} is a work queue: it has no groups`);
  }

  async #seqOf(start: GroupStart): Promise<number> {
    const { channel } = this.#core.log;
    if (start === 'earliest') return channel.firstSeq;
    if (start === 'latest') return channel.nextSeq;
    if (typeof start === 'number') {
      if (start <= channel.nextSeq) return Math.max(start, channel.firstSeq);
      const { firstSeq, nextSeq } = channel;
      const message = `queue ${this.#core.name} ends at ${nextSeq}: there is no seq ${start}`;
      throw redexError('OUT_OF_RANGE', message, { seq: start, firstSeq, nextSeq });
    }
    return channel.seqAt(start.time);
  }
}

function checkStart(start: unknown): asserts start is GroupStart {
  if (start === 'earliest' || start === 'latest') return;
  if (typeof start === 'number') {
    checkSeq('start', start);
    return;
  }
  if (typeof start !== 'object' || start === null || !('time' in start)) {
    throw new TypeError("start must be 'earliest', 'latest', a seq or { time }");
  }
  millisecondsOf((start as { time: Date | number }).time);
}
