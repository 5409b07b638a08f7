/**
 * Goal: what people write as sizes, times, keys and conditions is read as they mean it, and input
 * is split into records the same way however it arrives.
 * Method: tables of cases, and inputs that fast-check cuts into pieces.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parsePointer, valueAt } from '../../src/cli/json-pointer.js';
import { LineSplitter, RecordTooLong, type Splitter } from '../../src/cli/line-splitter.js';
import { nearest } from '../../src/cli/nearest.js';
import { Output } from '../../src/cli/output.js';
import { PrefixSplitter } from '../../src/cli/prefix-splitter.js';
import { bar, progressLine, progressOn } from '../../src/cli/progress.js';
import { parseFilter } from '../../src/cli/record-filter.js';
import { fieldLines, tableLines } from '../../src/cli/table.js';
import { formatMs, formatNanos, parseTime } from '../../src/cli/times.js';
import {
  formatBytes,
  formatCount,
  formatDuration,
  integerFrom,
  parseBytes,
  parseDuration,
} from '../../src/cli/units.js';
import { LogRecord } from '../../src/core/record.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { Sink } from '../support/cli-kit.js';

describe('sizes, durations and counts', () => {
  test.each([
    ['0', 0],
    ['4096', 4096],
    ['64KiB', 65_536],
    ['10 MiB', 10 * 2 ** 20],
    ['1.5GiB', 1.5 * 2 ** 30],
    ['10MB', 10_000_000],
    ['2tib', 2 * 2 ** 40],
  ])('%s is %d bytes', (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  test.each([
    ['500ms', 500],
    ['10s', 10_000],
    ['5m', 300_000],
    ['5min', 300_000],
    ['12h', 43_200_000],
    ['7d', 604_800_000],
    ['2w', 1_209_600_000],
  ])('%s is %d milliseconds', (text, ms) => expect(parseDuration(text)).toBe(ms));

  test.each(['', 'x', '10XB', '-1', '1e3', '10MiBs', '99999999TiB'])('%j is no size', (text) => {
    expect(() => parseBytes(text)).toThrow('Write a number of bytes');
  });

  test.each(['7', '', '7y', 'd', '-7d', 'toString'])('%j is no duration', (text) => {
    expect(() => parseDuration(text)).toThrow('Write a number with a unit');
  });

  test.each(['', '-1', '1.5', '0x10', '9007199254740992', '0'])(
    '%j is no integer from 1',
    (text) => {
      expect(() => integerFrom(1)(text)).toThrow('Write a whole number from 1 on.');
    },
  );

  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1_048_575, '1.0 MiB'],
    [64 * 2 ** 20, '64.0 MiB'],
    [5 * 2 ** 50, '5120.0 TiB'],
  ])('%d bytes are written %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  test.each([
    [0, '0 ms'],
    [0.44, '0.4 ms'],
    [12.4, '12 ms'],
    [999.6, '1.0 s'],
    [59_960, '1 min'],
    [61_000, '1 min 1 s'],
    [3_600_000, '1 h'],
    [86_399_000, '1 d'],
    [90_000_000, '1 d 1 h'],
    [604_800_000, '7 d'],
  ])('%d ms are written %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

  test('counts have commas', () => expect(formatCount(1_234_567)).toBe('1,234,567'));
});

describe('times', () => {
  const NOW = Date.parse('2026-11-21T12:00:00Z');
  const at = (text: string): number => Date.parse(text);

  test.each([
    ['2026-11-21', at('2026-11-21T00:00:00Z')],
    ['2026-11-21T10:30', at('2026-11-21T10:30:00Z')],
    ['2026-11-21 10:30:15.250', at('2026-11-21T10:30:15.250Z')],
    ['2026-11-21T10:30:00+01:00', at('2026-11-21T09:30:00Z')],
    ['2h', NOW - 7_200_000],
    ['1700000000000', 1_700_000_000_000],
    ['1700000000000000001', 1_700_000_000_000_000_001n],
  ])('%s', (text, time) => expect(parseTime('--since', text, NOW)).toBe(time));

  test.each([
    '',
    'yesterday',
    '2026-13-01',
    '2026-02-29',
    '2555-01-01',
    '2026-11-21T25:00',
    '123',
    '1969-01-01',
    '18446744073709551616',
  ])('%j is none', (text) => {
    expect(() => parseTime('--since', text, NOW)).toThrow("option '--since' cannot read");
  });

  test('are written in UTC, with as many digits as they have', () => {
    expect(formatMs(0)).toBe('1970-01-01T00:00:00.000Z');
    expect(formatNanos(1_700_000_000_123_000_000n)).toBe('2023-11-14T22:13:20.123Z');
    expect(formatNanos(1_700_000_000_123_000_456n)).toBe('2023-11-14T22:13:20.123000456Z');
    expect(formatNanos(2n ** 64n - 1n)).toMatch(/^2554-/);
  });
});

describe('splitting input', () => {
  /** The same bytes in pieces that end where the cuts say. */
  const pieces = (bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] => {
    const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].toSorted(
      (a, b) => a - b,
    );
    return [0, ...places].map((from, i) => bytes.slice(from, places[i] ?? bytes.length));
  };
  const split = (splitter: Splitter, input: readonly Uint8Array[]): string[] => {
    const records = input.flatMap((piece) => splitter.push(piece));
    return [...records, ...splitter.end()].map((record) => Buffer.from(record).toString('latin1'));
  };
  const cuts = fc.array(fc.nat(), { maxLength: 6 });

  test('lines, wherever the pieces end', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'b', '\r', '\n') }), cuts, (text, at) => {
        const lines = text.split('\n');
        if (lines.at(-1) === '') lines.pop();
        expect(split(new LineSplitter(100), pieces(Buffer.from(text), at))).toEqual(lines);
      }),
      { seed: 7, numRuns: 500 },
    );
  });

  test('records behind their length, wherever the pieces end', () => {
    const records = fc.array(fc.string({ unit: fc.constantFrom('a', '\0', '\n'), maxLength: 9 }));
    fc.assert(
      fc.property(records, cuts, (texts, at) => {
        const bytes = Buffer.concat(
          texts.flatMap((text) => {
            const length = Buffer.alloc(4);
            length.writeUInt32BE(text.length);
            return [length, Buffer.from(text)];
          }),
        );
        expect(split(new PrefixSplitter(100), pieces(bytes, at))).toEqual(texts);
      }),
      { seed: 7, numRuns: 500 },
    );
  });

  test('a record that is too long is refused before all of it has come', () => {
    const lines = new LineSplitter(10);
    lines.push(Buffer.from('12345678'));
    expect(() => lines.push(Buffer.from('9ab'))).toThrow(RecordTooLong);
    expect(() => new PrefixSplitter(10).push(Buffer.from([0, 0, 0, 11]))).toThrow(RecordTooLong);
  });

  test('binary input that ends within a record is refused', () => {
    const splitter = new PrefixSplitter(10);
    expect(splitter.push(Buffer.from([0, 0, 0, 2, 65]))).toEqual([]);
    expect(() => splitter.end()).toThrow('5 bytes of 6 are there');
  });
});

