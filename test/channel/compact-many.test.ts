/**
 * Goal: compacting again and again does not make segments more and more: small neighbours are
 * joined, empty ones go, and where there is nothing to do there is no new generation. Segments
 * that are not small are linked as they are.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { CompactOptions } from '../../src/channel/survivors.js';
import { worst } from '../../src/testing/choices.js';
import { Lab, payload } from '../support/channel-kit.js';
import { finish, idsOf, upTo } from '../support/compact-lab.js';

const all: CompactOptions = { keep: () => true };
const byId: CompactOptions = { key: (record) => String(record.type) };

async function expectWhole(lab: Lab, channel: Channel, ids: readonly number[]): Promise<void> {
  expect(await idsOf(lab, channel)).toEqual(ids);
  const { ok, problems, recordCount } = await finish(lab, channel.verify());
  expect({ ok, problems, recordCount }).toEqual({
    ok: true,
    problems: [],
    recordCount: ids.length,
  });
  await finish(lab, channel.sync());
  const cut = lab.cut(worst);
  const again = await finish(cut, cut.open());
  expect(await idsOf(cut, again)).toEqual(ids);
  await finish(cut, again.close());
}

test('a key that is written and compacted 200 times is in one segment', async () => {
  const lab = new Lab();
  const channel = await finish(lab, lab.open());
  for (const id of upTo(200)) {
    await finish(lab, channel.append(payload(id), { type: 7 }));
    const report = await finish(lab, channel.compact(byId));
    expect(report).toMatchObject({ compacted: id > 1, recordsAfter: 1 });
  }
  expect((await channel.stats()).segments).toBe(2);
  await lab.drain();
  const { generation } = await channel.stats();
  const live = `${lab.directory}/v${String(generation).padStart(10, '0')}`;
  expect(lab.disk.readDirectorySync(live).length).toBeLessThanOrEqual(6);
  await expectWhole(lab, channel, [200]);
});

test('records that all survive are joined now and then, and seldom anew', async () => {
  const lab = new Lab();
  const channel = await finish(lab, lab.open());
  for (const id of upTo(60)) {
    await finish(lab, channel.append(payload(id)));
    await finish(lab, channel.compact(all));
    expect((await channel.stats()).segments).toBeLessThanOrEqual(5);
  }
  expect((await channel.stats()).generation).toBeLessThanOrEqual(21);
  await expectWhole(lab, channel, upTo(60));
});

test('where nothing was appended, a compaction changes nothing', async () => {
  const lab = new Lab();
  const channel = await finish(lab, lab.open());
  await finish(lab, channel.append(payload(1)));
  await finish(lab, channel.compact(all));
  const before = await channel.stats();
  for (let i = 0; i < 10; i += 1) {
    const report = await finish(lab, channel.compact(all));
    expect(report).toMatchObject({ compacted: false, writtenBytes: 0, linkedBytes: 0 });
  }
  expect(await channel.stats()).toEqual(before);
  await expectWhole(lab, channel, [1]);
});

test('empty segments go with their neighbours; what is not small is linked', async () => {
  const lab = new Lab();
  const channel = await finish(lab, lab.open({ segmentBytes: 4096 }));
  // Full segments of 3,000 bytes, each behind some that lose all they have.
  const kept: number[] = [];
  let id = 0;
  for (let full = 0; full < 5; full += 1) {
    for (let i = 0; i < 6; i += 1) await finish(lab, channel.append(payload((id += 1), 1000)));
    await finish(lab, channel.append(payload((id += 1), 3000), { type: 1 }));
    kept.push(id);
  }
  const keep = ({ type }: { readonly type: number }): boolean => type === 1;
  await finish(lab, channel.compact({ keep }));
  // Each of them, perhaps with an empty one before it, and the active one.
  expect((await channel.stats()).segments).toBeLessThanOrEqual(11);
  const second = await finish(lab, channel.compact({ keep }));
  expect(second.compacted).toBe(false);
  await finish(lab, channel.append(payload((id += 1))));
  const third = await finish(lab, channel.compact({ keep }));
  expect(third.compacted).toBe(true);
  expect(third.linkedBytes).toBeGreaterThan(5 * 3000);
  expect(third.writtenBytes).toBeLessThan(1000);
  await expectWhole(lab, channel, kept);
});

test('the report does not count what a trim took meanwhile', async () => {
  const lab = new Lab();
  const channel = await finish(lab, lab.open());
  for (const id of upTo(10)) await finish(lab, channel.append(payload(id)));
  let trimming: Promise<void> | undefined;
  const keep = ({ seq }: { readonly seq: number }): boolean => {
    trimming ??= channel.trim({ beforeSeq: 5 });
    return seq !== 7;
  };
  const report = await finish(lab, channel.compact({ keep }));
  await finish(lab, Promise.resolve(trimming));
  expect(report).toMatchObject({ recordsBefore: 10, recordsAfter: 4 });
  expect(await idsOf(lab, channel)).toEqual([6, 7, 9, 10]);
});
