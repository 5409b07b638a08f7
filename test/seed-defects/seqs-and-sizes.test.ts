/**
 * Goal: seqs go on when all records are gone, a log does not end where one file does, opening does
 * not read all of it, and sizes are sizes (the seed: W2, W16, W17, W19, W23, D31).
 * Method: manifests as a compaction will leave them; logs of many small segments; payloads that
 * would be numbers if somebody took them for such.
 */
import { expect, test } from 'vitest';
import { worst } from '../../src/testing/choices.js';
import { idsOf, Lab, parseDat, payload, readFile, rejection } from '../support/channel-kit.js';
import {
  appendNext,
  changeManifest,
  ENDINGS,
  resize,
  shown,
  upTo,
  writtenLog,
  type Ending,
} from '../support/seed-damage.js';

/** A log whose records are all gone, with what its manifest still says. */
async function emptied(ending: Ending, firstSeq: number, nextSeqFloor: number): Promise<Lab> {
  const lab = await writtenLog({ count: 0, ending });
  changeManifest(lab.disk, { firstSeq, nextSeqFloor });
  return lab;
}

test.each([
  [0, 42],
  [42, 0],
  [30, 42],
  [42, 42],
])('seq is not restarted when no record is left (firstSeq %i, floor %i)', async (first, floor) => {
  for (const ending of ENDINGS) {
    for (const end of ['close', 'kill', 'cut'] as const) {
      let lab = await emptied(ending, first, floor);
      for (let expected = 42; expected < 45; expected += 1) {
        const channel = await lab.open();
        expect([channel.nextSeq, channel.firstSeq]).toEqual([expected, first]);
        expect(await channel.append(payload(expected))).toBe(expected);
        if (end === 'close') await channel.close();
        lab = end === 'cut' ? lab.cut(worst) : lab.kill();
      }
      const channel = await lab.open();
      const records = await channel.readBatch({ from: 42 });
      expect(records.map(({ seq, payload: bytes }) => [seq, bytes])).toEqual(
        [42, 43, 44].map((seq) => [seq, payload(seq)]),
      );
    }
  }
});

test('seq is not restarted when the segment that begins at the floor was torn', async () => {
  for (const length of [0, 30, 64, 100]) {
    const lab = await emptied('kill', 42, 42);
    const channel = await lab.open({ sync: 'always' });
    await channel.append(payload(42));
    const killed = lab.kill();
    resize(killed.disk, killed.datPaths[0] ?? '', length);
    const again = await killed.open();
    expect(await again.append(payload(43))).toBe(42);
    const cut = killed.cut(worst);
    expect(await idsOf(cut, await cut.open())).toEqual([43]);
  }
});

test('seq is not restarted below the first seq that was asked for', async () => {
  const lab = new Lab();
  const channel = await lab.open({ firstSeq: 1_000_000 });
  await channel.close();
  const cut = lab.cut(worst);
  const again = await cut.open();
  expect(await again.append(payload(1))).toBe(1_000_000);
  await rejection(again.get(999_999), 'OUT_OF_RANGE');
});

test('a log does not end where a file does: places begin anew in each segment', async () => {
  const count = 40;
  for (const ending of ENDINGS) {
    const options = { segmentBytes: 4096, sync: 'never' } as const;
    const lab = await writtenLog({ count, ending, options, size: 3000 });
    const files = lab.datPaths.map((path) => parseDat(readFile(lab.disk, path)));
    expect(files).toHaveLength(count);
    expect(files.map(({ units }) => units[0]?.position)).toEqual(files.map(() => 64));
    const channel = await lab.open();
    expect(await shown(channel)).toEqual(upTo(count));
    expect(await appendNext(channel, count)).toBe(count);
  }
});

test('opening does not read the whole log', async () => {
  for (const ending of ENDINGS) {
    const options = { segmentBytes: 16_384 };
    const lab = await writtenLog({ count: 60, ending, options, size: 7000 });
    let read = 0;
    lab.disk.onOperation = ({ operation, path, length = 0 }): void => {
      const isRead = operation === 'readSync' || operation === 'read';
      if (isRead && path.endsWith('.dat')) read += length;
    };
    const channel = await lab.open();
    lab.disk.onOperation = undefined;
    expect(channel.nextSeq).toBe(60);
    expect(lab.datPaths.length).toBeGreaterThan(25);
    // Of the older segments header and seal; the unfinished ones are at most two.
    const small = 256 * lab.datPaths.length;
    expect(read).toBeLessThan(small + (ending === 'close' ? 0 : 4 * 65_536));
    expect(channel.sizeBytes).toBeGreaterThan(small + 5 * 65_536);
  }
});

test('bytes of payloads are not counted as lengths', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  const eight = new Uint8Array(8).fill(0xff);
  for (let i = 0; i < 4; i += 1) await channel.append(eight);
  const [path = ''] = lab.datPaths;
  expect(channel.sizeBytes).toBe(readFile(lab.disk, path).byteLength);
  expect(channel.count).toBe(4);
  expect(await channel.readBatch({ maxBytes: 16 })).toHaveLength(2);
  expect(await channel.readBatch({ maxBytes: 1 })).toHaveLength(1);
  const { disk } = lab;
  await channel.close();
  const next = lab.kill();
  const again = await next.open();
  expect([again.sizeBytes, again.count]).toEqual([readFile(disk, path).byteLength, 4]);
});

test('a record that a reader keeps is not changed, nor is the log kept by it', async () => {
  const lab = new Lab();
  const channel = await lab.open({ segmentBytes: 4096 });
  const kept: Uint8Array[] = [];
  for (const seq of upTo(30)) {
    await appendNext(channel, seq, 900);
    const record = await channel.get(seq);
    if (record !== undefined) kept.push(record.payload);
    kept.push(...(await channel.last(1)).map(({ payload: bytes }) => bytes));
  }
  expect(kept).toEqual(upTo(30).flatMap((seq) => [payload(seq, 900), payload(seq, 900)]));
  // Small records share memory among themselves; they hold no more than that.
  for (const bytes of kept) expect(bytes.buffer.byteLength).toBeLessThanOrEqual(65_536);
});
