/**
 * Goal: of a damaged log of RedEX every record is read that is there to be read, with what is lost
 * told, and what RedEX itself would have dropped of it; the log is not changed.
 * Method: directories written byte by byte by an independent writer, with each defect.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { importRedexV1 } from '../../src/transfer/import-redex-v1.js';
import { readRedexV1, type RedexV1Log, type RedexV1Options } from '../../src/transfer/redex-v1.js';
import { rejection } from '../support/channel-kit.js';
import { contentOf, openStore } from './transfer-kit.js';
import {
  asRead,
  putV1,
  recordsOf,
  v1Files,
  v1Generation,
  v1Records,
  type V1Files,
  type V1Record,
} from './redex-v1-kit.js';

const DIRECTORY = '/base/orders';
let disk: MemoryFs;
let fs: FaultFs;

beforeEach(() => {
  disk = new MemoryFs();
  fs = new FaultFs(disk);
});

afterEach(() => {
  const { calls } = fs;
  expect([calls.in('anyMutation'), calls.in('anySync'), calls.in('anyWrite')]).toEqual([0, 0, 0]);
  expect(fs.openPaths).toEqual([]);
});

async function read(options?: RedexV1Options): Promise<RedexV1Log> {
  return readRedexV1(fs, DIRECTORY, options);
}

/** All records but those at these places. */
const without = (records: readonly V1Record[], ...places: number[]): V1Record[] =>
  records.filter((_, i) => !places.includes(i));

async function readDamaged(
  damage: (files: V1Files) => void,
  records = v1Records(12),
): Promise<RedexV1Log> {
  const files = v1Files(records);
  damage(files);
  putV1(disk, DIRECTORY, files);
  return read();
}

describe('files that are not whole', () => {
  test.each([1, 9, 5])('without ts a log of generation %i has no times', async (generation) => {
    const { idx, dat } = v1Files(v1Records(5));
    putV1(disk, DIRECTORY, { idx, dat }, { generation });
    const log = await read({ missingTimeNs: 77n });
    // RedEX would open an empty log in place of it, and remove this one; the first is used again.
    const redex =
      generation === 1
        ? { kept: 5, effects: [{ rule: 'times', records: 5 }] }
        : { kept: 0, effects: [{ rule: 'generation', records: 5 }] };
    expect(log.report).toMatchObject({ times: 'missing', unknownTimes: 5, lost: [], redex });
    expect(log.report.saved).toBe(generation === 1 ? 0 : 5);
    expect(await recordsOf(log)).toEqual(
      asRead(v1Records(5)).map(([seq, text]) => [seq, text, 77n]),
    );
  });

  test('without dat there is what the entries hold', async () => {
    const { idx, ts } = v1Files(v1Records(6));
    putV1(disk, DIRECTORY, { idx, ts }, { generation: 2 });
    const log = await read();
    expect(log.report).toMatchObject({ entries: 6, records: 2, saved: 2 });
    expect((await recordsOf(log)).map(([seq]) => seq)).toEqual([2, 5]);
  });

  test.each([1, 8, 19])('%i bytes of an entry at the end are told', async (byteLength) => {
    const records = v1Records(12);
    const log = await readDamaged((files) => {
      files.idx = Buffer.concat([files.idx, Buffer.alloc(byteLength, 7)]);
    });
    expect(log.report).toMatchObject({ tornIndexBytes: byteLength, records: 12, saved: 0 });
    expect(await recordsOf(log)).toEqual(asRead(records));
  });

  test('bytes of dat that no entry leads to are told', async () => {
    const log = await readDamaged((files) => {
      files.dat = Buffer.concat([files.dat, Buffer.alloc(33)]);
    });
    expect(log.report).toMatchObject({ unusedDatBytes: 33, records: 12 });
  });

  test('a dat that is cut off costs the records that it had', async () => {
    const records = v1Records(12);
    const tenth = records[10]?.payload.byteLength ?? 0;
    // 8 and 11 are inlined.
    const log = await readDamaged((files) => {
      files.dat = files.dat.subarray(0, files.dat.byteLength - tenth - 1);
    });
    expect(log.report.lost).toEqual([
      { index: 9, seq: 9n, reason: 'missing' },
      { index: 10, seq: 10n, reason: 'missing' },
    ]);
    // RedEX cuts the index at the first of them, with the inlined one behind.
    expect(log.report.redex).toEqual({ kept: 9, effects: [{ rule: 'dat-end', records: 3 }] });
    expect(log.report.saved).toBe(1);
    expect(await recordsOf(log)).toEqual(asRead(without(records, 9, 10)));
    expect([log.nextSeq, log.damaged]).toEqual([12, [{ firstSeq: 9, nextSeq: 11 }]]);
  });

  test('seqs of records that are lost at the end stay theirs', async () => {
    const log = await readDamaged((files) => {
      files.dat = files.dat.subarray(0, 1);
    }, v1Records(2));
    expect([log.firstSeq, log.nextSeq]).toEqual([0, 2]);
    expect(log.damaged).toEqual([{ firstSeq: 0, nextSeq: 2 }]);
    const redex = await openStore();
    await importRedexV1(redex, log, { channel: 'a' });
    expect((await redex.channel('a')).nextSeq).toBe(2);
    await redex.close();
  });
});

