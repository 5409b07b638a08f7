/**
 * Goal: after a failed sync of the journal, or of a directory that all channels depend on, the
 * store acknowledges nothing more, lets what is durable be read, and is well again when it is
 * opened again (rule S3).
 * Method: each such sync fails, with channels open, being opened, and with appends in flight.
 */
import { describe, expect, test } from 'vitest';
import { IDLE_WITNESS_MS } from '../../src/channel/sync-schedule.js';
import { diagnostics } from '../../src/core/runtime.js';
import type { Operation, OperationGroup } from '../../src/testing/operations.js';
import type { Redex } from '../../src/store/redex.js';
import { worst } from '../../src/testing/choices.js';
import { LARGE, outcomeOf, payload, rejection, requireCode } from '../support/channel-kit.js';
import { channelPath, fill, idsOfName, StoreLab } from '../support/store-kit.js';

/** Nothing is added to the journal for so long that a checkpoint begins by itself. */
async function checkpointed(redex: Redex, { lab }: StoreLab): Promise<void> {
  await lab.runtime.elapse(5 * IDLE_WITNESS_MS);
  await redex.sync();
}

/** What makes the store sync, by what it is whose sync fails. */
const CASES: readonly [
  what: string,
  path: RegExp,
  act: (redex: Redex, store: StoreLab) => Promise<unknown>,
][] = [
  ['creating: the journal', /journal/, (redex) => redex.channel('new')],
  ['deleting: the journal', /journal/, (redex) => redex.deleteChannel('b')],
  [
    'created, at a checkpoint: channels',
    /channels$/,
    (redex, store) => redex.channel('new').then(() => checkpointed(redex, store)),
  ],
  [
    'deleted, at a checkpoint: channels',
    /channels$/,
    (redex, store) => redex.deleteChannel('b').then(() => checkpointed(redex, store)),
  ],
  [
    'deleted, at a checkpoint: .trash',
    /\.trash$/,
    (redex, store) => redex.deleteChannel('b').then(() => checkpointed(redex, store)),
  ],
  [
    'created, by a sync of the channel itself: channels',
    /channels$/,
    (redex) =>
      redex.channel('new', { sync: 'never' }).then(async (channel) => {
        await channel.append(payload(5));
        await channel.sync();
      }),
  ],
  ['renaming: channels', /channels$/, (redex) => redex.renameChannel('b', 'new')],
  ['renaming: .rename', /\.rename$/, (redex) => redex.renameChannel('b', 'new')],
];

async function storeWithTwo(options: ConstructorParameters<typeof StoreLab>[0] = {}): Promise<{
  readonly store: StoreLab;
  readonly redex: Redex;
}> {
  const store = new StoreLab(options);
  const redex = await store.open();
  for (const [name, id] of [
    ['a', 1],
    ['b', 2],
  ] as const) {
    await store.lab.done(redex.channel(name).then((channel) => fill(channel, id)));
  }
  return { store, redex };
}

