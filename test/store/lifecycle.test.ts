/**
 * Goal: channels are deleted and renamed, and the store is closed, with anything in flight: every
 * append is told what became of it, who comes meanwhile waits and gets what is right then, and
 * what is closed says so.
 * Method: held input and output; each step of a deletion and a renaming fails in turn.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { Redex } from '../../src/store/redex.js';
import {
  LARGE,
  outcomeOf,
  payload,
  rejection,
  requireCode,
  thrown,
  type Outcome,
} from '../support/channel-kit.js';
import { channelPath, CHANNELS, fill, idsIn, idsOfName, StoreLab } from '../support/store-kit.js';

/** A store with held input and output, and a channel in it with record 1. */
async function heldStore(name = 'a'): Promise<{ store: StoreLab; redex: Redex; channel: Channel }> {
  const store = new StoreLab({ io: 'oldest' });
  const redex = await store.open();
  const channel = await store.lab.done(redex.channel(name));
  await store.lab.done(channel.append(payload(1)));
  return { store, redex, channel };
}

/** Appends of all kinds that are in flight: small ones waiting for a sync, a large one. */
async function inFlight(channel: Channel, { lab }: StoreLab): Promise<Outcome<unknown>[]> {
  const appends = [
    outcomeOf(channel.append(payload(2))),
    outcomeOf(channel.append(payload(3), { durability: 'written' })),
    outcomeOf(channel.append(payload(4, LARGE))),
    outcomeOf(channel.appendBatch([payload(5), payload(6)])),
    outcomeOf(channel.append(payload(7), { expectedSeq: 3 })),
  ];
  await lab.runtime.settle();
  return appends;
}

function expectSettled(outcomes: readonly Outcome<unknown>[]): void {
  for (const { state, error } of outcomes) {
    expect(state).not.toBe('pending');
    if (state === 'rejected') expect(error).toHaveProperty('code');
  }
}

async function expectClosed(channel: Channel): Promise<void> {
  const uses: (() => Promise<unknown>)[] = [
    () => channel.append('x'),
    () => channel.append('x', { expectedSeq: 77 }),
    () => channel.appendBatch(['x']),
    () => channel.appendBatch([]),
    () => channel.get(0),
    () => channel.get(1_000_000),
    () => channel.readBatch(),
    () => channel.read().next(),
    () => channel.readBatches({ reverse: true }).next(),
    () => channel.last(1),
    () => channel.seqAt(0),
    () => channel.sync(),
    () => channel.configure({ sync: 'never' }),
  ];
  for (const use of uses) {
    expect((await rejection(use(), 'CLOSED')).resource, use.toString()).toMatch(/^channel /);
  }
  thrown(() => channel.appendSync('x'), 'CLOSED');
  thrown(() => channel.appendBatchSync(['x']), 'CLOSED');
}

