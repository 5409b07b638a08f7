/**
 * Goal: an index leads to the last record of each key, whatever it was restored from, and a table
 * of keys is what a Map would be.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { replaceManifest } from '../../src/channel/channel-files.js';
import type { IndexOptions } from '../../src/channel/channel-index.js';
import { KeyTable } from '../../src/channel/key-table.js';
import type { LogRecord } from '../../src/core/record.js';
import { decodeManifest } from '../../src/format/manifest.js';
import { worst } from '../../src/testing/choices.js';
import { Lab, readFile, rejection } from '../support/channel-kit.js';
import { checkpointNames, logOf } from '../support/fold-kit.js';

const SEED = 20;
const textOf = (record: LogRecord): string => new TextDecoder().decode(record.payload);

/** Of `key=value`; a record without a value deletes its key, one without `=` has no key. */
const BY_KEY: IndexOptions = {
  name: 'by key',
  key: (record) => (textOf(record).includes('=') ? textOf(record).split('=')[0] : undefined),
  deleted: (record) => textOf(record).endsWith('='),
};

describe('an index', () => {
  test('leads to the last record of each key', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    const index = await lab.done(channel.index(BY_KEY));
    await lab.done(channel.appendBatch(['a=1', 'b=1', 'nothing', 'a=2', 'c=1', 'b=']));
    await lab.done(index.caughtUp());
    expect([...index.keys()]).toEqual(['a', 'c']);
    expect([index.size, index.has('a'), index.has('b'), index.has('d')]).toEqual([
      2,
      true,
      false,
      false,
    ]);
    expect([index.seqOf('a'), index.seqOf('b'), index.seq]).toEqual([3, undefined, 6]);
    const record = await index.get('a');
    expect(record === undefined ? undefined : textOf(record)).toBe('a=2');
    expect(await index.get('b')).toBe(undefined);
    await lab.done(channel.append('b=3'));
    await lab.done(index.caughtUp());
    expect([index.seqOf('b'), index.size, index.error]).toEqual([6, 3, undefined]);
  });

  test('is restored from its checkpoint', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    const index = await lab.done(channel.index(BY_KEY));
    await lab.done(channel.appendBatch(['a=1', 'b=1', 'a=2', 'b=']));
    await lab.done(channel.close());
    expect([index.isClosed, checkpointNames(lab)]).toEqual([true, ['by%20key@0000000001']]);
    const next = lab.cut(worst);
    const reopened = await next.open();
    let calls = 0;
    const key = (record: LogRecord): string | undefined => {
      calls += 1;
      return BY_KEY.key(record);
    };
    const again = await next.done(reopened.index({ ...BY_KEY, key }));
    expect([again.checkpointSeq, [...again.keys()], calls]).toEqual([4, ['a'], 0]);
    await next.done(reopened.appendBatch(['b=9', 'z=1']));
    await next.done(again.caughtUp());
    expect([[...again.keys()].toSorted(), again.seqOf('b')]).toEqual([['a', 'b', 'z'], 4]);
    expect(again.name).toBe('by key');
    await next.done(again.checkpoint());
    await next.done(again.close());
    await rejection(again.caughtUp(), 'CLOSED');
    await next.done(reopened.index({ ...BY_KEY, version: 1 }));
  });

  test('another version is built from the log', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    const index = await lab.done(channel.index(BY_KEY));
    await lab.done(channel.appendBatch(['a=1', 'b=1']));
    await lab.done(index.close());
    const { version: _, ...rest } = { ...BY_KEY, version: 1 };
    const all = { ...rest, version: 1, key: (): string => 'all' };
    const other = await lab.done(channel.index(all));
    expect(other.checkpointSeq).toBe(undefined);
    await lab.done(other.caughtUp());
    expect([...other.keys()]).toEqual(['all']);
  });

  test('finds nothing where the record is gone', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    await lab.done(channel.index(BY_KEY));
    await lab.done(channel.appendBatch(['a=1', 'b=1']));
    await lab.done(channel.close());
    const manifest = decodeManifest(readFile(lab.disk, `${lab.directory}/manifest`));
    if (!manifest.ok) throw new Error('no manifest');
    replaceManifest(lab.disk, lab.directory, { ...manifest.value, firstSeq: 1 });
    const reopened = await lab.open();
    const index = await lab.done(reopened.index(BY_KEY));
    expect([index.has('a'), await index.get('a')]).toEqual([true, undefined]);
    expect((await index.get('b'))?.seq).toBe(1);
    await lab.done(reopened.close());
    await rejection(index.get('b'), 'CLOSED');
  });

  test('a key that is no string stops it, and nothing else', async () => {
    const lab = new Lab();
    const { logger, lines } = logOf();
    const channel = await lab.open({ logger });
    const wrong = { name: 'x', key: () => 5 as unknown as string };
    const index = await lab.done(channel.index(wrong));
    await lab.done(channel.append('a=1'));
    await expect(lab.done(index.caughtUp())).rejects.toThrow('key must return a string');
    expect(index.error).toBeInstanceOf(TypeError);
    expect(index.checkpointError).toBe(undefined);
    expect(lines.map(({ message }) => message)).toEqual(['a fold has stopped']);
    expect((await channel.readBatch()).length).toBe(1);
  });

  test.each([
    [{ key: 5 }, 'key must be a function'],
    [{ deleted: 5 }, 'deleted must be a function'],
    [{ key: async () => 'x' }, 'key may not be async'],
    [{ version: -1 }, 'version'],
    [{ name: '' }, 'not empty'],
    [{ keys: 5 }, 'unknown option keys'],
  ])('an option that cannot be meant, %j', async (option, message) => {
    const channel = await new Lab().open();
    const options = { ...BY_KEY, ...option } as unknown as IndexOptions;
    await expect(channel.index(options)).rejects.toThrow(message);
  });
});

