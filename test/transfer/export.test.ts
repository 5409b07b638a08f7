/**
 * Goal: an export has each channel as it is between two seqs that are fixed when its turn comes,
 * beside a writer too; damage ends it, or is left out and told. An import goes where it is told to.
 */
import { describe, expect, test } from 'vitest';
import type { ReadOptions } from '../../src/channel/read-options.js';
import { generationName, segmentFileName } from '../../src/format/file-name.js';
import type { Redex } from '../../src/store/redex.js';
import { exportStore, type ExportOptions } from '../../src/transfer/export-store.js';
import { importStore } from '../../src/transfer/import-store.js';
import { payload, rejection } from '../support/channel-kit.js';
import { ReadOnlyLab, pathOf } from '../support/read-only-lab.js';
import { fill, idsOfName } from '../support/store-kit.js';
import { flipBit, truncateFile } from '../support/recovery-lab.js';
import { bytesFrom, fillStore, openStore, piecesOf, SAMPLE, utf8 } from './transfer-kit.js';

const ARCHIVE: ExportOptions = { format: 'archive' };
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);

/** The channels of an export that goes on while `beside` is called between its pieces. */
async function exportBeside(
  redex: Redex,
  options: ExportOptions,
  beside: (step: number) => Promise<unknown>,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of exportStore(redex, options)) {
    pieces.push(piece.slice());
    await beside(pieces.length);
  }
  return new Uint8Array(Buffer.concat(pieces));
}

async function importedIds(bytes: Uint8Array, name: string): Promise<unknown> {
  const store = await openStore();
  await importStore(store, piecesOf(bytes, 5000));
  const ids = await idsOfName(store, name);
  await store.close();
  return ids;
}

describe('beside a writer', () => {
  const LARGE = 100_000;

  test.each(['the same process', 'another process'])('of %s the end is fixed', async (where) => {
    const lab = new ReadOnlyLab();
    const writer = await lab.write({ segmentBytes: 200_000 });
    const channel = await writer.channel('a');
    for (const id of range(0, 12)) await channel.append(payload(id, LARGE));
    const reader = where === 'another process' ? await lab.look() : writer;
    const bytes = await exportBeside(reader, ARCHIVE, async (step) => {
      // The first piece is the header: no channel has had its turn.
      if (step > 1) await channel.append(payload(100 + step, LARGE));
      if (step === 3) await channel.compact({ keep: ({ seq }) => seq !== 5 && seq !== 10 });
    });
    expect(channel.nextSeq).toBeGreaterThan(15);
    const ids = (await importedIds(bytes, 'a')) as number[];
    // What a compaction drops meanwhile is there or not; what comes meanwhile is not.
    expect(ids.filter((id) => id !== 5 && id !== 10)).toEqual(
      range(0, 12).filter((id) => id !== 5 && id !== 10),
    );
    if (reader !== writer) lab.expectOnlyReads();
    await reader.close();
    await writer.close();
  });

  test('what a writer in another process trims meanwhile is OUT_OF_RANGE', async () => {
    const lab = new ReadOnlyLab();
    const writer = await lab.write({ segmentBytes: 200_000 });
    const channel = await writer.channel('a');
    for (const id of range(0, 12)) await channel.append(payload(id, LARGE));
    const reader = await lab.look();
    const exporting = exportBeside(reader, ARCHIVE, async (step) => {
      if (step !== 2) return;
      await channel.trim({ beforeSeq: 11 });
      await channel.compact({ keep: () => true });
    });
    await rejection(exporting, 'OUT_OF_RANGE');
    await reader.close();
    await writer.close();
  });

  test.each([1, 2, 4])('of the same process a trim takes nothing away (step %i)', async (nth) => {
    const source = await openStore();
    const channel = await source.channel('a', { segmentBytes: 200_000, sync: 'never' });
    for (const id of range(0, 12)) await channel.append(payload(id, 90_000));
    const bytes = await exportBeside(source, ARCHIVE, async (step) => {
      if (step === nth) await channel.trim({ beforeSeq: 9 });
    });
    // With the first piece no channel has had its turn.
    expect(await importedIds(bytes, 'a')).toEqual(range(nth === 1 ? 9 : 0, 12));
    await source.close();
  });

  test.each([{ recoveryEpoch: 1 }, { nextSeq: 3 }])('a log cut meanwhile: %o', async (change) => {
    const source = await openStore();
    const channel = await source.channel('a');
    await fill(channel, 1, 2, 3, 4);
    let looks = 0;
    const looking = {
      name: 'a',
      options: channel.options,
      readBatches: (options: ReadOptions) => channel.readBatches(options),
      stats: async () => ({ ...(await channel.stats()), ...(looks++ === 0 ? {} : change) }),
    };
    const redex = { channel: () => Promise.resolve(looking) } as unknown as Redex;
    const run = exportStore(redex, { ...ARCHIVE, channels: ['a'] });
    expect(await rejection(bytesFrom(run), 'OUT_OF_RANGE')).toMatchObject({ seq: 4 });
    await source.close();
  });

  test('channels that come and go are there or not', async () => {
    const source = await openStore();
    for (const name of ['a', 'b', 'c']) await fill(await source.channel(name), 1, 2);
    const bytes = await exportBeside(source, ARCHIVE, async (step) => {
      if (step === 2) await source.deleteChannel('c');
    });
    expect(await importedIds(bytes, 'b')).toEqual([1, 2]);
    await rejection(importedIds(bytes, 'c'), 'NOT_FOUND');
    const named = { ...ARCHIVE, channels: ['a', 'c'] };
    await rejection(bytesFrom(exportStore(source, named)), 'NOT_FOUND');
    await source.close();
  });
});

