/**
 * Goal: records that are whole are reached, wherever they stand beside a damaged place (RULES C9).
 * Method: one byte of a finished segment is changed; then each way of reading that has to find its
 * way around it is tried by itself.
 */
import { expect, test } from 'vitest';
import { CrashFs } from '../../src/testing/crash-fs.js';
import {
  durableCopy,
  errorOf,
  fileOf,
  flipBit,
  openLog,
  readFile,
  textOf,
  truncateFile,
  unitsOf,
} from '../support/recovery-lab.js';

const START_MS = 1_700_000_000_000;

/** Records 0 to 3 in a segment, one frame each; 4 and 5 in two more. Closed. */
async function threeSegments(): Promise<CrashFs> {
  const fs = new CrashFs();
  const { channel, runtime } = await openLog(fs, { segmentMs: 10 });
  for (let seq = 0; seq < 6; seq += 1) {
    if (seq > 3) runtime.advance(10);
    await channel.append(`text ${seq}`);
  }
  await channel.close();
  return durableCopy(fs);
}

test('a read backward gives what stands behind damage, and then tells of it', async () => {
  const fs = await threeSegments();
  const frame = unitsOf(readFile(fs, fileOf(0)))[1];
  flipBit(fs, fileOf(0), 8 * (frame?.at ?? 0) + 200);
  const { channel } = await openLog(fs);
  const found: string[] = [];
  const error = await errorOf('CORRUPT', async () => {
    for await (const record of channel.read({ reverse: true })) found.push(textOf(record));
  });
  expect(found).toEqual(['text 5', 'text 4', 'text 3', 'text 2']);
  expect(error.seqRange).toEqual({ firstSeq: 1, nextSeq: 2 });
  for await (const record of channel.read({ to: 1, reverse: true })) found.push(textOf(record));
  expect(found.at(-1)).toBe('text 0');
});

test('a search by time passes segments that cannot be read when a later one is newer', async () => {
  const fs = await threeSegments();
  truncateFile(fs, fileOf(0), 10);
  truncateFile(fs, fileOf(4), 10);
  const { channel } = await openLog(fs);
  expect(await channel.seqAt(START_MS + 20)).toBe(5);
  await errorOf('CORRUPT', () => channel.seqAt(START_MS));
});

test('the error of an unreadable segment begins with the record that was wanted', async () => {
  const fs = await threeSegments();
  truncateFile(fs, fileOf(0), 10);
  const { channel } = await openLog(fs);
  const error = await errorOf('CORRUPT', () => channel.readBatch({ from: 2 }));
  expect(error.seqRange).toEqual({ firstSeq: 2, nextSeq: 4 });
});

test('the head of a frame of blocks costs no record', async () => {
  const fs = new CrashFs();
  const { channel, runtime } = await openLog(fs, { segmentMs: 10 });
  const texts = Array.from({ length: 9 }, (_, i) => `block ${i} `.padEnd(2000, 'z'));
  await channel.appendBatch(texts);
  runtime.advance(10);
  await channel.append('last');
  await channel.close();
  const damaged = durableCopy(fs);
  // In the list of blocks.
  flipBit(damaged, fileOf(0), 8 * (64 + 74));
  damaged.unlinkSync(fileOf(0, 'idx'));
  const again = await openLog(damaged);
  const records = await again.channel.readBatch();
  expect(records.map(textOf)).toEqual([...texts, 'last']);
  expect((await again.channel.get(0))?.seq).toBe(0);
  const { problems } = await again.channel.verify();
  const told = problems.filter(({ severity }) => severity === 'damage');
  expect(told).toMatchObject([{ kind: 'frame', position: 64 }]);
});
