/**
 * Goal: a damaged file header of a finished segment costs none of its records while idx or ts prove
 * who the segment is; it is told all the same, appends go on, and where nothing proves it the reads
 * fail and return no wrong byte (RULES C9). Every single bit: finished-damage.test.ts.
 * Method: a closed log of three segments whose files are damaged one way after the other.
 */
import { describe, expect, test } from 'vitest';
import { FILE_HEADER_BYTES } from '../../src/format/file-header.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import {
  durableCopy,
  editFile,
  errorOf,
  fileOf,
  fillFile,
  flipBit,
  openLog,
  putFile,
  readFile,
  segmentPerRecord,
  tree,
  textOf,
  unitsOf,
} from '../support/recovery-lab.js';

const TEXTS = Array.from({ length: 12 }, (_, i) => `text ${i} ${'z'.repeat(40 * (i % 3))}`);
const PER_SEGMENT = 4;
const BASE = PER_SEGMENT;
const DAT = fileOf(BASE);

async function closedLog(): Promise<CrashFs> {
  const fs = new CrashFs();
  const { channel, runtime } = await openLog(fs, { segmentMs: 10 });
  for (const [index, text] of TEXTS.entries()) {
    if (index % PER_SEGMENT === 0) runtime.advance(10);
    await channel.append(text);
  }
  await channel.close();
  return durableCopy(fs);
}

const whole = await closedLog();

/** Reads of every kind that the segment takes part in. */
async function expectAll(fs: CrashFs): Promise<void> {
  const { channel } = await openLog(fs);
  for (const [seq, text] of TEXTS.entries()) {
    const record = await channel.get(seq);
    expect(record && textOf(record)).toBe(text);
    expect(await channel.seqAt(record?.timestamp ?? 0n)).toBeLessThanOrEqual(seq);
  }
  for (const from of [0, BASE, BASE + 1]) {
    const texts = (await channel.readBatch({ from })).map(textOf);
    expect(texts).toEqual(TEXTS.slice(from));
  }
  const last = await channel.last(TEXTS.length - 1);
  expect(last.map(textOf)).toEqual(TEXTS.slice(1));
  const { problems, ok } = await channel.verify();
  expect(ok).toBe(false);
  const damage = problems.find(({ severity }) => severity === 'damage');
  expect(damage).toMatchObject({ kind: 'header', path: DAT, position: 0 });
  expect(damage?.seqRange).toBeUndefined();
  expect(await channel.append('next')).toBe(TEXTS.length);
  await channel.close();
}

/** Nothing of the segment can be read; all around it can. */
async function expectLost(fs: CrashFs): Promise<void> {
  const { channel } = await openLog(fs);
  for (const [seq, text] of TEXTS.entries()) {
    const isLost = seq >= BASE && seq < BASE + PER_SEGMENT;
    if (isLost) {
      const error = await errorOf('CORRUPT', () => channel.get(seq));
      expect(error).toMatchObject({ path: DAT, position: 0 });
    } else expect(textOf((await channel.get(seq)) ?? expect.fail())).toBe(text);
  }
  const { problems } = await channel.verify();
  const seqRange = { firstSeq: BASE, nextSeq: BASE + PER_SEGMENT };
  expect(problems[0]).toMatchObject({ kind: 'header', path: DAT, position: 0, seqRange });
  expect(await channel.append('next')).toBe(TEXTS.length);
}

const headerOf = (fs: CrashFs, base: number): Uint8Array =>
  readFile(fs, fileOf(base)).subarray(0, FILE_HEADER_BYTES);

const DAMAGES: [string, (fs: CrashFs) => void][] = [
  ['a flipped bit', (fs) => flipBit(fs, DAT, 8 * 40)],
  ['zeros', (fs) => fillFile(fs, DAT, 0, FILE_HEADER_BYTES, 0)],
  ['garbage', (fs) => fillFile(fs, DAT, 0, FILE_HEADER_BYTES, 0xa5)],
  [
    'the header of another segment',
    (fs) => {
      const other = headerOf(fs, 0);
      editFile(fs, DAT, (bytes) => Buffer.concat([other, bytes.subarray(FILE_HEADER_BYTES)]));
    },
  ],
];