describe('a damaged source', () => {
  async function damaged(): Promise<ReadOnlyLab> {
    const lab = new ReadOnlyLab();
    await using writer = await lab.write({ segmentBytes: 4096 });
    const channel = await writer.channel('a');
    // Frames of a record each: three to a segment.
    for (const id of range(0, 12)) await channel.append(payload(id, 1200));
    await fill(await writer.channel('b'), 1);
    await fill(await writer.channel('z'), 2);
    return lab;
  }
  const datIn = (base: number): string =>
    `${pathOf('a')}/${generationName(1)}/${segmentFileName(base, 'dat')}`;

  test.each([true, false])('is CORRUPT, or a gap that is told (readOnly %s)', async (readOnly) => {
    const lab = await damaged();
    flipBit(lab.disk, datIn(0), 8 * 2000);
    truncateFile(lab.disk, datIn(6), 10);
    const store = readOnly ? await lab.look() : await lab.write();
    const error = await rejection(bytesFrom(exportStore(store, ARCHIVE)), 'CORRUPT');
    expect(error.path).toBe(datIn(0));
    const run = exportStore(store, { ...ARCHIVE, skipDamaged: true });
    const pieces: Uint8Array[] = [];
    for await (const piece of run) {
      pieces.push(piece.slice());
      // Behind the end, which stays where it was although the read begins again.
      const isTurn = !readOnly && pieces.length > 1;
      if (isTurn) await (await store.channel('a')).append(payload(50, 8));
    }
    const bytes = new Uint8Array(Buffer.concat(pieces));
    const { skipped, channels } = run.report;
    expect(skipped.map(({ channel, range: lost }) => [channel, lost])).toEqual([
      ['a', { firstSeq: 1, nextSeq: 2 }],
      ['a', { firstSeq: 6, nextSeq: 9 }],
    ]);
    expect(skipped[0]?.error).toMatchObject({ code: 'CORRUPT', path: datIn(0) });
    expect(channels[0]).toEqual({ name: 'a', firstSeq: 0, nextSeq: 12, records: 8 });
    const target = await openStore();
    const report = await importStore(target, piecesOf(bytes));
    expect(report.channels[0]?.damaged).toEqual(skipped.map(({ range: lost }) => lost));
    expect(await idsOfName(target, 'a')).toEqual([0, 2, 3, 4, 5, 9, 10, 11]);
    expect(await idsOfName(target, 'z')).toEqual([2]);
    await target.close();
    await store.close();
  });

  test('a channel that cannot be opened is CORRUPT, or left out', async () => {
    const lab = await damaged();
    flipBit(lab.disk, `${pathOf('b')}/config`, 99);
    const store = await lab.look();
    for (const options of [ARCHIVE, { ...ARCHIVE, channels: ['b'] }]) {
      await rejection(bytesFrom(exportStore(store, options)), 'CORRUPT');
      const run = exportStore(store, { ...options, skipDamaged: true });
      const bytes = await bytesFrom(run);
      expect(run.report.skipped).toMatchObject([{ channel: 'b', error: { code: 'CORRUPT' } }]);
      expect(run.report.skipped[0]?.range).toBeUndefined();
      const target = await openStore();
      const { channels } = await importStore(target, piecesOf(bytes));
      expect(channels.map(({ name }) => name)).toEqual(options === ARCHIVE ? ['a', 'z'] : []);
      await target.close();
    }
    await store.close();
  });
});

