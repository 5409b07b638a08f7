/**
 * Goal: what is damaged in the segments of a channel is left out, and nothing else.
 * Method: one damage at a time in a closed store in memory; the records that are left are compared
 * with those that were written, and the bytes that are kept with those that were damaged.
 */
import { describe, expect, test } from 'vitest';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';
import { bytesOf } from '../support/corruption-fs.js';
import {
  contentsOf,
  newRuntime,
  planOn,
  repairOn,
  seqOf,
  troubleIn,
  type Contents,
} from '../support/repair-lab.js';
import { channelPath, DATA, treeOf } from '../support/store-kit.js';
import { flip, unitsIn } from '../support/verify-kit.js';

const LIVE = `${channelPath('log')}/v0000000001`;
const dat = (base: number): string => `${LIVE}/${String(base).padStart(20, '0')}.dat`;

interface Sample {
  readonly fs: MemoryFs;
  readonly contents: Contents;
}

/** Four segments of four frames, and another channel. */
async function sample(): Promise<Sample> {
  const fs = new MemoryFs();
  const runtime = newRuntime();
  const redex = await Redex.open(DATA, { fs, runtime, segmentMs: 1000, sync: 'never' });
  const log = await redex.channel('log');
  const other = await redex.channel('other');
  for (let segment = 0; segment < 4; segment++) {
    for (let i = 0; i < 4; i++) {
      await log.appendBatch([`record ${segment} ${i}`, { payload: 'x'.repeat(i * 9), type: i }]);
      await other.append(`other ${i}`);
      runtime.advance(7);
    }
    runtime.advance(1000);
  }
  await redex.close();
  return { fs, contents: await contentsOf(fs) };
}

/** The contents without these seqs of `log`. */
function without({ contents }: Sample, ...seqs: readonly number[]): Contents {
  const { log = [] } = contents;
  return { ...contents, log: log.filter((row) => !seqs.includes(seqOf(row))) };
}

describe('a healthy store', () => {
  test('has nothing to repair, and nothing is written', async () => {
    const { fs } = await sample();
    const before = treeOf(fs, DATA);
    expect(await planOn(fs)).toMatchObject({ steps: [], losses: [], kept: [] });
    expect(await repairOn(fs)).toMatchObject({ steps: [], losses: [], kept: [], repaired: false });
    expect(treeOf(fs, DATA)).toEqual(before);
  });
});

describe('a frame in the middle', () => {
  test('is left out, and kept', async () => {
    const healthy = await sample();
    const { fs } = healthy;
    const path = dat(8);
    const [, second] = unitsIn(bytesOf(fs, path));
    if (second === undefined) throw new Error('no second frame');
    flip(fs, path, 8 * (second.at + 70));
    const damagedBytes = bytesOf(fs, path);
    const before = treeOf(fs, DATA);
    const plan = await planOn(fs);
    expect(treeOf(fs, DATA)).toEqual(before);
    const [damage, salvage] = plan.steps;
    const seqRange = { firstSeq: 10, nextSeq: 12 };
    expect(damage).toMatchObject({
      kind: 'damage',
      channel: 'log',
      path,
      position: second.at,
      seqRange,
    });
    expect(salvage).toMatchObject({ kind: 'salvage', channel: 'log' });
    expect(plan.losses).toMatchObject([{ channel: 'log', path, seqRange }]);
    const report = await repairOn(fs);
    expect(report.repaired).toBe(true);
    expect(report.steps).toEqual(plan.steps);
    expect(report.savedRecords).toBe(30);
    const [kept] = report.kept;
    expect(bytesOf(fs, kept?.keptAt ?? '')).toEqual(damagedBytes);
    expect(await contentsOf(fs)).toEqual(without(healthy, 10, 11));
    expect(await troubleIn(fs)).toEqual([]);
    expect(await repairOn(fs)).toMatchObject({ steps: [], repaired: false });
  });
});
