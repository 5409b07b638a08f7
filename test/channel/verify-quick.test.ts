/**
 * Goal: a quick verification finds what is missing, cut or another's without reading a record, and
 * never calls damaged what a full one does not.
 * Method: each case changes one thing of a closed channel, on a disk in memory, and verifies it
 * both ways.
 */
import { describe, expect, test } from 'vitest';
import type { VerifyReport } from '../../src/channel/verify-report.js';
import type { MemoryFs } from '../../src/fs/memory-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { SEEN } from '../support/fold-kit.js';
import { putFile, readFile, tree, truncateFile } from '../support/recovery-lab.js';
import { CHANNEL, flip, LIVE, namesOf, openOn } from '../support/verify-kit.js';
import { sampleChannel, unitsIn } from '../support/verify-kit.js';

/** Header and seal. */
const ENDS = 64 + 64;

/** The damage that quick finds and that a full one finds, of a channel that is opened for it. */
async function found(fs: MemoryFs): Promise<{ quick: string[]; full: VerifyReport }> {
  const channel = await openOn(fs);
  const before = tree(fs);
  const report = await channel.verify({ quick: true });
  expect(tree(fs), 'nothing is changed').toEqual(before);
  const full = await channel.verify();
  await channel.close();
  const damage = report.problems.filter(({ severity }) => severity === 'damage');
  expect(report.ok).toBe(damage.length === 0);
  if (full.ok) expect(damage).toEqual([]);
  return {
    quick: damage.map(({ kind, path }) => `${kind} ${path.slice(CHANNEL.length + 1)}`),
    full,
  };
}

const inLive = (path: string): string => path.slice(CHANNEL.length + 1);

describe('a channel that is whole', () => {
  test('has nothing, of which no record was read', async () => {
    const { fs } = await sampleChannel();
    const reads = new FaultFs(fs);
    const channel = await openOn(reads);
    const before = reads.calls.in('anyRead');
    const seen: number[] = [];
    const report = await channel.verify({
      quick: true,
      onProgress: ({ bytesDone, bytesTotal }) => seen.push(bytesDone, bytesTotal),
    });
    expect(report).toMatchObject({ ok: true, quick: true, problems: [], moreProblems: 0 });
    expect(report).toMatchObject({ recordCount: 0, segmentCount: 4 });
    const sizes = namesOf(fs, 'dat').map((path) => readFile(fs, path).byteLength);
    const ends = sizes.map((size) => Math.min(size, ENDS)).reduce((a, b) => a + b);
    expect(report.byteCount).toBe(ends);
    expect(seen).toEqual([ends, ends]);
    // Three files around, and of each segment two ends of dat, and the headers of idx and ts.
    expect(reads.calls.in('anyRead') - before).toBeLessThan(3 * 3 + 4 * 4);
    expect((await channel.verify()).quick).toBe(false);
    await channel.close();
  });

  test('is called so with damaged records, too', async () => {
    const { fs } = await sampleChannel();
    for (const path of namesOf(fs, 'dat')) {
      for (const { at, end, isSeal } of unitsIn(readFile(fs, path))) {
        if (!isSeal) flip(fs, path, 8 * Math.trunc((at + end) / 2));
      }
    }
    const { quick, full } = await found(fs);
    expect([quick, full.ok]).toEqual([[], false]);
  });
});

