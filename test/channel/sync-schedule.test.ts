/**
 * Goal: the arms of a sync policy count what no finished sync covers (rule S7); what was only
 * written is synced in time; an idle channel says so in its file and then costs nothing.
 * Method: the manual clock, and held syncs.
 */
import { expect, test } from 'vitest';
import { IDLE_WITNESS_MS } from '../../src/channel/sync-schedule.js';
import { worst } from '../../src/testing/choices.js';
import {
  idsOf,
  Lab,
  LARGE,
  outcomeOf,
  parseDat,
  payload,
  readFile,
} from '../support/channel-kit.js';

const DAT = /\.dat$/;

function syncsOf(lab: Lab): number {
  return lab.watch.calls.filter(({ call, path }) => call === 'sync' && DAT.test(path)).length;
}

test('S7: everyN syncs at the n-th uncovered record and not before', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: { everyN: 3 } });
  const durable: number[] = [];
  for (let id = 1; id <= 7; id += 1) {
    await channel.append(payload(id));
    await lab.runtime.settle();
    durable.push(channel.durableSeq);
  }
  expect(durable).toEqual([0, 0, 3, 3, 3, 6, 6]);
  expect(syncsOf(lab)).toBe(2);
});

test('S7: maxBytes syncs when so many bytes are uncovered', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: { maxBytes: 1000 } });
  const durable: number[] = [];
  for (let id = 1; id <= 4; id += 1) {
    await channel.append(payload(id, 500));
    await lab.runtime.settle();
    durable.push(channel.durableSeq);
  }
  expect(durable).toEqual([0, 2, 2, 4]);
});

test('S7: intervalMs syncs so long after the first uncovered record', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: { intervalMs: 100 } });
  await channel.append(payload(1));
  await lab.runtime.elapse(99);
  await channel.append(payload(2));
  expect(channel.durableSeq).toBe(0);
  await lab.runtime.elapse(1);
  expect(channel.durableSeq).toBe(2);
  await channel.append(payload(3));
  await lab.runtime.elapse(99);
  expect(channel.durableSeq).toBe(2);
  await lab.runtime.elapse(1);
  expect(channel.durableSeq).toBe(3);
});

test('S7: the first of several arms that is reached begins the sync', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: { everyN: 3, intervalMs: 100, maxBytes: 5000 } });
  await channel.append(payload(1, 6000));
  await lab.runtime.settle();
  expect(channel.durableSeq).toBe(1);
  await channel.append(payload(2));
  await lab.runtime.elapse(100);
  expect(channel.durableSeq).toBe(2);
  for (const id of [3, 4, 5]) await channel.append(payload(id));
  await lab.runtime.settle();
  expect(channel.durableSeq).toBe(5);
});

test('S7: records appended while a sync runs count for the next one', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: { everyN: 3 } });
  await lab.done(channel.sync());
  for (const id of [1, 2, 3, 4, 5]) await channel.append(payload(id));
  await lab.runtime.settle();
  await lab.drain();
  // Four and five came after the sync had begun.
  expect(channel.durableSeq).toBe(3);
  await channel.append(payload(6));
  await lab.drain();
  expect(channel.durableSeq).toBe(6);
});

test('S7: everyN reached while a sync runs begins another one', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: { everyN: 2 } });
  await lab.done(channel.sync());
  for (const id of [1, 2, 3, 4]) await channel.append(payload(id));
  await lab.drain();
  expect(channel.durableSeq).toBe(4);
});

test.each([
  ['everyN', { everyN: 3 }],
  ['maxBytes', { maxBytes: 6500 }],
] as const)('S7: %s counts on across a roll', async (_name, sync) => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync, segmentBytes: 4096 });
  await lab.done(channel.sync());
  await channel.append(payload(1, 1500));
  await channel.append(payload(2, 1500));
  await channel.append(payload(3, 3400));
  await lab.runtime.settle();
  expect(lab.datPaths).toHaveLength(2);
  await lab.drain();
  expect(channel.durableSeq).toBe(3);
});

