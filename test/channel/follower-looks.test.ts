/**
 * Goal: a look costs little, reads on from where the last one stopped, sees what was on disk at its
 * call, and notices when the channel is another one or gone (RULES N4).
 * Method: one writer and one reader on one disk; the reader's operations and the bytes that it
 * asks for are counted.
 */
import { expect, test } from 'vitest';
import { readManifest, replaceManifest } from '../../src/channel/channel-files.js';
import { RecordIterator } from '../../src/channel/read-iterator.js';
import { nanosFromMs } from '../../src/core/nanos.js';
import { generationName, segmentFileName } from '../../src/format/file-name.js';
import { payload, payloadId, rejection } from '../support/channel-kit.js';
import { batchesOf, countOf, FollowerLab, recordsOf } from '../support/follower-lab.js';
import { putFile, readFile } from '../support/recovery-lab.js';

const seqsFrom = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);

async function nextSeq(iterator: RecordIterator): Promise<number | undefined> {
  const result = await iterator.next();
  return result.done === true ? undefined : result.value.seq;
}

/** A channel with one record for each segment, cleanly closed unless it is still written. */
async function segments(lab: FollowerLab, count: number, close = true): Promise<void> {
  const writer = await lab.openWriter({ segmentMs: 10 });
  for (let i = 0; i < count; i += 1) {
    lab.runtime.advance(10);
    await lab.done(writer.append(payload(i)));
  }
  if (close) await lab.done(writer.close());
}

/** Bytes that `run` asks the disk for, and the lowest position in a dat file. */
async function bytesRead(
  lab: FollowerLab,
  run: () => Promise<unknown>,
): Promise<{ bytes: number; lowest: number }> {
  const { operations } = lab.disk;
  const start = operations.length;
  await lab.done(run());
  const reads = operations
    .slice(start)
    .filter(({ operation, path }) => operation.startsWith('read') && !path.endsWith('log'));
  const dat = reads.filter(({ path }) => path.endsWith('.dat'));
  return {
    bytes: reads.reduce((sum, { result }) => sum + (result ?? 0), 0),
    lowest: Math.min(...dat.map(({ position }) => position ?? 0)),
  };
}

test('listing a cleanly closed channel scans nothing and keeps no descriptor', async () => {
  const lab = new FollowerLab();
  await segments(lab, 3);
  const follower = await lab.follow();
  expect([follower.visibleSeq, countOf(follower), follower.durableSeq]).toEqual([3, 3, 3]);
  expect(follower.manifest.firstSeq).toBe(0);
  expect(lab.reads.openPaths).toEqual([]);
  // Twice the manifest and once the clean mark: three each. The directory, and that there is none
  // of checkpoints. Of each finished segment: open, header, size, seal, close; of the last one the
  // same.
  expect(lab.reads.calls.total).toBe(3 * 3 + 2 + 3 * 5);
  expect(lab.reads.calls.of('read')).toBe(0);
  follower.close();
  lab.expectOnlyReads();
});

test('an idle look is four operations, whatever the channel holds', async () => {
  for (const count of [0, 1, 40]) {
    const lab = new FollowerLab();
    const writer = await lab.openWriter({ segmentMs: 10 });
    const follower = await lab.follow();
    for (let i = 0; i < count; i += 1) {
      lab.runtime.advance(10);
      await writer.append(payload(i));
    }
    await follower.look();
    for (let i = 0; i < 3; i += 1) {
      const before = lab.reads.calls.total;
      await follower.look();
      expect(lab.reads.calls.total - before, `${count} segments`).toBe(4);
    }
    expect(lab.reads.openPaths.length).toBe(count === 0 ? 0 : 1);
    expect(follower.visibleSeq).toBe(count);
  }
});

test('a last frame too large to be read as a whole costs one more', async () => {
  const lab = new FollowerLab();
  const writer = await lab.openWriter();
  await lab.done(writer.append(payload(1, 40_000)));
  const follower = await lab.follow();
  await follower.look();
  const before = lab.reads.calls.total;
  await follower.look();
  expect(lab.reads.calls.total - before).toBe(5);
});

test('after a clean open a look goes on where the mark says', async () => {
  const lab = new FollowerLab();
  const first = await lab.openWriter();
  await lab.done(first.appendBatch(seqsFrom(0, 200).map((id) => payload(id, 1000))));
  await lab.done(first.close());
  const follower = await lab.follow();
  const end = follower.chain.last?.datLength ?? 0;
  const writer = await lab.openWriter();
  await writer.append(payload(200));
  const { lowest, bytes } = await bytesRead(lab, () => follower.look());
  // The header, because the file has just been opened, and then what is new.
  expect([lowest, follower.visibleSeq]).toEqual([0, 201]);
  expect(bytes).toBeLessThan(1000);
  await writer.append(payload(201));
  const next = await bytesRead(lab, () => follower.look());
  expect(next.lowest).toBeGreaterThanOrEqual(end);
  expect(follower.visibleSeq).toBe(202);
  expect(payloadId((await follower.reader.get(201))?.payload ?? new Uint8Array(4))).toBe(201);
});

