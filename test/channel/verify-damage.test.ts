/**
 * Goal: what verify says of damage is what readers of the channel meet: truncations at every
 * length, zeros, files that are missing, swapped or doubled.
 * Method: each case changes a copy of a closed channel and opens it, writing or read-only; a seq
 * that `get` refuses has to be in a range that verify gives, and a range costs no other record.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { VerifyReport } from '../../src/channel/verify-report.js';
import { RedexError } from '../../src/core/errors.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/index.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { putFile, readFile, tree, truncateFile } from '../support/recovery-lab.js';
import {
  CHANNEL,
  costs,
  flip,
  LIVE,
  namesOf,
  openOn,
  problemsOf,
  sampleChannel,
  unitsIn,
  type Sample,
} from '../support/verify-kit.js';

const sample: Promise<Sample> = sampleChannel();

/** A copy of the sample that a test may damage. */
async function copyOf(): Promise<{ fs: MemoryFs; seqs: readonly number[] }> {
  const { fs: original, seqs } = await sample;
  const fs = new MemoryFs();
  fs.mkdirSync('/data');
  for (const [path, hex] of Object.entries(tree(original))) {
    if (hex === 'directory') fs.mkdirSync(path);
    else putFile(fs, path, new Uint8Array(Buffer.from(hex, 'hex')));
  }
  return { fs, seqs };
}

/** Seqs of records that cannot be read any more. */
async function lostFor(channel: Channel, seqs: readonly number[]): Promise<number[]> {
  const lost: number[] = [];
  for (const seq of seqs) {
    try {
      if ((await channel.get(seq)) === undefined) lost.push(seq);
    } catch (error) {
      if (!RedexError.is(error, 'CORRUPT')) throw error;
      lost.push(seq);
    }
  }
  return lost;
}

interface Verdict {
  readonly report: VerifyReport;
  readonly lost: readonly number[];
}

/** Opens what is left, verifies, and compares with what can be read. */
async function verdictOf(fs: MemoryFs, seqs: readonly number[]): Promise<Verdict> {
  const channel = await openOn(fs);
  const before = tree(fs);
  const report = await channel.verify();
  expect(tree(fs), 'nothing is changed').toEqual(before);
  const said = seqs.filter((seq) => report.problems.some((problem) => costs(problem, seq)));
  const lost = await lostFor(channel, seqs);
  await channel.close();
  expect(said, JSON.stringify(report.problems, undefined, 1)).toEqual(lost);
  if (lost.length > 0) expect(report.ok).toBe(false);
  return { report, lost };
}