test("S7: 'never' syncs only for rolls, sync() and close()", async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: 'never' });
  for (let id = 1; id <= 50; id += 1) await channel.append(payload(id));
  await lab.runtime.elapse(100_000);
  expect([syncsOf(lab), channel.durableSeq]).toEqual([0, 0]);
  expect(lab.runtime.pending).toEqual([]);
  await channel.close();
  const cut = lab.cut(worst);
  expect(await idsOf(cut, await cut.open())).toHaveLength(50);
});

test("a written append under 'always' is synced within maxSyncDelayMs", async () => {
  const lab = new Lab();
  const channel = await lab.open({ maxSyncDelayMs: 40 });
  await channel.append(payload(1), { durability: 'written' });
  expect(channel.nextSeq).toBe(1);
  await lab.runtime.elapse(39);
  expect(channel.durableSeq).toBe(0);
  await lab.runtime.elapse(1);
  expect(channel.durableSeq).toBe(1);
});

test('a written append behind a large one in flight is synced within maxSyncDelayMs', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  const large = outcomeOf(channel.append(payload(1, LARGE), { durability: 'written' }));
  const small = outcomeOf(channel.append(payload(2), { durability: 'written' }));
  await lab.drain();
  expect([large.state, small.state, channel.durableSeq]).toEqual(['resolved', 'resolved', 0]);
  await lab.runtime.elapse(50);
  await lab.drain();
  expect(channel.durableSeq).toBe(2);
});

test('an idle channel writes one witness after a second, and is quiet from then on', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await Promise.all([channel.append(payload(1)), channel.append(payload(2))]);
  const { length } = lab.watch.calls;
  await lab.runtime.elapse(IDLE_WITNESS_MS - 1);
  expect(lab.watch.datCalls(length)).toEqual([]);
  await lab.runtime.elapse(1);
  const calls = lab.watch.datCalls(length).map(({ call }) => call);
  expect(calls).toEqual(['write', 'sync', 'close', 'close']);
  expect(lab.faults.openPaths).toEqual([]);
  const witness = parseDat(readFile(lab.disk, lab.datPaths[0] ?? '')).units.at(-1);
  expect(witness).toMatchObject({ recordCount: 0, baseSeq: 2, durableSeq: 2 });
  expect(lab.runtime.pending).toEqual([]);
  await lab.runtime.elapse(100_000);
  expect(lab.watch.datCalls(length)).toHaveLength(4);
  const cut = lab.cut(worst);
  expect(await idsOf(cut, await cut.open())).toEqual([1, 2]);
});

test('a busy channel is not interrupted by witnesses, and gets one when it is idle', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  for (let id = 1; id <= 6; id += 1) {
    await channel.append(payload(id));
    await lab.runtime.elapse(400);
  }
  const units = (): number[] =>
    parseDat(readFile(lab.disk, lab.datPaths[0] ?? '')).units.map((unit) => unit.recordCount);
  expect(units()).toEqual([1, 1, 1, 1, 1, 1]);
  await lab.runtime.elapse(3 * IDLE_WITNESS_MS);
  expect(units()).toEqual([1, 1, 1, 1, 1, 1, 0]);
  expect(lab.runtime.pending).toEqual([]);
});

test('a witness that cannot be written harms nothing', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(1));
  lab.cutShort(DAT, 20);
  await lab.runtime.elapse(2 * IDLE_WITNESS_MS);
  expect(await channel.append(payload(2))).toBe(1);
  await channel.close();
  const next = lab.kill();
  expect(await idsOf(next, await next.open())).toEqual([1, 2]);
});

test('a closed channel leaves no timer behind', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(1), { durability: 'written' });
  await channel.append(payload(2));
  expect(lab.runtime.pending.length).toBeGreaterThan(0);
  await channel.close();
  expect(lab.runtime.pending).toEqual([]);
});
