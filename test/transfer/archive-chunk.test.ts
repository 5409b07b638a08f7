/**
 * Goal: what a chunk cannot be is refused although its checksum is right, and a chunk of another
 * archive is none of this one.
 * Method: bodies made by hand, one value of each out of its bounds.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { viewOf } from '../../src/format/bytes.js';
import { decodeChannelEndBody } from '../../src/transfer/archive-chunk.js';
import { exportStore } from '../../src/transfer/export-store.js';
import { importStore } from '../../src/transfer/import-store.js';
import { decodeRecordsBody } from '../../src/transfer/records-chunk.js';
import { VarintReader, writeVarint } from '../../src/transfer/varint.js';
import { rejection } from '../support/channel-kit.js';
import { bytesFrom, openStore, piecesOf } from './transfer-kit.js';

const MAX_SEQ = Number.MAX_SAFE_INTEGER - 1;
const MAX_TIME = 2n ** 64n - 1n;

interface Body {
  readonly count?: number;
  readonly tableBytes?: number;
  readonly firstSeq?: number;
  readonly firstTime?: bigint;
  readonly table?: readonly number[];
  readonly payloads?: readonly number[];
}

/** Two records of two bytes each, with something else about them. */
function bodyOf(given: Body): Uint8Array {
  const { table = [0, 0, 1, 2, 0, 5, 0, 2], payloads = [1, 2, 3, 4] } = given;
  const bytes = Buffer.alloc(24);
  bytes.writeUInt32LE(given.count ?? 2, 0);
  bytes.writeUInt32LE(given.tableBytes ?? table.length, 4);
  bytes.writeBigUInt64LE(BigInt(given.firstSeq ?? 10), 8);
  bytes.writeBigUInt64LE(given.firstTime ?? 100n, 16);
  return Uint8Array.from([...bytes, ...table, ...payloads]);
}

test('a body of records is taken apart', () => {
  const body = decodeRecordsBody(bodyOf({}));
  expect(body).toEqual({
    ok: true,
    value: [
      { seq: 10, type: 1, timestampNs: 100n, payload: Uint8Array.of(1, 2) },
      { seq: 11, type: 0, timestampNs: 105n, payload: Uint8Array.of(3, 4) },
    ],
  });
  const last = bodyOf({ firstSeq: MAX_SEQ - 1, firstTime: MAX_TIME - 5n });
  expect(decodeRecordsBody(last)).toHaveProperty('ok', true);
});

test('a body of more records than one may have takes no memory for them', () => {
  const rows = 70_000;
  const body = bodyOf({
    count: rows,
    table: Array.from({ length: 4 * rows }, () => 0),
    payloads: [],
  });
  expect(decodeRecordsBody(body)).toMatchObject({ ok: false, check: 'fields' });
  const most = 65_536;
  const fits = bodyOf({
    count: most,
    table: Array.from({ length: 4 * most }, () => 0),
    payloads: [],
  });
  expect(decodeRecordsBody(fits)).toMatchObject({ ok: true });
});

test.each<[string, Body, string]>([
  ['no records', { count: 0, table: [], payloads: [] }, 'length'],
  ['more records than rows', { count: 3 }, 'length'],
  ['fewer records than rows', { count: 1 }, 'length'],
  ['a table that ends in a payload', { tableBytes: 9 }, 'length'],
  ['a table longer than the body', { tableBytes: 13 }, 'length'],
  ['a seq beyond all seqs', { firstSeq: MAX_SEQ }, 'fields'],
  ['a first seq that is no seq', { firstSeq: 2 ** 53 }, 'fields'],
  ['a time beyond all times', { firstTime: MAX_TIME }, 'fields'],
  ['a type of 65,536', { table: [0, 0, 128, 128, 4, 2, 0, 5, 0, 2] }, 'fields'],
  ['a number that is longer than it needs', { table: [0, 0, 129, 0, 2, 0, 5, 0, 2] }, 'fields'],
  ['a number that does not end', { table: [0, 0, 1, 2, 0, 5, 0, 130] }, 'fields'],
  ['a payload beyond the body', { table: [0, 0, 1, 2, 0, 5, 0, 3] }, 'length'],
  ['bytes behind the last payload', { payloads: [1, 2, 3, 4, 5] }, 'length'],
])('%s is refused', (_what, given, check) => {
  expect(decodeRecordsBody(bodyOf(given))).toMatchObject({ ok: false, check });
});

test('ranges that are not there are refused', () => {
  const body = new Uint8Array(24 + 16);
  viewOf(body).setUint32(16, 1, true);
  expect(decodeChannelEndBody(body)).toHaveProperty('ok', true);
  viewOf(body).setUint32(16, 2, true);
  expect(decodeChannelEndBody(body)).toMatchObject({ ok: false, check: 'length' });
  viewOf(body).setUint32(20, 0x7fffffff, true);
  expect(decodeChannelEndBody(body)).toMatchObject({ ok: false, check: 'length' });
});

test('numbers come back, in their one form', () => {
  const numbers = fc.array(fc.maxSafeNat());
  fc.assert(
    fc.property(numbers, (values) => {
      const bytes = new Uint8Array(values.length * 8);
      let end = 0;
      for (const value of values) end = writeVarint(bytes, end, value);
      const reader = new VarintReader(bytes, 0, end);
      expect(values.map(() => reader.next())).toEqual(values);
      expect([reader.at, reader.next()]).toEqual([end, -1]);
    }),
  );
});

test('a chunk of another archive is CORRUPT at the end, whatever it fits', async () => {
  const archives: Uint8Array[] = [];
  for (const text of ['one', 'two']) {
    const source = await openStore();
    await (await source.channel('a')).append(text, { timestampNs: 1n });
    archives.push(await bytesFrom(exportStore(source, { format: 'archive' })));
    await source.close();
  }
  const [one = new Uint8Array(), two = new Uint8Array()] = archives;
  const start = 24 + 24 + viewOf(one).getUint32(36, true);
  const end = start + 24 + viewOf(one).getUint32(start + 12, true);
  const mixed = one.slice();
  mixed.set(two.subarray(start, end), start);
  const target = await openStore();
  const error = await rejection(importStore(target, piecesOf(mixed)), 'CORRUPT');
  expect(error.check).toBe('chain');
  expect(await target.hasChannel('a')).toBe(false);
  await target.close();
});