describe('conditions and keys', () => {
  const record = (payload: string, type = 0): LogRecord => {
    const bytes = new TextEncoder().encode(payload);
    return new LogRecord(5, type, bytes.buffer, bytes.byteOffset, bytes.byteLength, 0, 0);
  };

  test.each([
    ['type=3', '', 3, true],
    ['type!=3', '', 3, false],
    ['seq>=5', '', 0, true],
    ['seq<5', '', 0, false],
    ['/a=1', '{"a":1}', 0, true],
    ['/a=1', '{"a":"1"}', 0, false],
    ['/a="1"', '{"a":"1"}', 0, true],
    ['/a=done', '{"a":"done"}', 0, true],
    ['/a/b>2', '{"a":{"b":3}}', 0, true],
    ['/a>2', '{"a":"3"}', 0, false],
    ['/a/0=x', '{"a":["x"]}', 0, true],
    ['/a', '{"a":null}', 0, true],
    ['/a', '{}', 0, false],
    ['/a!=1', '{}', 0, false],
    ['/a!=1', 'no json', 0, false],
    ['/a={"b":1}', '{"a":{"b":1}}', 0, true],
    ['/constructor', '{}', 0, false],
  ])('%s of %s, type %d: %s', (text, payload, type, holds) => {
    expect(parseFilter(text)(record(payload, type))).toBe(holds);
  });

  test.each(['', 'type', 'type=x', 'size=3', '/a<x', 'process.exit()', '=3', '/a~2=1'])(
    '%j is no condition',
    (text) => expect(() => parseFilter(text)).toThrow(/^Write |^Only numbers /),
  );

  test('pointers are those of RFC 6901', () => {
    const value = { a: [{ 'x/y': 1, 'm~n': 2 }], '': 3 };
    expect(valueAt(value, parsePointer('/a/0/x~1y'))).toBe(1);
    expect(valueAt(value, parsePointer('/a/0/m~0n'))).toBe(2);
    expect(valueAt(value, parsePointer('/'))).toBe(3);
    expect(valueAt(value, parsePointer(''))).toBe(value);
    expect(valueAt(value, parsePointer('/a/00'))).toBeUndefined();
    expect(valueAt(value, parsePointer('/a/length'))).toBeUndefined();
  });
});

