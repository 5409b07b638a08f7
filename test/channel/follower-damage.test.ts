/**
 * Goal: bytes are called damaged only below a witness, with the place where they are, and only
 * while they are bad; above it they are the end for now (RULES N4, C3, C9).
 * Method: bits are flipped and files are cut beside a reader that has seen them whole, and before
 * one that has not.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { ChannelFollower } from '../../src/channel/channel-follower.js';
import { FILE_HEADER_BYTES } from '../../src/format/file-header.js';
import { parseDat, payload, payloadId, rejection } from '../support/channel-kit.js';
import { batchesOf, countOf, FollowerLab, recordsOf } from '../support/follower-lab.js';
import { flipBit, putFile, readFile, truncateFile } from '../support/recovery-lab.js';

/** Frames of one record; every frame states that those before it are synced. */
async function synced(lab: FollowerLab, count: number): Promise<Channel> {
  const writer = await lab.openWriter();
  for (let id = 0; id < count; id += 1) await writer.append(payload(id, 200));
  return writer;
}

/** The same, but nothing is ever synced. */
async function unsynced(lab: FollowerLab, count: number): Promise<Channel> {
  const writer = await lab.openWriter({ sync: 'never' });
  for (let id = 0; id < count; id += 1) await writer.append(payload(id, 200));
  return writer;
}

/** Position of the frame with record `seq`, one record to a frame. */
function frameOf(lab: FollowerLab, seq: number, file = 0): number {
  const path = lab.datPaths[file] ?? '';
  const unit = parseDat(readFile(lab.disk, path)).units.find(
    ({ baseSeq, recordCount }) => baseSeq === seq && recordCount > 0,
  );
  return unit?.position ?? expect.fail(`no frame of ${seq}`);
}

function damage(lab: FollowerLab, position: number, file = 0): void {
  flipBit(lab.disk, lab.datPaths[file] ?? '', 8 * (position + 100));
}

async function idsOf(follower: ChannelFollower, from = 0): Promise<unknown[]> {
  return (await batchesOf(follower, { from })).map(({ payload: bytes }) => payloadId(bytes));
}

