/**
 * Goal: redex.commit does all of what it is told or nothing: what it resolves to, what it refuses
 * before anything is written, and that no turn of the event loop shows part of it (RULES J1, J8).
 * Method: stores in memory, with syncs held where a moment between two steps is looked at; after
 * each refusal the files of the store are compared with those before.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { ChannelOptions } from '../../src/channel/options.js';
import type { CommitOperation } from '../../src/store/commit-input.js';
import { Redex } from '../../src/store/redex.js';
import { worst } from '../../src/testing/choices.js';
import {
  outcomeOf,
  payload,
  rejection,
  requireCode,
  thrown,
  type Lab,
} from '../support/channel-kit.js';
import { DATA, fill, idsIn, idsOfName, StoreLab } from '../support/store-kit.js';

const POLICIES: readonly NonNullable<ChannelOptions['sync']>[] = ['always', 'never', { everyN: 4 }];
const NAMES = ['a', 'b', 'c'] as const;

function add(channel: string, ...ids: readonly number[]): CommitOperation {
  return { channel, records: ids.map((id) => payload(id)) };
}

interface Opened {
  readonly store: StoreLab;
  readonly redex: Redex;
  readonly channels: readonly Channel[];
}

/** Channels a, b and c, each of another policy, with one record each. */
async function opened(options: ConstructorParameters<typeof StoreLab>[0] = {}): Promise<Opened> {
  const store = new StoreLab(options);
  const redex = await store.open();
  const channels: Channel[] = [];
  for (const [index, name] of NAMES.entries()) {
    const sync = POLICIES[index] ?? 'always';
    const channel = await store.lab.done(redex.channel(name, { sync }));
    await store.lab.done(fill(channel, index));
    channels.push(channel);
  }
  return { store, redex, channels };
}

/** The next process. What is redone takes more turns than a lab waits for. */
function reopened({ watch: fs, runtime }: Lab): Promise<Redex> {
  return Redex.open(DATA, { fs, runtime });
}

async function idsOfAll(redex: Redex): Promise<(number | undefined)[][]> {
  const found: (number | undefined)[][] = [];
  for (const name of NAMES) found.push(await idsOfName(redex, name));
  return found;
}

