/**
 * Goal: what waits for a time is taken when it is due, the earliest first, and of the same time
 * the lowest seq.
 * Method: random pushes and pops against a sorted list, with states that are written and read in
 * between.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DueHeap } from '../../src/queues/due-heap.js';
import { StateReader, StateWriter } from '../../src/queues/state-bytes.js';

const SEED = 89;

function encoded(heap: DueHeap): Uint8Array {
  const writer = new StateWriter();
  heap.encodeTo(writer);
  return writer.finish();
}

function decoded(bytes: Uint8Array): DueHeap {
  const reader = new StateReader(bytes);
  const heap = DueHeap.decode(reader);
  reader.done();
  return heap;
}

test('takes what is due, not what comes later', () => {
  const heap = new DueHeap();
  expect([heap.size, heap.peekDue(), heap.popDue(Infinity)]).toEqual([0, undefined, undefined]);
  heap.push(20, 1);
  heap.push(10, 7);
  heap.push(10, 5);
  expect([heap.size, heap.peekDue()]).toEqual([3, 10]);
  expect([heap.popDue(9.9), heap.popDue(10), heap.popDue(10), heap.popDue(19)]).toEqual([
    undefined,
    5,
    7,
    undefined,
  ]);
  expect([heap.size, heap.popDue(1e15), heap.size]).toEqual([1, 1, 0]);
});

test('clear leaves nothing', () => {
  const heap = new DueHeap();
  for (let seq = 0; seq < 100; seq++) heap.push(-seq, seq);
  heap.clear();
  expect([heap.size, heap.peekDue(), heap.popDue(Infinity)]).toEqual([0, undefined, undefined]);
  heap.push(3, 4);
  expect(heap.popDue(3)).toBe(4);
});

test('no time is none', () => {
  expect(() => new DueHeap().push(NaN, 1)).toThrow('broken invariant');
});

test('takes many in order, up and down', () => {
  const heap = new DueHeap();
  const count = 20_000;
  // A permutation, as 7919 has no divisor in common with the count.
  for (let i = 0; i < count; i++) heap.push((i * 7919) % count, i);
  for (let due = 0; due < count; due++) {
    if (heap.peekDue() !== due) expect.fail(`${heap.peekDue()} instead of ${due}`);
    const seq = heap.popDue(due) ?? NaN;
    if ((seq * 7919) % count !== due) expect.fail(`${seq} is not due at ${due}`);
  }
  expect(heap.size).toBe(0);
});

describe('what is no heap is refused', () => {
  test.each([
    ['a half', [1]],
    ['no order', [2, 1, 1, 2]],
    ['no order of seqs', [2, 3, 2, 1]],
    ['no time', [NaN, 1]],
    ['no time behind', [1, 1, NaN, 1]],
    ['a negative seq', [1, -1]],
    ['a fraction', [1, 1.5]],
    ['a seq that is too high', [1, 2 ** 53]],
  ])('%s', (_, numbers) => {
    const writer = new StateWriter();
    writer.float64s(Float64Array.from(numbers));
    expect(() => decoded(writer.finish())).toThrow('what is due is no heap of seqs');
  });
});

describe(`random pushes and pops, seed ${SEED}`, () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.nat(20), fc.nat(50)) },
    { weight: 2, arbitrary: fc.record({ now: fc.nat(22) }) },
    { weight: 1, arbitrary: fc.constantFrom('state' as const, 'clear' as const) },
    // Many at once, so that arrays grow and shrink.
    { weight: 1, arbitrary: fc.record({ pushed: fc.nat(200), popped: fc.nat(200) }) },
  );

  test('are those of a sorted list', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let heap = new DueHeap();
        let model: (readonly [number, number])[] = [];
        const push = (due: number, seq: number): void => {
          heap.push(due, seq);
          model.push([due, seq]);
          model.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        };
        const pop = (now: number): void => {
          const first = model[0];
          const isDue = first !== undefined && first[0] <= now;
          expect(heap.popDue(now)).toBe(isDue ? first[1] : undefined);
          if (isDue) model.shift();
        };
        for (const each of steps) {
          if (each === 'state') heap = decoded(encoded(heap));
          else if (each === 'clear') {
            heap.clear();
            model = [];
          } else if ('now' in each) pop(each.now);
          else if ('pushed' in each) {
            for (let i = 0; i < each.pushed; i++) push((i * 7) % 19, (i * 5) % 23);
            for (let i = 0; i < each.popped; i++) pop(Infinity);
          } else push(...each);
          expect(heap.size).toBe(model.length);
          expect(heap.peekDue()).toBe(model[0]?.[0]);
        }
        while (model.length > 0) pop(Infinity);
        expect(heap.size).toBe(0);
      }),
      { seed: SEED },
    );
  });
});
