/**
 * Goal: the last two segments may be unfinished, and no legal image of them reads as corruption
 * (RULES C1, C2).
 * Method: named histories around a roll, with every combination of what a power cut may have lost:
 * names, headers, frames, seals; the same losses below a witness must be damage.
 */
import { describe, expect, test } from 'vitest';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { choicesFromSeed, worst } from '../../src/testing/choices.js';
import {
  durableCopy,
  errorOf,
  fileOf,
  fillFile,
  openLog,
  readFile,
  segmentPerRecord,
  segmentsOf,
  textsOf,
  truncateFile,
  unitsOf,
} from '../support/recovery-lab.js';

const NEVER = { sync: 'never' } as const;

/** `w; roll; w`: nothing of both segments is synced. */
async function rolled(): Promise<CrashFs> {
  return (await segmentPerRecord(2, NEVER)).fs;
}

describe('C1, C2: a roll without a sync', () => {
  test('C2: w; roll; cut never reads as corruption, whatever was lost', async () => {
    const fs = await rolled();
    const seen = new Set<string>();
    for (let seed = 0; seed < 600; seed += 1) {
      const image = fs.crash(seed === 0 ? worst : choicesFromSeed(seed));
      const { channel, report } = await openLog(image);
      expect(report?.damage, `seed ${seed}`).toBeUndefined();
      const texts = await textsOf(channel);
      seen.add(String(texts.length));
      expect(['record 0 ', 'record 1 x'].slice(0, texts.length)).toEqual(texts);
      expect(await channel.append('next', { durability: 'synced' })).toBe(texts.length);
    }
    expect([...seen].toSorted()).toEqual(['0', '1', '2']);
  });

  test('C1: a seal does not say that its own segment is synced', async () => {
    const fs = durableCopy(await rolled());
    const frame = unitsOf(readFile(fs, fileOf(0)))[0];
    expect(unitsOf(readFile(fs, fileOf(0))).map(({ magic }) => magic)).toEqual(['RXFR', 'RXSL']);
    fillFile(fs, fileOf(0), frame?.at ?? 0, (frame?.at ?? 0) + (frame?.byteLength ?? 0), 0);
    const { channel, report } = await openLog(fs);
    expect(report).toMatchObject({ damage: undefined, nextSeq: 0, durableSeq: 0 });
    expect(await channel.append('again')).toBe(0);
  });

  test('C1: derived files are no witnesses', async () => {
    const fs = new CrashFs();
    const { channel } = await openLog(fs, NEVER);
    await channel.append('zero');
    await channel.append('one');
    await channel.close();
    const copy = durableCopy(fs);
    // What a close leaves, but for the mark: idx and ts know of records that dat lost.
    truncateFile(copy, '/data/log/clean', 0);
    truncateFile(copy, fileOf(0), 64);
    const { report } = await openLog(copy);
    expect(report).toMatchObject({ damage: undefined, nextSeq: 0 });
  });

  test('C2: a segment without seal, header, name or bytes takes the next along', async () => {
    const whole = durableCopy(await rolled());
    const bytes = readFile(whole, fileOf(0));
    const [frame, seal] = unitsOf(bytes);
    const from = { header: 0, frame: frame?.at ?? 0, seal: seal?.at ?? 0 };
    const cases: Record<string, [kept: string[], (fs: CrashFs) => void]> = {
      'seal torn': [['record 0 '], (fs) => truncateFile(fs, fileOf(0), bytes.length - 1)],
      'seal gone': [['record 0 '], (fs) => truncateFile(fs, fileOf(0), from.seal)],
      'seal zeros': [['record 0 '], (fs) => fillFile(fs, fileOf(0), from.seal, bytes.length, 0)],
      'header zeros': [[], (fs) => fillFile(fs, fileOf(0), 0, 64, 0)],
      'header and seal': [
        [],
        (fs) => {
          fillFile(fs, fileOf(0), 0, 64, 0);
          fillFile(fs, fileOf(0), from.seal, bytes.length, 0);
        },
      ],
      'all zeros': [[], (fs) => fillFile(fs, fileOf(0), 0, bytes.length, 0)],
      empty: [[], (fs) => truncateFile(fs, fileOf(0), 0)],
      'name gone': [[], (fs) => fs.unlinkSync(fileOf(0))],
      'next empty': [['record 0 '], (fs) => truncateFile(fs, fileOf(1), 0)],
      'next half a header': [['record 0 '], (fs) => truncateFile(fs, fileOf(1), 32)],
      'next only a header': [['record 0 '], (fs) => truncateFile(fs, fileOf(1), 64)],
      'next zeros': [['record 0 '], (fs) => fillFile(fs, fileOf(1), 0, 300, 0)],
      'next gone': [['record 0 '], (fs) => fs.unlinkSync(fileOf(1))],
    };
    for (const [name, [kept, lose]] of Object.entries(cases)) {
      const fs = durableCopy(whole);
      lose(fs);
      const { channel, report } = await openLog(fs);
      expect(report?.damage, name).toBeUndefined();
      expect(await textsOf(channel), name).toEqual(kept);
      expect(await channel.append('next'), name).toBe(kept.length);
      const again = await openLog(durableCopy(fs));
      expect(await textsOf(again.channel), name).toEqual([...kept, 'next']);
    }
  });

  test('C2: a file cut at every length, above every witness', async () => {
    const whole = durableCopy(await rolled());
    for (const [index, base] of [0, 1].entries()) {
      const size = whole.statSync(fileOf(base))?.size ?? 0;
      for (let length = 0; length < size; length += 1) {
        const fs = durableCopy(whole);
        truncateFile(fs, fileOf(base), length);
        const { channel, report } = await openLog(fs);
        expect(report?.damage, `${base} at ${length}`).toBeUndefined();
        const texts = await textsOf(channel);
        expect(['record 0 ', 'record 1 x'].slice(0, texts.length)).toEqual(texts);
        expect(texts.length).toBeGreaterThanOrEqual(index);
        expect(segmentsOf(fs).length).toBeLessThanOrEqual(texts.length + 1);
      }
    }
  });
});

