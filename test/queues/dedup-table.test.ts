/**
 * Goal: a key is found exactly as long as the window after it was set last, whatever else is set,
 * forgotten, written, read or changed meanwhile, and what is past is let go of.
 * Method: the edges of the window, and random changes against a Map of keys.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/core/digest.js';
import { DedupTable } from '../../src/queues/dedup-table.js';
import { StateReader, StateWriter } from '../../src/queues/state-bytes.js';

const SEED = 103;

function encoded(table: DedupTable): Uint8Array {
  const writer = new StateWriter();
  table.encodeTo(writer);
  return writer.finish();
}

function decoded(bytes: Uint8Array): DedupTable {
  const reader = new StateReader(bytes);
  const table = DedupTable.decode(reader);
  reader.done();
  return table;
}

describe('a key', () => {
  test('is found for less than a window after it was set last', () => {
    const table = new DedupTable(100);
    expect([table.find('a', 1000), table.size, table.oldestSeq]).toEqual([undefined, 0, undefined]);
    table.set('a', 7, 1000);
    expect([table.find('a', 1000), table.find('a', 1099), table.find('b', 1099)]).toEqual([
      7,
      7,
      undefined,
    ]);
    table.set('a', 9, 1099);
    expect([table.find('a', 1198), table.find('a', 1199)]).toEqual([9, undefined]);
  });

  test('is found for its own time, not for that of others beside it', () => {
    const table = new DedupTable(100);
    for (let now = 0; now < 1000; now++) {
      table.set(`key ${now}`, now, now);
      expect(table.find(`key ${now - 99}`, now)).toBe(now < 99 ? undefined : now - 99);
      expect(table.find(`key ${now - 100}`, now)).toBe(undefined);
      expect(table.size).toBeLessThanOrEqual(200);
      expect(table.oldestSeq ?? NaN).toBeGreaterThanOrEqual(now - 199);
    }
  });

  test('is not found after it was deleted, and may be set again', () => {
    const table = new DedupTable(100);
    table.set('a', 1, 0);
    table.delete('a');
    table.delete('b');
    expect([table.find('a', 0), table.size, table.oldestSeq]).toEqual([undefined, 0, undefined]);
    table.set('a', 2, 0);
    table.set('a', 3, 0);
    table.set('b', 4, 120);
    expect([table.size, table.oldestSeq]).toEqual([1, 4]);
  });

  test.each([
    '',
    'ä€😀',
    '\0',
    'x'.repeat(1024),
    '\uD800',
    '\uDC00',
    '\uFFFD',
    'a\uD800',
    '\uFEFF',
  ])('%j is no other one', (key) => {
    const others = ['\uD801', '\uDC01', 'x'.repeat(1023), '😀', 'a'];
    const table = new DedupTable(100);
    for (const [seq, other] of others.entries()) table.set(other, seq, 0);
    expect(table.find(key, 0)).toBe(undefined);
    table.set(key, 77, 0);
    expect(others.map((other) => table.find(other, 0))).toEqual([0, 1, 2, 3, 4]);
    expect(table.find(key, 0)).toBe(77);
  });

  test('that is not well-formed is none that has its bytes', () => {
    const table = new DedupTable(100);
    table.set('\uD800\u0080', 1, 0);
    expect(Buffer.from('\uD800\u0080', 'utf16le')).toEqual(Buffer.from('\0\u0600\0'));
    expect(table.find('\0\u0600\0', 0)).toBe(undefined);
  });

  test('is held once when it is set again after a while', () => {
    const table = new DedupTable(100);
    table.set('a', 1, 0);
    table.set('b', 2, 50);
    table.set('b', 3, 100);
    // The first one is past the window, and goes with its generation.
    expect([table.size, table.oldestSeq, table.find('b', 149)]).toEqual([2, 1, 3]);
    expect([table.find('b', 150), table.size, table.oldestSeq]).toEqual([3, 1, 3]);
  });

  test('is kept as 128 bits of its SHA-256, and each of them counts', () => {
    const table = new DedupTable(100);
    table.set('order 15', 1, 0);
    const digest = sha256Hex(new TextEncoder().encode('order 15'));
    const bytes = Buffer.from(encoded(table));
    const at = bytes.indexOf(digest.slice(0, 32), 'hex');
    expect(at).toBeGreaterThan(0);
    expect(decoded(bytes).find('order 15', 0)).toBe(1);
    for (let bit = 0; bit < 128; bit++) {
      const other = new Uint8Array(bytes);
      other[at + (bit >>> 3)] = (bytes[at + (bit >>> 3)] ?? 0) ^ (1 << (bit & 7));
      expect(decoded(other).find('order 15', 0), `bit ${bit}`).toBe(undefined);
    }
  });
});

describe('time', () => {
  test('does not go back', () => {
    const table = new DedupTable(100);
    table.set('a', 1, 1000);
    expect(table.find('b', 1100)).toBe(undefined);
    expect(table.find('a', 1000)).toBe(undefined);
    table.set('c', 2, 500);
    expect([table.find('c', 1199), table.find('c', 1200)]).toEqual([2, undefined]);
  });

  test('is set to an earlier or a later one with what is remembered', () => {
    const table = new DedupTable(100);
    table.set('past', 1, 0);
    table.set('older', 2, 60);
    table.set('younger', 3, 130);
    table.rebase(1e12);
    expect(table.find('past', 1e12)).toBe(undefined);
    expect([table.find('older', 1e12 + 99), table.find('younger', 1e12 + 99)]).toEqual([2, 3]);
    table.rebase(5);
    expect([table.find('older', 104), table.find('younger', 104), table.size]).toEqual([2, 3, 2]);
    expect([table.find('older', 105), table.find('younger', 105), table.size]).toEqual([
      undefined,
      undefined,
      0,
    ]);
  });

  test('is a number', () => {
    const table = new DedupTable(100);
    for (const time of [NaN, Infinity]) {
      expect(() => table.find('a', time)).toThrow('broken invariant');
      expect(() => table.rebase(time)).toThrow('broken invariant');
    }
    expect(() => table.rebase(-1)).toThrow('broken invariant');
    for (const seq of [-1, 0.5, 2 ** 53, NaN]) {
      expect(() => table.set('a', seq, 0)).toThrow('broken invariant');
    }
  });
});

describe('the window', () => {
  test('may change: what was past a shorter one does not come back', () => {
    const table = new DedupTable(100);
    table.set('a', 1, 1000);
    table.set('b', 2, 1050);
    expect(table.find('a', 1060)).toBe(1);
    table.windowMs = 20;
    expect([table.windowMs, table.find('a', 1060), table.find('b', 1069)]).toEqual([
      20,
      undefined,
      2,
    ]);
    table.windowMs = 1000;
    expect([table.find('a', 1069), table.find('b', 2049), table.find('b', 2050)]).toEqual([
      undefined,
      2,
      undefined,
    ]);
  });

  test('of 0 remembers nothing, and one of Infinity everything', () => {
    const table = new DedupTable(0);
    table.set('a', 1, 0);
    expect([table.find('a', 0), table.size]).toEqual([undefined, 0]);
    table.windowMs = Infinity;
    expect(table.find('a', 0)).toBe(undefined);
    table.set('a', 1, 0);
    expect(decoded(encoded(table)).find('a', 1e15)).toBe(1);
    expect(() => new DedupTable(-1)).toThrow('broken invariant');
    expect(() => new DedupTable(NaN)).toThrow('broken invariant');
    expect(() => {
      table.windowMs = NaN;
    }).toThrow('broken invariant');
  });
});

test('many keys are found, through states too, in 32 bytes each', () => {
  const COUNT = 20_000;
  let table = new DedupTable(COUNT);
  for (let seq = 0; seq < COUNT; seq++) {
    table.set(`k${seq}`, seq, seq);
    // In the middle of a chunk, and of a chunk that is not full.
    if (seq === 5 || seq === 9000) table = decoded(encoded(table));
  }
  const bytes = encoded(table);
  expect(bytes.byteLength).toBeLessThan(32 * COUNT + 100);
  const same = decoded(bytes);
  for (const each of [table, same]) {
    for (let seq = 0; seq < COUNT; seq++) {
      if (each.find(`k${seq}`, COUNT - 1) !== seq) expect.fail(`k${seq} is not found`);
      if (each.find(`no ${seq}`, COUNT - 1) !== undefined) expect.fail(`no ${seq} is found`);
    }
    expect([each.size, each.oldestSeq]).toEqual([COUNT, 0]);
  }
});

describe('what is no table is refused', () => {
  interface Parts {
    readonly windowMs?: number;
    readonly nowMs?: number;
    readonly oldStartMs?: number;
    readonly youngStartMs?: number;
    readonly seq?: number;
    readonly timeMs?: number;
    readonly entryBytes?: number;
  }

  function parts(of: Parts): Uint8Array {
    const writer = new StateWriter();
    writer.f64(of.windowMs ?? 100);
    writer.f64(of.nowMs ?? 1000);
    writer.f64(of.oldStartMs ?? 950);
    writer.u32(1);
    writer.bytes(
      new Uint8Array(Float64Array.of(1, 2, of.seq ?? 5, of.timeMs ?? 960).buffer).subarray(
        0,
        of.entryBytes ?? 32,
      ),
    );
    writer.f64(of.youngStartMs ?? 970);
    writer.u32(0);
    return writer.finish();
  }

  test('but this is one', () => {
    expect([decoded(parts({})).size, decoded(parts({})).oldestSeq]).toEqual([1, 5]);
    expect(decoded(parts({ seq: -1 })).size).toBe(0);
  });

  test.each([
    ['no window', { windowMs: NaN }],
    ['a negative window', { windowMs: -1 }],
    ['no time', { nowMs: NaN }],
    ['a negative time', { nowMs: -1, oldStartMs: -5, timeMs: -3, youngStartMs: -2 }],
    ['no end of time', { nowMs: Infinity }],
    ['a generation to come', { youngStartMs: 1001 }],
    ['an entry to come', { timeMs: 1001 }],
    ['an entry before its generation', { timeMs: 949 }],
    ['an entry without a time', { timeMs: NaN }],
    ['an older generation that is younger', { timeMs: 971 }],
    ['a fraction', { seq: 0.5 }],
    ['a negative seq', { seq: -2 }],
    ['no seq', { seq: NaN }],
    ['a short entry', { entryBytes: 31 }],
  ])('%s', (_, of) => {
    expect(() => decoded(parts(of))).toThrow('what is remembered is no table of keys');
  });
});

/** What a key stands for, and when it was set. */
class Model {
  readonly keys: Map<string, { seq: number; timeMs: number }> = new Map();
  windowMs: number;
  nowMs = 0;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  advance(byMs: number): number {
    this.nowMs += byMs;
    for (const [key, { timeMs }] of this.keys) {
      if (this.nowMs - timeMs >= this.windowMs) this.keys.delete(key);
    }
    return this.nowMs;
  }
}