describe.each(CASES)('a failed sync, %s', (what, path, act) => {
  test('ends all promises of the store, and no read of what is durable', async () => {
    const { store, redex } = await storeWithTwo();
    const channel = await redex.channel('a');
    await channel.append(payload(3), { durability: 'written' });
    const told: unknown[] = [];
    const listen = (message: unknown): void => {
      told.push(message);
    };
    diagnostics.poison.subscribe(listen);
    const fault = store.lab.fail('anySync', path, 'EIO');
    const error = await rejection(act(redex, store), 'POISONED');
    diagnostics.poison.unsubscribe(listen);
    expect([fault.fired, error.outcome]).toEqual([1, 'unknown']);
    expect(error.path).toMatch(path);
    expect(error.cause).toMatchObject({ code: 'EIO' });
    expect(told).toContainEqual(expect.objectContaining({ channel: undefined, path: error.path }));
    const uses: (() => Promise<unknown>)[] = [
      () => channel.append('x'),
      () => channel.appendBatch(['x']),
      () => channel.sync(),
      () => channel.configure({ sync: 'never' }),
      () => redex.channel('other'),
      () => redex.deleteChannel('a'),
      () => redex.renameChannel('a', 'other'),
      () => redex.sync(),
    ];
    for (const use of uses) await rejection(use(), 'POISONED');
    expect(await redex.channel('a')).toBe(channel);
    expect([(await channel.get(0))?.seq, await redex.hasChannel('a')]).toEqual([0, true]);
    // Before a checkpoint the journal is synced.
    if (what.includes('checkpoint')) expect((await channel.get(1))?.seq).toBe(1);
    else await rejection(channel.get(1), 'POISONED');
    await rejection(redex.close(), 'POISONED');
    expect(store.lab.faults.openPaths).toEqual([]);
    const next = await store.open();
    expect(await idsOfName(next, 'a')).toEqual([1, 3]);
    await fill(await next.channel('a'), 4);
    await fill(await next.channel('other'), 5);
    await next.close();
  });

  test('leaves the old names or the new ones after a power cut', async () => {
    const { store, redex } = await storeWithTwo();
    store.lab.fail('anySync', path, 'EIO');
    await rejection(act(redex, store), 'POISONED');
    const cut = new StoreLab(store.lab.cut(worst));
    const next = await cut.open();
    expect(await idsOfName(next, 'a')).toEqual([1]);
    const names = [await next.hasChannel('b'), await next.hasChannel('new')];
    const found = names[0] ? await idsOfName(next, 'b') : undefined;
    expect(found ?? [2]).toEqual([2]);
    await next.close();
  });
});

/** What makes the store write to its journal or sync it; the operation that fails meanwhile. */
const JOURNAL_CASES: readonly [
  what: string,
  operation: Operation | OperationGroup,
  path: RegExp,
  (redex: Redex) => Promise<unknown>,
][] = [
  ['an append', 'datasync', /\.journal$/, async (redex) => fill(await redex.channel('a'), 3)],
  [
    'an append, writing',
    'anyWrite',
    /\.journal$/,
    async (redex) => fill(await redex.channel('a'), 3),
  ],
  [
    'appendSync',
    'datasyncSync',
    /\.journal$/,
    async (redex) => (await redex.channel('a')).appendSync(payload(3)),
  ],
  ['creating', 'datasync', /\.journal$/, (redex) => redex.channel('new')],
  ['creating, writing', 'anyWrite', /\.journal$/, (redex) => redex.channel('new')],
  ['deleting', 'datasync', /\.journal$/, (redex) => redex.deleteChannel('b')],
];

test.each(JOURNAL_CASES)('a failure of the journal, %s, is the end', async (_what, ...failure) => {
  const [operation, path, act] = failure;
  const { store, redex } = await storeWithTwo();
  const direct = await redex.channel('direct', { sync: 'never' });
  await direct.append(payload(7), { durability: 'synced' });
  const fault = store.lab.fail(operation, path, 'EIO');
  await rejection(act(redex), 'POISONED');
  expect(fault.fired).toBe(1);
  for (const name of ['a', 'direct']) {
    const channel = await redex.channel(name);
    await rejection(channel.append('x', { durability: 'synced' }), 'POISONED');
    expect((await channel.get(0))?.seq, name).toBe(0);
  }
  await rejection(redex.channel('other'), 'POISONED');
  await rejection(redex.close(), 'POISONED');
  expect(store.lab.faults.openPaths).toEqual([]);
  for (const next of [store, new StoreLab(store.lab.cut(worst))]) {
    const again = await next.open();
    expect((await idsOfName(again, 'a')).slice(0, 1)).toEqual([1]);
    expect(await idsOfName(again, 'direct')).toEqual([7]);
    if (await again.hasChannel('b')) expect(await idsOfName(again, 'b')).toEqual([2]);
    await fill(await again.channel('a'), 4);
    expect((await idsOfName(again, 'a')).at(-1)).toBe(4);
    await again.close();
  }
});