describe('deleting', () => {
  test('a channel that is open with appends in flight closes it and tells everybody', async () => {
    const { store, redex, channel } = await heldStore();
    const appends = await inFlight(channel, store);
    const deleted = outcomeOf(redex.deleteChannel('a'));
    const again = outcomeOf(redex.deleteChannel('a'));
    const has = outcomeOf(redex.hasChannel('a'));
    const created = outcomeOf(redex.channel('a', { sync: 'never' }));
    await store.lab.drain();
    expectSettled(appends);
    expect([deleted.value, again.value, has.value]).toEqual([true, false, false]);
    await expectClosed(channel);
    // The one that was asked for after it is another, and empty.
    expect([created.value?.nextSeq, created.value?.options.sync]).toEqual([0, 'never']);
    expect(store.violations).toEqual([]);
    expect(store.lab.disk.readDirectorySync(`${CHANNELS}/.trash`)).toEqual([]);
  });

  // One is poisoned by the sync of its append, the other by that of a checkpoint.
  test.each(['never', 'always'] as const)(
    'a poisoned channel (%s) ends its poison',
    async (sync) => {
      const store = new StoreLab();
      const redex = await store.open({ sync });
      const channel = await redex.channel('a');
      await fill(channel, 1);
      store.lab.fail('datasync', /\.dat$/, 'EIO');
      const synced = outcomeOf(channel.append('x', { durability: 'synced' }));
      await store.lab.runtime.elapse(5000);
      if (sync === 'always') expect(synced.state).toBe('resolved');
      else requireCode(synced.error, 'POISONED');
      await rejection(channel.append('x'), 'POISONED');
      expect(await redex.deleteChannel('a')).toBe(true);
      const again = await redex.channel('a');
      await fill(again, 2);
      expect(await idsIn(again)).toEqual([2]);
      await redex.close();
      const next = await store.open();
      expect(await idsOfName(next, 'a')).toEqual([2]);
      await next.close();
    },
  );

  test('a channel that is not there is false, and changes nothing', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    const before = store.tree;
    expect(await redex.deleteChannel('a')).toBe(false);
    expect(store.tree).toEqual(before);
    await redex.close();
  });

  test('that cannot rename leaves the channel as it was', async () => {
    const store = new StoreLab();
    const before = await store.open({ sync: 'never' });
    await fill(await before.channel('a'), 1);
    await before.backup('/copy');
    await before.close();
    // It has never had a journal, and so none need say that the channel is gone.
    const { watch: fs, runtime } = store.lab;
    const redex = await Redex.open('/copy', { fs, runtime });
    store.lab.fail('renameSync', /\.trash/, 'EACCES');
    const error = await rejection(redex.deleteChannel('a'), 'IO');
    expect([error.systemCode, error.outcome, error.path]).toEqual([
      'EACCES',
      'absent',
      '/copy/channels/a',
    ]);
    expect(await idsOfName(redex, 'a')).toEqual([1]);
    await redex.close();
  });
});

