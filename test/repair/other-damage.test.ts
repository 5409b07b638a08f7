/**
 * Goal: torn tails, checkpoints, clean marks and sectors that the disk cannot read are repaired as
 * the engine and its verification say.
 * Method: one of them at a time in a store in memory; unreadable sectors by a file system that
 * fails reads of them.
 */
import { describe, expect, test } from 'vitest';
import { systemError } from '../../src/fs/system-error.js';
import type { FileHandle, FileSystem, OpenMode } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { PassingFs } from '../../src/fs/passing-fs.js';
import {
  cleanSlotPosition,
  decodeCleanFile,
  encodeCleanMark,
} from '../../src/format/clean-mark.js';
import { Redex } from '../../src/store/redex.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { bytesOf } from '../support/corruption-fs.js';
import { FOLD } from '../support/corruption-store.js';
import {
  contentsOf,
  dat,
  newRuntime,
  planOn,
  repairOn,
  sample,
  troubleIn,
} from '../support/repair-lab.js';
import { channelPath, DATA, treeOf } from '../support/store-kit.js';
import { flip } from '../support/verify-kit.js';

const LOG = channelPath('log');

function append(fs: FileSystem, path: string, bytes: Uint8Array): void {
  const file = fs.openSync(path, 'write');
  file.writeSync(bytes, 0, bytes.length, file.sizeSync());
  file.closeSync();
}

test('a torn tail is cut as the next open would cut it', async () => {
  const { fs, contents } = await sample();
  const garbage = new Uint8Array(100).fill(7);
  append(fs, dat(24), garbage);
  const plan = await planOn(fs);
  expect(plan.steps).toMatchObject([{ kind: 'tail', channel: 'log', path: dat(24), bytes: 100 }]);
  const report = await repairOn(fs);
  expect(report.steps).toEqual(plan.steps);
  const [kept] = report.kept;
  expect(bytesOf(fs, kept?.keptAt ?? '')).toEqual(garbage);
  expect(await contentsOf(fs)).toEqual(contents);
  expect(await troubleIn(fs)).toEqual([]);
});

describe('a checkpoint', () => {
  async function withCheckpoint(): Promise<{ fs: MemoryFs; path: string; value: unknown }> {
    const { fs } = await sample();
    const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
    const fold = await (await redex.channel('log')).fold(FOLD);
    await fold.caughtUp();
    await fold.checkpoint();
    const { value } = fold;
    await redex.close();
    const [found] = fs.readDirectorySync(`${LOG}/checkpoints`);
    return { fs, path: `${LOG}/checkpoints/${found?.name}`, value };
  }

  test('that is damaged is set aside, and its fold begins anew', async () => {
    const { fs, path, value } = await withCheckpoint();
    flip(fs, path, 8 * (bytesOf(fs, path).length - 2));
    const damaged = bytesOf(fs, path);
    const report = await repairOn(fs);
    expect(report.steps).toMatchObject([{ kind: 'checkpoint', channel: 'log', path }]);
    expect(fs.statSync(path)).toBeUndefined();
    expect(bytesOf(fs, report.kept[0]?.keptAt ?? '')).toEqual(damaged);
    expect(await troubleIn(fs)).toEqual([]);
    const redex = await Redex.open(DATA, { fs, runtime: newRuntime() });
    const fold = await (await redex.channel('log')).fold(FOLD);
    await fold.caughtUp();
    // One record more: that channels go on was tried.
    expect(fold.value.records).toBe((value as typeof fold.value).records + 1);
    await redex.close();
  });

  test('that has seen more than the log has raises its end', async () => {
    const { fs } = await withCheckpoint();
    for (const name of ['dat', 'idx', 'ts']) fs.unlinkSync(dat(24).replace(/dat$/, name));
    fs.unlinkSync(`${LOG}/clean`);
    const report = await repairOn(fs);
    expect(report.losses).toMatchObject([{ seqRange: { firstSeq: 24, nextSeq: 32 } }]);
    expect(await troubleIn(fs)).toEqual([]);
  });
});

test('a clean mark that says something else is no longer believed', async () => {
  const { fs, contents } = await sample();
  const path = `${LOG}/clean`;
  const { mark } = decodeCleanFile(bytesOf(fs, path));
  if (mark === undefined) throw new Error('no mark');
  const bytes = encodeCleanMark({ ...mark, recordCount: mark.recordCount + 1 });
  const file = fs.openSync(path, 'write');
  file.writeSync(bytes, 0, bytes.length, cleanSlotPosition(mark.counter));
  file.closeSync();
  const { steps } = await repairOn(fs);
  expect(steps).toMatchObject([{ kind: 'damage', path }, { kind: 'salvage' }]);
  expect(await contentsOf(fs)).toEqual(contents);
  expect(await troubleIn(fs)).toEqual([]);
});

