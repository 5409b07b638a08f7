/**
 * Goal: a cut keeps what it takes away, can be repeated, and can be seen (RULES C5, C6, C8).
 * Method: a log with a torn tail is recovered; the recovery is crashed at each of its operations,
 * and each image is recovered again, twice nested.
 */
import { describe, expect, test } from 'vitest';
import { choicesFromSeed, worst } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { changesState } from '../support/crash-verify.js';
import {
  durableCopy,
  editFile,
  fileOf,
  flipBit,
  LOG,
  openLog,
  readFile,
  segmentPerRecord,
  segmentsOf,
  textsOf,
  tree,
} from '../support/recovery-lab.js';

const NEVER = { sync: 'never' } as const;

function asideFiles(fs: CrashFs): string[] {
  return fs
    .readDirectorySync(LOG)
    .map(({ name }) => name)
    .filter((name) => name.startsWith('cut-'));
}

/** Two segments above every witness; the first is torn, so that the second goes as a whole. */
async function tornLog(options: { sync?: 'never' | 'always' } = NEVER): Promise<CrashFs> {
  const fs = new CrashFs();
  const { channel, runtime } = await openLog(fs, { ...options, segmentMs: 10 });
  const written = { durability: 'written' } as const;
  await channel.append('record 0 ', written);
  await channel.append('second', written);
  runtime.advance(20);
  await channel.append('third', written);
  const torn = durableCopy(fs);
  flipBit(torn, fileOf(0), (64 + 80 + 70) * 8);
  return torn;
}

describe('C5: what is cut is kept', () => {
  test('C5: each cut region is in a file of its own, byte for byte', async () => {
    const fs = await tornLog();
    const before = durableCopy(fs);
    const { report } = await openLog(fs);
    const regions = report?.tornTail?.regions ?? [];
    expect(regions.map(({ path, position }) => [path, position > 0])).toEqual([
      [fileOf(0), true],
      [fileOf(2), false],
    ]);
    for (const { path, position, byteLength, keptAside } of regions) {
      const cut = readFile(before, path).subarray(position);
      expect(cut.length).toBe(byteLength);
      expect(keptAside).toBeDefined();
      expect(Buffer.compare(readFile(fs, keptAside ?? ''), cut)).toBe(0);
    }
    expect(asideFiles(fs)).toHaveLength(2);
    expect(segmentsOf(fs)).toEqual([0]);
  });

  test('C5: it is synced, name and all, before anything is cut', async () => {
    const fs = await tornLog();
    const images: CrashFs[] = [];
    fs.onOperation = ({ operation, path }) => {
      const cuts = operation === 'truncateSync' || operation === 'unlinkSync';
      if (cuts && path.endsWith('.dat')) images.push(fs.crash(worst));
    };
    const { report } = await openLog(fs);
    expect(images).toHaveLength(2);
    for (const image of images) {
      for (const { keptAside, byteLength } of report?.tornTail?.regions ?? []) {
        expect(readFile(image, keptAside ?? '')).toHaveLength(byteLength);
        const kept = readFile(fs, keptAside ?? '');
        expect(Buffer.compare(readFile(image, keptAside ?? ''), kept)).toBe(0);
      }
    }
  });

  test('C5: a repeat finds its own work and makes no second file', async () => {
    const fs = await tornLog();
    const copy = durableCopy(fs);
    await openLog(fs);
    const names = asideFiles(fs);
    for (const name of names) {
      const bytes = readFile(fs, `${LOG}/${name}`);
      const file = copy.openSync(`${LOG}/${name}`, 'create');
      file.writeSync(bytes, 0, bytes.length, 0);
      file.closeSync();
    }
    await openLog(copy);
    expect(asideFiles(copy)).toEqual(names);
  });

  test('C5: a copy that was begun and never synced is made whole before the cut', async () => {
    const fs = await tornLog();
    const copy = durableCopy(fs);
    await openLog(fs);
    const names = asideFiles(fs);
    for (const length of [0, 10, Infinity]) {
      const begun = durableCopy(copy);
      for (const name of names) {
        const size = Math.min(length, readFile(fs, `${LOG}/${name}`).length);
        // As long as the copy, but of zeros: the length reached the disk and the bytes did not.
        const file = begun.openSync(`${LOG}/${name}`, 'create');
        file.truncateSync(size);
        file.closeSync();
      }
      await openLog(begun);
      for (const name of names) {
        const kept = readFile(begun, `${LOG}/${name}`);
        const expected = readFile(fs, `${LOG}/${name}`);
        expect(Buffer.compare(kept, expected), `${name} at ${length}`).toBe(0);
      }
    }
  });

  test.each(['ENOSPC', 'EDQUOT'])('C5: with %s it is left out, and reported', async (code) => {
    for (const operation of ['createSync', 'writeSync'] as const) {
      const fs = await tornLog();
      const faults = new FaultFs(fs);
      const effect = { error: code };
      faults.inject({ operation, path: /cut-/, nth: 1, times: Infinity, effect });
      const { channel, report } = await openLog(faults);
      expect(report?.tornTail?.regions.map(({ keptAside }) => keptAside)).toEqual([
        undefined,
        undefined,
      ]);
      expect(asideFiles(fs)).toEqual([]);
      expect(await textsOf(channel)).toEqual(['record 0 ']);
      expect(await channel.append('goes on')).toBe(1);
    }
  });

  test('C5: another error while keeping it stops the open, and nothing is cut', async () => {
    const fs = await tornLog();
    const before = durableCopy(fs);
    const faults = new FaultFs(fs);
    const effect = { error: 'EIO' };
    faults.inject({ operation: 'writeSync', path: /cut-/, nth: 1, effect });
    await expect(openLog(faults)).rejects.toMatchObject({ code: 'IO', systemCode: 'EIO' });
    for (const base of [0, 2]) {
      expect(Buffer.compare(readFile(fs, fileOf(base)), readFile(before, fileOf(base)))).toBe(0);
    }
  });

  test('C5: a tail of zeros is not kept', async () => {
    const { fs } = await segmentPerRecord(1, NEVER);
    const copy = durableCopy(fs);
    editFile(copy, fileOf(0), (bytes) => Buffer.concat([bytes, Buffer.alloc(5000)]));
    const { report } = await openLog(copy);
    expect(report?.tornTail).toMatchObject({ bytes: 5000, regions: [{ keptAside: undefined }] });
    expect(asideFiles(copy)).toEqual([]);
  });
});

