/**
 * Goal: verify can be run on a channel in use: appends go on, the end is the one at the call,
 * descriptors stay within their limit, it says how far it is, and it can be ended.
 * Method: channels in memory whose reads are counted, made to fail, or held back.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { VerifyProgress } from '../../src/channel/verify-report.js';
import type { FileHandle, OpenMode } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { Lab, LARGE, payload, rejection } from '../support/channel-kit.js';
import { readFile } from '../support/recovery-lab.js';
import { costs, flip, namesOf, openOn, sampleChannel, unitsIn } from '../support/verify-kit.js';

const MIB = 1024 * 1024;

/** Counts descriptors. */
class WatchedOpens extends FaultFs {
  most = 0;

  get open(): number {
    return this.openPaths.length;
  }

  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = super.openSync(path, mode);
    this.most = Math.max(this.most, this.open);
    return handle;
  }
}

describe('a channel in use', () => {
  test('appends go on, and the end is the one at the call', async () => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await lab.open({ sync: 'never', segmentBytes: 64 * 1024 });
    for (let i = 0; i < 40; i += 1) void channel.append(payload(i, 5000));
    await lab.drain();
    const { count, sizeBytes } = channel;
    const verifying = channel.verify();
    for (let i = 0; i < 60; i += 1) {
      void channel.append(payload(i, i % 20 === 0 ? LARGE : 3000));
      await lab.runtime.settle();
      lab.runtime.runIo();
    }
    const report = await lab.done(verifying);
    await lab.drain();
    expect(channel.count).toBe(count + 60);
    expect(report).toMatchObject({ ok: true, recordCount: count, byteCount: sizeBytes });
    expect(report.problems).toEqual([]);
    await lab.done(channel.close());
  });

  test('entries that are still in memory are not missed, the others are compared', async () => {
    const fs = new MemoryFs();
    const channel = await openOn(fs, { sync: 'never' });
    await channel.appendBatch(Array.from({ length: 5000 }, () => 'x'));
    await channel.append('y');
    const [idx = ''] = namesOf(fs, 'idx');
    const entries = (readFile(fs, idx).byteLength - 64) / 16;
    expect(entries).toBeGreaterThan(0);
    expect(entries).toBeLessThan(5001);
    expect((await channel.verify()).problems).toEqual([]);
    flip(fs, idx, 8 * (64 + 16 * (entries - 1)));
    const position = 64 + 16 * (entries - 1);
    expect((await channel.verify()).problems).toMatchObject([{ path: idx, position }]);
    await channel.close();
  });

  test('a channel that recovery found damaged', async () => {
    const { fs, seqs } = await sampleChannel();
    const path = namesOf(fs, 'dat').at(-1) ?? '';
    const unit = unitsIn(readFile(fs, path))[1];
    flip(fs, path, 8 * ((unit?.at ?? 0) + 9));
    fs.unlinkSync('/data/log/clean');
    const [last] = namesOf(fs, 'dat').slice(-1);
    const channel = await openOn(fs);
    // Without a later witness the damage is a torn tail, and gone after the open.
    expect((await channel.verify()).problems).toMatchObject([{ kind: 'kept-aside' }]);
    expect(last).toBe(path);
    expect(channel.count).toBe(seqs.length - 1);
    await channel.close();
  });

  test('damage below what was synced, in the middle of the unfinished end', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    for (let i = 0; i < 9; i += 1) await channel.append(payload(i));
    const next = lab.kill();
    const [path = ''] = next.datPaths;
    const unit = unitsIn(readFile(next.disk, path))[3];
    if (unit === undefined) throw new Error('too few units');
    flip(next.disk, path, 8 * (unit.at + 70));
    const damaged = await next.open();
    const { problems, ok, recordCount } = await damaged.verify();
    expect([ok, problems.length, recordCount]).toEqual([false, 1, 8]);
    const [problem] = problems;
    expect(problem).toMatchObject({ path, position: unit.at, recordsBehind: 5 });
    const error = await rejection(damaged.get(3), 'CORRUPT');
    expect(problem?.seqRange).toEqual(error.seqRange);
    expect(problem !== undefined && costs(problem, 3)).toBe(true);
    await damaged.close();
  });

  test('nothing is written, synced or locked', async () => {
    const { fs } = await sampleChannel();
    const faults = new FaultFs(fs);
    const channel = await openOn(faults);
    await channel.verify();
    const before = [faults.calls.in('anyMutation'), faults.calls.in('anySync')];
    flip(fs, namesOf(fs, 'dat')[0] ?? '', 600);
    fs.unlinkSync(namesOf(fs, 'idx')[1] ?? '');
    const report = await channel.verify();
    expect(report.problems.map(({ severity }) => severity)).toEqual(['damage', 'derived']);
    expect([faults.calls.in('anyMutation'), faults.calls.in('anySync')]).toEqual(before);
    expect(faults.openPaths).toEqual([]);
    await channel.close();
  });

  test('descriptors stay within the limit, and are given back', async () => {
    const lab = new WatchedOpens(new MemoryFs());
    const channel = await openOn(lab, { segmentBytes: 4096, maxOpenFiles: 16 });
    for (let i = 0; i < 12; i += 1) await channel.append(payload(i, 3000));
    for (let i = 0; i < 12; i += 1) await channel.get(i);
    const before = lab.open;
    lab.most = 0;
    await channel.verify();
    expect(before).toBeGreaterThan(13);
    expect(lab.most).toBeLessThanOrEqual(16);
    expect(lab.open).toBeLessThanOrEqual(before);
    await channel.close();
  });
});

