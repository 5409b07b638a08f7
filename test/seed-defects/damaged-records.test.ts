/**
 * Goal: damage to one record costs that record at most what cannot be proven, and never in silence:
 * nothing behind it is deleted, nothing is skipped, nothing passes for another record (the seed:
 * W2 to W5, D4 to D7, D11).
 * Method: single bits and ranges of dat are changed after a clean close and after a kill; then the
 * log is opened, used, and opened again.
 */
import { describe, expect, test } from 'vitest';
import { worst } from '../../src/testing/choices.js';
import type { AloneOptions } from '../support/open-channel.js';
import type { RecoveryReport } from '../../src/channel/recovery-report.js';
import { payload, readFile, rejection, type Lab } from '../support/channel-kit.js';
import {
  appendNext,
  DAT,
  ENDINGS,
  flipBit,
  framesAt,
  put,
  resize,
  shown,
  upTo,
  writtenLog,
  type Ending,
} from '../support/seed-damage.js';

const COUNT = 6;
const HEADER_BYTES = 64;

const writtenOnly = (ending: Ending, options: AloneOptions = {}): Promise<Lab> =>
  writtenLog({ count: COUNT, ending, options: { sync: 'never', ...options } });

/** Reads until it fails with CORRUPT; the seqs that came before. */
async function readUntilCorrupt(lab: Lab, from = 0): Promise<number[]> {
  const channel = await lab.open();
  const seen: number[] = [];
  const reading = (async (): Promise<void> => {
    for await (const { seq } of channel.read({ from })) seen.push(seq);
  })();
  await rejection(reading, 'CORRUPT');
  return seen;
}

describe('a flipped bit in a record header', () => {
  test('a flipped bit in a record header does not delete what follows', async () => {
    const damaged = 2;
    for (const ending of ENDINGS) {
      const origin = await writtenLog({ count: COUNT, ending });
      const position = framesAt(origin.disk, DAT)[damaged]?.position ?? 0;
      for (let at = 0; at < HEADER_BYTES; at += 1) {
        const lab = origin.kill();
        const bit = (at * 3) % 8;
        flipBit(lab.disk, DAT, position + at, bit);
        const before = readFile(lab.disk, DAT);
        const channel = await lab.open();
        await rejection(channel.readBatch({ from: damaged }), 'CORRUPT');
        const whole = await channel.readBatch({ to: damaged });
        expect(
          whole.map(({ seq }) => seq),
          `byte ${at}`,
        ).toEqual(upTo(damaged));
        expect(readFile(lab.disk, DAT)).toEqual(before);
        flipBit(lab.disk, DAT, position + at, bit);
        const healed = lab.kill();
        expect(await shown(await healed.open())).toEqual(upTo(COUNT));
      }
    }
  });

  test('a seq that a flipped bit has raised does not move the next one', async () => {
    const last = COUNT - 1;
    for (const ending of ENDINGS) {
      const origin = await writtenOnly(ending);
      const position = framesAt(origin.disk, DAT)[last]?.position ?? 0;
      for (let bit = 3; bit < 53; bit += 1) {
        const lab = origin.kill();
        flipBit(lab.disk, DAT, position + 16 + (bit >> 3), bit & 7);
        const channel = await lab.open();
        // After a close the log is known to be that long; then the record is damaged, not torn.
        expect(channel.nextSeq, `bit ${bit}`).toBe(ending === 'close' ? COUNT : last);
        if (ending === 'close') await rejection(channel.get(last), 'CORRUPT');
        else expect(await shown(channel)).toEqual(upTo(last));
      }
    }
  });

  test('a flipped length of a synced record is not taken for a torn tail', async () => {
    const last = COUNT - 1;
    for (let bit = 3; bit < 31; bit += 1) {
      // The witness of an idle channel says that the last record is synced.
      const lab = await writtenLog({ count: COUNT, ending: 'kill' });
      const idle = await lab.open();
      await appendNext(idle, COUNT);
      await lab.runtime.elapse(3000);
      const next = lab.kill();
      const position = framesAt(next.disk, DAT)[last + 1]?.position ?? 0;
      flipBit(next.disk, DAT, position + 12 + (bit >> 3), bit & 7);
      const before = readFile(next.disk, DAT);
      const channel = await next.open();
      const append = await rejection(channel.append('x'), 'CORRUPT');
      expect(append.seqRange).toEqual({ firstSeq: COUNT, nextSeq: COUNT + 1 });
      expect(readFile(next.disk, DAT)).toEqual(before);
    }
  });

  test('a damaged record does not hide the records before it', async () => {
    for (const ending of ENDINGS) {
      const lab = await writtenLog({ count: COUNT, ending });
      flipBit(lab.disk, DAT, (framesAt(lab.disk, DAT)[2]?.position ?? 0) + HEADER_BYTES + 9, 4);
      expect(await readUntilCorrupt(lab), ending).toEqual([0, 1]);
    }
  });
});

