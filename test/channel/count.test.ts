/**
 * Goal: `count` is right from the first moment on, also when a trim hides some records of a segment
 * with gaps and the index that would say how many is gone, short, or cannot be written.
 * Method: a channel with gaps, trimmed at every seq, whose derived files are removed while it is
 * closed; then the same with a disk that refuses to write new ones.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { worst } from '../../src/testing/choices.js';
import { GENERATION, Lab, payload } from '../support/channel-kit.js';
import { finish, odd, upTo } from '../support/compact-lab.js';
import { FollowerLab } from '../support/follower-lab.js';

const SEQS = [0, 1, 5, 6, 20, 21, 40];
const from = (firstSeq: number): number => SEQS.filter((seq) => seq >= firstSeq).length;
const TRIMS = [1, 2, 5, 6, 7, 13, 20, 22, 40];

async function sparse(lab: Lab): Promise<Channel> {
  const channel = await lab.open();
  for (const seq of SEQS) await lab.done(channel.append(payload(seq, 20), { seq }));
  return channel;
}

/** Takes the derived files away, or all of them but some bytes. */
function removeDerived(disk: FileSystem, generation: string, bytes?: number): void {
  for (const { name } of disk.readDirectorySync(generation)) {
    if (name.endsWith('dat')) continue;
    const path = `${generation}/${name}`;
    if (bytes === undefined) {
      disk.unlinkSync(path);
      continue;
    }
    const file = disk.openSync(path, 'write');
    file.truncateSync(bytes);
    file.closeSync();
  }
}

describe.each([
  ['gone', undefined],
  ['short', 64 + 16],
] as const)('the index is %s', (_name, bytes) => {
  test.each(TRIMS)('at the open of a channel that was trimmed to %i', async (firstSeq) => {
    const lab = new Lab();
    const channel = await sparse(lab);
    await lab.done(channel.trim({ beforeSeq: firstSeq }));
    await lab.done(channel.close());
    removeDerived(lab.disk, GENERATION, bytes);
    const next = lab.kill();
    const opened = await next.open();
    expect(opened.count).toBe(from(firstSeq));
    const { openPaths } = next.faults;
    await lab.done(opened.close());
    const again = next.kill();
    expect((await again.open()).count).toBe(from(firstSeq));
    expect(openPaths, 'what was opened to count').toEqual([]);
  });

  test.each(TRIMS)('and a trim comes to %i', async (firstSeq) => {
    const lab = new Lab();
    await lab.done((await sparse(lab)).close());
    removeDerived(lab.disk, GENERATION, bytes);
    const next = lab.kill({ io: 'oldest' });
    const channel = await next.open();
    const trimmed = channel.trim({ beforeSeq: firstSeq });
    const seen = new Set<string>();
    for (let i = 0; i < 40; i++) {
      await next.runtime.settle();
      seen.add(`${channel.firstSeq}: ${channel.count}`);
      next.runtime.runIo();
    }
    await next.done(trimmed);
    // At no moment anything else.
    expect([...seen]).toEqual([`0: ${SEQS.length}`, `${firstSeq}: ${from(firstSeq)}`]);
  });
});

test('no index can be written', async () => {
  const lab = new Lab();
  const channel = await sparse(lab);
  await lab.done(channel.trim({ beforeSeq: 6 }));
  await lab.done(channel.close());
  removeDerived(lab.disk, GENERATION);
  const next = lab.kill();
  next.fail('createSync', /idx/, 'ENOSPC', { times: Infinity });
  const opened = await next.open();
  expect(opened.count).toBe(from(6));
  await next.done(opened.trim({ beforeSeq: 21 }));
  expect(opened.count).toBe(from(21));
});

test('a power cut that loses every index of a compacted and trimmed channel', async () => {
  const lab = new Lab();
  const options = { sync: 'never', segmentBytes: 1 << 20 } as const;
  const channel = await lab.open(options);
  for (const id of upTo(40)) await lab.done(channel.append(payload(id, 300)));
  await finish(lab, channel.compact(odd));
  for (const firstSeq of [7, 8, 31]) {
    await finish(lab, channel.trim({ beforeSeq: firstSeq }));
    expect(channel.count).toBe(Math.ceil((40 - firstSeq - (firstSeq % 2)) / 2));
    const cut = lab.cut(worst);
    const opened = await cut.open(options);
    expect(opened.count).toBe(channel.count);
  }
});

test.each(TRIMS)('beside the writer, trimmed to %i, where nothing may be written', async (seq) => {
  const lab = new FollowerLab();
  const channel = await lab.openWriter();
  for (const at of SEQS) await lab.done(channel.append(payload(at, 20), { seq: at }));
  await lab.done(channel.trim({ beforeSeq: seq }));
  await lab.done(channel.close());
  removeDerived(lab.disk, lab.generation);
  const follower = await lab.follow();
  expect(lab.reads.openPaths).toEqual([]);
  expect(follower.chain.recordsFrom(seq)).toBe(from(seq));
  lab.expectOnlyReads();
  follower.close();
});

test('a compaction links the segment, and no index can be written', async () => {
  const lab = new Lab();
  lab.fail('createSync', /idx/, 'ENOSPC', { times: Infinity });
  const channel = await sparse(lab);
  await finish(lab, channel.compact({ keep: ({ seq }) => seq !== 0 }));
  await finish(lab, channel.trim({ beforeSeq: 6 }));
  expect(channel.count).toBe(from(6));
  for (const seq of [50, 51]) await lab.done(channel.append(payload(seq, 20), { seq }));
  const report = await finish(lab, channel.compact({ keep: ({ seq }) => seq !== 50 }));
  expect(report).toMatchObject({ recordsBefore: from(6) + 2, recordsAfter: from(6) + 1 });
  expect(report.linkedBytes).toBeGreaterThan(0);
  expect(channel.count).toBe(from(6) + 1);
});