describe('beside reads', () => {
  test('one bit in each unit', async () => {
    const { fs: original } = await sample;
    for (const path of namesOf(original, 'dat')) {
      const bytes = readFile(original, path);
      for (const { at, end } of [{ at: 0, end: 64 }, ...unitsIn(bytes)]) {
        for (const byte of [at + 8, at + 20, end - 9]) {
          const { fs, seqs } = await copyOf();
          flip(fs, path, 8 * byte + 3);
          const { report } = await verdictOf(fs, seqs);
          expect(report.ok, `byte ${byte} of ${path}`).toBe(false);
          expect(report.problems[0]).toMatchObject({ path, severity: 'damage', position: at });
        }
      }
    }
  });

  test('a dat file of every length; of the large one, samples and its end', async () => {
    const { fs: original } = await sample;
    for (const path of namesOf(original, 'dat')) {
      const { byteLength } = readFile(original, path);
      const step = byteLength > 1000 ? 8 * 13 : 1;
      for (let length = 0; length < byteLength; length += byteLength - length > 90 ? step : 1) {
        const { fs, seqs } = await copyOf();
        truncateFile(fs, path, length);
        const { report } = await verdictOf(fs, seqs);
        expect(report.ok, `${path} with ${length} bytes`).toBe(false);
      }
    }
  });

  test('each dat file is missing', async () => {
    const { fs: original } = await sample;
    for (const path of namesOf(original, 'dat')) {
      const { fs, seqs } = await copyOf();
      fs.unlinkSync(path);
      const { report } = await verdictOf(fs, seqs);
      const missing = report.problems.filter(({ kind }) => kind === 'missing-segment');
      expect(missing.map((problem) => problem.path)).toEqual([path]);
    }
  });

  test('zeros over each unit, and over all that follows it', async () => {
    const { fs: original } = await sample;
    for (const path of namesOf(original, 'dat')) {
      const bytes = readFile(original, path);
      for (const { at, end } of unitsIn(bytes)) {
        for (const to of [end, bytes.byteLength]) {
          const { fs, seqs } = await copyOf();
          putFile(fs, path, bytes.slice().fill(0, at, to));
          const { report } = await verdictOf(fs, seqs);
          expect(report.problems[0]).toMatchObject({ path, severity: 'damage', position: at });
        }
      }
    }
  });

  test('a dat file in the place of another', async () => {
    const { fs: original } = await sample;
    const paths = namesOf(original, 'dat');
    for (const [i, path] of paths.entries()) {
      const other = paths[(i + 1) % paths.length] ?? '';
      const { fs, seqs } = await copyOf();
      putFile(fs, path, readFile(original, other));
      const { report } = await verdictOf(fs, seqs);
      const first = { path, kind: 'header', check: 'identity', position: 0 };
      expect(report.problems[0]).toMatchObject(first);
    }
  });

  test('a block in the place of another', async () => {
    const { fs, seqs } = await copyOf();
    const path = namesOf(fs, 'dat')[2] ?? '';
    const bytes = readFile(fs, path);
    const [, first, second] = unitsIn(bytes);
    if (first === undefined || second === undefined) throw new Error('no blocks');
    putFile(fs, path, Buffer.from(bytes).fill(0, second.at, second.end));
    bytes.copyWithin(second.at, first.at, first.at + second.end - second.at);
    putFile(fs, path, bytes);
    const { report, lost } = await verdictOf(fs, seqs);
    expect(lost).toEqual(second.seqs);
    expect(report.problems).toHaveLength(1);
    expect(report.problems[0]).toMatchObject({ position: second.at, kind: 'frame' });
  });

  test('two damaged places are two problems, with what is good behind each', async () => {
    const { fs, seqs } = await copyOf();
    const path = namesOf(fs, 'dat')[2] ?? '';
    const [, block, , last] = unitsIn(readFile(fs, path));
    if (block === undefined || last === undefined) throw new Error('too few units');
    flip(fs, path, 8 * (block.at + 100));
    flip(fs, path, 8 * (last.at + 100));
    const { report } = await verdictOf(fs, seqs);
    const places = report.problems.map(({ position, recordsBehind }) => [position, recordsBehind]);
    expect(places).toEqual([
      [block.at, 5],
      [last.at, 1],
    ]);
    expect(report.recordCount).toBe(seqs.length - block.seqs.length - last.seqs.length);
  });
});