describe('what it does', () => {
  test('appends to channels of all policies, synced', async () => {
    const { store, redex, channels } = await opened();
    const result = await redex.commit([add('c', 10, 11), add('a', 12), add('b', 13, 14, 15)]);
    expect(result).toEqual({
      channels: {
        a: { firstSeq: 1, nextSeq: 2 },
        b: { firstSeq: 1, nextSeq: 4 },
        c: { firstSeq: 1, nextSeq: 3 },
      },
    });
    expect(channels.map(({ durableSeq }) => durableSeq)).toEqual([2, 4, 3]);
    const cut = await reopened(store.lab.cut(worst));
    expect(await idsOfAll(cut)).toEqual([
      [0, 12],
      [1, 13, 14, 15],
      [2, 10, 11],
    ]);
    await cut.close();
  });

  test('of nothing is nothing', async () => {
    const { store, redex } = await opened();
    const before = store.tree;
    expect(await redex.commit([])).toEqual({ channels: {} });
    expect(store.tree).toEqual(before);
    const none = await redex.commit([add('a')]);
    expect(none).toEqual({ channels: { a: { firstSeq: 1, nextSeq: 1 } } });
    await redex.close();
  });

  test('makes channels with their records, and deletes others', async () => {
    const { store, redex, channels } = await opened();
    const result = await redex.commit([
      { channel: 'new', create: { sync: 'never', firstSeq: 5 }, records: [payload(20)] },
      { channel: 'empty', create: {}, records: [] },
      { delete: 'b' },
      add('a', 21),
    ]);
    expect(result.channels).toEqual({
      new: { firstSeq: 5, nextSeq: 6 },
      empty: { firstSeq: 0, nextSeq: 0 },
      a: { firstSeq: 1, nextSeq: 2 },
    });
    const [, deleted] = channels;
    await rejection(deleted?.append('x') ?? Promise.resolve(), 'CLOSED');
    await rejection(deleted?.get(0) ?? Promise.resolve(), 'CLOSED');
    const next = await reopened(store.lab.cut(worst));
    expect(await idsOfName(next, 'new', { sync: 'never' })).toEqual([20]);
    expect(await idsOfName(next, 'empty')).toEqual([]);
    expect(await idsOfName(next, 'a')).toEqual([0, 21]);
    expect(await next.hasChannel('b')).toBe(false);
    await next.close();
  });

  test('a tail and a fold of a channel that is deleted end', async () => {
    const { redex, channels } = await opened();
    const [channel] = channels;
    if (channel === undefined) throw new Error('no channel');
    const fold = await channel.fold({
      name: 'count',
      version: 1,
      initial: () => 0,
      apply: (count: number) => count + 1,
    });
    const tail = channel.tail({ from: 0 });
    expect((await tail.next()).value).toMatchObject({ seq: 0 });
    const next = tail.next();
    await redex.commit([{ delete: 'a' }, add('b', 7)]);
    await expect(next).resolves.toMatchObject({ done: true });
    await channel.close();
    expect(fold.seq).toBe(1);
    expect(await redex.hasChannel('a')).toBe(false);
    await redex.close();
  });

  test('create takes the channel that is there, when its options fit', async () => {
    const { redex } = await opened();
    const operation = { channel: 'b', create: { sync: 'never' }, records: ['x'] } as const;
    expect((await redex.commit([operation])).channels).toEqual({ b: { firstSeq: 1, nextSeq: 2 } });
    await redex.close();
  });

  test('a direct channel keeps what was appended between two commits', async () => {
    const { store, redex, channels } = await opened();
    const [, b] = channels;
    if (b === undefined) throw new Error('no channel');
    await redex.commit([add('a', 10), add('b', 11)]);
    await fill(b, 12);
    await redex.commit([add('a', 13), add('b', 14)]);
    expect(await idsIn(b)).toEqual([1, 11, 12, 14]);
    for (const machine of [store.lab.kill(), store.lab.cut(worst)]) {
      const next = await reopened(machine);
      expect(await idsOfName(next, 'b')).toEqual([1, 11, 12, 14]);
      expect(await idsOfName(next, 'a')).toEqual([0, 10, 13]);
      await next.close();
    }
    await redex.close();
    const again = await store.open();
    expect(await idsOfName(again, 'b')).toEqual([1, 11, 12, 14]);
    await again.close();
  });
});

