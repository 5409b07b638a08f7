/**
 * Goal: what is exported and imported again is the same: seqs and their gaps, times to the
 * nanosecond, types, bytes, names and options, in either format, compressed or not.
 * Method: a store with one of everything, and random stores whose bytes come in random pieces.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exportStore, type ExportOptions } from '../../src/transfer/export-store.js';
import { importStore } from '../../src/transfer/import-store.js';
import {
  bytesFrom,
  contentOf,
  fillStore,
  openStore,
  piecesOf,
  SAMPLE,
  type GivenChannel,
} from './transfer-kit.js';

const WAYS: readonly ExportOptions[] = [
  { format: 'archive' },
  { format: 'ndjson' },
  { format: 'archive', gzip: true },
  { format: 'ndjson', gzip: true },
];

async function roundTrip(
  channels: readonly GivenChannel[],
  options: ExportOptions,
  pieceBytes: number,
): Promise<void> {
  const source = await openStore();
  await fillStore(source, channels);
  const before = await contentOf(source);
  const run = exportStore(source, options);
  const bytes = await bytesFrom(run);
  const target = await openStore();
  const report = await importStore(target, piecesOf(bytes, pieceBytes));
  const after = await contentOf(target);
  expect(after).toEqual(before);
  const { records, payloadBytes, skipped } = run.report;
  expect([report.records, report.payloadBytes]).toEqual([records, payloadBytes]);
  expect([run.report.bytes, skipped]).toEqual([bytes.byteLength, []]);
  expect(report.channels.map(({ name }) => name)).toEqual(run.report.channels.map((c) => c.name));
  // A second export has the same bytes: nothing in it depends on when or where it was made.
  expect(Buffer.compare(await bytesFrom(exportStore(target, options)), bytes)).toBe(0);
  await source.close();
  await target.close();
}

describe('a store with one of everything', () => {
  test.each(WAYS)('%o', async (options) => {
    await roundTrip(SAMPLE, options, 1000);
    await roundTrip(SAMPLE, options, 1);
    await roundTrip([], options, 7);
  });

  test('has what was meant', async () => {
    const source = await openStore();
    await fillStore(source, SAMPLE);
    const ends: unknown[] = [];
    for await (const { name, firstSeq, nextSeq, count } of source.channels()) {
      ends.push([name, firstSeq, nextSeq, count]);
    }
    expect(ends).toEqual([
      ['a/ü\n"quoted"', 5, 901, 3],
      ['empty', 42, 42, 0],
      ['gap at the end', 0, 78, 1],
      ['only a gap', 3, 2 ** 53 - 1, 0],
    ]);
    await source.close();
  });
});

const arbitraryChannel = fc
  .record({
    name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
    firstSeq: fc.oneof(fc.constant(0), fc.nat(10 ** 12)),
    sync: fc.constantFrom('always' as const, 'never' as const, { everyN: 3 }),
    steps: fc.array(
      fc.record({
        ahead: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(2 ** 33)),
        wait: fc.oneof(fc.constant(0n), fc.bigInt(0n, 2n ** 56n)),
        type: fc.nat(0xffff),
        payload: fc.oneof(
          fc.uint8Array({ maxLength: 40 }),
          fc.string().map((text) => Buffer.from(text)),
        ),
        isDropped: fc.boolean(),
      }),
      { maxLength: 12 },
    ),
  })
  .map(({ name, firstSeq, sync, steps }): GivenChannel => {
    let seq = firstSeq - 1;
    let timestampNs = 1n;
    const dropped: number[] = [];
    const records = steps.map(({ ahead, wait, type, payload, isDropped }) => {
      seq += ahead + 1;
      timestampNs += wait;
      if (isDropped) dropped.push(seq);
      return { seq, type, timestampNs, payload: new Uint8Array(payload) };
    });
    return { name, options: { sync, segmentBytes: 4096 }, firstSeq, records, dropped };
  });

test('random stores', async () => {
  const channels = fc.uniqueArray(arbitraryChannel, { selector: ({ name }) => name, maxLength: 3 });
  const property = fc.asyncProperty(
    channels.filter((list) => list.every(({ name }) => !name.includes('\0'))),
    fc.constantFrom(...WAYS),
    fc.integer({ min: 1, max: 300 }),
    roundTrip,
  );
  await fc.assert(property, { numRuns: 60 });
});