describe.each(DAMAGES)('a header with %s', (_name, damage) => {
  test('costs no record', async () => {
    const fs = durableCopy(whole);
    damage(fs);
    await expectAll(fs);
  });

  test.each(['idx', 'ts'] as const)('costs no record without %s', async (kind) => {
    const fs = durableCopy(whole);
    damage(fs);
    fs.unlinkSync(fileOf(BASE, kind));
    await expectAll(fs);
    expect(fs.statSync(fileOf(BASE, kind)), 'it is there again').toBeDefined();
  });

  test('costs the segment without both of them', async () => {
    const fs = durableCopy(whole);
    damage(fs);
    fs.unlinkSync(fileOf(BASE, 'idx'));
    fs.unlinkSync(fileOf(BASE, 'ts'));
    await expectLost(fs);
  });
});

test('after a crash too, when a witness says that it was synced', async () => {
  const { fs: log, texts } = await segmentPerRecord(5);
  const fs = durableCopy(log);
  flipBit(fs, fileOf(0), 8 * 40);
  const { channel, report } = await openLog(fs);
  expect(report).toMatchObject({ damage: undefined, tornTail: undefined });
  expect((await channel.readBatch({ from: 0 })).map(textOf)).toEqual(texts);
  expect(await channel.append('next')).toBe(texts.length);
});

test('a compaction writes it anew', async () => {
  const fs = durableCopy(whole);
  flipBit(fs, DAT, 8 * 40);
  const { channel } = await openLog(fs);
  await channel.compact({ keep: ({ seq }) => seq !== BASE });
  const texts = (await channel.readBatch({ from: 0 })).map(textOf);
  expect(texts).toEqual(TEXTS.filter((_text, seq) => seq !== BASE));
  expect(await channel.verify()).toMatchObject({ ok: true, problems: [] });
});

test('it is told when the segment is opened, and changes nothing on the disk', async () => {
  const fs = durableCopy(whole);
  flipBit(fs, DAT, 8 * 40);
  const before = tree(fs);
  const told: unknown[] = [];
  const nothing = (): void => undefined;
  const warn = (message: string, fields?: object): void => void told.push([message, fields]);
  const logger = { debug: nothing, info: nothing, error: nothing, warn };
  const { channel } = await openLog(fs, { logger });
  expect(told).toEqual([
    ['a file header is damaged', { channel: channel.name, path: DAT, check: 'checksum' }],
  ]);
  expect(await channel.readBatch({ from: 0 })).toHaveLength(TEXTS.length);
  expect(tree(fs)).toEqual(before);
});

test('where the seal is damaged too the first frame confirms the nonce', async () => {
  const fs = durableCopy(whole);
  flipBit(fs, DAT, 8 * 40);
  flipBit(fs, DAT, 8 * (readFile(fs, DAT).length - 20));
  await expectAll(fs);
});

test('where the first frame is damaged too exactly its record is lost', async () => {
  const fs = durableCopy(whole);
  const [first, second] = unitsOf(readFile(fs, DAT));
  fillFile(fs, DAT, 0, second?.at ?? 0, 0);
  expect(first?.at).toBe(FILE_HEADER_BYTES);
  const { channel } = await openLog(fs);
  const error = await errorOf('CORRUPT', () => channel.get(BASE));
  expect(error.seqRange).toEqual({ firstSeq: BASE, nextSeq: BASE + 1 });
  const texts = (await channel.readBatch({ from: BASE + 1 })).map(textOf);
  expect(texts).toEqual(TEXTS.slice(BASE + 1));
});

test('idx and ts of another segment prove nothing', async () => {
  const fs = durableCopy(whole);
  flipBit(fs, DAT, 8 * 40);
  for (const kind of ['idx', 'ts'] as const) {
    putFile(fs, fileOf(BASE, kind), readFile(fs, fileOf(0, kind)));
  }
  await expectLost(fs);
});

test('idx and ts prove nothing for a dat file of another segment', async () => {
  const fs = durableCopy(whole);
  putFile(fs, DAT, readFile(fs, fileOf(0)));
  await expectLost(fs);
});

test('entries of idx that are wrong lead nowhere else', async () => {
  const fs = durableCopy(whole);
  flipBit(fs, DAT, 8 * 40);
  fillFile(fs, fileOf(BASE, 'idx'), FILE_HEADER_BYTES, FILE_HEADER_BYTES + 32, 0xff);
  await expectAll(fs);
});

test('the header of a newer version is still refused', async () => {
  const fs = durableCopy(whole);
  flipBit(fs, DAT, 8 * 5);
  await errorOf('FORMAT_VERSION', () => openLog(fs));
});
