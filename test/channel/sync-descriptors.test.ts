/**
 * Goal: one sync at a time through each descriptor (rule S5), and no descriptor closed over bytes
 * that nothing has synced (rule S6).
 * Method: WatchFs counts syncs and unsynced bytes for each descriptor; held input and output puts
 * a synchronous append into the middle of a background sync.
 */
import { expect, test } from 'vitest';
import { Random, worst } from '../../src/testing/choices.js';
import {
  idsOf,
  Lab,
  LARGE,
  outcomeOf,
  payload,
  rejection,
  requireCode,
  thrown,
} from '../support/channel-kit.js';

const DAT = /\.dat$/;

test('S5: however many ask for a sync, one at a time runs through a descriptor', async () => {
  const lab = new Lab({ io: 'random', seed: 3 });
  const channel = await lab.open({ sync: { everyN: 1 } });
  const waiting: Promise<unknown>[] = [];
  for (let id = 1; id <= 30; id += 1) {
    waiting.push(channel.append(payload(id), { durability: id % 2 ? 'synced' : 'written' }));
    if (id % 3 === 0) waiting.push(channel.sync(), channel.sync());
    if (id % 2 === 0) await lab.runtime.settle();
    if (id % 5 === 0) lab.runtime.runIo();
  }
  await lab.done(Promise.all(waiting));
  expect(lab.watch.violations).toEqual([]);
  expect(lab.watch.datCalls().filter(({ call }) => call === 'sync').length).toBeGreaterThan(2);
});

test('S5: the second descriptor is opened together with the first, before any byte', async () => {
  const lab = new Lab();
  const channel = await lab.open({ segmentBytes: 4096 });
  for (let id = 1; id <= 4; id += 1) await channel.append(payload(id, 3000));
  expect(lab.datPaths.length).toBeGreaterThan(2);
  for (const path of lab.datPaths) {
    const calls = lab.watch.calls.filter((call) => call.path === path).map(({ call }) => call);
    expect(calls.slice(0, 3)).toEqual(['open', 'open', 'write']);
  }
  await channel.close();
  const again = new Lab({}, (given) => lab.disk.kill(() => 0, given));
  await (await again.open()).append(payload(5));
  const last = lab.datPaths.at(-1);
  const calls = again.watch.calls.filter(({ path }) => path === last);
  const written = calls.findIndex(({ call }) => call === 'write');
  const opened = calls.slice(0, written).filter(({ call }) => call === 'open');
  expect(opened.length).toBeGreaterThanOrEqual(2);
});

test('S5: appendSync does not wait for a background sync and syncs by itself', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  const waiting = outcomeOf(channel.append(payload(2)));
  await lab.runtime.settle();
  const { length } = lab.watch.calls;
  expect(channel.appendSync(payload(3))).toBe(2);
  const background = lab.watch.calls.slice(0, length).findLast(({ call }) => call === 'sync');
  const own = lab.watch.calls.slice(length).find(({ call }) => call === 'sync');
  expect(background?.ok).toBeUndefined();
  expect(own).toMatchObject({ path: background?.path, isAsync: false, ok: true });
  expect(own?.handle).not.toBe(background?.handle);
  const cut = lab.cut(worst);
  expect(await idsOf(cut, await cut.open())).toEqual([1, 2, 3]);
  await lab.drain();
  expect(waiting.state).toBe('resolved');
  expect(lab.watch.violations).toEqual([]);
});

test('S5: a failed synchronous sync poisons before the background one is believed', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  const waiting = outcomeOf(channel.append(payload(2)));
  const asked = outcomeOf(channel.sync());
  await lab.runtime.settle();
  expect(lab.runtime.heldIo).toBe(1);
  // The disk itself stays well: what the background sync reports is success.
  const faulty = lab.faults.inject({
    operation: 'datasyncSync',
    path: DAT,
    nth: 1,
    effect: { error: 'EIO' },
  });
  const error = thrown(() => channel.appendSync(payload(3)), 'POISONED');
  expect([faulty.fired, error.outcome]).toEqual([1, 'unknown']);
  await lab.drain();
  requireCode(waiting.error, 'POISONED');
  requireCode(asked.error, 'POISONED');
  expect(channel.durableSeq).toBe(1);
});

test('S5: a background sync that fails after a good synchronous one still poisons', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  lab.fail('datasync', DAT, 'EIO');
  const waiting = outcomeOf(channel.append(payload(2)));
  await lab.runtime.settle();
  channel.appendSync(payload(3));
  const later = outcomeOf(channel.append(payload(4)));
  await lab.drain();
  expect(waiting.state).toBe('resolved');
  requireCode(later.error, 'POISONED');
  await lab.done(rejection(channel.close(), 'POISONED'));
  const cut = lab.cut(worst);
  expect(await idsOf(cut, await cut.open())).toEqual([1, 2, 3]);
});

test('S5: a background sync that fails is not forgiven because nothing waits for it', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  lab.fail('datasync', DAT, 'EIO');
  const waiting = outcomeOf(channel.append(payload(2)));
  await lab.runtime.settle();
  channel.appendSync(payload(3));
  await lab.drain();
  expect(waiting.state).toBe('resolved');
  thrown(() => channel.appendSync(payload(4)), 'POISONED');
  await lab.done(rejection(channel.append(payload(4)), 'POISONED'));
});

test('S5: an append in flight is not acknowledged by a sync whose twin has failed', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ segmentBytes: 4096 });
  await lab.done(channel.append(payload(1, 3000)));
  const rolled = outcomeOf(channel.append(payload(2, 3000)));
  await lab.runtime.settle();
  // The sync of the sealed segment is held; the synchronous one fails on it.
  lab.fail('datasyncSync', DAT, 'ENOSPC');
  thrown(() => channel.appendSync(payload(3)), 'POISONED');
  await lab.drain();
  requireCode(rolled.error, 'POISONED');
});