describe('progress and ending', () => {
  async function bigChannel(): Promise<{ fs: FaultFs; channel: Channel }> {
    const fs = new FaultFs(new MemoryFs());
    const channel = await openOn(fs, { sync: 'never', segmentBytes: 3 * MIB });
    for (let i = 0; i < 100; i += 1) await channel.append(new Uint8Array(100 * 1024));
    await channel.sync();
    return { fs, channel };
  }

  test('is told about every MiB, rises, and ends at the end', async () => {
    const { channel } = await bigChannel();
    const told: VerifyProgress[] = [];
    const report = await channel.verify({ onProgress: (progress) => told.push(progress) });
    const done = told.map(({ bytesDone }) => bytesDone);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(told.length).toBeGreaterThanOrEqual(6);
    expect(told.length).toBeLessThanOrEqual(11);
    expect(new Set(told.map(({ bytesTotal }) => bytesTotal))).toEqual(new Set([channel.sizeBytes]));
    expect(done.at(-1)).toBe(channel.sizeBytes);
    expect(report.byteCount).toBe(channel.sizeBytes);
    for (const { path } of told) expect(path).toMatch(/\.dat$/);
    await channel.close();
  });

  test('ends with what the progress callback throws, and gives its files back', async () => {
    const { fs, channel } = await bigChannel();
    const open = fs.openPaths;
    const mine = Object.assign(new Error('enough'), { code: 'EIO' });
    const stop = (): void => {
      throw mine;
    };
    await expect(channel.verify({ onProgress: stop })).rejects.toBe(mine);
    expect(fs.openPaths).toEqual(open);
    await channel.close();
  });

  test('ends with the reason of its signal, before and amid', async () => {
    const { fs, channel } = await bigChannel();
    const open = fs.openPaths;
    const early = AbortSignal.abort('early');
    await expect(channel.verify({ signal: early })).rejects.toBe('early');
    const controller = new AbortController();
    let told = 0;
    const onProgress = (): void => {
      told += 1;
      if (told === 3) controller.abort('amid');
    };
    await expect(channel.verify({ signal: controller.signal, onProgress })).rejects.toBe('amid');
    expect(told).toBe(3);
    expect(fs.openPaths).toEqual(open);
    await channel.close();
  });

  test('rejects with CLOSED on a closed channel, and when it is closed amid', async () => {
    const { channel } = await bigChannel();
    const verifying = channel.verify({ onProgress: () => void channel.close() });
    await rejection(verifying, 'CLOSED');
    await channel.close();
    await rejection(channel.verify(), 'CLOSED');
  });

  test('refuses what it does not know', async () => {
    const { channel } = await bigChannel();
    await expect(channel.verify({ sginal: 1 } as never)).rejects.toThrow(TypeError);
    await expect(channel.verify({ signal: 1 } as never)).rejects.toThrow(TypeError);
    await expect(channel.verify({ onProgress: 1 } as never)).rejects.toThrow(TypeError);
    await channel.close();
  });
});

describe('a disk that does not read', () => {
  test('EIO is a problem of its file, and the others are verified', async () => {
    const { fs, seqs } = await sampleChannel();
    const [first = '', second = ''] = namesOf(fs, 'dat');
    const faults = new FaultFs(fs);
    const channel = await openOn(faults);
    const effect = { error: 'EIO' };
    faults.inject({ operation: 'read', path: new RegExp(second), nth: 1, effect });
    const { problems, recordCount } = await channel.verify();
    const seqRange = { firstSeq: 4, nextSeq: 27 };
    expect(problems).toMatchObject([{ kind: 'unreadable', path: second, seqRange }]);
    expect(recordCount).toBe(seqs.length - 4);
    faults.inject({ operation: 'read', path: /0{19}4\.ts/, nth: 1, effect });
    const again = await channel.verify();
    expect(again).toMatchObject({
      ok: true,
      problems: [{ kind: 'unreadable', severity: 'derived' }],
    });
    expect(first).not.toBe(second);
    await channel.close();
  });

  test('no descriptors is an error of the call', async () => {
    const { fs } = await sampleChannel();
    const faults = new FaultFs(fs);
    const channel = await openOn(faults);
    faults.inject({ operation: 'openSync', path: /idx$/, nth: 1, effect: { error: 'EMFILE' } });
    const error = await rejection(channel.verify(), 'IO');
    expect(error).toMatchObject({ operation: 'verify', systemCode: 'EMFILE', outcome: 'absent' });
    expect(faults.openPaths).toEqual([]);
    await channel.close();
  });
});

test('ten thousand problems are kept, damage before others, and the rest is counted', async () => {
  const fs = new MemoryFs();
  const channel = await openOn(fs, { sync: 'never' });
  for (let i = 0; i < 12_000; i += 1) channel.appendSync('x');
  await channel.sync();
  const [dat = ''] = namesOf(fs, 'dat');
  const units = unitsIn(readFile(fs, dat)).filter(({ seqs }) => seqs.length > 0);
  for (const [i, { at }] of units.entries()) if (i % 2 === 0) flip(fs, dat, 8 * (at + 70));
  for (let i = 0; i < 6000; i += 1) {
    const file = fs.openSync(`/data/log/letter-${i}`, 'create');
    file.closeSync();
  }
  const report = await channel.verify();
  expect(report.ok).toBe(false);
  expect(report.recordCount).toBe(6000);
  const kept = { damage: 0, derived: 0, note: 0 };
  for (const { severity } of report.problems) kept[severity] += 1;
  expect(report.problems.length + report.moreProblems).toBe(12_000);
  expect(report.problems.length).toBeLessThanOrEqual(10_000);
  expect(kept).toEqual({ damage: 6000, derived: 0, note: 4000 });
  await channel.close();
});