/** Reads of one sector of a file fail, under every name that the file has. */
class BadSectorFs extends PassingFs {
  readonly bad: Set<string>;
  readonly #position: number;

  constructor(fs: FileSystem, path: string, position: number) {
    super(fs);
    this.bad = new Set([path]);
    this.#position = position;
  }

  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = this.fs.openSync(path, mode);
    if (!this.bad.has(path)) return handle;
    const check = (from: number, length: number): void => {
      const isHit = from < this.#position + 4096 && from + length > this.#position;
      if (isHit && from < handle.sizeSync()) throw systemError('EIO', 'readSync', path);
    };
    return {
      path,
      sizeSync: () => handle.sizeSync(),
      closeSync: () => handle.closeSync(),
      truncateSync: (size) => handle.truncateSync(size),
      datasyncSync: () => handle.datasyncSync(),
      datasync: () => handle.datasync(),
      tryLockSync: () => handle.tryLockSync(),
      writeSync: (...args) => handle.writeSync(...args),
      write: (...args) => handle.write(...args),
      readSync: (buffer, offset, length, position) => {
        check(position, length);
        return handle.readSync(buffer, offset, length, position);
      },
      read: async (buffer, offset, length, position) => {
        check(position, length);
        return handle.read(buffer, offset, length, position);
      },
    };
  }

  override linkSync(from: string, to: string): void {
    super.linkSync(from, to);
    if (this.bad.has(from)) this.bad.add(to);
  }
}

test.each([false, true])('a sector that cannot be read, closed: %s', async (isClosed) => {
  const disk = new MemoryFs();
  const runtime = newRuntime();
  const redex = await Redex.open(DATA, { fs: disk, runtime, sync: 'never' });
  const log = await redex.channel('log');
  for (let i = 0; i < 12; i++) await log.append(new Uint8Array(1500).fill(i + 1));
  await log.sync();
  await log.append('behind the sync');
  if (isClosed) await redex.close();
  else {
    // The lock of a process that is gone is free.
    const lock = disk.openSync(`${DATA}/LOCK`, 'write');
    lock.closeSync();
    disk.unlinkSync(`${DATA}/LOCK`);
  }
  const path = dat(0);
  const fs = new BadSectorFs(disk, path, 8192);
  const { ino, bytes } = { ino: bytesOf(disk, path), bytes: 4096 };
  const report = await repairOn(fs);
  expect(report.losses.length).toBeGreaterThan(0);
  const [kept] = report.kept;
  expect(bytesOf(disk, kept?.keptAt ?? '')).toEqual(ino);
  const rows = (await contentsOf(fs))['log'] ?? [];
  expect(13 - rows.length).toBeLessThanOrEqual(Math.ceil(bytes / 1500) + 1);
  expect(13 - rows.length).toBeGreaterThan(1);
  expect(await troubleIn(fs)).toEqual([]);
});

test('who reads beside a repair goes on behind it', async () => {
  const { fs, contents } = await sample();
  flip(fs, dat(8), 8 * 140);
  const redex = await Redex.open(DATA, { fs, runtime: newRuntime(), readOnly: true });
  const log = await redex.channel('log', { createIfMissing: false });
  expect((await log.readBatch({ from: 0, to: 8 })).map(({ seq }) => seq)).toHaveLength(8);
  await repairOn(fs);
  const seqs = (await log.readBatch()).map(({ seq }) => seq);
  expect(seqs).toHaveLength((contents['log'] ?? []).length - 2);
  expect((await log.verify()).ok).toBe(true);
  await redex.close();
});

test('without space everything is as it was, and the next repair ends it', async () => {
  const { fs: disk } = await sample();
  flip(disk, dat(8), 8 * 100);
  const before = treeOf(disk, `${LOG}/v0000000001`);
  const fs = new FaultFs(disk);
  const fault = fs.inject({
    operation: 'anyWrite',
    path: /v0000000002/,
    nth: 2,
    times: Infinity,
    effect: { error: 'ENOSPC' },
  });
  await expect(repairOn(fs)).rejects.toMatchObject({ code: 'IO', systemCode: 'ENOSPC' });
  expect(fault.fired).toBeGreaterThan(0);
  expect(treeOf(disk, `${LOG}/v0000000001`)).toEqual(before);
  expect(disk.statSync(`${LOG}/v0000000002`)).toBeUndefined();
  fault.remove();
  expect((await repairOn(fs)).savedRecords).toBe(30);
  expect(await troubleIn(disk)).toEqual([]);
});
