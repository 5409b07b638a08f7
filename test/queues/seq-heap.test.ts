/**
 * Goal: the lowest seq is taken first, and the lowest few are seen without being taken.
 * Method: random pushes and pops against a sorted list, with states that are written and read in
 * between.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeqHeap } from '../../src/queues/seq-heap.js';
import { StateReader, StateWriter } from '../../src/queues/state-bytes.js';

const SEED = 97;
const HIGHEST = Number.MAX_SAFE_INTEGER;

function encoded(heap: SeqHeap): Uint8Array {
  const writer = new StateWriter();
  heap.encodeTo(writer);
  return writer.finish();
}

function decoded(bytes: Uint8Array): SeqHeap {
  const reader = new StateReader(bytes);
  const heap = SeqHeap.decode(reader);
  reader.done();
  return heap;
}

test('takes the lowest first', () => {
  const heap = new SeqHeap();
  expect([heap.size, heap.peek(), heap.pop(), heap.smallest(3)]).toEqual([
    0,
    undefined,
    undefined,
    [],
  ]);
  for (const seq of [HIGHEST, 3, 0, 3]) heap.push(seq);
  expect([heap.size, heap.peek(), heap.smallest(0), heap.smallest(3)]).toEqual([
    4,
    0,
    [],
    [0, 3, 3],
  ]);
  expect(heap.smallest(99)).toEqual([0, 3, 3, HIGHEST]);
  expect([heap.pop(), heap.pop(), heap.pop(), heap.pop(), heap.pop()]).toEqual([
    0,
    3,
    3,
    HIGHEST,
    undefined,
  ]);
});

test('clear leaves nothing', () => {
  const heap = new SeqHeap();
  for (let seq = 0; seq < 100; seq++) heap.push(seq);
  heap.clear();
  expect([heap.size, heap.peek(), heap.pop(), heap.smallest(1)]).toEqual([
    0,
    undefined,
    undefined,
    [],
  ]);
  expect(heap.values()).toEqual(new Float64Array(0));
  heap.push(4);
  expect(heap.pop()).toBe(4);
});

test('takes many in order, and lets go of the memory', () => {
  const heap = new SeqHeap();
  const count = 20_000;
  for (let i = 0; i < count; i++) heap.push((i * 7919) % count);
  const bytesAtMost = heap.values().buffer.byteLength;
  expect(bytesAtMost).toBeLessThan(2 * 8 * count);
  for (let seq = 0; seq < count - 10; seq++) {
    const popped = heap.pop();
    if (popped !== seq) expect.fail(`${popped} instead of ${seq}`);
  }
  expect(heap.values().buffer.byteLength).toBeLessThan(bytesAtMost / 100);
  expect(heap.smallest(2)).toEqual([count - 10, count - 9]);
});

describe('what is no heap is refused', () => {
  test.each([
    ['no order', [2, 1]],
    ['no order far behind', [0, 5, 1, 1, 1, 4]],
    ['a negative seq', [-1]],
    ['a fraction', [1.5]],
    ['no number', [1, NaN]],
    ['a seq that is too high', [2 ** 53]],
  ])('%s', (_, numbers) => {
    const writer = new StateWriter();
    writer.float64s(Float64Array.from(numbers));
    expect(() => decoded(writer.finish())).toThrow('what is ready is no heap of seqs');
  });
});

describe(`random pushes and pops, seed ${SEED}`, () => {
  const seqs = fc.oneof(fc.nat(40), fc.maxSafeNat());
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ seq: seqs }) },
    { weight: 2, arbitrary: fc.constant('pop' as const) },
    { weight: 1, arbitrary: fc.constantFrom('state' as const, 'clear' as const) },
    { weight: 1, arbitrary: fc.record({ few: fc.nat(30) }) },
    // Many at once, so that arrays grow and shrink.
    { weight: 1, arbitrary: fc.record({ pushed: fc.nat(200), popped: fc.nat(200) }) },
  );

  test('are those of a sorted list', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let heap = new SeqHeap();
        let model: number[] = [];
        const push = (seq: number): void => {
          heap.push(seq);
          model = [...model, seq].toSorted((a, b) => a - b);
        };
        const pop = (): void => expect(heap.pop()).toBe(model.shift());
        for (const each of steps) {
          if (each === 'pop') pop();
          else if (each === 'state') heap = decoded(encoded(heap));
          else if (each === 'clear') {
            heap.clear();
            model = [];
          } else if ('few' in each) {
            expect(heap.smallest(each.few)).toEqual(model.slice(0, each.few));
          } else if ('pushed' in each) {
            for (let i = 0; i < each.pushed; i++) push((i * 7) % 19);
            for (let i = 0; i < each.popped; i++) pop();
          } else push(each.seq);
          expect([heap.size, heap.peek()]).toEqual([model.length, model[0]]);
          expect(heap.values().toSorted()).toEqual(Float64Array.from(model));
        }
      }),
      { seed: SEED },
    );
  });
});