test('acknowledged appends after a repaired tail survive every later open', async () => {
  const torn = await writtenOnly('kill');
  const frames = framesAt(torn.disk, DAT);
  // Two kinds of damage at once: a payload, and a seq that is raised.
  flipBit(torn.disk, DAT, (frames[2]?.position ?? 0) + HEADER_BYTES + 10, 0);
  flipBit(torn.disk, DAT, (frames[4]?.position ?? 0) + 17, 5);
  let lab: Lab = torn;
  for (let seq = 2; seq < 8; seq += 1) {
    const channel = await lab.open();
    expect(await shown(channel)).toEqual(upTo(seq));
    expect(await appendNext(channel, seq)).toBe(seq);
    await channel.sync();
    if (seq === 5) await channel.close();
    lab = seq % 2 === 0 ? lab.cut(worst) : lab.kill();
  }
  expect(await shown(await lab.open())).toEqual(upTo(8));
});

test('seqs of a torn tail are not given out again unnoticed', async () => {
  const lab = await writtenOnly('kill');
  const before = await lab.kill().open();
  const last = framesAt(lab.disk, DAT).at(-1);
  resize(lab.disk, DAT, (last?.position ?? 0) + 20);
  const reports: RecoveryReport[] = [];
  const channel = await lab.open({ onRecovery: (report) => reports.push(report) });
  expect(channel.recoveryEpoch).toBe(before.recoveryEpoch + 1);
  expect(reports.map(({ tornTail }) => tornTail?.bytes)).toEqual([20]);
  expect(await appendNext(channel, COUNT - 1)).toBe(COUNT - 1);
  const next = lab.kill();
  expect((await next.open()).recoveryEpoch).toBe(channel.recoveryEpoch);
});

test('a tail of zeros is no record and hides none before it', async () => {
  for (const length of [1, 20, 60, 64, 512, 4096, 70_000]) {
    const lab = await writtenOnly('kill');
    resize(lab.disk, DAT, readFile(lab.disk, DAT).byteLength + length);
    const channel = await lab.open();
    expect(await shown(channel)).toEqual(upTo(COUNT));
    expect(await appendNext(channel, COUNT)).toBe(COUNT);
    await channel.sync();
    const cut = lab.cut(worst);
    expect(await shown(await cut.open())).toEqual(upTo(COUNT + 1));
  }
});

test('a hole of zeros does not hide what is before it, nor show what is behind', async () => {
  const origin = await writtenOnly('kill');
  const frames = framesAt(origin.disk, DAT);
  for (let from = 0; from < COUNT; from += 1) {
    for (const count of [1, 2]) {
      const lab = origin.kill();
      const position = frames[from]?.position ?? 0;
      const end = frames[from + count]?.position ?? readFile(lab.disk, DAT).byteLength;
      put(lab.disk, DAT, position, new Uint8Array(end - position));
      expect(await shown(await lab.open())).toEqual(upTo(from));
    }
  }
});

test('records that have changed places are not accepted', async () => {
  const lab = await writtenOnly('kill');
  const [, second, third] = framesAt(lab.disk, DAT);
  if (second === undefined || third === undefined) throw new Error('two frames');
  const bytes = readFile(lab.disk, DAT);
  const cut = ({ position, byteLength }: typeof second): Uint8Array =>
    bytes.slice(position, position + byteLength);
  expect(second.byteLength).toBe(third.byteLength);
  put(lab.disk, DAT, second.position, cut(third));
  put(lab.disk, DAT, third.position, cut(second));
  expect(await shown(await lab.open())).toEqual([0]);
});

