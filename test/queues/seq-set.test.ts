/**
 * Goal: a set of settled seqs knows exactly what was added, its floor moves as soon as a gap
 * closes, and what it keeps depends on what is above the floor only.
 * Method: the edges of pages, and random changes against one byte for each seq, with states that
 * are written and read in between.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeqSet } from '../../src/queues/seq-set.js';
import { StateReader, StateWriter } from '../../src/queues/state-bytes.js';

const SEED = 101;
const PAGE = 8192;
const END = 2 ** 53;

function encoded(set: SeqSet): Uint8Array {
  const writer = new StateWriter();
  set.encodeTo(writer);
  return writer.finish();
}

function decoded(bytes: Uint8Array): SeqSet {
  const reader = new StateReader(bytes);
  const set = SeqSet.decode(reader);
  reader.done();
  return set;
}

describe('the floor', () => {
  test('moves with every seq that comes in order, and nothing is kept', () => {
    const set = new SeqSet();
    const bytes = encoded(set).byteLength;
    for (let seq = 0; seq < 3 * PAGE; seq++) {
      if (!set.add(seq) || set.floor !== seq + 1) expect.fail(`the floor is ${set.floor}`);
    }
    expect([set.countAbove, set.add(5), set.has(3 * PAGE - 1)]).toEqual([0, false, true]);
    expect(encoded(set).byteLength).toBe(bytes);
  });

  test('waits for a gap, and moves over what is above it at once', () => {
    const set = new SeqSet();
    for (let seq = 4 * PAGE + 9; seq > 0; seq--) set.add(seq);
    expect([set.floor, set.countAbove, set.has(0), set.has(1)]).toEqual([
      0,
      4 * PAGE + 9,
      false,
      true,
    ]);
    // Full pages are not kept each on its own: the first is not full, and the last is not.
    expect(encoded(set).byteLength).toBeLessThan(3 * 1024);
    expect(set.add(0)).toBe(true);
    expect([set.floor, set.countAbove, set.has(4 * PAGE + 10)]).toEqual([4 * PAGE + 10, 0, false]);
    expect(encoded(set).byteLength).toBe(12);
  });

  test('is 2 ** 53 when all are there', () => {
    const set = new SeqSet();
    set.add(END - 1);
    expect([set.floor, set.countAbove, set.nextMissing(END - 1)]).toEqual([0, 1, END]);
    expect(set.addBelow(END - 1)).toBe(END - 1);
    expect([set.floor, set.countAbove, set.has(END - 1)]).toEqual([END, 0, true]);
    expect([set.nextMissing(3), set.prevMissing(END - 1), set.addBelow(END)]).toEqual([
      END,
      undefined,
      0,
    ]);
    expect(decoded(encoded(set)).floor).toBe(END);
  });
});

test('a long run above a gap is a few bytes', () => {
  const set = new SeqSet();
  expect(set.addRange(1, 1 + 1e9)).toBe(1e9);
  expect([set.floor, set.countAbove, set.nextMissing(1)]).toEqual([0, 1e9, 1 + 1e9]);
  expect(set.prevMissing(1e9)).toBe(0);
  const bytes = encoded(set);
  expect(bytes.byteLength).toBeLessThan(2500);
  const same = decoded(bytes);
  expect([same.countAbove, same.countBetween(5, 1e6), same.add(0), same.floor]).toEqual([
    1e9,
    1e6 - 5,
    true,
    1 + 1e9,
  ]);
});

test('full pages with others between are where they were', () => {
  const set = new SeqSet();
  for (const page of [1, 2, 4, 6, 7]) set.addRange(page * PAGE, (page + 1) * PAGE);
  set.add(4 * PAGE - 1);
  const same = decoded(encoded(set));
  const pages = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  expect(pages.map((page) => same.countBetween(page * PAGE, (page + 1) * PAGE))).toEqual([
    0,
    PAGE,
    PAGE,
    1,
    PAGE,
    0,
    PAGE,
    PAGE,
    0,
  ]);
});

test('pages that the floor passes are gone, whether few or many are between', () => {
  const set = new SeqSet();
  for (let page = 0; page < 10; page++) set.add(page * PAGE + 7);
  const sizes = [encoded(set).byteLength];
  expect(set.addBelow(5 * PAGE)).toBe(5 * PAGE - 5);
  sizes.push(encoded(set).byteLength);
  set.add(1e15);
  expect(set.addBelow(1e15 - 1)).toBe(1e15 - 1 - 5 * PAGE - 5);
  sizes.push(encoded(set).byteLength);
  expect([set.floor, set.countAbove]).toEqual([1e15 - 1, 1]);
  // A page and its place in the directory.
  const page = 1024 + 4 + 16;
  expect(sizes).toEqual([12 + 10 * page, 12 + 5 * page, 12 + page]);
});

test('what is no seq is not added', () => {
  const set = new SeqSet();
  for (const seq of [-1, 0.5, NaN, END]) expect(() => set.add(seq)).toThrow('broken invariant');
  for (const seq of [0.5, NaN, 2 * END]) {
    expect(() => set.addBelow(seq)).toThrow('broken invariant');
    expect(() => set.addRange(2, seq)).toThrow('broken invariant');
  }
  expect(() => set.addRange(-1, 3)).toThrow('broken invariant');
  expect([set.floor, set.countAbove, set.addRange(5, 5), set.addRange(9, 5)]).toEqual([0, 0, 0, 0]);
});

describe('what is no set is refused', () => {
  const page = (...words: number[]): Uint8Array => {
    const all = new Uint32Array(PAGE / 32);
    all.set(words);
    return new Uint8Array(all.buffer);
  };
  const full = page(...Array.from({ length: PAGE / 32 }, () => 0xffffffff));

  test.each([
    ['a floor that is a fraction', 0.5, [], []],
    ['a floor below 0', -1, [], []],
    ['no floor', NaN, [], []],
    ['a floor that is too high', END + 2, [], []],
    ['a floor that is settled', 1, [0, 0], [page(2)]],
    ['a page below the floor', PAGE, [0, 0], [page(4)]],
    ['a page twice', 0, [1, 0, 1, 0], [page(4), page(4)]],
    ['a page in a run', 0, [1, 3, 3, 0], [page(4)]],
    ['pages in disorder', 0, [2, 1, 1, 1], []],
    ['half of a pair', 0, [2, 1, 1], []],
    ['a run of a half', 0, [2, 0.5], []],
    ['a negative run', 0, [2, -1], []],
    ['a page too far', 0, [2 ** 40, 1], []],
    ['more pages than there can be', 0, [1, 2 ** 24 + 1], []],
    ['a short page', 0, [1, 0], [new Uint8Array(1000)]],
    ['a full page as one that is not', 0, [1, 0], [full]],
  ] as const)('%s', (_, floor, directory, pages) => {
    const writer = new StateWriter();
    writer.f64(floor);
    writer.float64s(Float64Array.from(directory));
    for (const each of pages) writer.bytes(each);
    expect(() => decoded(writer.finish())).toThrow('what is settled is no set of seqs');
  });

  test('but one page of what the floor has passed is', () => {
    const writer = new StateWriter();
    writer.f64(2);
    writer.float64s(Float64Array.of(0, 0));
    writer.bytes(page(3));
    const set = decoded(writer.finish());
    expect([set.countAbove, set.add(4), set.add(2 * PAGE), set.has(4)]).toEqual([
      0,
      true,
      true,
      true,
    ]);
    expect([set.add(2), set.add(3), set.floor]).toEqual([true, true, 5]);
  });
});

/** One byte for each seq from a base on; all below are there. */
class Model {
  readonly base: number;
  readonly there: Uint8Array;