describe('files beside dat', () => {
  test.each(['idx', 'ts'] as const)(
    'a derived file (%s) of every length, missing, or another',
    async (kind) => {
      const { fs: original } = await sample;
      const paths = namesOf(original, kind);
      for (const [i, path] of paths.entries()) {
        const { fs } = await copyOf();
        const channel = await openOn(fs);
        const bytes = readFile(fs, path);
        for (let length = 0; length < bytes.byteLength; length += 1) {
          truncateFile(fs, path, length);
          const { ok, problems } = await channel.verify();
          expect([ok, problems.length], `${path} with ${length} bytes`).toEqual([true, 1]);
          expect(problems[0]).toMatchObject({ severity: 'derived', kind, path });
          putFile(fs, path, bytes);
        }
        putFile(fs, path, Buffer.concat([bytes, new Uint8Array(8)]));
        expect(problemsOf(await channel.verify(), 'derived')).toHaveLength(1);
        putFile(fs, path, readFile(original, paths[(i + 1) % paths.length] ?? ''));
        expect((await channel.verify()).problems[0]).toMatchObject({ kind, check: 'identity' });
        fs.unlinkSync(path);
        expect((await channel.verify()).problems).toMatchObject([{ kind, path, check: 'missing' }]);
        putFile(fs, path, bytes);
        await channel.close();
      }
    },
  );

  test.each(['config', 'manifest'])('%s of every length, and missing', async (name) => {
    const { fs } = await copyOf();
    const channel = await openOn(fs);
    const path = `${CHANNEL}/${name}`;
    const bytes = readFile(fs, path);
    for (let length = 0; length <= bytes.byteLength + 1; length += 1) {
      if (length === bytes.byteLength) continue;
      putFile(fs, path, Buffer.concat([bytes, new Uint8Array(1)]).subarray(0, length));
      const { ok, problems } = await channel.verify();
      expect([ok, problems.length], `with ${length} bytes`).toEqual([false, 1]);
      expect(problems[0]).toMatchObject({ kind: name, path });
    }
    fs.unlinkSync(path);
    expect((await channel.verify()).problems).toMatchObject([{ kind: name, check: 'missing' }]);
    putFile(fs, path, bytes);
    await channel.close();
  });

  test('the live generation is missing', async () => {
    const { fs } = await copyOf();
    const channel = await openOn(fs);
    fs.renameSync(LIVE, '/data/elsewhere');
    const { ok, problems } = await channel.verify();
    expect(ok).toBe(false);
    const seqRange = { firstSeq: 0, nextSeq: channel.nextSeq };
    expect(problems).toMatchObject([{ kind: 'generation', path: LIVE, seqRange }]);
    fs.renameSync('/data/elsewhere', LIVE);
    await channel.close();
  });

  test('names that belong to nothing are notes', async () => {
    const { fs } = await copyOf();
    const channel = await openOn(fs);
    const cut = `cut-${'0'.repeat(20)}-64-0123456789abcdef`;
    const files = ['config.next', 'manifest.tmp', 'letter.txt', cut].map((n) => `${CHANNEL}/${n}`);
    files.push(`${LIVE}/${'7'.padStart(20, '0')}.dat`, `${LIVE}/${'0'.repeat(20)}.idx.tmp`);
    for (const path of files) putFile(fs, path, new Uint8Array(3));
    fs.mkdirSync(`${CHANNEL}/v0000000002`);
    fs.mkdirSync(`${CHANNEL}/checkpoints`);
    const { ok, problems } = await channel.verify();
    expect(ok).toBe(true);
    const found = problems.map(({ severity, kind, path }) => `${severity} ${kind} ${path}`);
    const expected = [...files, `${CHANNEL}/v0000000002`].map((path) =>
      path.endsWith(cut) ? `note kept-aside ${path}` : `note leftover ${path}`,
    );
    expect(found.toSorted()).toEqual(expected.toSorted());
    await channel.close();
  });

  test('bytes behind a seal are a note', async () => {
    const { fs, seqs } = await copyOf();
    const path = namesOf(fs, 'dat')[1] ?? '';
    const bytes = readFile(fs, path);
    const channel = await openOn(fs);
    putFile(fs, path, Buffer.concat([bytes, new Uint8Array(9)]));
    const { ok, problems, recordCount } = await channel.verify();
    expect([ok, recordCount]).toEqual([true, seqs.length]);
    const note = { severity: 'note', kind: 'tail', path, position: bytes.byteLength };
    expect(problems).toMatchObject([note]);
    await channel.close();
  });
});

test('a damaged channel that is only looked at is verified as well', async () => {
  const fs = new MemoryFs();
  const writer = await Redex.open('/store', { fs });
  const channel = await writer.channel('log');
  for (let i = 0; i < 20; i += 1) await channel.append(`record ${i}`);
  await writer.close();
  const path = '/store/channels/log/v0000000001/00000000000000000000.dat';
  const bytes = readFile(fs, path);
  const unit = unitsIn(bytes)[9];
  flip(fs, path, 8 * ((unit?.at ?? 0) + 65));
  const reads = new FaultFs(fs);
  const looker = await Redex.open('/store', { fs: reads, readOnly: true });
  const seen = await looker.channel('log');
  const report = await seen.verify();
  const range = { firstSeq: 9, nextSeq: 10 };
  expect(report).toMatchObject({ ok: false, recordCount: 19 });
  expect(report.problems).toMatchObject([
    { kind: 'frame', path, position: unit?.at, seqRange: range, recordsBehind: 10 },
  ]);
  await looker.close();
  expect([reads.calls.in('anyMutation'), reads.calls.in('anySync')]).toEqual([0, 0]);
});
