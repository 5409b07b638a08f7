/**
 * Goal: what cannot be read is never taken for what is not there (RULES C9, G3): small files that
 * are missing, damaged, foreign or newer stop the open with a typed error, and so do errors of the
 * file system; nothing is changed then, and no new channel is made.
 * Method: each file is broken in every way; each operation of an open is made to fail.
 */
import { describe, expect, test } from 'vitest';
import { RedexError } from '../../src/core/errors.js';
import { checksumOf } from '../../src/format/checksum.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import {
  durableCopy,
  editFile,
  errorOf,
  fileOf,
  fillFile,
  flipBit,
  LOG,
  openLog,
  putFile,
  readFile,
  segmentPerRecord,
  textsOf,
  tree,
  truncateFile,
} from '../support/recovery-lab.js';

async function closedLog(): Promise<CrashFs> {
  const { fs, opened } = await segmentPerRecord(3);
  await opened.channel.close();
  return durableCopy(fs);
}

/** Puts the checksum right again behind a change. */
function reseal(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { lo, hi } = checksumOf(bytes, 0, bytes.length - 8);
  view.setUint32(bytes.length - 8, lo, true);
  view.setUint32(bytes.length - 4, hi, true);
  return bytes;
}

async function refuses(fs: CrashFs, code: 'CORRUPT' | 'FORMAT_VERSION', path: string) {
  const before = tree(fs);
  for (const createIfMissing of [true, false]) {
    const error = await errorOf(code, () => openLog(fs, { createIfMissing }));
    expect(error.path).toBe(path);
    expect(tree(fs)).toEqual(before);
  }
  return errorOf(code, () => openLog(fs));
}

describe.each(['manifest', 'config'])('C9: the %s', (name) => {
  const path = `${LOG}/${name}`;

  test('C9: missing, empty, short, long or zeros is CORRUPT and changes nothing', async () => {
    const whole = await closedLog();
    const { length } = readFile(whole, path);
    const missing = durableCopy(whole);
    missing.unlinkSync(path);
    expect(await refuses(missing, 'CORRUPT', path)).toMatchObject({ check: 'missing' });
    for (let size = 0; size < length; size += 7) {
      const fs = durableCopy(whole);
      truncateFile(fs, path, size);
      await refuses(fs, 'CORRUPT', path);
    }
    const long = durableCopy(whole);
    editFile(long, path, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]));
    await refuses(long, 'CORRUPT', path);
    const zeros = durableCopy(whole);
    fillFile(zeros, path, 0, length, 0);
    await refuses(zeros, 'CORRUPT', path);
  });

  test('C9: any flipped bit is CORRUPT, or a version that is not known', async () => {
    const whole = await closedLog();
    const bits = readFile(whole, path).length * 8;
    for (let bit = 0; bit < bits; bit += 1) {
      const fs = durableCopy(whole);
      flipBit(fs, path, bit);
      await refuses(fs, bit >> 4 === 2 && bit !== 32 ? 'FORMAT_VERSION' : 'CORRUPT', path);
    }
  });

  test('C9: a newer version is FORMAT_VERSION, whatever its length and checksum', async () => {
    for (const length of [8, 100, 200]) {
      const fs = await closedLog();
      editFile(fs, path, (bytes) => {
        const newer = new Uint8Array(length);
        newer.set(bytes.subarray(0, length));
        newer[4] = 2;
        return newer;
      });
      const error = await refuses(fs, 'FORMAT_VERSION', path);
      expect(error).toMatchObject({ found: 2, supported: 1 });
    }
  });
});

describe('C9: identity', () => {
  test('C9: the manifest of another channel is CORRUPT', async () => {
    const fs = await closedLog();
    putFile(fs, `${LOG}/manifest`, readFile(await closedLog(), `${LOG}/manifest`));
    const error = await refuses(fs, 'CORRUPT', `${LOG}/manifest`);
    expect(error).toMatchObject({ check: 'identity' });
  });

  test('C9: a manifest that names a generation which is not there is CORRUPT', async () => {
    const fs = await closedLog();
    editFile(fs, `${LOG}/manifest`, (bytes) => {
      bytes[24] = 2;
      return reseal(bytes);
    });
    await refuses(fs, 'CORRUPT', `${LOG}/v0000000002`);
  });

  test('C9: a directory with segments and nothing else is no new channel', async () => {
    const fs = await closedLog();
    for (const name of ['config', 'manifest', 'clean']) fs.unlinkSync(`${LOG}/${name}`);
    await refuses(fs, 'CORRUPT', `${LOG}/config`);
  });

  test('C9: a dat file of a newer version stops the open, finished or not', async () => {
    for (const base of [0, 1, 2]) {
      const fs = await closedLog();
      editFile(fs, fileOf(base), (bytes) => {
        bytes[4] = 9;
        return bytes;
      });
      const error = await refuses(fs, 'FORMAT_VERSION', fileOf(base));
      expect(error).toMatchObject({ found: 9 });
    }
  });

  test('C9: a clean mark of a newer version stops the open', async () => {
    const fs = await closedLog();
    editFile(fs, `${LOG}/clean`, (bytes) => {
      const at = bytes[0] === 0 ? 512 : 0;
      bytes[at + 4] = 3;
      return bytes;
    });
    await refuses(fs, 'FORMAT_VERSION', `${LOG}/clean`);
  });

  test('C9: a dat file of another channel or base is damage of identity', async () => {
    const other = await closedLog();
    for (const base of [0, 1]) {
      const fs = await closedLog();
      putFile(fs, fileOf(base), readFile(other, fileOf(base)));
      const { channel } = await openLog(fs);
      const error = await errorOf('CORRUPT', () => channel.get(base));
      expect(error).toMatchObject({ check: 'identity', path: fileOf(base) });
      expect(await channel.append('goes on')).toBe(3);
    }
    const fs = await closedLog();
    putFile(fs, fileOf(1), readFile(fs, fileOf(0)));
    const { channel } = await openLog(fs);
    await errorOf('CORRUPT', () => channel.get(1));
  });
});