describe('bytes that have changed', () => {
  test('in a payload cost that record alone', async () => {
    const records = v1Records(12);
    const log = await readDamaged((files) => {
      files.dat[3] = (files.dat[3] ?? 0) ^ 0x10;
    });
    expect(log.report.lost).toEqual([{ index: 0, seq: 0n, reason: 'checksum' }]);
    expect(log.report.redex).toEqual({ kept: 11, effects: [{ rule: 'checksum', records: 1 }] });
    expect(await recordsOf(log)).toEqual(asRead(without(records, 0)));
    expect([log.firstSeq, log.damaged]).toEqual([0, [{ firstSeq: 0, nextSeq: 1 }]]);
  });

  test('in an inlined one, too; and an entry of zeros is none', async () => {
    const log = await readDamaged((files) => {
      files.idx[5 * 20 + 9] = 0xee;
      files.idx.fill(0, 20, 40);
    });
    expect(log.report.lost.map(({ index, reason }) => [index, reason])).toEqual([
      [1, 'checksum'],
      [5, 'checksum'],
    ]);
    expect(log.damaged).toEqual([
      { firstSeq: 1, nextSeq: 2 },
      { firstSeq: 5, nextSeq: 6 },
    ]);
  });

  test('in the flags that nothing uses cost nothing', async () => {
    const log = await readDamaged((files) => {
      files.idx[19] = (files.idx[19] ?? 0) | 0x70;
    });
    expect(log.report).toMatchObject({ records: 12, lost: [] });
  });

  test.each([
    ['up', 1n << 40n],
    ['far beyond every seq', 1n << 63n],
    ['down', 4n],
  ])('a seq that is turned %s is put right', async (_what, bit) => {
    const records = v1Records(12);
    const log = await readDamaged((files) => {
      files.idx.writeBigUInt64LE(6n ^ bit, 6 * 20);
    });
    expect(log.report.repairedSeqs).toEqual([{ index: 6, seq: 6 }]);
    expect(log.report).toMatchObject({ records: 12, lost: [], doubtfulSeqs: [] });
    expect(await recordsOf(log)).toEqual(asRead(records));
    // RedEX keeps the wrong one and cuts what follows, or cuts from there.
    const cut = bit === 4n ? 6 : 5;
    const effects = [{ rule: 'seq-order', records: cut }];
    expect(log.report.redex).toEqual({ kept: 12 - cut, effects });
    expect(log.report.saved).toBe(cut);
  });

  test('the first seq is put right when it is one bit away', async () => {
    const log = await readDamaged((files) => files.idx.writeBigUInt64LE(1n << 20n, 0));
    expect(log.report.repairedSeqs).toEqual([{ index: 0, seq: 0 }]);
    expect(await recordsOf(log)).toEqual(asRead(v1Records(12)));
  });

  test('the first seq is not made up otherwise', async () => {
    const log = await readDamaged((files) => files.idx.writeBigUInt64LE(0xffffn, 0));
    expect(log.report.lost).toEqual([{ index: 0, seq: 0xffffn, reason: 'sequence' }]);
  });

  test('the last seq can only be doubted', async () => {
    const log = await readDamaged((files) => files.idx.writeBigUInt64LE(11n + 64n, 11 * 20));
    expect(log.report).toMatchObject({ doubtfulSeqs: [11], records: 12, saved: 0 });
    expect(log.nextSeq).toBe(76);
  });

  test('records that were appended behind a cut that did not last keep what fits', async () => {
    // 3 is bad; 4 and 5 were dropped once, in memory, and their seqs given to others.
    const again = v1Records(12).slice(4, 9);
    const files = v1Files([...v1Records(6), ...again]);
    files.dat[v1Files(v1Records(1)).dat.byteLength + 2] = 0;
    putV1(disk, DIRECTORY, files);
    const log = await read();
    expect(log.report.lost).toMatchObject([
      { index: 1, reason: 'checksum' },
      { index: 4, seq: 4n, reason: 'sequence' },
      { index: 5, seq: 5n, reason: 'sequence' },
    ]);
    expect((await recordsOf(log)).map(([seq]) => seq)).toEqual([0, 2, 3, 4, 5, 6, 7, 8]);
    expect(log.report.redex.effects).toEqual([
      { rule: 'checksum', records: 1 },
      { rule: 'seq-order', records: 5 },
    ]);
    expect(log.report.saved).toBe(5);
  });

  test('a file that changes while it is read is CORRUPT', async () => {
    putV1(disk, DIRECTORY, v1Files(v1Records(12)));
    const log = await read();
    const dat = disk.openSync(`${DIRECTORY}/${v1Generation(1)}/dat`, 'write');
    dat.writeSync(Buffer.from('#'), 0, 1, 0);
    expect(await rejection(recordsOf(log), 'CORRUPT')).toMatchObject({ position: 0 });
    dat.truncateSync(0);
    dat.closeSync();
    await rejection(recordsOf(log), 'CORRUPT');
  });
});