describe('C2: at most two segments are unfinished', () => {
  test('C2: the third segment is created only when the first and its name are synced', async () => {
    const fs = new CrashFs();
    const { channel, runtime } = await openLog(fs, { ...NEVER, segmentMs: 10 });
    const created: CrashFs[] = [];
    fs.onOperation = ({ operation, path }) => {
      if (operation === 'createSync' && path.endsWith('.dat')) created.push(fs.crash(worst));
    };
    for (let i = 0; i < 4; i += 1) {
      runtime.advance(10);
      await channel.append(`record ${i}`);
    }
    const kept = await Promise.all(
      created.map(async (image) => (await textsOf((await openLog(image)).channel)).length),
    );
    expect(kept).toHaveLength(4);
    for (const [k, records] of kept.entries()) expect(records).toBeGreaterThanOrEqual(k - 1);
  });

  test('C2: of three segments the last one is a witness of the first', async () => {
    const { fs } = await segmentPerRecord(3, NEVER);
    const copy = durableCopy(fs);
    // The middle one: where it begins everything was synced, so this is damage of a finished one.
    truncateFile(copy, fileOf(0), 70);
    const { channel, report } = await openLog(copy);
    expect(report).toMatchObject({ damage: undefined, tornTail: undefined });
    await errorOf('CORRUPT', () => channel.get(0));
    expect(await textsOf(channel, 1)).toEqual(['record 1 x', 'record 2 xx']);
    expect(await channel.append('next')).toBe(3);
  });

  test('C2: w; s; roll; cut: a seal that was lost is no damage', async () => {
    const fs = new CrashFs();
    const { channel, runtime } = await openLog(fs, { ...NEVER, segmentMs: 10 });
    await channel.append('zero');
    await channel.sync();
    runtime.advance(10);
    await channel.append('one');
    for (let seed = 0; seed < 200; seed += 1) {
      const opened = await openLog(fs.crash(choicesFromSeed(seed)));
      expect(opened.report?.damage).toBeUndefined();
      const texts = await textsOf(opened.channel);
      expect(texts).toEqual(['zero', 'one'].slice(0, texts.length));
      expect(texts[0]).toBe('zero');
    }
  });

  test('C2: a sealed last segment is followed by a new one', async () => {
    const fs = durableCopy(await rolled());
    fs.unlinkSync(fileOf(1));
    const { channel, report } = await openLog(fs);
    expect(report?.tornTail).toBeUndefined();
    await channel.append('one', { durability: 'synced' });
    expect(segmentsOf(fs)).toEqual([0, 1]);
    expect(await textsOf((await openLog(fs.crash(worst))).channel)).toEqual(['record 0 ', 'one']);
  });
});

describe('C1: below a witness the same losses are damage', () => {
  test('C1, C3: a cleanly closed file at every length', async () => {
    const { fs, opened } = await segmentPerRecord(2);
    await opened.channel.close();
    const size = fs.statSync(fileOf(1))?.size ?? 0;
    for (let length = 0; length < size; length += 1) {
      const copy = durableCopy(fs);
      truncateFile(copy, fileOf(1), length);
      const { channel, report } = await openLog(copy);
      expect(report?.damage?.seqRange, `at ${length}`).toEqual({ firstSeq: 1, nextSeq: 2 });
      expect(await channel.readBatch({ to: 1 })).toHaveLength(1);
      await errorOf('CORRUPT', () => channel.get(1));
      await errorOf('CORRUPT', () => channel.append('no'));
    }
  });

  test('C1, C3: a file of zeros, and no file', async () => {
    const { fs, opened } = await segmentPerRecord(3);
    await opened.channel.close();
    const losses: ((copy: CrashFs) => void)[] = [
      (copy) => fillFile(copy, fileOf(2), 0, 1000, 0),
      (copy) => copy.unlinkSync(fileOf(2)),
    ];
    for (const lose of losses) {
      const copy = durableCopy(fs);
      lose(copy);
      const { channel, report } = await openLog(copy);
      expect(report?.damage?.seqRange).toEqual({ firstSeq: 2, nextSeq: 3 });
      expect(await channel.readBatch({ to: 2 })).toHaveLength(2);
      const { seqRange } = await errorOf('CORRUPT', () => channel.get(2));
      expect(seqRange).toEqual({ firstSeq: 2, nextSeq: 3 });
      await errorOf('CORRUPT', () => channel.append('no'));
    }
  });
});