describe('renaming', () => {
  test('takes the records, the options and the id along', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    const channel = await redex.channel('a', { sync: { everyN: 7 }, segmentMs: 5 });
    await fill(channel, 1, 2);
    const { created } = await channel.stats();
    store.lab.runtime.setNow(created + 1000);
    await redex.renameChannel('a', 'b/c');
    await expectClosed(channel);
    const renamed = await redex.channel('b/c', { createIfMissing: false });
    expect(renamed.name).toBe('b/c');
    expect(renamed.options).toMatchObject({ sync: { everyN: 7 }, segmentMs: 5 });
    expect((await renamed.stats()).created).toBe(created);
    expect(await idsIn(renamed)).toEqual([1, 2]);
    expect(await redex.hasChannel('a')).toBe(false);
    expect(store.lab.disk.readDirectorySync(`${CHANNELS}/.rename`)).toEqual([]);
    await redex.close();
    expect(await idsOfName(await store.open(), 'b/c')).toEqual([1, 2]);
  });

  test('a channel that is open with appends in flight closes it and tells everybody', async () => {
    const { store, redex, channel } = await heldStore();
    const appends = await inFlight(channel, store);
    const renamed = outcomeOf(redex.renameChannel('a', 'b'));
    const old = outcomeOf(redex.hasChannel('a'));
    const found = outcomeOf(redex.channel('b', { createIfMissing: false }));
    const anew = outcomeOf(redex.channel('a'));
    await store.lab.drain();
    expectSettled(appends);
    expect([renamed.state, old.value, anew.value?.nextSeq]).toEqual(['resolved', false, 0]);
    await expectClosed(channel);
    expect(found.value?.name).toBe('b');
    const written = appends.filter(({ state }) => state === 'resolved').length;
    expect(written).toBeGreaterThanOrEqual(4);
    expect(await store.lab.done(idsIn(found.value ?? channel))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(store.violations).toEqual([]);
  });

  test('onto itself, from nothing, or onto another channel', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    const [a, b] = [await redex.channel('a'), await redex.channel('b')];
    await fill(a, 1);
    await fill(b, 2);
    const before = store.tree;
    await redex.renameChannel('a', 'a');
    await rejection(redex.renameChannel('c', 'c'), 'NOT_FOUND');
    expect(await rejection(redex.renameChannel('c', 'a'), 'NOT_FOUND')).toMatchObject({
      kind: 'channel',
      resource: 'c',
    });
    expect(await rejection(redex.renameChannel('a', 'b'), 'EXISTS')).toMatchObject({
      kind: 'channel',
      resource: 'b',
    });
    expect(store.tree).toEqual(before);
    // Both are still open.
    await fill(a, 3);
    expect([await idsIn(a), await idsIn(b)]).toEqual([[1, 3], [2]]);
    await redex.close();
  });

  test('crosswise at once changes nothing twice and waits for nobody forever', async () => {
    const store = new StoreLab({ io: 'random', seed: 5 });
    const redex = await store.open();
    for (const [name, id] of [
      ['a', 1],
      ['b', 2],
    ] as const) {
      await store.lab.done(redex.channel(name).then((channel) => fill(channel, id)));
    }
    const moves = [
      outcomeOf(redex.renameChannel('a', 'c')),
      outcomeOf(redex.renameChannel('b', 'a')),
      outcomeOf(redex.renameChannel('c', 'b')),
      outcomeOf(redex.renameChannel('a', 'c')),
    ];
    await store.lab.drain();
    expect(moves.map(({ state }) => state)).toEqual(Array(4).fill('resolved'));
    expect(await store.lab.done(idsOfName(redex, 'b'))).toEqual([1]);
    expect(await store.lab.done(idsOfName(redex, 'c'))).toEqual([2]);
  });

  test.each([
    ['createSync', /config\.next$/],
    ['anyWrite', /config\.next$/],
    ['datasyncSync', /config\.next$/],
    ['syncDirectorySync', /channels\/a$/],
    ['renameSync', /\.rename\/b$/],
  ] as const)('that fails at %s of %s leaves the channel as it was', async (operation, path) => {
    const store = new StoreLab();
    const redex = await store.open();
    await fill(await redex.channel('a'), 1);
    const fault = store.lab.fail(operation, path, 'ENOSPC');
    const error = await rejection(redex.renameChannel('a', 'b'), 'IO');
    expect([error.systemCode, error.outcome, fault.fired]).toEqual(['ENOSPC', 'absent', 1]);
    const channel = await redex.channel('a', { createIfMissing: false });
    await channel.configure({ segmentMs: 3 });
    await fill(channel, 2);
    expect(await redex.hasChannel('b')).toBe(false);
    // Neither what failed nor the change after it is in the way.
    await redex.renameChannel('a', 'b');
    const renamed = await redex.channel('b', { createIfMissing: false });
    expect([renamed.options.segmentMs, await idsIn(renamed)]).toEqual([3, [1, 2]]);
    await redex.close();
  });
});

describe('a renaming that has stopped half way', () => {
  test.each([
    ['renameSync', /channels\/b$/],
    ['renameSync', /config\.next$/],
    ['syncDirectorySync', /\.rename\/b$/],
  ] as const)(
    'at %s of %s poisons the store; the next one finishes it',
    async (operation, path) => {
      const store = new StoreLab();
      const redex = await store.open();
      await fill(await redex.channel('a'), 1);
      const fault = store.lab.fail(operation, path, 'EIO');
      await rejection(redex.renameChannel('a', 'b'), 'POISONED');
      expect(fault.fired).toBe(1);
      await rejection(redex.channel('b'), 'POISONED');
      await redex.close().catch(() => undefined);
      const next = await store.open();
      expect(await idsOfName(next, 'b')).toEqual([1]);
      expect(await next.hasChannel('a')).toBe(false);
      await next.close();
    },
  );

  test('and cannot be finished keeps its name taken, and harms no other channel', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    for (const [name, id] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ] as const) {
      await fill(await redex.channel(name), id);
    }
    await redex.close();
    const passage = `${CHANNELS}/.rename/b`;
    store.lab.disk.renameSync(channelPath('a'), passage);
    const before = store.tree;
    const next = await store.open();
    // The directory on its way holds the config of a: it is not b's.
    for (const use of [
      () => next.channel('b'),
      () => next.hasChannel('b'),
      () => next.deleteChannel('b'),
      () => next.renameChannel('c', 'b'),
    ]) {
      const error = await rejection(use(), 'CORRUPT');
      expect(error).toMatchObject({ path: passage, check: 'identity' });
    }
    expect(store.tree).toEqual(before);
    expect(await idsOfName(next, 'c')).toEqual([3]);
    await next.close();
  });
});