test('a record of the growing segment is found without walking it', async () => {
  const lab = new FollowerLab();
  const writer = await lab.openWriter({ sync: 'never' });
  for (let i = 0; i < 3000; i += 1) {
    lab.runtime.advance(1);
    await writer.append(payload(i, 1000));
  }
  const follower = await lab.follow();
  const start = lab.runtime.now() - 2999;
  for (const seq of [1, 1500, 2980]) {
    const found = await bytesRead(lab, async () => {
      expect((await follower.reader.get(seq))?.seq).toBe(seq);
    });
    expect(found.bytes, `get ${seq}`).toBeLessThan(200_000);
    const time = await bytesRead(lab, async () => {
      expect(await follower.reader.seqAt(nanosFromMs(start + seq))).toBe(seq);
    });
    expect(time.bytes, `seqAt ${seq}`).toBeLessThan(200_000);
  }
  const last = await bytesRead(lab, async () => {
    const records = await recordsOf(follower, { reverse: true, limit: 20 });
    expect(records.map(({ seq }) => seq)).toEqual(seqsFrom(2980, 3000).toReversed());
  });
  expect(last.bytes).toBeLessThan(400_000);
  lab.expectOnlyReads();
});

test('seqs that are skipped are no records, and nothing is missing for it', async () => {
  const lab = new FollowerLab();
  const writer = await lab.openWriter({ sync: 'never', segmentBytes: 60_000 });
  const follower = await lab.follow();
  const seqs: number[] = [];
  for (let seq = 0, step = 0; seqs.length < 250; step += 1, seq += 1 + (step % 4)) {
    lab.runtime.advance(1);
    await writer.append(payload(seq, 700), { seq });
    seqs.push(seq);
    if (step % 40 === 0) await lab.done(follower.look());
  }
  await lab.done(follower.look());
  expect([follower.visibleSeq, countOf(follower)]).toEqual([writer.nextSeq, 250]);
  expect((await lab.done(batchesOf(follower))).map(({ seq }) => seq)).toEqual(seqs);
  const last = await lab.done(recordsOf(follower, { reverse: true, limit: 100 }));
  expect(last.map(({ seq }) => seq)).toEqual(seqs.slice(-100).toReversed());
  const start = lab.runtime.now() - 249;
  for (let i = 0; i < 250; i += 7) {
    const [seq = 0, next = 0] = [seqs[i], seqs[i + 1]];
    expect((await lab.done(follower.reader.get(seq)))?.seq).toBe(seq);
    expect(await lab.done(follower.reader.seqAt(nanosFromMs(start + i)))).toBe(seq);
    if (next > seq + 1) expect(await lab.done(follower.reader.get(seq + 1))).toBe(undefined);
  }
});

test('seqAt finds the first of many records of one time', async () => {
  const lab = new FollowerLab();
  const writer = await lab.openWriter({ sync: 'never' });
  const times: number[] = [];
  for (let i = 0; i < 900; i += 1) {
    // 300 KiB, and with it several marks, for each millisecond.
    if (i % 300 === 0) lab.runtime.advance(1);
    times.push(lab.runtime.now());
    await writer.append(payload(i, 1000));
  }
  const follower = await lab.follow();
  for (const seq of [0, 300, 600]) {
    expect(await lab.done(follower.reader.seqAt(nanosFromMs(times[seq] ?? 0)))).toBe(seq);
  }
  expect(await lab.done(follower.reader.seqAt(nanosFromMs(lab.runtime.now() + 1)))).toBe(900);
});

test('the index is used as far as it has been flushed meanwhile', async () => {
  const lab = new FollowerLab();
  const writer = await lab.openWriter({ sync: 'never' });
  await writer.appendBatch(seqsFrom(0, 10).map((id) => payload(id)));
  const follower = await lab.follow();
  expect((await follower.reader.get(3))?.seq).toBe(3);
  for (let i = 10; i < 9000; i += 10) {
    await writer.appendBatch(seqsFrom(i, i + 10).map((id) => payload(id, 300)));
  }
  await lab.done(follower.look());
  const index = follower.chain.borrow(follower.chain.all[0] ?? expect.fail()).index;
  expect((await follower.reader.get(5000))?.seq).toBe(5000);
  expect(index.count).toBeGreaterThan(8000);
  const found = await bytesRead(lab, () => follower.reader.get(5001));
  // A unit and a page of entries for each step of the search, not a piece of the walk.
  expect(found.bytes).toBeLessThan(16 * 1024 + 4000);
  expect((await lab.done(batchesOf(follower))).length).toBe(9000);
});