describe(`random changes, seed ${SEED}`, () => {
  const step = fc.record({
    kind: fc.constantFrom('set', 'set', 'set', 'many', 'delete', 'window', 'rebase', 'state'),
    key: fc.nat(40).map((key) => `key ${key}`),
    number: fc.nat(500),
    byMs: fc.oneof(fc.constant(0), fc.nat(30), fc.nat(150), fc.nat(1000)),
  });

  function rebase(table: DedupTable, model: Model, nowMs: number): void {
    table.rebase(nowMs);
    model.nowMs = nowMs;
    for (const entry of model.keys.values()) entry.timeMs = nowMs;
  }

  function set(table: DedupTable, model: Model, key: string, seq: number): void {
    table.set(key, seq, model.nowMs);
    if (model.windowMs > 0) model.keys.set(key, { seq, timeMs: model.nowMs });
  }

  function check(table: DedupTable, model: Model): void {
    let lowest = Infinity;
    for (const { seq } of model.keys.values()) lowest = Math.min(lowest, seq);
    expect(table.size).toBeGreaterThanOrEqual(model.keys.size);
    expect(table.oldestSeq ?? Infinity).toBeLessThanOrEqual(lowest);
    for (let each = 0; each <= 40; each++) {
      const key = `key ${each}`;
      if (table.find(key, model.nowMs) !== model.keys.get(key)?.seq) expect.fail(key);
    }
  }

  test('are those of a Map of keys', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let table = new DedupTable(100);
        const model = new Model(100);
        for (const { kind, key, number, byMs } of steps) {
          if (kind === 'state') table = decoded(encoded(table));
          else if (kind === 'rebase') rebase(table, model, number);
          else if (kind === 'window') {
            table.windowMs = number;
            model.windowMs = number;
            model.advance(0);
          } else if (kind === 'set') {
            model.advance(byMs);
            set(table, model, key, number);
          } else if (kind === 'many') {
            for (let i = 0; i < number / 8; i++) set(table, model, `key ${i}`, i + number);
          } else {
            table.delete(key);
            model.keys.delete(key);
          }
          check(table, model);
        }
      }),
      { seed: SEED, numRuns: 300 },
    );
  });
});
