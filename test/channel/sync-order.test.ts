/**
 * Goal: an acknowledgement rests on a sync that began after the record was written and that covers
 * all below it (rule S1); what is durable is a prefix that only grows (rule S2).
 * Method: held input and output, so that a test decides which sync ends when; power cuts that keep
 * only what was synced.
 */
import { expect, test } from 'vitest';
import { worst } from '../../src/testing/choices.js';
import { GENERATION, idsOf, Lab, outcomeOf, payload } from '../support/channel-kit.js';

/** The records that a power cut at its worst leaves. */
async function left(lab: Lab): Promise<(number | undefined)[]> {
  const cut = lab.cut(worst);
  return idsOf(cut, await cut.open());
}

test('S1: an append written while a sync runs is not acknowledged by that sync', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  const first = outcomeOf(channel.append(payload(2)));
  await lab.runtime.settle();
  expect(lab.runtime.heldIo).toBe(1);
  const second = outcomeOf(channel.append(payload(3)));
  await lab.runtime.settle();
  lab.runtime.runIo();
  await lab.runtime.settle();
  expect([first.state, second.state]).toEqual(['resolved', 'pending']);
  expect(channel.durableSeq).toBe(2);
  expect(await left(lab)).toEqual([1, 2]);
  await lab.drain();
  expect(second.state).toBe('resolved');
  expect(await left(lab)).toEqual([1, 2, 3]);
});

test('S1: a sync() that is asked for while a sync runs does not rest on that one', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  await lab.done(channel.append(payload(1), { durability: 'synced' }));
  await channel.append(payload(2));
  const first = outcomeOf(channel.sync());
  await lab.runtime.settle();
  await channel.append(payload(3));
  const second = outcomeOf(channel.sync());
  await lab.runtime.settle();
  lab.runtime.runIo();
  await lab.runtime.settle();
  expect([first.state, second.state]).toEqual(['resolved', 'pending']);
  expect(await left(lab)).toEqual([1, 2]);
  await lab.drain();
  expect(second.state).toBe('resolved');
  expect(await left(lab)).toEqual([1, 2, 3]);
});

test('S1: a sync begun before an asynchronous write has landed does not cover it', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: { intervalMs: 10 } });
  await lab.done(channel.append(payload(1), { durability: 'synced' }));
  await channel.append(payload(2));
  const large = outcomeOf(channel.append(payload(3, 600 * 1024), { durability: 'synced' }));
  await lab.runtime.elapse(10);
  expect(lab.runtime.heldIo).toBe(2);
  // The sync ends first, then the write lands.
  lab.runtime.runIo(1);
  await lab.runtime.settle();
  lab.runtime.runIo(0);
  await lab.runtime.settle();
  expect([large.state, channel.durableSeq]).toEqual(['pending', 2]);
  await lab.drain();
  expect(large.state).toBe('resolved');
  expect(await left(lab)).toEqual([1, 2, 3]);
});

test('S1: written, rolled, synced, cut: the segment before the roll is not lost', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: 'never', segmentBytes: 4096 });
  await channel.append(payload(1, 3000));
  await channel.append(payload(2, 3000), { durability: 'synced' });
  expect(lab.datPaths).toHaveLength(2);
  expect(await left(lab)).toEqual([1, 2]);
});

test('S1: written, rolled, synced by appendSync, cut: nothing below it is lost', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never', segmentBytes: 4096 });
  await channel.append(payload(1, 3000));
  await channel.append(payload(2, 3000));
  channel.appendSync(payload(3), { durability: 'synced' });
  expect(lab.datPaths).toHaveLength(2);
  expect(await left(lab)).toEqual([1, 2, 3]);
});

