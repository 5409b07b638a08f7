/**
 * Goal: a log of RedEX is found and read as it stands in its files, and becomes a channel with the
 * same records; it is not changed.
 * Method: directories written byte by byte by an independent writer.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { importRedexV1 } from '../../src/transfer/import-redex-v1.js';
import { findV1Logs } from '../../src/transfer/redex-v1-layout.js';
import { readRedexV1, type RedexV1Log, type RedexV1Options } from '../../src/transfer/redex-v1.js';
import { payload, rejection } from '../support/channel-kit.js';
import { contentOf, openStore } from './transfer-kit.js';
import {
  asRead,
  put,
  putV1,
  recordsOf,
  v1Entry,
  v1Files,
  v1Generation,
  v1Manifest,
  v1Records,
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

describe('a healthy log', () => {
  const records = v1Records(50);
  const healthy = {
    entries: 50,
    records: 50,
    lost: [],
    repairedSeqs: [],
    doubtfulSeqs: [],
    tornIndexBytes: 0,
    unusedDatBytes: 0,
    times: 'exact',
    unknownTimes: 0,
    adjustedTimes: 0,
    redex: { kept: 50, effects: [] },
    saved: 0,
  };

  test('is read', async () => {
    putV1(disk, DIRECTORY, v1Files(records), { generation: 7 });
    const log = await read();
    expect(log.report).toMatchObject({ ...healthy, generation: 7, manifest: 'valid' });
    expect([log.firstSeq, log.nextSeq, log.damaged]).toEqual([0, 50, []]);
    expect(await recordsOf(log)).toEqual(asRead(records));
  });

  test('without generations, as early ones were, is read', async () => {
    const files: Record<string, Buffer> = { ...v1Files(records) };
    for (const [name, bytes] of Object.entries(files)) {
      put(disk, `${DIRECTORY}/${name}`, bytes);
    }
    const log = await read();
    expect(log.report).toMatchObject({ ...healthy, generation: undefined, manifest: 'missing' });
    expect(await recordsOf(log)).toEqual(asRead(records));
  });

  test('that is empty is read', async () => {
    putV1(disk, DIRECTORY, v1Files([]));
    const log = await read();
    expect([log.firstSeq, log.nextSeq, await recordsOf(log)]).toEqual([0, 0, []]);
  });

  test('of which retention has dropped the beginning keeps its seqs', async () => {
    putV1(disk, DIRECTORY, v1Files(v1Records(5, 1000)), { generation: 3 });
    const log = await read();
    expect([log.firstSeq, log.nextSeq]).toEqual([1000, 1005]);
    expect(await recordsOf(log)).toEqual(asRead(v1Records(5, 1000)));
  });

  test('with payloads larger than what is read at once is read', async () => {
    const large = [3_000_000, 10, 1_048_576, 0, 1_500_000].map((length, i) => {
      return { seq: BigInt(i), payload: payload(i, length), timeNs: BigInt(i) };
    });
    putV1(disk, DIRECTORY, v1Files(large));
    const log = await read();
    expect(log.report).toMatchObject({ records: 5, lost: [] });
    let at = 0;
    for await (const batch of log.batches()) {
      for (const record of batch) {
        expect(Buffer.compare(record.payload, large[at]?.payload ?? new Uint8Array())).toBe(0);
        at += 1;
      }
    }
    expect(at).toBe(5);
  });

  test('becomes a channel, record by record', async () => {
    putV1(disk, DIRECTORY, v1Files(v1Records(30, 4)));
    const redex = await openStore();
    const seen: number[] = [];
    const report = await importRedexV1(redex, await read(), {
      channel: 'moved/orders',
      options: { sync: 'never', segmentBytes: 4096 },
      onProgress: ({ records: count }) => seen.push(count),
    });
    expect(report).toMatchObject({ records: 30, channels: [{ name: 'moved/orders' }] });
    expect(seen.at(-1)).toBe(30);
    const [channel] = (await contentOf(redex)) as Record<string, unknown>[];
    expect(channel).toMatchObject({ name: 'moved/orders', firstSeq: 4, nextSeq: 34 });
    expect(channel?.['options']).toMatchObject({ sync: 'never', segmentBytes: 4096 });
    expect(channel?.['records']).toEqual(
      v1Records(30, 4).map(({ seq, timeNs, payload: bytes }) => {
        return [Number(seq), 0, timeNs, Buffer.from(bytes).toString('hex')];
      }),
    );
    await redex.close();
  });
});

describe('which files are read', () => {
  const [old, live] = [v1Records(3), v1Records(6, 10)];
  const pair = (manifest: Buffer | null): void => {
    putV1(disk, DIRECTORY, v1Files(old), { generation: 4, manifest: null });
    putV1(disk, DIRECTORY, v1Files(live), { generation: 5, manifest });
  };

  test('those that the manifest names, whatever is beside them', async () => {
    pair(v1Manifest(4));
    const log = await read();
    expect(log.report).toMatchObject({ generation: 4, otherGenerations: [5] });
    expect(await recordsOf(log)).toEqual(asRead(old));
    expect((await read({ generation: 5 })).report.records).toBe(6);
  });

  test.each([
    ['missing', null],
    ['damaged', v1Manifest(4).fill(1, 5, 6)],
    ['damaged', v1Manifest(4).subarray(0, 15)],
    ['damaged', Buffer.alloc(16)],
  ])('the newest ones when the manifest is %s', async (state, manifest) => {
    pair(manifest);
    const { report } = await read();
    expect(report).toMatchObject({ generation: 5, manifest: state, records: 6 });
    expect(report.redex).toEqual({ kept: 6, effects: [] });
  });

  test('a newer manifest is FORMAT_VERSION', async () => {
    pair(v1Manifest(4, 2));
    const error = await rejection(read(), 'FORMAT_VERSION');
    expect(error).toMatchObject({ path: `${DIRECTORY}/manifest`, found: 2, supported: 1 });
    expect((await read({ generation: 4 })).report.records).toBe(3);
  });

  test('a manifest that names what is not there is CORRUPT, not another generation', async () => {
    pair(v1Manifest(9));
    const error = await rejection(read(), 'CORRUPT');
    expect(error).toMatchObject({ path: `${DIRECTORY}/${v1Generation(9)}/idx`, check: 'missing' });
    expect((await read({ generation: 5 })).report.records).toBe(6);
  });

  test('without an index nothing can be told apart: CORRUPT', async () => {
    const { dat, ts } = v1Files(live);
    putV1(disk, DIRECTORY, { dat, ts });
    expect(await rejection(read(), 'CORRUPT')).toMatchObject({ check: 'missing' });
  });

  test('none at all is NOT_FOUND', async () => {
    await rejection(read(), 'NOT_FOUND');
    put(disk, `${DIRECTORY}/other`, Buffer.from('x'));
    await rejection(read(), 'NOT_FOUND');
  });

  test('a file that cannot be read is IO, never taken for an empty one', async () => {
    for (const name of ['idx', 'dat', 'ts']) {
      disk = new MemoryFs();
      fs = new FaultFs(disk);
      putV1(disk, DIRECTORY, v1Files(live));
      const path = new RegExp(`/${name}$`);
      fs.inject({ operation: 'openSync', path, nth: 1, effect: { error: 'EACCES' } });
      expect((await rejection(read(), 'IO')).systemCode).toBe('EACCES');
    }
  });

  test('logs below a directory are found, nested ones too', () => {
    putV1(disk, '/base/a', v1Files(old));
    putV1(disk, '/base/a/b', v1Files(old), { generation: 2, manifest: null });
    for (const name of ['idx', 'dat', 'ts']) put(disk, `/base/c/d/${name}`, Buffer.alloc(0));
    put(disk, '/base/e/f', Buffer.alloc(0));
    expect(findV1Logs(fs, '/base').map(({ name }) => name)).toEqual(['a', 'a/b', 'c/d']);
    expect(() => findV1Logs(fs, '/none')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  });
});

test('an abort ends it with the reason of the signal', async () => {
  putV1(disk, DIRECTORY, v1Files(v1Records(12)));
  const reason = new Error('enough');
  await expect(read({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const log = await read();
  const redex = await openStore();
  const options = { channel: 'a', signal: AbortSignal.abort(reason) };
  await expect(importRedexV1(redex, log, options)).rejects.toBe(reason);
  expect(await redex.hasChannel('a')).toBe(false);
  await redex.close();
});

test('the writer of these tests has the checksums of the specification', () => {
  // Of no bytes: 28 bits that are known.
  const entry = v1Entry({ seq: 1n, payload: new Uint8Array(), timeNs: 0n }, 0);
  expect(entry.readUInt32LE(16)).toBe(0x8d394c2);
});