const COUNTING = { name: 'count', version: 1, initial: 0, apply: (count: number) => count + 1 };

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('in the segment that grows', () => {
  test('below a witness: the first open tells the place, and reads before it work', async () => {
    const lab = new FollowerLab();
    await synced(lab, 10);
    const position = frameOf(lab, 4);
    damage(lab, position);
    const follower = await lab.follow();
    const path = lab.datPaths[0];
    for (let i = 0; i < 2; i += 1) {
      expect(follower.visibleSeq).toBeGreaterThan(4);
      expect(await idsOf(follower, 0).catch(() => 'failed')).toBe('failed');
      expect((await recordsOf(follower, { to: 4 })).length).toBe(4);
      expect((await follower.reader.get(3))?.seq).toBe(3);
      const error = await rejection(follower.reader.get(4), 'CORRUPT');
      expect(error).toMatchObject({ path, position, check: 'checksum' });
      expect(error.seqRange?.firstSeq).toBe(4);
      await rejection(batchesOf(follower, { from: 4 }), 'CORRUPT');
      await follower.look();
    }
    // It is good again when the bytes are.
    damage(lab, position);
    await follower.look();
    expect(await idsOf(follower)).toEqual(upTo(10));
    expect([follower.visibleSeq, countOf(follower)]).toEqual([10, 10]);
    lab.expectOnlyReads();
  });

  test('in what was seen whole: exactly that record fails, until it is good again', async () => {
    const lab = new FollowerLab();
    const writer = await synced(lab, 10);
    const follower = await lab.follow();
    expect(await idsOf(follower)).toEqual(upTo(10));
    const position = frameOf(lab, 4);
    damage(lab, position);
    await writer.append(payload(10, 200));
    await follower.look();
    const error = await rejection(follower.reader.get(4), 'CORRUPT');
    expect(error).toMatchObject({ path: lab.datPaths[0], position, check: 'checksum' });
    expect(error.seqRange).toEqual({ firstSeq: 4, nextSeq: 5 });
    expect(await idsOf(follower, 5)).toEqual([5, 6, 7, 8, 9, 10]);
    damage(lab, position);
    expect(await idsOf(follower)).toEqual(upTo(11));
  });

  test('above every witness it is the end for now', async () => {
    const lab = new FollowerLab();
    const writer = await unsynced(lab, 10);
    const position = frameOf(lab, 4);
    damage(lab, position);
    const follower = await lab.follow();
    await follower.look();
    expect([follower.visibleSeq, follower.durableSeq]).toEqual([4, 0]);
    expect(await idsOf(follower)).toEqual(upTo(4));
    expect(await follower.reader.get(4)).toBe(undefined);
    // A witness that is written later makes it damage: the frame behind says what was synced.
    await writer.sync();
    await writer.append(payload(10, 200));
    await follower.look();
    expect(await rejection(follower.reader.get(4), 'CORRUPT')).toMatchObject({ position });
    expect(await idsOf(follower, 0).catch(() => 'failed')).toBe('failed');
  });

  test('what was seen and is bad above every witness is not there any more', async () => {
    const lab = new FollowerLab();
    await unsynced(lab, 10);
    const follower = await lab.follow();
    expect(await idsOf(follower)).toEqual(upTo(10));
    const position = frameOf(lab, 4);
    damage(lab, position);
    // The frames behind it are good, and no witness says that it was synced.
    expect(await follower.reader.get(4)).toBe(undefined);
    expect(follower.visibleSeq).toBe(4);
    damage(lab, position);
    await follower.look();
    expect(await idsOf(follower)).toEqual(upTo(10));
  });

  test('a clean mark is a witness, too', async () => {
    const lab = new FollowerLab();
    const writer = await unsynced(lab, 10);
    await lab.done(writer.close());
    const path = lab.datPaths[0] ?? '';
    const position = frameOf(lab, 8);
    truncateFile(lab.disk, path, position);
    const follower = await lab.follow();
    expect(await rejection(follower.reader.get(8), 'CORRUPT')).toMatchObject({
      path,
      position,
      check: 'missing',
      seqRange: { firstSeq: 8, nextSeq: 10 },
    });
    expect((await recordsOf(follower, { to: 8 })).length).toBe(8);
  });

  test('a clean mark that is written while the reader looks is one as well', async () => {
    const lab = new FollowerLab();
    const writer = await unsynced(lab, 5);
    const follower = await lab.follow();
    for (let id = 5; id < 8; id += 1) await writer.append(payload(id, 200));
    await lab.done(writer.close());
    const position = frameOf(lab, 6);
    damage(lab, position);
    await follower.look();
    expect(await rejection(follower.reader.get(6), 'CORRUPT')).toMatchObject({ position });
    damage(lab, position);
    await follower.look();
    expect(await idsOf(follower)).toEqual(upTo(8));
  });

  test('what a clean mark has seen is missed when the file ends before it', async () => {
    const lab = new FollowerLab();
    const writer = await unsynced(lab, 8);
    const follower = await lab.follow();
    await follower.look();
    await lab.done(writer.close());
    truncateFile(lab.disk, lab.datPaths[0] ?? '', frameOf(lab, 5));
    await follower.look();
    const error = await rejection(follower.reader.get(5), 'CORRUPT');
    expect(error).toMatchObject({ check: 'missing', seqRange: { firstSeq: 5, nextSeq: 8 } });
  });

  describe('a checkpoint of a fold is a witness', () => {
    /** Nothing else in the log says that any of it was synced. */
    async function checkpointed(lab: FollowerLab, writer: Channel): Promise<void> {
      const fold = await lab.done(writer.fold(COUNTING));
      await lab.done(fold.caughtUp());
      await lab.done(fold.checkpoint());
      await lab.killWriter();
      truncateFile(lab.disk, lab.datPaths[0] ?? '', frameOf(lab, 5));
    }
    const missing = { check: 'missing', seqRange: { firstSeq: 5, nextSeq: 8 } };

    test('read before the bytes, and believed when they are short twice', async () => {
      const lab = new FollowerLab();
      await checkpointed(lab, await unsynced(lab, 8));
      const before = lab.disk.operations.length;
      const follower = await lab.follow();
      const opened = lab.disk.operations.slice(before).filter(({ operation, path }) => {
        return operation === 'openSync' && /checkpoints|dat$/.test(path);
      });
      expect(opened[0]?.path).toMatch(/checkpoints/);
      expect(opened[1]?.path).toMatch(/dat$/);
      expect([follower.visibleSeq, follower.durableSeq]).toEqual([8, 8]);
      expect(await rejection(follower.reader.get(5), 'CORRUPT')).toMatchObject(missing);
      expect((await recordsOf(follower, { to: 5 })).length).toBe(5);
      lab.expectOnlyReads();
    });

    test('when it was written beside the reader, too', async () => {
      const lab = new FollowerLab();
      const writer = await unsynced(lab, 8);
      const follower = await lab.follow();
      await checkpointed(lab, writer);
      await follower.look();
      expect(await rejection(follower.reader.get(5), 'CORRUPT')).toMatchObject(missing);
    });

    test('one that goes while it is looked for says nothing', async () => {
      const lab = new FollowerLab();
      await checkpointed(lab, await unsynced(lab, 8));
      const effect = { error: 'ENOENT' };
      lab.reads.inject({ operation: 'openSync', path: /checkpoints/, nth: 1, effect });
      const follower = await lab.follow();
      expect(follower.visibleSeq).toBe(5);
      expect(lab.reads.openPaths.filter((path) => path.includes('checkpoints'))).toEqual([]);
    });

    test('and costs nothing while the reader follows', async () => {
      const lab = new FollowerLab();
      const writer = await synced(lab, 8);
      const fold = await lab.done(writer.fold(COUNTING));
      await lab.done(fold.caughtUp());
      await lab.done(fold.checkpoint());
      const follower = await lab.follow();
      const before = lab.disk.operations.length;
      for (let id = 8; id < 20; id += 1) {
        await writer.append(payload(id, 200));
        await follower.look();
      }
      const looked = lab.disk.operations.slice(before).map(({ path }) => path);
      expect(follower.visibleSeq).toBe(20);
      expect(looked.filter((path) => path.includes('checkpoints'))).toEqual([]);
    });
  });

  test('what is bad only once is not damaged', async () => {
    const lab = new FollowerLab();
    await synced(lab, 10);
    const position = frameOf(lab, 4);
    damage(lab, position);
    let manifests = 0;
    lab.disk.onOperation = ({ operation, path }) => {
      if (operation !== 'openSync' || !path.endsWith('manifest')) return;
      manifests += 1;
      // The first pass is over, and compares manifests.
      if (manifests < 2) return;
      lab.disk.onOperation = undefined;
      damage(lab, position);
    };
    const follower = await lab.follow();
    expect(await idsOf(follower)).toEqual(upTo(10));
    expect([manifests, follower.visibleSeq]).toEqual([2, 10]);
  });

  test('a file that is cut behind the reader is read again from what is left', async () => {
    for (const isSynced of [false, true]) {
      const lab = new FollowerLab();
      await (isSynced ? synced : unsynced)(lab, 10);
      const follower = await lab.follow();
      await follower.look();
      const path = lab.datPaths[0] ?? '';
      const whole = readFile(lab.disk, path);
      truncateFile(lab.disk, path, frameOf(lab, 6));
      await follower.look();
      expect((await recordsOf(follower, { to: 6 })).length).toBe(6);
      if (isSynced) {
        const error = await rejection(follower.reader.get(6), 'CORRUPT');
        expect(error).toMatchObject({ path, check: 'missing', position: frameOf(lab, 5) + 272 });
      } else {
        expect(await follower.reader.get(6)).toBe(undefined);
        expect([follower.visibleSeq, countOf(follower)]).toEqual([6, 6]);
      }
      putFile(lab.disk, path, whole);
      await follower.look();
      expect(await idsOf(follower)).toEqual(upTo(10));
    }
  });

  test('other records in the place of the last one are seen, not the old ones', async () => {
    const lab = new FollowerLab();
    const writer = await unsynced(lab, 5);
    const path = lab.datPaths[0] ?? '';
    const before = readFile(lab.disk, path);
    await writer.append(payload(5, 200));
    const follower = await lab.follow();
    await follower.look();
    expect((await follower.reader.get(5))?.byteLength).toBe(200);
    // The machine lost the last one, and the next process wrote another of the same size.
    await lab.killWriter();
    putFile(lab.disk, path, before);
    const next = await lab.openWriter();
    await next.append(payload(77, 200));
    expect(readFile(lab.disk, path).byteLength).toBeGreaterThan(before.byteLength);
    await follower.look();
    expect(await idsOf(follower)).toEqual([0, 1, 2, 3, 4, 77]);
  });

  test('bytes behind the last frame are looked through once', async () => {
    const lab = new FollowerLab();
    await unsynced(lab, 3);
    const path = lab.datPaths[0] ?? '';
    const bytes = readFile(lab.disk, path);
    putFile(lab.disk, path, Uint8Array.from([...bytes, ...new Uint8Array(400_000)]));
    const follower = await lab.follow();
    const cost = async (): Promise<number> => {
      const start = lab.disk.operations.length;
      await follower.look();
      const reads = lab.disk.operations
        .slice(start)
        .filter(({ path: at, operation }) => at === path && operation.startsWith('read'));
      return reads.reduce((sum, { result }) => sum + (result ?? 0), 0);
    };
    expect(await cost()).toBeLessThan(100_000);
    expect([follower.visibleSeq, follower.reader.health.isClosed]).toEqual([3, false]);
  });
});