describe('names that were mistyped', () => {
  const names = ['orders', 'orders/archive', 'users', 'sensors/lidar/front', 'x'];

  test.each([
    ['order', ['orders', 'orders/archive']],
    ['USERS', ['users']],
    ['front', ['sensors/lidar/front']],
    ['zebra-crossing', []],
  ])('%s', (typed, found) => expect(nearest(typed, names)).toEqual(found));
});

describe('tables', () => {
  const columns = [
    { title: 'name', isFlexible: true },
    { title: 'n', align: 'right' },
  ] as const;

  test('line up, with wide characters too', () => {
    const rows = [
      ['a', '1'],
      ['日本', '1,000'],
    ];
    expect(tableLines(columns, rows, 80)).toEqual(['name      n', 'a         1', '日本  1,000']);
  });

  test('cut the flexible column to fit, and no further', () => {
    const lines = tableLines(columns, [['n'.repeat(60), '12']], 40);
    expect(Math.max(...lines.map((line) => line.length))).toBe(40);
    expect(lines[1]).toMatch(/^n+…n+ {2}12$/);
    expect(tableLines(columns, [['n'.repeat(60), '12']], 10)[1]?.length).toBe(16);
  });

  test('keep both ends of a name, and count no colours', () => {
    const bold = (title: string): string => `\u001B[1m${title}\u001B[22m`;
    const rows = [
      ['sensors/lidar/front/17', '1'],
      ['日本'.repeat(9), '2'],
    ];
    expect(tableLines(columns, rows, 23, bold).slice(1)).toEqual([
      'sensors/li…/front/17  1',
      '日本日本日…日本日本   2',
    ]);
    const fits = tableLines(columns, [['sensors/lidar', '1']], 20, bold);
    expect(fits[1]).toBe('sensors/lidar  1');
  });

  test('of thousands of rows are made at once', () => {
    const rows = Array.from({ length: 20_000 }, (_, i) => [`name ${i}`, '1']);
    const lines = tableLines(columns, rows, 80);
    expect(lines).toHaveLength(20_001);
    expect(new Set(lines.map((line) => line.length))).toEqual(new Set([13]));
  });

  test('fields have their values in one column', () => {
    const lines = fieldLines([
      ['a', '1'],
      ['long', ''],
    ]);
    expect(lines).toEqual(['a     1', 'long']);
  });
});

describe('progress', () => {
  test('says how much, how fast, and how long still', () => {
    expect(
      progressLine({ what: 'orders', format: formatBytes }, 50 * 2 ** 20, 200 * 2 ** 20, 1000),
    ).toBe('orders ██████░░░░░░░░░░░░░░░░░░  25%  50.0 MiB of 200.0 MiB  50.0 MiB/s  3.0 s left');
    expect(progressLine({ what: 'empty', format: formatCount }, 0, 0, 0)).toContain('100%  0 of 0');
    expect([bar(-1, 4), bar(0.5, 4), bar(2, 4)]).toEqual(['░░░░', '██░░', '████']);
  });

  test('is drawn ten times a second at most, on terminals only, and taken away', () => {
    const runtime = new ManualRuntime();
    const [terminal, file] = [new Sink(true), new Sink(false)];
    const x = { what: 'x', format: formatBytes };
    const shown = progressOn(new Output(terminal), runtime, x, 20);
    shown.update(0, 100);
    shown.update(50, 100);
    shown.stop();
    expect(terminal.text).toBe('\r\u001B[2Kx ░░░░░░░░░░░░░░░░░\r\u001B[2K');
    const hidden = progressOn(new Output(file), runtime, x, 20);
    hidden.update(0, 100);
    hidden.stop();
    expect(file.text).toBe('');
  });
});
