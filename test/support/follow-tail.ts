/**
 * A tail of a channel of a given name, for ever: whenever it ends, because the channel or the
 * reader is gone, another one begins. Knows how far it is.
 */
import { setTimeout } from 'node:timers/promises';
import type { LogRecord } from '../../src/index.js';
import type { Random } from '../../src/testing/choices.js';
import { FollowError, type FollowReader, type HeldChannel } from './follow-reader.js';
import { tokenOf } from './follow-ledger.js';
import { firstSeqOf } from './process-follow-records.js';

/** Between two looks for a channel that is not there. */
const ABSENT_MS = 30;

export class FollowTail {
  readonly name: string;
  readonly #reader: FollowReader;
  readonly #random: Random;
  #held: HeldChannel | undefined;
  /** The seq that has to come next; undefined while any may, for a tail from the end. */
  #expected: number | undefined;
  /** No tail is given up any more. */
  isLast = false;

  constructor(name: string, reader: FollowReader, random: Random) {
    this.name = name;
    this.#reader = reader;
    this.#random = random;
  }

  /** Ends when the run is over. */
  async follow(): Promise<void> {
    const { run } = this.#reader;
    while (!run.isOver) {
      this.#held = undefined;
      const held = await this.#reader.channelOf(this.name);
      if (held === undefined || held.isClosedHere) {
        await setTimeout(ABSENT_MS);
        continue;
      }
      run.counts.tails++;
      this.#held = held;
      try {
        await this.#followOne(held);
      } catch (error) {
        if (error instanceof FollowError) throw error;
        if (!this.#reader.isGone(held, error)) {
          this.#reader.fail(this.name, `a tail failed: ${String(error)}`, error);
        }
      }
    }
  }

  async #followOne(held: HeldChannel): Promise<void> {
    const { channel } = held;
    const way = this.#random.below(4);
    const from = ['end' as const, 'start' as const, channel.nextSeq, channel.firstSeq][way];
    const copy = this.#random.below(2) === 0;
    // Only a tail that begins somewhere is known to have everything.
    this.#expected = way === 0 ? undefined : way === 2 ? channel.nextSeq : channel.firstSeq;
    const end = this.#random.below(3) === 0 ? this.#random.below(3000) : Infinity;
    let count = 0;
    if (this.#random.below(2) === 0) {
      for await (const record of channel.tail({ from, copy })) {
        this.#take(held, record);
        if (++count > end && !this.isLast) return;
      }
    } else {
      for await (const batch of channel.tailBatches({ from, copy })) {
        for (const record of batch) this.#take(held, record);
        count += batch.length;
        if (count > end && !this.isLast) return;
      }
    }
    if (!this.#reader.isGone(held, undefined)) {
      this.#reader.fail(this.name, `a tail ended by itself at ${this.#expected}`);
    }
  }

  #take(held: HeldChannel, record: LogRecord): void {
    this.#reader.check(held, record, this.#expected ?? record.seq);
    this.#expected = record.seq + 1;
  }

  /** Why it has not got everything that there is; undefined when it has. */
  get lacks(): string | undefined {
    const state = this.#reader.run.ledger.stateOf(this.name);
    const held = this.#held;
    if (state.kind !== 'there') return held === undefined ? undefined : 'it is not there';
    if (held === undefined) return 'it follows nothing';
    const { token } = held;
    const isEmpty = state.acked === firstSeqOf(state.token);
    if (this.#expected === undefined) {
      const isOther = token !== undefined && token !== tokenOf(state);
      return isOther ? `it follows ${token}` : undefined;
    }
    if (this.#expected !== state.acked) return `it is at ${this.#expected} of ${state.acked}`;
    return token === state.token || isEmpty || token === undefined ? undefined : `is ${token}`;
  }
}