describe('closing the store', () => {
  test('with everything in flight settles everything and gives all descriptors back', async () => {
    const { store, redex, channel } = await heldStore();
    const { lab } = store;
    await lab.done(redex.channel('b').then((other) => fill(other, 1)));
    const appends = await inFlight(channel, store);
    const others = [
      outcomeOf(redex.channel('new')),
      outcomeOf(redex.deleteChannel('b')),
      outcomeOf(redex.renameChannel('a', 'c')),
      outcomeOf(redex.sync()),
      outcomeOf(channel.configure({ sync: 'never' })),
      outcomeOf(channel.readBatch()),
    ];
    const closing = outcomeOf(redex.close());
    expect(redex.close()).toBe(redex.close());
    const late = outcomeOf(redex.channel('late'));
    await lab.drain();
    expectSettled([...appends, ...others]);
    expect(closing.state).toBe('resolved');
    requireCode(late.error, 'CLOSED');
    expect(lab.faults.openPaths).toEqual([]);
    expect(lab.runtime.pending).toEqual([]);
    expect(store.violations).toEqual([]);
    const next = await store.open();
    expect(await lab.done(next.hasChannel('late'))).toBe(false);
    const name = others[2]?.state === 'resolved' ? 'c' : 'a';
    expect(await lab.done(idsOfName(next, name))).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('rejects with the first error, closes the others all the same, frees the lock', async () => {
    const store = new StoreLab();
    const redex = await store.open({ sync: 'never' });
    for (const name of ['a', 'b', 'c']) await fill(await redex.channel(name), 1);
    store.lab.fail('datasync', /channels\/b\/.*\.dat$/, 'EIO');
    const error = await rejection(redex.close(), 'POISONED');
    expect(error.path).toMatch(/channels\/b\//);
    expect(store.lab.faults.openPaths).toEqual([]);
    const next = await store.open();
    for (const name of ['a', 'b', 'c']) expect(await idsOfName(next, name)).toEqual([1]);
    await next.close();
  });

  test('waits for a file that is being removed, and leaves the rest to the next open', async () => {
    const { store, redex } = await heldStore();
    const { lab } = store;
    expect(await lab.done(redex.deleteChannel('a'))).toBe(true);
    await lab.runtime.settle();
    const closing = outcomeOf(redex.close());
    await lab.runtime.settle();
    expect([closing.state, lab.runtime.heldIo]).toEqual(['pending', 1]);
    await lab.drain();
    expect(closing.state).toBe('resolved');
    const trash = `${CHANNELS}/.trash`;
    expect(lab.disk.readDirectorySync(trash)).toHaveLength(1);
    const next = await store.open();
    await lab.drain();
    expect(lab.disk.readDirectorySync(trash)).toEqual([]);
    await lab.done(next.close());
  });

  test('leaves every method CLOSED but close', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    const channel = await redex.channel('a');
    await redex.close();
    const before = store.tree;
    const { total } = store.lab.faults.calls;
    const uses: (() => Promise<unknown>)[] = [
      () => redex.channel('a'),
      () => redex.channel('b'),
      () => redex.hasChannel('a'),
      () => redex.deleteChannel('a'),
      () => redex.renameChannel('a', 'b'),
      () => redex.sync(),
      () => redex.stats(),
    ];
    for (const use of uses) {
      const { resource } = await rejection(use(), 'CLOSED');
      expect(resource, use.toString()).toBe('store /data');
    }
    await expectClosed(channel);
    await redex.close();
    await redex[Symbol.asyncDispose]();
    expect([store.lab.faults.calls.total, store.tree]).toEqual([total, before]);
  });
});