test('calls during a look share the next one, and see what was written before them', async () => {
  const lab = new FollowerLab(1, 'random');
  const writer = await lab.openWriter({ sync: 'never' });
  await lab.done(writer.append(payload(0)));
  const follower = await lab.follow();
  await lab.done(follower.look());
  writer.appendSync(payload(1));
  const first = follower.look();
  writer.appendSync(payload(2));
  const [second, third] = [follower.look(), follower.look()];
  expect(third).toBe(second);
  expect(second).not.toBe(first);
  await lab.done(first);
  expect(follower.visibleSeq).toBeGreaterThanOrEqual(2);
  await lab.done(second);
  expect(follower.visibleSeq).toBe(3);
});

test('a seal that is taken back again costs no new scan', async () => {
  const lab = new FollowerLab();
  const writer = await lab.openWriter({ segmentBytes: 100_000, sync: 'never' });
  for (let i = 0; i < 85; i += 1) await writer.append(payload(i, 1000));
  const follower = await lab.follow();
  const end = follower.chain.last?.datLength ?? 0;
  // The next segment's file cannot be created, so the seal is cut off again.
  const { writes, disk } = lab;
  writes.inject({ operation: 'createSync', path: /\.dat$/, nth: 1, effect: { error: 'ENOSPC' } });
  const sealed = new Uint8Array(64);
  disk.onOperation = ({ operation, path }) => {
    if (operation !== 'truncateSync' || !path.endsWith('.dat')) return;
    disk.onOperation = undefined;
    const file = disk.openSync(path, 'read');
    const size = file.sizeSync();
    file.readSync(sealed, 0, 64, size - 64);
    file.closeSync();
  };
  expect((await rejection(writer.append(payload(85, 9000)), 'IO')).systemCode).toBe('ENOSPC');
  // The reader sees the seal, and then that it is gone.
  const path = lab.datPaths[0] ?? '';
  const without = readFile(disk, path);
  putFile(disk, path, Uint8Array.from([...without, ...sealed]));
  await follower.look();
  expect(follower.chain.last?.sealed).toBe(true);
  putFile(disk, path, without);
  const { lowest, bytes } = await bytesRead(lab, () => follower.look());
  expect(follower.chain.last?.sealed).toBe(false);
  expect([lowest, bytes < 20_000]).toEqual([0, true]);
  await writer.append(payload(85, 100));
  await follower.look();
  expect([follower.visibleSeq, follower.chain.last?.baseSeq]).toEqual([86, 0]);
  expect(follower.chain.last?.datLength).toBeGreaterThan(end);
});

test('a generation that replaces the one that is read is read instead', async () => {
  const lab = new FollowerLab();
  await segments(lab, 6);
  const follower = await lab.follow();
  await follower.look();
  const iterator = new RecordIterator(follower.reader, {});
  expect(await nextSeq(iterator)).toBe(0);
  const { disk, directory } = lab;
  const manifest = readManifest(disk, directory, lab.contextOf(lab.reads).channelId);
  const other = `${directory}/${generationName(2)}`;
  disk.mkdirSync(other);
  for (const base of [0, 1, 4, 5]) {
    const name = segmentFileName(base, 'dat');
    putFile(disk, `${other}/${name}`, readFile(disk, `${lab.generation}/${name}`));
  }
  replaceManifest(disk, directory, { ...manifest, generation: 2, firstSeq: 1 });
  for (const { name } of disk.readDirectorySync(lab.generation)) {
    disk.unlinkSync(`${lab.generation}/${name}`);
  }
  disk.rmdirSync(lab.generation);
  // What is read goes on in what is there now, and tells what is missing there.
  expect(await nextSeq(iterator)).toBe(1);
  const missing = await rejection(lab.done(batchesOf(follower)), 'CORRUPT');
  expect(missing).toMatchObject({ seqRange: { firstSeq: 2, nextSeq: 4 } });
  expect([follower.manifest.generation, follower.visibleSeq]).toEqual([2, 6]);
  expect((await rejection(follower.reader.get(0), 'OUT_OF_RANGE')).firstSeq).toBe(1);
  expect((await recordsOf(follower, { from: 4 })).map(({ seq }) => seq)).toEqual([4, 5]);
  expect(lab.reads.openPaths.every((path) => path.startsWith(other))).toBe(true);
});