test('S1: across a roll both segments and their directory are synced first', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never', segmentBytes: 4096 });
  await channel.append(payload(1, 3000));
  const synced = outcomeOf(channel.append(payload(2, 3000), { durability: 'synced' }));
  await lab.runtime.settle();
  const [first = '', second = ''] = lab.datPaths;
  for (let step = 0; synced.state === 'pending'; step += 1) {
    const { calls } = lab.watch;
    const lastWrite = calls.findLastIndex(({ call }) => call === 'write');
    const later = calls.slice(lastWrite).filter(({ ok }) => ok === true);
    const done = later.filter(({ call }) => call.startsWith('sync')).map(({ path }) => path);
    expect(new Set(done)).not.toEqual(new Set([first, second, GENERATION]));
    expect(lab.runtime.runIo(), `step ${step}`).toBe(true);
    await lab.runtime.settle();
  }
  const calls = lab.watch.calls.filter(({ call, ok }) => call.startsWith('sync') && ok);
  expect(calls.map(({ path }) => path)).toEqual(
    expect.arrayContaining([first, second, GENERATION]),
  );
});

test('S1: the first append is not acknowledged before its segment has a name', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  const first = outcomeOf(channel.append(payload(1)));
  await lab.runtime.settle();
  const names: string[] = [];
  while (first.state === 'pending') {
    expect(lab.runtime.runIo()).toBe(true);
    await lab.runtime.settle();
    names.splice(0, names.length, ...lab.watch.calls.filter(({ ok }) => ok).map((c) => c.path));
  }
  expect(names).toContain(GENERATION);
  expect(await left(lab)).toEqual([1]);
});

test('S2: durableSeq covers no record of the segment that a sync left out', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: 'never', segmentBytes: 4096 });
  await channel.append(payload(1, 3000));
  await channel.append(payload(2, 3000));
  await lab.runtime.settle();
  // Only the sealed segment was synced.
  expect([channel.nextSeq, channel.durableSeq]).toEqual([2, 1]);
  expect(await left(lab)).toEqual([1]);
});

test('S2: a sync of sealed segments alone vouches for no record behind them', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never', segmentBytes: 4096 });
  await lab.done(channel.append(payload(1), { durability: 'synced' }));
  await channel.append(payload(2));
  const running = outcomeOf(channel.sync());
  await lab.runtime.settle();
  // The roll asks for a sync, which begins only when the running one has ended.
  await channel.append(payload(3, 3800));
  await channel.append(payload(4));
  await lab.drain();
  expect([running.state, lab.datPaths.length]).toEqual(['resolved', 2]);
  expect([channel.nextSeq, channel.durableSeq]).toEqual([4, 2]);
  expect(await left(lab)).toEqual([1, 2]);
});

test('S2: durableSeq does not go back when an older sync ends after a younger one', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  const older = outcomeOf(channel.append(payload(2)));
  await lab.runtime.settle();
  expect([lab.runtime.heldIo, channel.durableSeq]).toEqual([1, 1]);
  channel.appendSync(payload(3));
  expect(channel.durableSeq).toBe(3);
  await lab.drain();
  expect([older.state, channel.durableSeq]).toEqual(['resolved', 3]);
});

test('S2: durableSeq only grows, and everything below it survives the worst cut', async () => {
  const lab = new Lab({ io: 'random', seed: 5 });
  const channel = await lab.open({ sync: { everyN: 2 }, segmentBytes: 4096 });
  const waiting: Promise<unknown>[] = [];
  let durableSeq = 0;
  for (let id = 1; id <= 40; id += 1) {
    waiting.push(channel.append(payload(id, 200 + 40 * (id % 9))));
    if (id % 3 !== 0) await lab.runtime.settle();
    lab.runtime.runIo();
    if (id % 7 === 0) channel.appendSync(payload(1000 + id), { durability: 'synced' });
    await lab.runtime.settle();
    expect(channel.durableSeq).toBeGreaterThanOrEqual(durableSeq);
    ({ durableSeq } = channel);
    const ids = await left(lab);
    expect(ids.length, `records at durableSeq ${durableSeq}`).toBeGreaterThanOrEqual(durableSeq);
  }
  await lab.done(Promise.all(waiting));
  expect(lab.watch.violations).toEqual([]);
});
