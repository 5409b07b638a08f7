/**
 * Goal: what the seed's own suite asked after files lost their ends holds here: only what is torn
 * goes, never what is before it, and never what was known to be synced.
 * Method: idx and ts with torn entries; dat cut inside of each frame of a log of small and larger
 * records, after a kill and after a close.
 */
import { describe, expect, test } from 'vitest';
import { worst } from '../../src/testing/choices.js';
import { Lab, payload, readFile, rejection } from '../support/channel-kit.js';
import {
  appendNext,
  CLEAN,
  DAT,
  ENDINGS,
  expectFound,
  framesAt,
  IDX,
  put,
  resize,
  shown,
  timeOf,
  TS,
  upTo,
  writtenLog,
  type Ending,
} from '../support/seed-damage.js';

const COUNT = 4;
const SIZES = [5, 8, 12, 8, 10] as const;

describe.each([true, false])('idx and ts with a torn entry, clean mark %s', (clean) => {
  test.each([IDX, TS])('%s: no record goes, and the entry does', async (path) => {
    for (const torn of [1, 7, 8, 15, 16, 17]) {
      const lab = await writtenLog({ count: COUNT, ending: 'close' });
      const whole = readFile(lab.disk, path);
      put(lab.disk, path, whole.byteLength, new Uint8Array(torn).fill(0xff));
      if (!clean) put(lab.disk, CLEAN, 0, new Uint8Array(1024));
      const channel = await lab.open();
      await expectFound(channel, COUNT);
      if (!clean) expect(readFile(lab.disk, path), `${torn} bytes`).toEqual(whole);
      expect(await appendNext(channel, COUNT)).toBe(COUNT);
      await channel.close();
      const next = lab.kill();
      // The entries of what was there before are the same ones.
      expect(readFile(next.disk, path).subarray(64, whole.byteLength)).toEqual(whole.subarray(64));
      await expectFound(await next.open(), COUNT + 1);
    }
  });
});

/** Records of these sizes, each a frame of its own. */
async function mixedLog(ending: Ending): Promise<Lab> {
  const lab = new Lab();
  const channel = await lab.open({ sync: 'never' });
  for (const [seq, size] of SIZES.entries()) await appendNext(channel, seq, size);
  if (ending === 'close') await channel.close();
  return lab.kill();
}

interface Tear {
  /** Records before the frame that is torn. */
  readonly kept: number;
  readonly position: number;
  readonly length: number;
}

/** Where dat is cut: at the beginning of each frame, inside of it, and before its last byte. */
async function tearsOf(ending: Ending): Promise<Tear[]> {
  const { disk } = await mixedLog(ending);
  return framesAt(disk, DAT)
    .slice(0, SIZES.length)
    .flatMap(({ position, byteLength }, kept) =>
      [0, 1, 70, byteLength - 1].map((n) => ({ kept, position, length: position + n })),
    );
}

test('a dat file that lost its end keeps what is before, and nothing else', async () => {
  for (const { kept, position, length } of await tearsOf('kill')) {
    const lab = await mixedLog('kill');
    resize(lab.disk, DAT, length);
    const channel = await lab.open();
    expect(await shown(channel), `cut at ${length}`).toEqual(upTo(kept));
    expect(channel.nextSeq).toBe(kept);
    expect(readFile(lab.disk, DAT).byteLength).toBe(position);
    expect(await channel.append(payload(kept, 8), { timestamp: timeOf(kept) })).toBe(kept);
    await expectFound(channel, kept + 1);
    await channel.close();
    const entries = [IDX, TS].map((path) => readFile(lab.disk, path).byteLength - 64);
    expect(entries).toEqual([16 * (kept + 1), 8 * (kept + 1)]);
    for (const next of [lab.kill(), lab.cut(worst)]) {
      expect(await shown(await next.open())).toEqual(upTo(kept + 1));
    }
  }
});

test('a closed dat file that lost its end is damaged, and nothing more is cut', async () => {
  for (const { kept, length } of await tearsOf('close')) {
    const lab = await mixedLog('close');
    resize(lab.disk, DAT, length);
    const before = readFile(lab.disk, DAT);
    const channel = await lab.open();
    for (const seq of upTo(kept)) {
      expect((await channel.get(seq))?.payload).toEqual(payload(seq, SIZES[seq]));
    }
    for (let seq = kept; seq < SIZES.length; seq += 1) {
      await rejection(channel.get(seq), 'CORRUPT');
    }
    await rejection(channel.readBatch({ from: kept }), 'CORRUPT');
    expect(channel.nextSeq).toBe(SIZES.length);
    expect(readFile(lab.disk, DAT)).toEqual(before);
  }
});

test('a retry of what failed stands in its place, without traces of the failure', async () => {
  for (const ending of ENDINGS) {
    for (const short of [1, 40, 64, 90, 140]) {
      const lab = new Lab();
      const channel = await lab.open();
      await appendNext(channel, 0, 100);
      const before = readFile(lab.disk, DAT);
      lab.cutShort(/\.dat$/, short, 'EIO');
      await rejection(appendNext(channel, 1, 100), 'IO');
      expect(readFile(lab.disk, DAT), `${short} bytes`).toEqual(before);
      expect(await appendNext(channel, 1, 100)).toBe(1);
      const bytes = Buffer.from(readFile(lab.disk, DAT));
      const at = bytes.indexOf(payload(1, 100));
      expect(at).toBeGreaterThan(0);
      expect(bytes.indexOf(payload(1, 100), at + 1)).toBe(-1);
      if (ending === 'close') await channel.close();
      expect(await shown(await lab.kill().open())).toEqual([0, 1]);
    }
  }
});