describe('what it refuses, with nothing changed', () => {
  const BAD: readonly [string, unknown, typeof TypeError | typeof RangeError][] = [
    ['no array', { channel: 'a', records: [] }, TypeError],
    ['no operation', [7], TypeError],
    ['the same channel twice', [add('a', 1), add('a', 2)], TypeError],
    ['to append to what it deletes', [add('a', 1), { delete: 'a' }], TypeError],
    ['records that are none', [add('b', 1), { channel: 'a', records: [7] }], TypeError],
    ['records that are no array', [{ channel: 'a', records: 'x' }], TypeError],
    ['unknown fields', [{ channel: 'a', records: [], sync: 'never' }], TypeError],
    ['a name that is none', [{ channel: '', records: [] }], RangeError],
    ['a seq that is none', [{ channel: 'a', records: [], expectedSeq: -1 }], RangeError],
    ['a type that is none', [{ channel: 'a', records: [{ payload: 'x', type: -1 }] }], RangeError],
  ];

  test.each(BAD)('%s', async (_what, operations, error) => {
    const { store, redex } = await opened();
    const before = store.tree;
    await expect(redex.commit(operations as CommitOperation[])).rejects.toBeInstanceOf(error);
    expect(store.tree).toEqual(before);
    await redex.close();
  });

  const made: CommitOperation = { channel: 'new', create: {}, records: ['x'] };
  const REFUSED = [
    ['NOT_FOUND', [add('a', 1), add('missing', 2)], { kind: 'channel', resource: 'missing' }],
    ['NOT_FOUND', [add('a', 1), { delete: 'missing' }], { resource: 'missing' }],
    [
      'OPTIONS_CONFLICT',
      [made, { channel: 'b', create: { sync: 'always' }, records: ['x'] }],
      { option: 'sync', stored: 'never', given: 'always' },
    ],
    [
      'SEQ_CONFLICT',
      [made, { delete: 'c' }, add('a', 1), { channel: 'b', records: ['x'], expectedSeq: 3 }],
      { channel: 'b', expectedSeq: 3, actualSeq: 1 },
    ],
  ] as const;

  test.each(REFUSED)('%s', async (code, operations, fields) => {
    const { redex } = await opened();
    expect(await rejection(redex.commit(operations), code)).toMatchObject(fields);
    expect(await idsOfAll(redex)).toEqual([[0], [1], [2]]);
    expect([await redex.hasChannel('new'), await redex.hasChannel('c')]).toEqual([false, true]);
    // All of them go on.
    await redex.commit([add('a', 5), add('b', 6), { channel: 'c', records: [], expectedSeq: 1 }]);
    expect(await idsOfAll(redex)).toEqual([[0, 5], [1, 6], [2]]);
    await redex.close();
  });

  test('LIMIT for what the journal cannot hold', async () => {
    const store = new StoreLab();
    const redex = await store.open({ journalBytes: 256 * 1024 });
    for (const name of NAMES) await redex.channel(name);
    const large = (channel: string): CommitOperation => {
      return { channel, records: [payload(1, 30 * 1024)] };
    };
    const operations = NAMES.map(large);
    const error = await rejection(redex.commit(operations), 'LIMIT');
    expect(error).toMatchObject({ what: 'journalBytes' });
    expect(error.actual).toBeGreaterThan(error.limit);
    expect(await idsOfAll(redex)).toEqual([[], [], []]);
    await redex.commit(operations.slice(1));
    expect(await idsOfAll(redex)).toEqual([[], [1], [1]]);
    await redex.close();
  });

  test('CLOSED, READ_ONLY and POISONED', async () => {
    const { store, redex } = await opened();
    const reader = await store.open({ readOnly: true });
    await rejection(reader.commit([]), 'READ_ONLY');
    await reader.close();
    await redex.close();
    await rejection(redex.commit([]), 'CLOSED');
    const next = await store.open();
    store.lab.fail('datasync', /journal/, 'EIO');
    await rejection(next.commit([add('a', 1), add('b', 2)]), 'POISONED');
    await rejection(next.commit([add('a', 1)]), 'POISONED');
    for (const name of ['a', 'b']) expect((await next.channel(name)).durableSeq).toBe(1);
    await rejection(next.close(), 'POISONED');
    const after = await reopened(store.lab.cut(worst));
    expect(await idsOfAll(after)).toEqual([[0], [1], [2]]);
    await after.close();
  });
});

describe('beside others', () => {
  test('appends before, during and after keep their order', async () => {
    const { store, redex, channels } = await opened({ io: 'oldest' });
    const { lab } = store;
    const before = channels.map((channel) => outcomeOf(channel.append(payload(10))));
    const commit = outcomeOf(redex.commit(NAMES.map((name) => add(name, 20))));
    await lab.runtime.settle();
    while (lab.runtime.heldIo === 0) await lab.runtime.settle();
    const during = channels.map((channel) => outcomeOf(channel.append(payload(30))));
    // Whoever cannot wait is told so while the commit holds the channel.
    const busy = channels.map((channel) => thrown(() => channel.appendSync('x'), 'BUSY'));
    expect(busy.length).toBe(3);
    await lab.drain();
    expect(commit.state).toBe('resolved');
    expect([...before, ...during].map(({ state }) => state)).toEqual(Array(6).fill('resolved'));
    for (const [index, channel] of channels.entries()) {
      await lab.done(channel.append(payload(40)));
      expect(await lab.done(idsIn(channel))).toEqual([index, 10, 20, 30, 40]);
    }
    await lab.done(redex.close());
  });

  test('steady appends to a direct channel do not starve it', async () => {
    const { store, redex, channels } = await opened({ io: 'oldest' });
    const { lab } = store;
    const [, direct] = channels;
    const commit = outcomeOf(redex.commit([add('a', 20), add('b', 21)]));
    let turns = 0;
    while (commit.state === 'pending' && turns < 100) {
      turns++;
      direct?.append(payload(100 + turns), { durability: 'synced' }).catch(() => undefined);
      await lab.runtime.settle();
      lab.runtime.runIo();
    }
    await lab.runtime.settle();
    expect(commit.state).toBe('resolved');
    expect(turns).toBeLessThan(30);
    await lab.drain();
    await lab.done(redex.close());
  });

  test('over the same channels in another order they wait for each other', async () => {
    const { store, redex } = await opened({ io: 'random' });
    const orders = [
      ['a', 'b', 'c'],
      ['c', 'b', 'a'],
      ['b', 'a'],
      ['c', 'a'],
    ];
    const commits = Array.from({ length: 20 }, (_, i) => {
      const order = orders[i % orders.length] ?? [];
      return outcomeOf(redex.commit(order.map((name) => add(name, 100 + i))));
    });
    await store.lab.drain();
    expect(commits.map(({ state }) => state)).toEqual(Array(20).fill('resolved'));
    await store.lab.done(redex.close());
  });

  test('a conflict with what is not visible yet is told when that is visible', async () => {
    const { store, redex, channels } = await opened({ io: 'oldest' });
    const first = outcomeOf(channels[0]?.append(payload(9)) ?? Promise.reject(new Error('none')));
    const late = outcomeOf(
      redex.commit([add('b', 1), { channel: 'a', records: ['x'], expectedSeq: 1 }]),
    );
    await store.lab.drain();
    expect(first.state).toBe('resolved');
    expect(requireCode(late.error, 'SEQ_CONFLICT')).toMatchObject({ channel: 'a', actualSeq: 2 });
    await store.lab.done(redex.close());
  });
});