test('a read that is under way goes on in the files of another generation', async () => {
  const lab = new FollowerLab();
  const writer = await lab.openWriter({ sync: 'never' });
  for (let id = 0; id < 300; id += 1) await writer.append(payload(id, 1000));
  await lab.done(writer.close());
  const follower = await lab.follow();
  const iterator = new RecordIterator(follower.reader, { copy: true });
  expect(await nextSeq(iterator)).toBe(0);
  const { disk, directory } = lab;
  const manifest = readManifest(disk, directory, lab.contextOf(lab.reads).channelId);
  const other = `${directory}/${generationName(2)}`;
  disk.mkdirSync(other);
  const name = segmentFileName(0, 'dat');
  putFile(disk, `${other}/${name}`, readFile(disk, `${lab.generation}/${name}`));
  replaceManifest(disk, directory, { ...manifest, generation: 2 });
  disk.unlinkSync(`${lab.generation}/${name}`);
  await follower.look();
  // It holds nothing between two steps, so the old file is gone.
  expect(lab.reads.openPaths.every((path) => path.startsWith(other))).toBe(true);
  for (let seq = 1; seq < 300; seq += 1) expect(await nextSeq(iterator)).toBe(seq);
  expect(await nextSeq(iterator)).toBe(undefined);
  expect((await follower.reader.get(299))?.seq).toBe(299);
});

test('segments that are removed at the head are dropped', async () => {
  const lab = new FollowerLab();
  await segments(lab, 6, false);
  const looking = await lab.follow();
  const follower = await lab.follow();
  const iterator = new RecordIterator(follower.reader, {});
  expect(await nextSeq(iterator)).toBe(0);
  const { disk, directory } = lab;
  const manifest = readManifest(disk, directory, lab.contextOf(lab.reads).channelId);
  replaceManifest(disk, directory, { ...manifest, firstSeq: 3, nextSeqFloor: 3 });
  for (const base of [0, 1, 2])
    disk.unlinkSync(`${lab.generation}/${segmentFileName(base, 'dat')}`);
  await looking.look();
  expect(looking.chain.all.map(({ baseSeq }) => baseSeq)).toEqual([3, 4, 5]);
  // The iterator was at 1, which has gone meanwhile.
  expect(await rejection(iterator.next(), 'OUT_OF_RANGE')).toMatchObject({ seq: 1, firstSeq: 3 });
  await follower.look();
  expect(follower.chain.all.map(({ baseSeq }) => baseSeq)).toEqual([3, 4, 5]);
  expect((await batchesOf(follower)).map(({ seq }) => seq)).toEqual([3, 4, 5]);
  expect(countOf(follower)).toBe(3);
});

test('a directory that is gone, or of another channel, is NOT_FOUND for good', async () => {
  for (const recreate of [false, true]) {
    const lab = new FollowerLab();
    await segments(lab, 2);
    const follower = await lab.follow();
    await follower.look();
    const { disk, directory } = lab;
    disk.renameSync(directory, '/data/trash');
    if (recreate) await segments(lab, 4);
    const gone = await rejection(follower.look(), 'NOT_FOUND');
    expect(gone).toMatchObject({ kind: 'channel', resource: directory });
    if (recreate) disk.renameSync(directory, '/data/other');
    disk.renameSync('/data/trash', directory);
    expect(await rejection(follower.look(), 'NOT_FOUND')).toBe(gone);
    follower.close();
    expect(lab.reads.openPaths).toEqual([]);
    expect((await rejection(follower.look(), 'CLOSED')).code).toBe('CLOSED');
  }
});

test('a manifest of zeros is an error until it is restored', async () => {
  const lab = new FollowerLab();
  const writer = await lab.openWriter();
  await writer.append(payload(0));
  const follower = await lab.follow();
  await follower.look();
  const path = `${lab.directory}/manifest`;
  const bytes = readFile(lab.disk, path);
  putFile(lab.disk, path, new Uint8Array(bytes.byteLength));
  await writer.append(payload(1));
  for (let i = 0; i < 2; i += 1) {
    expect(await rejection(follower.look(), 'CORRUPT')).toMatchObject({ path, check: 'magic' });
    expect(follower.visibleSeq).toBe(1);
  }
  putFile(lab.disk, path, bytes);
  await follower.look();
  expect((await batchesOf(follower)).map(({ seq }) => seq)).toEqual([0, 1]);
});

test('closing during a look gives every descriptor back', async () => {
  const lab = new FollowerLab(3, 'random');
  const writer = await lab.openWriter({ sync: 'never' });
  await lab.done(writer.append(payload(0)));
  const follower = await lab.follow();
  await lab.done(follower.reader.get(0));
  writer.appendSync(payload(1));
  const look = follower.look();
  follower.close();
  await rejection(lab.done(look), 'CLOSED');
  await rejection(follower.reader.get(0), 'CLOSED');
  expect(lab.reads.openPaths).toEqual([]);
});