describe('an import', () => {
  test('gives other names, and leaves channels out', async () => {
    const source = await openStore();
    await fillStore(source, SAMPLE);
    const bytes = await bytesFrom(exportStore(source, ARCHIVE));
    const nameOf = (name: string): string | undefined =>
      name === 'empty' ? undefined : `copy of ${name}`;
    const { channels } = await importStore(source, piecesOf(bytes), { nameOf });
    expect(channels.map(({ source: from, name }) => [from, name])).toEqual(
      SAMPLE.filter(({ name }) => name !== 'empty').map(({ name }) => [name, `copy of ${name}`]),
    );
    const same = importStore(source, piecesOf(bytes), { nameOf: () => 'one' });
    await expect(same).rejects.toThrow(RangeError);
    expect(await source.hasChannel('one')).toBe(false);
    for (const name of ['.redex-import/3', '', 'a\0b']) {
      const wrong = importStore(source, piecesOf(bytes), { nameOf: () => name });
      await expect(wrong).rejects.toThrow(RangeError);
    }
    await source.close();
  });

  test('refuses a channel that is there, and changes nothing', async () => {
    const source = await openStore();
    await fillStore(source, SAMPLE);
    const bytes = await bytesFrom(exportStore(source, ARCHIVE));
    const target = await openStore();
    await fill(await target.channel('gap at the end'), 7);
    const error = await rejection(importStore(target, piecesOf(bytes)), 'EXISTS');
    expect(error.resource).toBe('gap at the end');
    expect(await idsOfName(target, 'gap at the end')).toEqual([7]);
    expect(await target.hasChannel('empty')).toBe(false);
    await source.close();
    await target.close();
  });

  test('that a kill has interrupted is cleared up by the next; names beside stay', async () => {
    const target = await openStore();
    await fill(await target.channel('.redex-import/17'), 1);
    await fill(await target.channel('.redex-import/mine'), 2);
    const bytes = await bytesFrom(exportStore(target, ARCHIVE));
    await importStore(target, piecesOf(bytes), { nameOf: (name) => `${name}!` });
    expect(await target.hasChannel('.redex-import/17')).toBe(false);
    expect(await idsOfName(target, '.redex-import/mine!')).toEqual([2]);
    await target.close();
  });

  test('beside another one keeps the stages of that', async () => {
    const source = await openStore();
    await fillStore(source, SAMPLE);
    const bytes = await bytesFrom(exportStore(source, ARCHIVE));
    const target = await openStore();
    const named = (prefix: string) => ({ nameOf: (name: string) => prefix + name });
    let steps = 0;
    async function* withOthers(): AsyncGenerator<Uint8Array, undefined> {
      for await (const piece of piecesOf(bytes, 200)) {
        yield piece;
        // Its stages are there by now, some of them complete.
        const other = await importStore(target, piecesOf(bytes), named(`${steps++} `));
        expect(other.channels).toHaveLength(4);
      }
    }
    expect((await importStore(target, withOthers(), named('x'))).channels).toHaveLength(4);
    expect(steps).toBeGreaterThan(4);
    await source.close();
    await target.close();
  });

  test('of records that fill many chunks and batches', async () => {
    const source = await openStore();
    const channel = await source.channel('large', { sync: 'never' });
    for (const id of range(0, 9)) await channel.append(payload(id, 700_000 + id));
    await channel.appendBatch(range(9, 40_000).map((id) => payload(id, 8)));
    for (const format of ['archive', 'ndjson'] as const) {
      const target = await openStore();
      const bytes = await bytesFrom(exportStore(source, { format }));
      await importStore(target, piecesOf(bytes, 100_000));
      expect(await idsOfName(target, 'large')).toEqual(range(0, 40_000));
      await target.close();
    }
    await source.close();
  });

  test('to a store that is only looked at is READ_ONLY', async () => {
    const source = await openStore();
    await fill(await source.channel('a'), 1);
    const bytes = await bytesFrom(exportStore(source, ARCHIVE));
    const lab = new ReadOnlyLab();
    await lab.make('b', 1);
    const target = await lab.look();
    await rejection(importStore(target, piecesOf(bytes)), 'READ_ONLY');
    lab.expectOnlyReads();
    await target.close();
    await source.close();
  });

  test('of a record that is over the limit of the store is LIMIT', async () => {
    const source = await openStore();
    await (await source.channel('a')).append(new Uint8Array(17 * 1024));
    const bytes = await bytesFrom(exportStore(source, ARCHIVE));
    const lab = new ReadOnlyLab();
    const target = await lab.write({ maxRecordBytes: 16 * 1024 });
    await rejection(importStore(target, piecesOf(bytes)), 'LIMIT');
    expect(await target.hasChannel('a')).toBe(false);
    await source.close();
    await target.close();
  });
});