describe('C8: a cut can be seen', () => {
  test('C8: each cut raises the recovery epoch, and nothing else does', async () => {
    const { fs } = await segmentPerRecord(1, NEVER);
    let disk = durableCopy(fs);
    for (let epoch = 1; epoch <= 3; epoch += 1) {
      editFile(disk, fileOf(0), (bytes) => Buffer.concat([bytes, Buffer.from('torn')]));
      const { channel, report } = await openLog(disk);
      expect(channel.recoveryEpoch).toBe(epoch);
      expect(report?.recoveryEpoch).toBe(epoch);
      disk = durableCopy(disk);
      expect((await openLog(disk)).channel.recoveryEpoch).toBe(epoch);
      disk = durableCopy(disk);
    }
  });

  test('C8: the epoch is raised before anything is cut', async () => {
    const fs = await tornLog();
    const images: CrashFs[] = [];
    fs.onOperation = ({ operation, path }) => {
      const cuts = operation === 'truncateSync' || operation === 'unlinkSync';
      if (cuts && path.endsWith('.dat')) images.push(fs.crash(worst));
    };
    await openLog(fs);
    for (const image of images) {
      expect((await openLog(image)).channel.recoveryEpoch).toBeGreaterThanOrEqual(1);
      expect(readFile(image, `${LOG}/manifest`)[56]).toBeGreaterThanOrEqual(1);
    }
  });
});

describe('C6: a recovery can be repeated', () => {
  test.each(['never', 'always'] as const)('C6: %s: a second open writes nothing', async (sync) => {
    const fs = await tornLog({ sync });
    const { channel } = await openLog(fs, { sync });
    const texts = await textsOf(channel);
    const second = fs.kill();
    const again = await openLog(second, { sync });
    expect(second.mutations.paths).toEqual([]);
    expect(await textsOf(again.channel)).toEqual(texts);
    expect(again.report === undefined).toBe(sync === 'always');
  });

  test.each(['never', 'always'] as const)('C6: %s: what was cut stays cut', async (sync) => {
    const fs = await tornLog({ sync });
    const { report } = await openLog(fs, { sync });
    const cut = fs.crash(worst);
    expect(segmentsOf(cut)).toEqual([0]);
    expect(cut.statSync(fileOf(0))?.size).toBe(report?.tornTail?.regions[0]?.position);
    expect((await openLog(cut, { sync })).report?.tornTail).toBeUndefined();
  });

  test('C6: under always all that was changed is synced, and a witness of the end', async () => {
    const fs = await tornLog({ sync: 'always' });
    const { channel } = await openLog(fs);
    expect(channel.durableSeq).toBe(channel.nextSeq);
    const cut = fs.crash(worst);
    const again = await openLog(cut);
    expect(again.report).toBeUndefined();
    expect(await textsOf(again.channel)).toEqual(await textsOf(channel));
    const isDerived = /\\.(idx|ts)$/;
    const names = (of: CrashFs): string[] =>
      Object.keys(tree(of)).filter((path) => !isDerived.test(path));
    expect(names(cut)).toEqual(names(fs));
  });

  test.each(['never', 'always'] as const)(
    'C6: %s: crashed at each operation, and again in the next recovery, it ends the same',
    async (sync) => {
      const torn = await tornLog({ sync });
      const expected = await textsOf((await openLog(durableCopy(torn), { sync })).channel);
      expect(expected).toEqual(['record 0 ']);
      let images = 0;
      const crashEach = async (start: CrashFs, depth: number): Promise<void> => {
        const fs = durableCopy(start);
        const cuts: CrashFs[] = [];
        fs.onOperation = (operation) => {
          if (!changesState(operation)) return;
          for (const choose of [worst, choicesFromSeed(images + cuts.length)]) {
            cuts.push(fs.crash(choose));
          }
        };
        const { channel } = await openLog(fs, { sync });
        fs.onOperation = undefined;
        expect(await textsOf(channel)).toEqual(expected);
        for (const cut of cuts) {
          images += 1;
          if (depth > 1) await crashEach(cut, depth - 1);
          const again = await openLog(cut, { sync });
          expect(again.report?.damage).toBeUndefined();
          expect(await textsOf(again.channel)).toEqual(expected);
          expect(segmentsOf(cut)).toEqual([0]);
          expect(again.channel.recoveryEpoch).toBeGreaterThanOrEqual(1);
        }
      };
      await crashEach(torn, 2);
      expect(images).toBeGreaterThan(200);
    },
  );
});