test('appends in flight are rejected, and what was written of them is not visible', async () => {
  const { store, redex: before } = await storeWithTwo({ io: 'oldest' });
  const { lab } = store;
  // Nothing is in the journal that a renaming would have to wait for.
  await lab.done(before.close());
  const redex = await store.open();
  const channel = await lab.done(redex.channel('a'));
  const waiting = [
    outcomeOf(channel.append(payload(3))),
    outcomeOf(channel.append(payload(4, LARGE))),
    outcomeOf(channel.sync()),
  ];
  await lab.runtime.settle();
  lab.fail('syncDirectory', /channels$/, 'EIO');
  const named = [outcomeOf(redex.renameChannel('b', 'x')), outcomeOf(redex.channel('y'))];
  await newestFirst(store, named);
  const [small, large] = waiting;
  expect([small?.state, large?.state]).toEqual(['rejected', 'rejected']);
  await lab.drain();
  for (const { error } of [...waiting, ...named]) requireCode(error, 'POISONED');
  expect((await lab.done(channel.readBatch({ limit: 1 }))).map(({ seq }) => seq)).toEqual([0]);
  await lab.done(rejection(channel.get(1), 'POISONED'));
  const next = await store.kill().open();
  expect(await next.hasChannel('a')).toBe(true);
});

/** Completes what was begun last, until these have settled. */
async function newestFirst(
  { lab }: StoreLab,
  outcomes: readonly { readonly state: string }[],
): Promise<void> {
  await lab.runtime.settle();
  while (outcomes.some(({ state }) => state === 'pending')) {
    if (!lab.runtime.runIo(lab.runtime.heldIo - 1)) throw new Error('nothing is held');
    await lab.runtime.settle();
  }
}

test('a channel that was being opened is poisoned as well', async () => {
  const { store, redex } = await storeWithTwo();
  await redex.close();
  // Killed with records that have still to be taken over: opening it syncs, and waits for it.
  const before = await store.open();
  await fill(await before.channel('a'), 3);
  const next = new StoreLab(store.lab.kill({ io: 'oldest' }));
  const { lab } = next;
  const again = await next.open();
  const opening = outcomeOf(again.channel('a'));
  await lab.runtime.settle();
  expect([opening.state, lab.runtime.heldIo > 0]).toEqual(['pending', true]);
  lab.fail('syncDirectory', /channels$/, 'EIO');
  const renamed = outcomeOf(again.renameChannel('b', 'new'));
  await newestFirst(next, [renamed]);
  requireCode(renamed.error, 'POISONED');
  expect(opening.state).toBe('pending');
  await lab.drain();
  const { value: channel } = opening;
  if (channel === undefined) throw new Error('the channel was not opened');
  const append = outcomeOf(channel.append('x'));
  await lab.drain();
  requireCode(append.error, 'POISONED');
  expect(await lab.done(channel.get(1))).toMatchObject({ seq: 1 });
});

test('a deletion in the journal that could not rename is finished by the next open', async () => {
  const store = new StoreLab();
  const redex = await store.open();
  await fill(await redex.channel('a'), 1);
  await fill(await redex.channel('b'), 2);
  store.lab.fail('renameSync', /\.trash/, 'EACCES');
  const error = await rejection(redex.deleteChannel('a'), 'POISONED');
  expect([error.path, error.outcome]).toEqual([channelPath('a'), 'unknown']);
  await rejection(redex.channel('c'), 'POISONED');
  await rejection(redex.close(), 'POISONED');
  const next = await store.open();
  expect([await next.hasChannel('a'), await idsOfName(next, 'b')]).toEqual([false, [2]]);
  await fill(await next.channel('a'), 3);
  expect(await idsOfName(next, 'a')).toEqual([3]);
  await next.close();
});