  constructor(base: number, length: number) {
    this.base = base;
    this.there = new Uint8Array(length);
  }

  add(from: number, to: number): number {
    let added = 0;
    for (let at = from; at < to; at++) {
      if (this.there[at] === 0) added++;
      this.there[at] = 1;
    }
    return added;
  }

  get floor(): number {
    return this.next(0);
  }

  next(at: number): number {
    const next = this.there.indexOf(0, at);
    return next < 0 ? this.there.length : next;
  }

  count(from: number, to: number): number {
    return this.there.subarray(from, to).reduce((sum, each) => sum + each, 0);
  }
}

describe(`random changes, seed ${SEED}`, () => {
  const LENGTH = 5 * PAGE;
  const place = fc.oneof(
    fc.nat(LENGTH - 1),
    fc.nat(100),
    fc
      .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: -40, max: 40 }))
      .map(([page, near]) => page * PAGE + near),
  );
  const step = fc.record({
    kind: fc.constantFrom('add', 'add', 'add', 'range', 'range', 'below', 'gap', 'gap', 'state'),
    at: place,
    other: place,
  });
  const base = fc.constantFrom(0, 5, PAGE - 1, 2 ** 33 + 17, END - LENGTH);

  function change(set: SeqSet, model: Model, kind: string, at: number, other: number): void {
    const seq = model.base + at;
    if (kind === 'add') expect(set.add(seq)).toBe(model.add(at, at + 1) === 1);
    else if (kind === 'range') {
      expect(set.addRange(seq, model.base + other)).toBe(model.add(at, other));
    } else if (kind === 'below') expect(set.addBelow(seq)).toBe(model.add(0, at));
    else {
      // The first that is missing, and others after it: so are gaps closed.
      const from = model.floor;
      const to = Math.min(from + 1 + (other % 3), LENGTH);
      for (let each = from; each < to; each++) {
        expect(set.add(model.base + each)).toBe(model.add(each, each + 1) === 1);
      }
    }
  }

  function check(set: SeqSet, model: Model, at: number, other: number): void {
    const { base: from, floor } = model;
    expect(set.floor).toBe(from + floor);
    expect(set.countAbove).toBe(model.count(floor, LENGTH));
    expect(set.has(from + at)).toBe(model.there[at] === 1);
    expect(set.nextMissing(from + at)).toBe(from + model.next(at));
    const prev = model.there.lastIndexOf(0, at);
    expect(set.prevMissing(from + at)).toBe(prev < 0 ? undefined : from + prev);
    expect(set.countBetween(from + at, from + other)).toBe(model.count(at, Math.max(at, other)));
  }

  test('are those of one byte for each seq', () => {
    fc.assert(
      fc.property(base, fc.array(step, { maxLength: 60 }), (first, steps) => {
        const model = new Model(first, LENGTH);
        let set = new SeqSet();
        expect(set.addBelow(first)).toBe(first);
        for (const { kind, at, other } of steps) {
          if (kind === 'state') set = decoded(encoded(set));
          else change(set, model, kind, at, other);
          check(set, model, at, other);
        }
        for (let at = 0; at < LENGTH; at++) {
          if (set.has(first + at) !== (model.there[at] === 1)) expect.fail(`the seq ${at}`);
        }
        expect(set.addRange(first, first + LENGTH)).toBe(model.add(0, LENGTH));
        expect([set.floor, set.countAbove]).toEqual([first + LENGTH, 0]);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });
});