describe('times', () => {
  const start = 1_700_000_000_000_000_000n;

  test('of which the last are missing go on with the one before', async () => {
    const log = await readDamaged((files) => {
      files.ts = files.ts.subarray(0, 9 * 8 + 3);
    });
    expect(log.report).toMatchObject({ times: 'shorter', unknownTimes: 3, saved: 0 });
    expect(log.report.redex).toEqual({ kept: 12, effects: [{ rule: 'times', records: 12 }] });
    const times = (await recordsOf(log)).map(([, , time]) => time - start);
    expect(times).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 8n, 8n, 8n]);
  });

  test('that were rewritten for the good records are given to those', async () => {
    const log = await readDamaged((files) => {
      files.idx[2 * 20 + 9] = 0xee;
      files.ts = Buffer.concat([files.ts.subarray(0, 16), files.ts.subarray(24)]);
    });
    expect(log.report).toMatchObject({ times: 'realigned', unknownTimes: 0, records: 11 });
    const times = (await recordsOf(log)).map(([, , time]) => time - start);
    expect(times).toEqual([0n, 1n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n, 11n]);
  });

  test('that are more than the records are told', async () => {
    const log = await readDamaged((files) => {
      files.ts = Buffer.concat([files.ts, Buffer.alloc(8, 1)]);
    });
    expect(log.report.times).toBe('longer');
    expect(await recordsOf(log)).toEqual(asRead(v1Records(12)));
  });

  test('one that is far off does not drag the others along', async () => {
    const log = await readDamaged((files) => {
      files.ts.writeBigUInt64LE(start + (1n << 60n), 4 * 8);
      files.ts.writeBigUInt64LE(12n, 8 * 8);
    });
    expect(log.report).toMatchObject({ adjustedTimes: 2, times: 'exact' });
    const times = (await recordsOf(log)).map(([, , time]) => time - start);
    expect(times).toEqual([0n, 1n, 2n, 3n, 3n, 5n, 6n, 7n, 7n, 9n, 10n, 11n]);
    const redex = await openStore();
    await importRedexV1(redex, log, { channel: 'a' });
    const [channel] = (await contentOf(redex)) as { records: [number, number, bigint][] }[];
    expect(channel?.records.map(([, , time]) => time - start)).toEqual(times);
    await redex.close();
  });
});

test('every single bit of idx that is turned over costs one record at most', async () => {
  const records = v1Records(9);
  const whole = v1Files(records);
  const wanted = asRead(records);
  for (let bit = 0; bit < whole.idx.byteLength * 8; bit += 1) {
    const idx = Buffer.from(whole.idx);
    idx[bit >> 3] = (idx[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    disk = new MemoryFs();
    fs = new FaultFs(disk);
    putV1(disk, DIRECTORY, { ...whole, idx });
    const log = await read();
    const found = await recordsOf(log);
    const what = `bit ${bit % 160} of entry ${Math.floor(bit / 160)}`;
    expect(found.length, what).toBeGreaterThanOrEqual(8);
    const isDoubted = log.report.doubtfulSeqs.length > 0;
    const right = found.filter(([seq, text]) => wanted[seq]?.[1] === text);
    // What nothing can tell is the seq of the last record.
    expect(right.length, what).toBe(isDoubted ? found.length - 1 : found.length);
  }
});