test.each([1, 2, 3, 4])(
  'S6: a long run closes nothing with unsynced bytes, seed %i',
  async (seed) => {
    const lab = new Lab({ io: 'random', seed });
    const dice = new Random(seed);
    const policies = ['always', 'never', { everyN: 3 }, { maxBytes: 2000 }] as const;
    const options = { sync: policies[seed % 4] ?? 'always', segmentBytes: 4096 };
    let channel = await lab.open(options);
    for (let id = 1; id <= 250; id += 1) {
      const kind = dice.below(16);
      const bytes = payload(id, 4 + dice.below(1200));
      if (kind === 0) channel.appendSync(bytes);
      else if (kind === 1) outcomeOf(channel.sync());
      else if (kind === 2) await lab.runtime.elapse(dice.below(1500));
      else if (kind < 6) lab.runtime.runIo();
      else if (kind === 6 && dice.below(4) === 0) {
        await lab.done(channel.close());
        channel = await lab.open();
      } else outcomeOf(channel.append(bytes));
      if (dice.below(3) === 0) await lab.runtime.settle();
    }
    await lab.done(channel.close());
    expect(lab.watch.violations).toEqual([]);
    const closed = lab.watch.calls.filter(({ call, path }) => call === 'close' && DAT.test(path));
    expect(closed.length).toBeGreaterThan(20);
    expect(lab.faults.openPaths).toEqual([]);
  },
);

test('S6: creating a channel syncs config, manifest and clean mark first', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(1));
  await channel.close();
  expect(lab.watch.violations).toEqual([]);
  // What is staged is written first and synced by descriptors of its own, before it is renamed.
  const isLoose = (path: string): boolean => !/\.(idx|ts)$/.test(path) && !path.includes('.new/');
  expect(lab.faults.closedUnsynced.filter(isLoose)).toEqual([]);
  const { calls } = lab.watch;
  for (const name of ['config', 'manifest', 'clean', 'dat']) {
    const write = calls.findLastIndex(({ call, path }) => call === 'write' && path.endsWith(name));
    expect(write, name).toBeGreaterThanOrEqual(0);
    const { path } = calls[write] ?? expect.fail(name);
    const synced = calls.slice(write).some((call) => call.call === 'sync' && call.path === path);
    expect(synced, name).toBe(true);
  }
});

test('S6: a recovery that cuts a torn tail closes what it wrote synced', async () => {
  const before = new Lab();
  const first = await before.open({ segmentBytes: 4096 });
  await first.append(payload(1));
  before.cutShort(DAT, 40);
  before.fail('truncateSync', DAT, 'EIO');
  await rejection(first.append(payload(2)), 'POISONED');
  const lab = before.kill();
  await lab.done((await lab.open()).close());
  expect(lab.watch.calls.some(({ call }) => call === 'truncate')).toBe(true);
  expect(lab.watch.violations).toEqual([]);
});

test.each([
  ['before', 0],
  ['after', 1],
] as const)(
  'S6: a write that lands %s the sync of its sealed segment is synced',
  async (_o, first) => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await lab.open({ segmentBytes: 1024 * 1024 });
    await lab.done(channel.append(payload(1)));
    const large = outcomeOf(channel.append(payload(2, LARGE)));
    await lab.runtime.settle();
    // Completes the write in flight, begins a new segment and syncs both.
    channel.appendSync(payload(3, LARGE));
    expect([lab.datPaths.length, lab.runtime.heldIo]).toEqual([2, 2]);
    // The write is held, and the sync with what follows it.
    while (lab.runtime.heldIo > first) {
      lab.runtime.runIo(first);
      await lab.runtime.settle();
    }
    await lab.drain();
    expect(large.state).toBe('resolved');
    await lab.done(channel.close());
    expect(lab.watch.violations).toEqual([]);
  },
);

test('S6: a segment is not closed while a write or a sync of it is in flight', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ segmentBytes: 1024 * 1024, maxOpenFiles: 16 });
  await lab.done(channel.append(payload(1)));
  outcomeOf(channel.append(payload(2, LARGE)));
  await lab.runtime.settle();
  // More segments than there are descriptors for.
  for (let id = 3; id <= 10; id += 1) channel.appendSync(payload(id, LARGE));
  expect(lab.watch.violations).toEqual([]);
  await lab.drain();
  await lab.done(channel.close());
  expect(lab.watch.violations).toEqual([]);
});

test('S6: closing a poisoned channel waits for the write in flight', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  const large = outcomeOf(channel.append(payload(2, LARGE)));
  await lab.runtime.settle();
  lab.fail('datasyncSync', DAT, 'EIO');
  thrown(() => channel.appendSync(payload(3)), 'POISONED');
  await lab.done(rejection(channel.close(), 'POISONED'));
  await lab.drain();
  requireCode(large.error, 'POISONED');
  expect(lab.watch.violations.filter((what) => what.includes('in flight'))).toEqual([]);
});

test('S6: an error of closing a descriptor whose bytes are synced harms nobody', async () => {
  const lab = new Lab();
  const channel = await lab.open({ segmentBytes: 4096 });
  await channel.append(payload(1, 3000));
  lab.fail('closeSync', DAT, 'EIO');
  const rolled = [2, 3, 4].map((id) => outcomeOf(channel.append(payload(id, 3000))));
  await lab.runtime.settle();
  expect(rolled.map(({ value }) => value)).toEqual([1, 2, 3]);
  expect(await channel.append(payload(5))).toBe(4);
});