describe('C9: missing dat files', () => {
  test.each([0, 1])('C9: finished segment %i: others are readable, appends go on', async (base) => {
    const fs = await closedLog();
    fs.unlinkSync(fileOf(base));
    const { channel } = await openLog(fs);
    const error = await errorOf('CORRUPT', () => channel.get(base));
    expect(error).toMatchObject({
      check: 'missing',
      seqRange: { firstSeq: base, nextSeq: base + 1 },
    });
    await errorOf('CORRUPT', () => textsOf(channel));
    for (const seq of [0, 1, 2].filter((other) => other !== base)) {
      expect((await channel.get(seq))?.seq).toBe(seq);
    }
    expect(await textsOf(channel, base + 1)).toHaveLength(2 - base);
    expect(await channel.append('goes on')).toBe(3);
  });

  test('C9: the last one: the records before it are readable, appends are refused', async () => {
    const fs = await closedLog();
    fs.unlinkSync(fileOf(2));
    const before = tree(fs);
    const { channel, report } = await openLog(fs);
    expect(report?.damage?.seqRange).toEqual({ firstSeq: 2, nextSeq: 3 });
    expect((await channel.get(1))?.seq).toBe(1);
    await errorOf('CORRUPT', () => channel.get(2));
    await errorOf('CORRUPT', () => channel.append('no'));
    await channel.close();
    expect(tree(fs)).toEqual(before);
  });

  test('C9: all of them', async () => {
    const fs = await closedLog();
    for (const base of [0, 1, 2]) fs.unlinkSync(fileOf(base));
    const before = tree(fs);
    const { channel, report } = await openLog(fs);
    expect(report?.damage?.seqRange).toEqual({ firstSeq: 0, nextSeq: 3 });
    for (const seq of [0, 1, 2]) await errorOf('CORRUPT', () => channel.get(seq));
    await errorOf('CORRUPT', () => channel.append('no'));
    await channel.close();
    expect(tree(fs)).toEqual(before);
  });
});

describe('C9: an error of the file system is not absence', () => {
  const codes = ['EIO', 'EACCES', 'EMFILE'];
  const operations = [
    'statSync',
    'readDirectorySync',
    'openSync',
    'sizeSync',
    'anyRead',
    'anySync',
    'anyMutation',
  ] as const;
  const isDerived = /\.(idx|ts)(\.tmp)?$/;
  const withoutDerived = (disk: CrashFs): [string, string][] =>
    Object.entries(tree(disk)).filter(([name]) => !isDerived.test(name));

  /** Opens with every single operation failing once; returns how many opens failed. */
  async function failEach(whole: CrashFs, code: string): Promise<number> {
    let failures = 0;
    for (const operation of operations) {
      for (let nth = 1; ; nth += 1) {
        const disk = durableCopy(whole);
        const fs = new FaultFs(disk);
        const fault = fs.inject({ operation, nth, effect: { error: code } });
        const error = await openLog(fs).then(
          async ({ channel }) => {
            fs.clearFaults();
            expect(await textsOf(channel)).toHaveLength(3);
          },
          (reason: unknown) => reason,
        );
        if (fault.fired === 0) break;
        if (error === undefined) continue;
        failures += 1;
        const what = `${operation} ${nth}: ${error instanceof Error ? error.message : ''}`;
        expect(RedexError.is(error, 'IO'), what).toBe(true);
        expect(error).toMatchObject({ systemCode: code, outcome: 'absent' });
        expect(withoutDerived(disk), what).toEqual(withoutDerived(whole));
        expect(fs.openPaths, `files left open after ${what}`).toEqual([]);
        expect(await textsOf((await openLog(disk)).channel)).toHaveLength(3);
      }
    }
    return failures;
  }

  test.each(codes)('C9: %s at each operation of a clean open', async (code) => {
    expect(await failEach(await closedLog(), code)).toBeGreaterThan(10);
  });

  test.each(codes)('C9: %s at each operation of a recovery without a cut', async (code) => {
    const { fs } = await segmentPerRecord(3, { sync: 'never' });
    expect(await failEach(durableCopy(fs), code)).toBeGreaterThan(10);
  });

  test.each(codes)('C9: %s at each operation before a recovery changes anything', async (code) => {
    const { fs } = await segmentPerRecord(3, { sync: 'never' });
    const torn = durableCopy(fs);
    const file = torn.openSync(fileOf(2), 'write');
    file.writeSync(new Uint8Array(20).fill(7), 0, 20, file.sizeSync());
    file.closeSync();
    for (let nth = 1; ; nth += 1) {
      const disk = durableCopy(torn);
      const faults = new FaultFs(disk);
      const fault = faults.inject({ operation: 'any', nth, effect: { error: code } });
      try {
        await openLog(faults);
      } catch (error) {
        expect(RedexError.is(error, 'IO') || RedexError.is(error, 'POISONED')).toBe(true);
      }
      // Whatever it got to, the next open finds the same records.
      expect(await textsOf((await openLog(durableCopy(disk))).channel)).toHaveLength(3);
      if (fault.fired === 0) break;
    }
  });
});