describe('finds', () => {
  test('a finished segment of every shorter length', async () => {
    const { fs } = await sampleChannel(0);
    for (const path of namesOf(fs, 'dat').slice(0, -1)) {
      const bytes = readFile(fs, path);
      for (let length = 0; length < bytes.byteLength; length++) {
        truncateFile(fs, path, length);
        const { quick } = await found(fs);
        const kind = length < 64 ? 'header' : 'seal';
        expect(quick, `${path} with ${length} bytes`).toContain(`${kind} ${inLive(path)}`);
        putFile(fs, path, bytes);
      }
    }
  });

  test('an end that was cut while the channel was open', async () => {
    const { fs } = await sampleChannel();
    const channel = await openOn(fs);
    for (const path of namesOf(fs, 'dat')) {
      const bytes = readFile(fs, path);
      truncateFile(fs, path, bytes.byteLength - 1);
      const { ok, problems } = await channel.verify({ quick: true });
      expect(ok).toBe(false);
      const place = { path, position: bytes.byteLength - 1, check: 'length' };
      expect(problems).toMatchObject([place]);
      putFile(fs, path, bytes);
    }
    await channel.close();
  });

  test('each dat file that is missing', async () => {
    for (let i = 0; i < 4; i++) {
      const { fs } = await sampleChannel();
      const path = namesOf(fs, 'dat')[i] ?? '';
      fs.unlinkSync(path);
      const { quick } = await found(fs);
      expect(quick).toEqual([`missing-segment ${inLive(path)}`]);
    }
  });

  test('a bit in each header and in each seal', async () => {
    const { fs } = await sampleChannel();
    for (const path of namesOf(fs, 'dat').slice(0, -1)) {
      const bytes = readFile(fs, path);
      for (const [at, kind] of [
        [20, 'header'],
        [bytes.byteLength - 20, 'seal'],
      ] as const) {
        flip(fs, path, 8 * at);
        expect((await found(fs)).quick).toEqual([`${kind} ${inLive(path)}`]);
        putFile(fs, path, bytes);
      }
    }
  });

  test('config and manifest that are damaged, and a generation that is missing', async () => {
    const { fs } = await sampleChannel();
    const channel = await openOn(fs);
    for (const name of ['config', 'manifest']) {
      flip(fs, `${CHANNEL}/${name}`, 80);
      const { problems } = await channel.verify({ quick: true });
      expect(problems).toMatchObject([{ kind: name, check: 'checksum' }]);
      flip(fs, `${CHANNEL}/${name}`, 80);
    }
    fs.renameSync(LIVE, '/data/elsewhere');
    expect((await channel.verify({ quick: true })).problems).toMatchObject([
      { kind: 'generation' },
    ]);
    fs.renameSync('/data/elsewhere', LIVE);
    await channel.close();
  });

  test('headers and lengths of idx and ts, and names that belong to nothing', async () => {
    const { fs } = await sampleChannel();
    const channel = await openOn(fs);
    for (const kind of ['idx', 'ts'] as const) {
      for (const path of namesOf(fs, kind)) {
        const bytes = readFile(fs, path);
        const derived = { severity: 'derived', kind, path };
        flip(fs, path, 8 * 20);
        expect((await channel.verify({ quick: true })).problems).toMatchObject([derived]);
        putFile(fs, path, bytes.subarray(0, -1));
        expect((await channel.verify({ quick: true })).problems).toMatchObject([
          { ...derived, check: 'length' },
        ]);
        fs.unlinkSync(path);
        const { ok, problems } = await channel.verify({ quick: true });
        expect([ok, problems]).toMatchObject([true, [{ ...derived, check: 'missing' }]]);
        putFile(fs, path, bytes);
      }
    }
    putFile(fs, `${CHANNEL}/letter`, new Uint8Array(1));
    expect((await channel.verify({ quick: true })).problems).toMatchObject([{ kind: 'leftover' }]);
    await channel.close();
  });

  test('a checkpoint that was cut, or whose header is damaged', async () => {
    const { fs } = await sampleChannel();
    const channel = await openOn(fs);
    const fold = await channel.fold(SEEN);
    await fold.caughtUp();
    await fold.checkpoint();
    const [{ name } = { name: '' }] = fs.readDirectorySync(`${CHANNEL}/checkpoints`);
    const path = `${CHANNEL}/checkpoints/${name}`;
    const bytes = readFile(fs, path);
    const quick = async (): Promise<VerifyReport['problems']> =>
      (await channel.verify({ quick: true })).problems;
    flip(fs, path, 8 * (bytes.byteLength - 1));
    expect(await quick()).toEqual([]);
    putFile(fs, path, bytes.subarray(0, -1));
    expect(await quick()).toMatchObject([{ kind: 'checkpoint', check: 'length' }]);
    putFile(fs, path, bytes);
    flip(fs, path, 8 * 30);
    expect(await quick()).toMatchObject([{ kind: 'checkpoint', position: 0, check: 'checksum' }]);
    putFile(fs, path, bytes);
    await channel.close();
  });
});

test('the option is true or false', async () => {
  const { fs } = await sampleChannel(0);
  const channel = await openOn(fs);
  await expect(channel.verify({ quick: 1 as never })).rejects.toThrow('quick must be a boolean');
  await channel.close();
});