describe('an import that appends', () => {
  async function stores(): Promise<{ source: Redex; target: Redex; whole: Uint8Array }> {
    const source = await openStore();
    await fill(await source.channel('a'), ...range(0, 6));
    const target = await openStore();
    const whole = await bytesFrom(exportStore(source, ARCHIVE));
    return { source, target, whole };
  }
  const append = { ifExists: 'append' } as const;

  test('goes on where the channel ends, step by step', async () => {
    const { source, target, whole } = await stores();
    const first = await importStore(target, piecesOf(whole), append);
    expect(first.channels).toMatchObject([{ appended: false, records: 6 }]);
    await fill(await source.channel('a'), 6, 7);
    const channels = [{ name: 'a', from: 6 }];
    const next = await bytesFrom(exportStore(source, { ...ARCHIVE, channels }));
    const report = await importStore(target, piecesOf(next), append);
    expect(report.channels).toMatchObject([
      { appended: true, records: 2, firstSeq: 0, nextSeq: 8 },
    ]);
    expect(await idsOfName(target, 'a')).toEqual(range(0, 8));
    // Once more it changes nothing: all of it is there.
    const again = await importStore(target, piecesOf(next), append);
    expect(again.channels).toMatchObject([{ appended: true, records: 0, nextSeq: 8 }]);
    await source.close();
    await target.close();
  });

  test('goes on behind what an interrupted one has appended', async () => {
    const { source, target, whole } = await stores();
    const begun = await target.channel('a');
    for await (const { seq, timestampNs, payload: bytes } of (await source.channel('a')).read()) {
      if (seq < 3) await begun.append(bytes, { timestampNs });
    }
    const report = await importStore(target, piecesOf(whole), append);
    expect(report.channels).toMatchObject([{ appended: true, records: 3, nextSeq: 6 }]);
    expect(await idsOfName(target, 'a')).toEqual(range(0, 6));
    await source.close();
    await target.close();
  });

  test.each([
    ['other bytes', [0, 1, 99], 2],
    ['records of its own behind', [0, 1, 2, 3, 4, 5, 6], 0],
  ])('with %s is SEQ_CONFLICT', async (_what, ids, expectedSeq) => {
    const { source, target, whole } = await stores();
    const other = await target.channel('a');
    const { timestampNs } = (await (await source.channel('a')).get(0)) ?? { timestampNs: 0n };
    for (const id of ids) await other.append(payload(id), { timestampNs });
    const error = await rejection(importStore(target, piecesOf(whole), append), 'SEQ_CONFLICT');
    expect(error).toMatchObject({ channel: 'a', actualSeq: ids.length, expectedSeq });
    expect(await idsOfName(target, 'a')).toEqual(ids);
    await source.close();
    await target.close();
  });

  test('behind a gap that is not there is SEQ_CONFLICT', async () => {
    const { source, target } = await stores();
    const channels = [{ name: 'a', from: 4 }];
    const bytes = await bytesFrom(exportStore(source, { ...ARCHIVE, channels }));
    await target.channel('a');
    const error = await rejection(importStore(target, piecesOf(bytes), append), 'SEQ_CONFLICT');
    expect(error).toMatchObject({ channel: 'a', expectedSeq: 4, actualSeq: 0 });
    await rejection(
      bytesFrom(exportStore(source, { ...ARCHIVE, channels: [{ name: 'a', from: 7 }] })),
      'OUT_OF_RANGE',
    );
    await source.close();
    await target.close();
  });

  test('takes nothing from what is damaged behind it', async () => {
    const { source, target, whole } = await stores();
    await importStore(target, piecesOf(whole));
    await fill(await source.channel('a'), 6);
    const bytes = await bytesFrom(exportStore(source, { format: 'ndjson' }));
    const text = Buffer.from(bytes).toString().replace('"seq":6', '"seq":6 ');
    await rejection(importStore(target, piecesOf(utf8(text)), append), 'CORRUPT');
    expect(await idsOfName(target, 'a')).toEqual(range(0, 6));
    await source.close();
    await target.close();
  });
});
