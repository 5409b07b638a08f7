/** ManualRuntime: nothing happens unless told to, and a seed repeats a run. */
import { describe, expect, test } from 'vitest';
import { choicesFrom, choicesFromSeed, Random } from '../../src/testing/choices.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';

describe('clocks and timers', () => {
  test('timers run in order of time, each at its own', () => {
    const runtime = new ManualRuntime({ startMs: 1000 });
    const ran: string[] = [];
    const note = (name: string) => () => ran.push(`${name} ${runtime.now()}`);
    runtime.schedule(note('late'), 30);
    runtime.schedule(note('early'), 10);
    runtime.schedule(note('early too'), 10);
    const cancel = runtime.schedule(note('never'), 20);
    runtime.schedule(() => runtime.schedule(note('nested'), 5), 10);
    cancel();
    cancel();
    expect(runtime.pending.map(({ dueMs }) => dueMs)).toEqual([10, 10, 10, 30]);
    runtime.advance(20);
    expect(ran).toEqual(['early 1010', 'early too 1010', 'nested 1015']);
    expect([runtime.now(), runtime.monotonic()]).toEqual([1020, 20]);
    expect(runtime.runNext()).toBe(true);
    expect([ran.at(-1), runtime.runNext()]).toEqual(['late 1030', false]);
  });

  test('the wall clock may jump, timers do not notice', () => {
    const runtime = new ManualRuntime();
    let ran = false;
    runtime.schedule(() => (ran = true), 10);
    runtime.setNow(5);
    expect([runtime.now(), runtime.monotonic(), ran]).toEqual([5, 0, false]);
    runtime.advance(10);
    expect([runtime.now(), runtime.monotonic(), ran]).toEqual([15, 10, true]);
  });

  test('elapse lets what a timer started go on before the next', async () => {
    const runtime = new ManualRuntime();
    const ran: string[] = [];
    const first = async (): Promise<void> => {
      ran.push('first');
      await runtime.settle();
      ran.push('after first');
    };
    runtime.schedule(() => void first(), 1);
    runtime.schedule(() => ran.push('second'), 2);
    await runtime.elapse(1);
    await runtime.settle();
    await runtime.elapse(1);
    expect(ran).toEqual(['first', 'after first', 'second']);
  });
});

describe('input and output', () => {
  test('completions are held and run one by one, in any order', () => {
    const runtime = new ManualRuntime();
    const ran: number[] = [];
    for (const n of [0, 1, 2, 3]) runtime.deferIo(() => ran.push(n));
    expect([runtime.heldIo, ran]).toEqual([4, []]);
    runtime.runIo(2);
    runtime.runIo();
    expect(ran).toEqual([2, 0]);
    expect(() => runtime.runIo(5)).toThrow(RangeError);
    expect([runtime.runAllIo(), runtime.runIo()]).toEqual([2, false]);
    expect(ran).toEqual([2, 0, 1, 3]);
  });

  test('a random order is repeated by its seed', () => {
    const order = (seed: number): number[] => {
      const runtime = new ManualRuntime({ seed, ioOrder: 'random' });
      const ran: number[] = [];
      for (let n = 0; n < 20; n += 1) runtime.deferIo(() => ran.push(n));
      runtime.runAllIo();
      return ran;
    };
    expect(order(7)).toEqual(order(7));
    expect(order(7)).not.toEqual(order(8));
    expect(order(7).toSorted((a, b) => a - b)).toEqual([...order(0).keys()]);
  });

  test('drainIo follows what completions lead to', async () => {
    const runtime = new ManualRuntime();
    const step = (): Promise<void> => new Promise((resolve) => runtime.deferIo(resolve));
    let steps = 0;
    const walk = (async () => {
      for (; steps < 5; steps += 1) await step();
    })();
    await runtime.drainIo();
    await walk;
    expect(steps).toBe(5);
  });

  test('immediate holds nothing', async () => {
    const runtime = new ManualRuntime({ ioOrder: 'immediate' });
    let ran = 0;
    runtime.deferIo(() => (ran += 1));
    runtime.defer(() => (ran += 1));
    expect([ran, runtime.heldIo, runtime.deferred]).toEqual([0, 0, 1]);
    await runtime.settle();
    expect(ran).toBe(2);
  });
});

describe('randomness', () => {
  test('comes from the seed alone', () => {
    const draw = (seed: number): Uint8Array =>
      new ManualRuntime({ seed }).random(new Uint8Array(16));
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
  });

  test('covers its range evenly', () => {
    const random = new Random(42);
    const counts = Array.from({ length: 10 }, () => 0);
    for (let i = 0; i < 10_000; i += 1) counts[random.below(10)]! += 1;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  test('choices from integers are in range, and 0 when there are no more', () => {
    const choose = choicesFrom([0, 65_535, 32_768]);
    expect([choose(10), choose(10), choose(10), choose(10)]).toEqual([0, 9, 5, 0]);
    const seeded = choicesFromSeed(1);
    for (let i = 0; i < 1000; i += 1) expect(seeded(3)).toBeLessThan(3);
  });
});