describe('no turn shows part of it', () => {
  test.each([1, 2, 3, 4, 5])('seed %i', async (seed) => {
    const { store, redex, channels } = await opened({ io: 'random', seed });
    const { lab } = store;
    await lab.done(redex.sync());
    const tailed = NAMES.map(() => 1);
    const tails = channels.map((channel) => channel.tail({ from: 1 }));
    const follow = async (index: number): Promise<void> => {
      for (;;) {
        const next = await tails[index]?.next();
        if (next === undefined || next.done === true) return;
        tailed[index] = next.value.seq + 1;
      }
    };
    const following = NAMES.map((_name, index) => follow(index));
    const ends = (): number[] => channels.map(({ durableSeq }) => durableSeq);
    for (let round = 0; round < 5; round++) {
      const before = ends();
      const commit = outcomeOf(redex.commit(NAMES.map((name) => add(name, round, round + 50))));
      while (commit.state === 'pending') {
        await Promise.resolve();
        const moved = ends().map((end, index) => end - (before[index] ?? 0));
        expect(new Set(moved).size, moved.join()).toBe(1);
        // A tail that waits is told in that turn; nobody is told of what others cannot see yet.
        for (const [index, end] of tailed.entries()) {
          expect(end).toBeLessThanOrEqual(channels[index]?.durableSeq ?? 0);
        }
        lab.runtime.runIo();
      }
      await lab.drain();
      expect(commit.state).toBe('resolved');
      expect(tailed).toEqual([3, 3, 3].map((end) => end + round * 2));
    }
    await lab.done(redex.close());
    await Promise.all(following);
  });
});

describe('while something else goes on', () => {
  const WORK: readonly [string, (redex: Redex, channel: Channel) => Promise<unknown>][] = [
    ['a compaction', (_, channel) => channel.compact({ keep: () => true })],
    ['a trim', (_, channel) => channel.trim({ beforeSeq: 1 })],
    ['configure', (_, channel) => channel.configure({ sync: 'never' })],
    ['a rename of another', (redex) => redex.renameChannel('c', 'd')],
    ['a backup', (redex) => redex.backup('/backup')],
    ['closing a channel', (_, channel) => channel.close()],
    ['a sync', (redex) => redex.sync()],
  ];

  test.each(WORK)('%s', async (_what, work) => {
    for (let seed = 1; seed <= 5; seed++) {
      const { store, redex, channels } = await opened({ io: 'random', seed });
      const [a] = channels;
      if (a === undefined) throw new Error('no channel');
      const working = outcomeOf(work(redex, a));
      const commits = [10, 20, 30].map((id) => {
        return outcomeOf(redex.commit([add('a', id), add('b', id)]));
      });
      await store.lab.drain();
      expect([working.error, ...commits.map(({ error }) => error)]).toEqual(
        Array(4).fill(undefined),
      );
      expect(commits.map(({ state }) => state)).toEqual(Array(3).fill('resolved'));
      await store.lab.done(redex.close());
      const again = await reopened(store.lab.kill({ io: 'immediate' }));
      expect((await idsOfName(again, 'a')).slice(-3)).toEqual([10, 20, 30]);
      expect(await idsOfName(again, 'b')).toEqual([1, 10, 20, 30]);
      await again.close();
    }
  });
});
