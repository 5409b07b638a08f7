/**
 * Goal: a repair tells how far it is, and a signal ends it between two steps: nothing half is left,
 * and the next repair ends with the same records.
 * Method: a store with several damages, and an abort at each call of `onProgress`.
 */
import { describe, expect, test } from 'vitest';
import type { FileSystem } from '../../src/fs/file-system.js';
import type { MemoryFs } from '../../src/fs/memory-fs.js';
import type { RepairProgress } from '../../src/repair/pace.js';
import type { RepairOptions } from '../../src/repair/repair.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import {
  contentsOf,
  dat,
  planOn,
  repairOn,
  sample,
  troubleIn,
  type Contents,
} from '../support/repair-lab.js';
import { channelPath, DATA, treeOf } from '../support/store-kit.js';
import { flip } from '../support/verify-kit.js';

const LOG = channelPath('log');
const OTHER = channelPath('other');

async function damaged(): Promise<MemoryFs> {
  const { fs } = await sample();
  flip(fs, dat(8), 8 * 140);
  flip(fs, dat(24), 8 * 140);
  fs.unlinkSync(`${OTHER}/config`);
  fs.unlinkSync(`${OTHER}/manifest`);
  return fs;
}

async function expected(): Promise<Contents> {
  const fs = await damaged();
  await repairOn(fs);
  return contentsOf(fs);
}

function generationsIn(fs: FileSystem, directory: string): number {
  return fs.readDirectorySync(directory).filter(({ name }) => name.startsWith('v0')).length;
}

test('progress goes on to the end of both phases', async () => {
  const seen: RepairProgress[] = [];
  const fs = await damaged();
  await repairOn(fs, { onProgress: (progress) => void seen.push(progress) });
  for (const phase of ['plan', 'repair'] as const) {
    const each = seen.filter((progress) => progress.phase === phase);
    expect(each.at(-1)).toMatchObject({ channelsDone: 2, channels: 2, channel: undefined });
    const bytes = each.map(({ bytesRead }) => bytesRead);
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
    expect(bytes.at(-1)).toBeGreaterThan(1000);
    expect(new Set(each.map(({ channel }) => channel))).toEqual(
      new Set([undefined, 'log', 'other']),
    );
  }
  expect(seen.findLastIndex(({ phase }) => phase === 'plan')).toBeLessThan(
    seen.findIndex(({ phase }) => phase === 'repair'),
  );
});

describe.each(['signal', 'callback'] as const)('ended by the %s', (way) => {
  test('at any call it leaves nothing half', async () => {
    const contents = await expected();
    let repairs = 0;
    for (let nth = 1; ; nth++) {
      const fs = await damaged();
      const before = treeOf(fs, DATA);
      const controller = new AbortController();
      const reason = Object.assign(new Error(`call ${nth}`), { code: 'EIO' });
      let calls = 0;
      let last: RepairProgress | undefined;
      const onProgress = (progress: RepairProgress): void => {
        calls += 1;
        last = progress;
        if (calls !== nth) return;
        if (way === 'callback') throw new TypeError(reason.message);
        controller.abort(reason);
      };
      const options: RepairOptions = { onProgress, signal: controller.signal };
      const ended: unknown = await repairOn(fs, options).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (calls < nth) break;
      // Behind the last call there is nothing left to be stopped.
      if (ended === undefined) expect(last?.channelsDone).toBe(2);
      else if (way === 'signal') expect(ended).toBe(reason);
      else expect(ended).toMatchObject({ message: reason.message });
      if (last?.phase === 'plan') expect(treeOf(fs, DATA)).toEqual(before);
      else repairs += 1;
      for (const directory of [LOG, OTHER]) expect(generationsIn(fs, directory)).toBe(1);
      await repairOn(fs);
      expect(await contentsOf(fs), `call ${nth}`).toEqual(contents);
      expect(await troubleIn(fs)).toEqual([]);
    }
    expect(repairs).toBeGreaterThan(10);
  });
});

test('a signal that is aborted already changes nothing', async () => {
  const fs = await damaged();
  const before = treeOf(fs, DATA);
  const signal = AbortSignal.abort(new Error('no'));
  await expect(repairOn(fs, { signal })).rejects.toThrow('no');
  await expect(planOn(fs, { signal })).rejects.toThrow('no');
  expect(treeOf(fs, DATA)).toEqual(before);
});

test.each([
  { signal: {} as AbortSignal },
  { onProgress: 1 as unknown as () => void },
  { progress: () => undefined } as RepairOptions,
])('%o is no option', async (options) => {
  const fs = await damaged();
  await expect(repairOn(fs, options)).rejects.toThrow(TypeError);
  await expect(planOn(fs, options)).rejects.toThrow(TypeError);
});

test.each([1, 2, 3, 4])('what the disk refuses first, operation %i, is IO as well', async (nth) => {
  const fs = new FaultFs(await damaged());
  fs.inject({ operation: 'any', nth, times: Infinity, effect: { error: 'EIO' } });
  await expect(planOn(fs)).rejects.toMatchObject({ code: 'IO', systemCode: 'EIO' });
});