describe('a table of keys', () => {
  const texts = [
    '',
    'a',
    'b',
    'é',
    'e\u0301',
    '€',
    '😀',
    '\ud800',
    '\ud800a',
    '\udc00',
    'x'.repeat(300),
  ];
  const keys = fc.oneof(fc.constantFrom(...texts), fc.nat(200).map(String), fc.string());
  const steps = fc.array(
    fc.tuple(fc.constantFrom('set', 'set', 'set', 'delete', 'encode'), keys, fc.maxSafeNat()),
    { maxLength: 400 },
  );

  test(`is what a Map is, seed ${SEED}`, () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), steps, (seed, commands) => {
        let table = new KeyTable(seed);
        const map = new Map<string, number>();
        for (const [what, key, seq] of commands) {
          if (what === 'set') {
            table.set(key, seq);
            map.set(key, seq);
          } else if (what === 'delete') expect(table.delete(key)).toBe(map.delete(key));
          else table = KeyTable.decode(table.encode());
          expect([table.get(key), table.size]).toEqual([map.get(key), map.size]);
        }
        expect([...table.keys()].toSorted()).toEqual([...map.keys()].toSorted());
        for (const [key, seq] of map) expect(table.get(key)).toBe(seq);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test('keys of which many were removed leave no room behind', () => {
    const table = new KeyTable(1);
    for (let i = 0; i < 20_000; i++) {
      table.set(`key ${i}`, i);
      if (i >= 10) table.delete(`key ${i - 10}`);
    }
    expect([table.size, table.get('key 19999'), table.get('key 5')]).toEqual([
      10,
      19999,
      undefined,
    ]);
    expect(table.encode().byteLength).toBeLessThan(10_000);
  });

  test('keys that are listed while others come are those that were there', () => {
    const table = new KeyTable(1);
    for (let i = 0; i < 10; i++) table.set(`${i}`, i);
    const listed: string[] = [];
    for (const key of table.keys()) {
      for (let i = 0; i < 50; i++) table.set(`${key}.${i}`, i);
      listed.push(key);
    }
    expect(listed).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  });

  test('bytes that cannot be one are refused', () => {
    const table = new KeyTable(1);
    table.set('a', 1);
    const good = table.encode();
    expect(KeyTable.decode(good.slice()).get('a')).toBe(1);
    for (const length of [0, 31, good.length - 1]) {
      expect(() => KeyTable.decode(good.slice(0, length))).toThrow('table of keys');
    }
    for (const [at, value] of [
      [4, 17],
      [4, 8],
      [8, 24],
      [15, 255],
      [16, 200],
      [24, 9],
    ] as const) {
      const bad = good.slice();
      bad[at] = value;
      expect(() => KeyTable.decode(bad)).toThrow('table of keys');
    }
  });
});