describe('in finished segments', () => {
  async function three(lab: FollowerLab): Promise<Channel> {
    const writer = await lab.openWriter({ segmentMs: 10 });
    for (let id = 0; id < 9; id += 1) {
      if (id % 3 === 0) lab.runtime.advance(10);
      await writer.append(payload(id, 200));
    }
    return writer;
  }

  test('damage inside fails exactly there', async () => {
    for (const seen of [false, true]) {
      const lab = new FollowerLab();
      const writer = await three(lab);
      const before = seen ? await lab.follow() : undefined;
      if (before !== undefined) expect(await idsOf(before)).toEqual(upTo(9));
      const position = frameOf(lab, 1);
      damage(lab, position);
      const follower = before ?? (await lab.follow());
      const error = await rejection(batchesOf(follower, { from: 1 }), 'CORRUPT');
      expect(error).toMatchObject({
        path: lab.datPaths[0],
        position,
        seqRange: { firstSeq: 1, nextSeq: 2 },
      });
      await rejection(follower.reader.get(1), 'CORRUPT');
      expect(await idsOf(follower, 2)).toEqual([2, 3, 4, 5, 6, 7, 8]);
      damage(lab, position);
      expect(await idsOf(follower)).toEqual(upTo(9));
      // Nothing of this is in the way of what is written on.
      await writer.append(payload(9, 200));
      await follower.look();
      expect(await idsOf(follower)).toEqual(upTo(10));
    }
  });

  test('a header that is bad, idx and ts too, takes its segment until it is restored', async () => {
    const lab = new FollowerLab();
    await three(lab);
    const [path = ''] = lab.datPaths;
    const paths = ['dat', 'idx', 'ts'].map((kind) => path.replace(/dat$/, kind));
    for (const [i, each] of paths.entries()) {
      flipBit(lab.disk, each, 8 * (FILE_HEADER_BYTES - 30));
      if (i < 2) expect(await idsOf(await lab.follow())).toEqual(upTo(9));
    }
    const follower = await lab.follow();
    const error = await rejection(follower.reader.get(1), 'CORRUPT');
    expect(error.seqRange).toEqual({ firstSeq: 1, nextSeq: 3 });
    expect(await idsOf(follower, 3)).toEqual([3, 4, 5, 6, 7, 8]);
    for (const each of paths) flipBit(lab.disk, each, 8 * (FILE_HEADER_BYTES - 30));
    expect(await idsOf(follower)).toEqual(upTo(9));
  });

  test('the last segment but one, while it is not known to be synced', async () => {
    const lab = new FollowerLab();
    const writer = await lab.openWriter({ segmentMs: 10, sync: 'never' });
    for (let id = 0; id < 6; id += 1) {
      if (id % 3 === 0) lab.runtime.advance(10);
      await writer.append(payload(id, 200));
    }
    damage(lab, frameOf(lab, 1));
    const follower = await lab.follow();
    expect(await idsOf(follower)).toEqual([0]);
    expect([follower.visibleSeq, follower.chain.all.length]).toEqual([1, 1]);
    damage(lab, frameOf(lab, 1));
    await follower.look();
    expect(await idsOf(follower)).toEqual(upTo(6));
    // A segment that is begun is not there before its header is.
    const last = lab.datPaths[1] ?? '';
    const bytes = readFile(lab.disk, last);
    truncateFile(lab.disk, last, 20);
    const other = await lab.follow();
    expect(await idsOf(other)).toEqual([0, 1, 2]);
    putFile(lab.disk, last, bytes);
    await other.look();
    expect(await idsOf(other)).toEqual(upTo(6));
  });
});
