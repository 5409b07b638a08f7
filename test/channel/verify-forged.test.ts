/**
 * Goal: verify also sees what no checksum shows: units that are whole and do not agree with each
 * other. And beside a writer it believes only what it has found twice.
 * Method: units are changed and get the checksum that belongs to it; reads are changed on the way.
 */
import { describe, expect, test } from 'vitest';
import { Channel } from '../../src/channel/channel.js';
import { FollowedChannel } from '../../src/channel/followed-channel.js';
import { viewOf } from '../../src/format/bytes.js';
import { bindToNonce, checksumOf, readChecksum, writeChecksum } from '../../src/format/checksum.js';
import { decodeManifest, encodeManifest } from '../../src/format/manifest.js';
import type { FileHandle, OpenMode } from '../../src/fs/file-system.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { FollowerLab } from '../support/follower-lab.js';
import { editFile, readFile } from '../support/recovery-lab.js';
import {
  CHANNEL,
  flip,
  namesOf,
  openOn,
  problemsOf,
  sampleChannel,
  unitsIn,
  type Unit,
} from '../support/verify-kit.js';

/** Changes a unit of a dat file so that its checksum is good. */
function forge(bytes: Uint8Array, unit: Unit, edit: (view: DataView, at: number) => void): void {
  const view = viewOf(bytes);
  edit(view, unit.at);
  const nonce = readChecksum(view, 32);
  const sum = checksumOf(bytes, unit.at + 8, unit.end - unit.at - 8);
  writeChecksum(view, unit.at, bindToNonce(sum, nonce));
}

describe('units that are whole', () => {
  test('a seal that counts wrong', async () => {
    const { fs } = await sampleChannel();
    const path = namesOf(fs, 'dat')[1] ?? '';
    const seal = unitsIn(readFile(fs, path)).at(-1);
    if (seal?.isSeal !== true) throw new Error('no seal');
    const channel = await openOn(fs);
    editFile(fs, path, (bytes) => {
      forge(bytes, seal, (view, at) => view.setUint32(at + 36, 5, true));
      return bytes;
    });
    const { problems } = await channel.verify();
    expect(problems[0]).toMatchObject({ kind: 'seal', check: 'fields', path, position: seal.at });
    await channel.close();
  });

  test('a seal that leads to another segment than the next', async () => {
    const { fs } = await sampleChannel();
    const path = namesOf(fs, 'dat')[1] ?? '';
    const seal = unitsIn(readFile(fs, path)).at(-1);
    if (seal === undefined) throw new Error('no seal');
    const channel = await openOn(fs);
    editFile(fs, path, (bytes) => {
      forge(bytes, seal, (view, at) => view.setUint32(at + 16, 31, true));
      return bytes;
    });
    expect(problemsOf(await channel.verify(), 'damage')).toEqual([
      'missing-segment v0000000001/00000000000000000031.dat 0',
    ]);
    await channel.close();
  });

  test('times that go back, and a clean mark that says something else', async () => {
    const { fs } = await sampleChannel();
    const path = namesOf(fs, 'dat').at(-1) ?? '';
    const last = unitsIn(readFile(fs, path)).at(-1);
    if (last === undefined) throw new Error('no unit');
    const channel = await openOn(fs);
    editFile(fs, path, (bytes) => {
      forge(bytes, last, (view, at) => view.setUint32(at + 28, 1, true));
      return bytes;
    });
    const report = await channel.verify();
    const slot = readFile(fs, `${CHANNEL}/clean`).findIndex((byte) => byte !== 0) & ~511;
    expect(problemsOf(report, 'damage')).toEqual([
      `time v0000000001/${path.slice(-24)} ${last.at}`,
      `clean-mark clean ${slot}`,
    ]);
    expect(problemsOf(report, 'derived')).toHaveLength(2);
    await channel.close();
  });

  test('what does not follow the damage before it belongs to the same region', async () => {
    const { fs } = await sampleChannel();
    const path = namesOf(fs, 'dat').at(-1) ?? '';
    const [first, second] = unitsIn(readFile(fs, path));
    if (first === undefined || second === undefined) throw new Error('too few units');
    const channel = await openOn(fs);
    editFile(fs, path, (bytes) => {
      forge(bytes, second, (view, at) => view.setUint32(at + 16, 10, true));
      return bytes;
    });
    flip(fs, path, 8 * (first.at + 90));
    const { problems } = await channel.verify();
    const seqRange = { firstSeq: 41, nextSeq: 64 };
    expect(problems).toMatchObject([{ path, position: first.at, seqRange, recordsBehind: 0 }]);
    await channel.close();
  });

  test('a head that counts other records than its blocks hold', async () => {
    const { fs } = await sampleChannel();
    const path = namesOf(fs, 'dat')[2] ?? '';
    const head = unitsIn(readFile(fs, path))[0];
    if (head === undefined) throw new Error('no head');
    const channel = await openOn(fs);
    editFile(fs, path, (bytes) => {
      forge(bytes, head, (view, at) => view.setUint32(at + 36, 11, true));
      return bytes;
    });
    const { problems } = await channel.verify();
    const wrongCount = { kind: 'frame', check: 'fields', path, position: head.at };
    expect(problems).toContainEqual(expect.objectContaining(wrongCount));
    // What links to the head does not follow it any more.
    expect(problems.map(({ check }) => check)).toContain('chain');
    await channel.close();
  });
});