describe('damage in a segment that is finished', () => {
  /** Three segments of two records. */
  async function rolled(ending: Ending): Promise<Lab> {
    const options = { segmentBytes: 4096 };
    const lab = await writtenLog({ count: COUNT, ending, options, size: 1800 });
    expect(lab.datPaths).toHaveLength(3);
    return lab;
  }

  test('a read does not pass over a damaged record in silence', async () => {
    for (const ending of ENDINGS) {
      const lab = await rolled(ending);
      const [path = ''] = lab.datPaths;
      flipBit(lab.disk, path, (framesAt(lab.disk, path)[1]?.position ?? 0) + 500, 1);
      const channel = await lab.open();
      expect(await readUntilCorrupt(lab.kill())).toEqual([0]);
      await rejection(channel.readBatch(), 'CORRUPT');
      const error = await rejection(channel.get(1), 'CORRUPT');
      expect(error.seqRange).toEqual({ firstSeq: 1, nextSeq: 2 });
      // What is around it is there, and stays there.
      const behind = await channel.readBatch({ from: error.seqRange?.nextSeq ?? 0 });
      expect(behind.map(({ seq }) => seq)).toEqual([2, 3, 4, 5]);
      expect((await channel.get(0))?.payload).toEqual(payload(0, 1800));
      expect(await appendNext(channel, COUNT, 1800)).toBe(COUNT);
      const next = lab.kill();
      const again = await next.open();
      expect(await again.readBatch({ from: 2 })).toHaveLength(COUNT - 1);
      await rejection(again.get(1), 'CORRUPT');
    }
  });

  test('a cut file in the middle of the log does not shift what is behind it', async () => {
    for (const ending of ENDINGS) {
      for (const length of [0, 10, 64, 1000, 2000, 3700]) {
        const lab = await rolled(ending);
        resize(lab.disk, lab.datPaths[0] ?? '', length);
        const channel = await lab.open();
        await rejection(channel.readBatch(), 'CORRUPT');
        const behind = await channel.readBatch({ from: 2 });
        expect(behind.map(({ seq, payload: bytes }) => [seq, bytes])).toEqual(
          [2, 3, 4, 5].map((seq) => [seq, payload(seq, 1800)]),
        );
        expect(channel.nextSeq).toBe(COUNT);
      }
    }
  });
});

/** One record, then a batch of three of this size, which no sync covers. */
async function withBatch(size: number): Promise<Lab> {
  const lab = await writtenLog({ count: 1, ending: 'kill', options: { sync: 'never' } });
  const channel = await lab.open();
  const batch = [1, 2, 3].map((id) => payload(id, size));
  expect(await channel.appendBatch(batch)).toEqual({ firstSeq: 1, nextSeq: 4 });
  return lab;
}

test('a batch is never there in part after a crash', async () => {
  // In one unit, cut at every byte; in blocks, of which the first ones are whole.
  for (const [size, step] of [
    [30, 1],
    [9000, 500],
  ] as const) {
    const lab = await withBatch(size);
    const [, batch] = framesAt(lab.disk, DAT);
    if (batch === undefined) throw new Error('a frame for the batch');
    for (let kept = 0; kept < batch.byteLength; kept += step) {
      const torn = lab.kill();
      resize(torn.disk, DAT, batch.position + kept);
      const again = await torn.open();
      expect(again.nextSeq, `${kept} bytes`).toBe(1);
      expect(await again.readBatch()).toHaveLength(1);
      // The same with the file at its full length and zeros where nothing was written.
      const zeros = lab.kill();
      put(zeros.disk, DAT, batch.position + kept, new Uint8Array(batch.byteLength - kept));
      const count = (await zeros.open()).nextSeq;
      expect(kept >= batch.byteLength - 8 ? [1, 4] : [1], `${kept} and zeros`).toContain(count);
    }
  }
});
