/**
 * Goal: whatever happens in whatever order, each tail gets exactly the visible records from where
 * it began, in their order, without a gap or a double, and never one that is not visible yet.
 * Method: random interleavings of appends of all kinds, rolls, syncs, held input and output, and
 * tails that begin anywhere, read at any pace, are aborted or returned from.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { Random } from '../../src/testing/choices.js';
import { Lab, outcomeOf, payload, readAll, type Found } from '../support/channel-kit.js';
import { expectPrefix, readToEnd, tailOf, type Consumer } from '../support/tail-kit.js';

interface LiveTail {
  readonly consumer: Consumer;
  readonly from: number;
  readonly controller: AbortController;
  /** Records that it had when it was ended. */
  ended: 'aborted' | 'returned' | undefined;
}

const STEPS = 350;
const SIZES = [0, 10, 60, 200, 900, 2500];

class Run {
  readonly lab: Lab;
  readonly random: Random;
  readonly tails: LiveTail[] = [];
  readonly #channel: Channel;
  #id = 0;
  /** The next seq to assign. */
  #highest = 0;

  constructor(lab: Lab, channel: Channel, seed: number) {
    this.lab = lab;
    this.random = new Random(seed);
    this.#channel = channel;
  }

  #pick<T>(values: readonly T[]): T {
    const value = values[this.random.below(values.length)];
    if (value === undefined) throw new Error('nothing to pick from');
    return value;
  }

  #payload(): Uint8Array {
    this.#id += 1;
    const size = this.random.below(120) === 0 ? 300_000 : this.#pick(SIZES);
    return payload(this.#id, size);
  }

  #append(): void {
    const asked = this.#pick(['written', 'synced', 'usual'] as const);
    const options = asked === 'usual' ? {} : { durability: asked };
    const count = this.#pick([1, 1, 1, 2, 3, 12]);
    const skip = this.random.below(6) === 0 ? 1 + this.random.below(4) : 0;
    const records = Array.from({ length: count }, (_, i) => {
      const bytes = this.#payload();
      return i === 0 && skip > 0 ? { payload: bytes, seq: this.#highest + skip } : bytes;
    });
    this.#highest += skip + count;
    outcomeOf(this.#channel.appendBatch(records, options));
  }

  #begin(): void {
    const { nextSeq } = this.#channel;
    const from = this.#pick(['start', 'end', this.random.below(nextSeq + 5)] as const);
    const seq = from === 'start' ? 0 : from === 'end' ? nextSeq : from;
    const controller = new AbortController();
    const copy = this.random.below(2) === 0;
    const { signal } = controller;
    // Only bytes of one's own outlive steps that are asked for all at once.
    const consumer = tailOf(this.#channel, { from, signal, copy }, copy);
    this.tails.push({ consumer, from: seq, controller, ended: undefined });
  }

  #endOne(): void {
    const tail = this.#pick(this.tails);
    if (tail.ended !== undefined) return;
    if (this.random.below(2) === 0) {
      tail.ended = 'aborted';
      tail.controller.abort(new Error('enough'));
    } else {
      tail.ended = 'returned';
      void tail.consumer.iterator.return?.();
    }
  }

  async step(): Promise<void> {
    const what = this.random.below(20);
    if (what < 6) this.#append();
    else if (what === 6) outcomeOf(this.#channel.sync());
    else if (what === 7) this.#begin();
    else if (what < 14 && this.tails.length > 0) {
      this.#pick(this.tails).consumer.ask(this.#pick([1, 1, 3, 20]));
    } else if (what < 17) this.lab.runtime.runIo();
    else if (what === 17 && this.tails.length > 2) this.#endOne();
    else if (what === 18) await this.lab.runtime.settle();
    else await Promise.resolve();
    const { nextSeq } = this.#channel;
    for (const { consumer } of this.tails) {
      expect(consumer.found.at(-1)?.seq ?? -1).toBeLessThan(nextSeq);
    }
  }

  async finish(): Promise<Found[]> {
    await this.lab.drain();
    const all = await readAll(this.lab, this.#channel);
    for (const { consumer, from, ended } of this.tails) {
      if (ended === undefined) {
        await readToEnd(this.lab, consumer);
        expect(consumer.found.length).toBe(all.filter(({ seq }) => seq >= from).length);
      }
      expectPrefix(consumer, all, from);
    }
    await this.lab.done(this.#channel.close());
    await this.lab.drain();
    for (const { consumer } of this.tails) expect(consumer.pending).toBe(0);
    expect(this.lab.faults.openPaths).toEqual([]);
    expect(this.lab.watch.violations).toEqual([]);
    return all;
  }
}

test.each(Array.from({ length: 25 }, (_, seed) => seed))(
  'each tail sees what is visible, once and in order (seed %i)',
  async (seed) => {
    const lab = new Lab({ seed, io: seed % 3 === 0 ? 'oldest' : 'random' });
    const sync = (['always', 'never', { everyN: 3 }] as const)[seed % 3];
    const channel = await lab.open({ sync, segmentBytes: seed % 2 === 0 ? 4096 : 60_000 });
    const run = new Run(lab, channel, seed);
    for (let i = 0; i < STEPS; i += 1) await run.step();
    const all = await run.finish();
    expect(all.length).toBeGreaterThan(50);
    expect(all.every(({ id }) => id !== undefined)).toBe(true);
    expect(run.tails.length).toBeGreaterThan(1);
  },
);
