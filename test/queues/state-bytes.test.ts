/**
 * Goal: the state of a queue is read as it was written, and what is cut, damaged or too long is an
 * error, never another value.
 * Method: tables of cases, and random lists of values that are written, read and cut everywhere.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StateReader, StateWriter } from '../../src/queues/state-bytes.js';

const SEED = 83;

type Value =
  | { kind: 'u8'; value: number }
  | { kind: 'u32'; value: number }
  | { kind: 'f64'; value: number }
  | { kind: 'bool'; value: boolean }
  | { kind: 'string'; value: string }
  | { kind: 'bytes'; value: Uint8Array }
  | { kind: 'float64s'; value: Float64Array };

function written(write: (writer: StateWriter) => void): Uint8Array {
  const writer = new StateWriter();
  write(writer);
  return writer.finish();
}

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

describe('values', () => {
  test('are little-endian, one after the other', () => {
    const bytes = written((writer) => {
      writer.u8(7);
      writer.bool(true);
      writer.u32(0xfffefdfc);
      writer.f64(1);
      writer.string('aä');
      writer.bytes(Uint8Array.of(9, 8));
      writer.float64s(Float64Array.of(2));
    });
    expect(Buffer.from(bytes).toString('hex')).toBe(
      '0701fcfdfeff000000000000f03f0300000061c3a4020000000908010000000000000000000040',
    );
  });

  test('nothing is no bytes', () => {
    expect(written(() => undefined)).toEqual(new Uint8Array(0));
    new StateReader(new Uint8Array(0)).done();
  });

  test.each([
    '',
    'ascii',
    'ä€😀',
    '\uFEFF',
    '\0',
    '\uD800',
    'a\uDC00b',
    '\uDE00\uD83D',
    'x'.repeat(9000),
  ])('the text %j is read as it was written', (text) => {
    const reader = new StateReader(written((writer) => writer.string(text)));
    expect(reader.string()).toBe(text);
    reader.done();
  });

  test('are those of the time when they were written', () => {
    const writer = new StateWriter();
    const bytes = Uint8Array.of(1, 2);
    const numbers = Float64Array.of(3);
    writer.bytes(bytes);
    writer.float64s(numbers);
    bytes[0] = 9;
    numbers[0] = 9;
    const first = writer.finish();
    writer.u8(4);
    const reader = new StateReader(writer.finish());
    expect(reader.bytes()).toEqual(Uint8Array.of(1, 2));
    expect(reader.float64s()).toEqual(Float64Array.of(3));
    expect(reader.u8()).toBe(4);
    expect(() => reader.u8()).toThrow('a state needs 1 more bytes and has 0');
    expect(first.byteLength).toBe(18);
  });

  test('that are large stand between small ones', () => {
    const large = Float64Array.from({ length: 400_000 }, (_, i) => i / 3);
    const bytes = written((writer) => {
      writer.u8(1);
      writer.float64s(large);
      for (let i = 0; i < 300_000; i++) writer.u32(i);
      writer.float64s(large.subarray(7));
    });
    // As a part of something else, at a place that is not aligned.
    const whole = new Uint8Array(bytes.byteLength + 6);
    whole.set(bytes, 3);
    const reader = new StateReader(whole.subarray(3, 3 + bytes.byteLength));
    expect(reader.u8()).toBe(1);
    expect(bytesOf(reader.float64s()).equals(bytesOf(large))).toBe(true);
    for (let i = 0; i < 300_000; i++) if (reader.u32() !== i) expect.fail(`the number ${i}`);
    expect(bytesOf(reader.float64s()).equals(bytesOf(large.subarray(7)))).toBe(true);
    reader.done();
  });
});

describe('what cannot be', () => {
  test.each([
    ['a bool', '02', (reader: StateReader) => reader.bool(), 'has 2 where true or false'],
    ['a text', '01000000ff', (reader: StateReader) => reader.string(), 'no UTF-8'],
    ['half of a text', '01000080ff', (reader: StateReader) => reader.string(), 'half a character'],
    ['a long text', 'ffffffff00', (reader: StateReader) => reader.string(), 'more bytes and has 1'],
    ['long bytes', 'ffffffff00', (reader: StateReader) => reader.bytes(), 'more bytes and has 1'],
    ['numbers', 'ffffffff00', (reader: StateReader) => reader.float64s(), '34359738360 more'],
  ] as const)('%s is refused', (_, hex, read, message) => {
    const reader = new StateReader(new Uint8Array(Buffer.from(hex, 'hex')));
    expect(() => read(reader)).toThrow(message);
  });

  test('bytes that are left are refused', () => {
    const reader = new StateReader(Uint8Array.of(1, 2));
    expect(() => reader.done()).toThrow('a state has 2 more bytes than it should');
    reader.u8();
    expect(() => reader.done()).toThrow('has 1 more bytes');
    reader.u8();
    reader.done();
  });
});

describe(`random values, seed ${SEED}`, () => {
  const value: fc.Arbitrary<Value> = fc.oneof(
    fc.record({ kind: fc.constant('u8' as const), value: fc.nat(255) }),
    fc.record({ kind: fc.constant('u32' as const), value: fc.nat(0xffffffff) }),
    fc.record({ kind: fc.constant('f64' as const), value: fc.double() }),
    fc.record({ kind: fc.constant('bool' as const), value: fc.boolean() }),
    fc.record({ kind: fc.constant('string' as const), value: fc.string({ unit: 'binary' }) }),
    fc.record({ kind: fc.constant('bytes' as const), value: fc.uint8Array({ maxLength: 3000 }) }),
    fc.record({ kind: fc.constant('float64s' as const), value: fc.float64Array() }),
  );

  function write(writer: StateWriter, each: Value): void {
    if (each.kind === 'u8') writer.u8(each.value);
    else if (each.kind === 'u32') writer.u32(each.value);
    else if (each.kind === 'f64') writer.f64(each.value);
    else if (each.kind === 'bool') writer.bool(each.value);
    else if (each.kind === 'string') writer.string(each.value);
    else if (each.kind === 'bytes') writer.bytes(each.value);
    else writer.float64s(each.value);
  }

  test('are read as they were written, and none of a state that is cut', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 30 }), fc.nat(), (values, draw) => {
        const bytes = written((writer) => {
          for (const each of values) write(writer, each);
        });
        const reader = new StateReader(bytes);
        for (const each of values) expect(reader[each.kind]()).toEqual(each.value);
        reader.done();
        if (bytes.byteLength === 0) return;
        const cut = new StateReader(bytes.subarray(0, draw % bytes.byteLength));
        expect(() => {
          for (const each of values) expect(cut[each.kind]()).toEqual(each.value);
        }).toThrow(/^a state needs/);
      }),
      { seed: SEED },
    );
  });
});