test('damage below the first seq of the channel costs no record', async () => {
  const { fs } = await sampleChannel();
  editFile(fs, `${CHANNEL}/manifest`, (bytes) => {
    const manifest = decodeManifest(bytes);
    if (!manifest.ok) throw new Error(manifest.check);
    return encodeManifest({ ...manifest.value, firstSeq: 2 });
  });
  const channel = await openOn(fs);
  const path = namesOf(fs, 'dat')[0] ?? '';
  flip(fs, path, 8 * 140);
  const [below, ...others] = (await channel.verify()).problems;
  expect(others).toEqual([]);
  expect(below).toMatchObject({ kind: 'frame', path, position: 64, recordsBehind: 3 });
  expect(below).not.toHaveProperty('seqRange');
  flip(fs, path, 8 * 140);
  flip(fs, path, 8 * 225);
  const [across] = (await channel.verify()).problems;
  expect(across?.seqRange).toEqual({ firstSeq: 2, nextSeq: 4 });
  await channel.close();
});

/** In the first frame. */
const WRONG_BYTE = 100;

/** Changes that byte when it is read asynchronously, as often as it is told to. */
class WrongReads extends FaultFs {
  left = 0;

  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = super.openSync(path, mode);
    const read = handle.read.bind(handle);
    handle.read = async (buffer, offset, length, position): Promise<number> => {
      const count = await read(buffer, offset, length, position);
      const at = WRONG_BYTE - position;
      if (path.endsWith('.dat') && this.left > 0 && at >= 0 && at < count) {
        this.left -= 1;
        buffer[offset + at] = (buffer[offset + at] ?? 0) ^ 1;
      }
      return count;
    };
    return handle;
  }
}

describe('beside a writer', () => {
  test.each([
    ['once is not believed', 1, 0],
    ['every time is', 1000, 1],
  ])('what is found %s', async (_, times, found) => {
    const lab = new FollowerLab();
    const writer = await lab.openWriter({ sync: 'never' });
    for (let i = 0; i < 5; i += 1) await writer.append(`record ${i}`);
    const reads = new WrongReads(lab.disk);
    const context = lab.contextOf(reads);
    const reader = new Channel(await FollowedChannel.open(context, () => undefined));
    reads.left = times;
    const report = await reader.verify();
    expect(reads.left).toBeLessThan(times);
    expect(problemsOf(report, 'damage'), JSON.stringify(report)).toHaveLength(found);
    expect(reads.calls.in('anyMutation')).toBe(0);
    await reader.close();
    expect(reads.openPaths).toEqual([]);
    await writer.close();
  });
});
