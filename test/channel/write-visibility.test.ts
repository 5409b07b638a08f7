/**
 * Goal: a record is visible when it, and all before it, have the durability that their appends
 * asked for; expectedSeq is decided on what is visible; times never go back; what is closed is
 * closed.
 * Method: held syncs and writes, and a wall clock that jumps.
 */
import { expect, test } from 'vitest';
import {
  idsOf,
  Lab,
  LARGE,
  outcomeOf,
  payload,
  requireCode,
  thrown,
} from '../support/channel-kit.js';

const DAT = /\.dat$/;

test('visibility: a synced append shows after its sync, and hides what follows', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  const synced = outcomeOf(channel.append(payload(2)));
  const written = outcomeOf(channel.append(payload(3), { durability: 'written' }));
  await lab.runtime.settle();
  // The second one has what it asked for, but stands behind one that has not.
  expect([synced.state, written.state, channel.nextSeq]).toEqual(['pending', 'resolved', 1]);
  expect([await channel.get(1), await channel.get(2)]).toEqual([undefined, undefined]);
  await lab.drain();
  expect([synced.state, channel.nextSeq]).toEqual(['resolved', 3]);
  expect(await idsOf(lab, channel)).toEqual([1, 2, 3]);
});

test('visibility: written records before a synced one are visible at once', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  await channel.append(payload(2), { durability: 'written' });
  await channel.append(payload(3), { durability: 'written' });
  const synced = outcomeOf(channel.append(payload(4)));
  await lab.runtime.settle();
  expect([synced.state, channel.nextSeq, channel.durableSeq]).toEqual(['pending', 3, 1]);
  expect(await idsOf(lab, channel)).toEqual([1, 2, 3]);
  await lab.drain();
  expect([channel.nextSeq, channel.durableSeq]).toEqual([4, 4]);
});

test('visibility: written and synced appends of one frame are seen in their order', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  await lab.done(channel.append(payload(1), { durability: 'synced' }));
  const asked = ['written', 'written', 'synced', 'written', 'synced', 'written'] as const;
  const tick = asked.map((durability, i) =>
    outcomeOf(channel.append(payload(2 + i), { durability })),
  );
  await lab.runtime.settle();
  const states = tick.map(({ state }) => state === 'resolved');
  expect(states).toEqual([true, true, false, true, false, true]);
  expect(channel.nextSeq).toBe(3);
  await lab.drain();
  expect(channel.nextSeq).toBe(7);
  expect(tick.every(({ state }) => state === 'resolved')).toBe(true);
});

test('visibility: a reader that began before an append does not see it', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(1));
  const reading = channel.read({ copy: true });
  expect(await reading.next()).toMatchObject({ done: false, value: { seq: 0 } });
  await channel.append(payload(2));
  expect((await reading.next()).done).toBe(true);
});

test('durability: each append waits for what it asked for, whatever the policy', async () => {
  for (const sync of ['always', 'never', { everyN: 100 }] as const) {
    const lab = new Lab({ io: 'oldest' });
    const channel = await lab.open({ sync });
    await lab.done(channel.append(payload(1), { durability: 'synced' }));
    const written = outcomeOf(channel.append(payload(2), { durability: 'written' }));
    const usual = outcomeOf(channel.append(payload(3)));
    await lab.runtime.settle();
    const waits = sync === 'always' ? 'pending' : 'resolved';
    expect([written.state, usual.state]).toEqual(['resolved', waits]);
    const synced = outcomeOf(channel.append(payload(4), { durability: 'synced' }));
    await lab.runtime.settle();
    expect(synced.state).toBe('pending');
    await lab.drain();
    expect([synced.state, channel.durableSeq]).toEqual(['resolved', 4]);
  }
});

test('expectedSeq: the next seq to assign is accepted, in flight or not', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  const tick = [0, 1, 2].map((seq) =>
    outcomeOf(channel.append(payload(seq), { expectedSeq: seq })),
  );
  await lab.drain();
  expect(tick.map(({ value }) => value)).toEqual([0, 1, 2]);
  const batch = channel.appendBatch([payload(3), payload(4)], { expectedSeq: 3 });
  expect(await lab.done(batch)).toEqual({ firstSeq: 3, nextSeq: 5 });
  expect(channel.appendSync(payload(5), { expectedSeq: 5 })).toBe(5);
  const error = thrown(() => channel.appendSync(payload(6), { expectedSeq: 5 }), 'SEQ_CONFLICT');
  expect(error).toMatchObject({ expectedSeq: 5, actualSeq: 6 });
  expect(channel.nextSeq).toBe(6);
});

test('expectedSeq: a conflict is told when the records that cause it are visible', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  const winner = outcomeOf(channel.append(payload(2), { expectedSeq: 1 }));
  const loser = outcomeOf(channel.append(payload(3), { expectedSeq: 1 }));
  const batch = outcomeOf(channel.appendBatch([payload(4)], { expectedSeq: 1 }));
  await lab.runtime.settle();
  expect([winner.state, loser.state, batch.state]).toEqual(['pending', 'pending', 'pending']);
  await lab.drain();
  expect([winner.value, channel.nextSeq]).toEqual([1, 2]);
  for (const { error } of [loser, batch]) {
    expect(requireCode(error, 'SEQ_CONFLICT')).toMatchObject({ expectedSeq: 1, actualSeq: 2 });
  }
});

test.each(['always', 'never'] as const)(
  "expectedSeq: under '%s' a conflict with a large write in flight is told when it has landed",
  async (sync) => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await lab.open({ sync });
    await lab.done(channel.append(payload(1), { durability: 'synced' }));
    const winner = outcomeOf(channel.append(payload(2, LARGE)));
    const loser = outcomeOf(channel.append(payload(3), { expectedSeq: 1 }));
    await lab.runtime.settle();
    expect(loser.state).toBe('pending');
    await lab.drain();
    expect(winner.value).toBe(1);
    requireCode(loser.error, 'SEQ_CONFLICT');
  },
);

test.each(['always', 'never'] as const)(
  "expectedSeq: under '%s' the comparison is made again when the records before it fail",
  async (sync) => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await lab.open({ sync });
    await lab.done(channel.append(payload(1), { durability: 'synced' }));
    lab.fail('write', DAT, 'ENOSPC');
    const first = outcomeOf(channel.append(payload(2, LARGE)));
    const single = outcomeOf(channel.append(payload(3), { expectedSeq: 1 }));
    const batch = outcomeOf(channel.appendBatch([payload(4), payload(5)], { expectedSeq: 2 }));
    await lab.drain();
    requireCode(first.error, 'IO');
    expect([single.state, single.value]).toEqual(['resolved', 1]);
    // Two was the next seq when the batch was appended: it was queued behind, and fails with it.
    requireCode(batch.error, 'IO');
  },
);

test('expectedSeq: what is appended after all is what was given', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  lab.fail('write', DAT, 'ENOSPC');
  outcomeOf(channel.append(payload(2, LARGE)));
  const bytes = payload(3);
  const waiting = outcomeOf(channel.append(bytes, { expectedSeq: 1 }));
  bytes.fill(0);
  await lab.drain();
  expect(waiting.value).toBe(1);
  expect((await lab.done(channel.get(1)))?.payload).toEqual(payload(3));
});

test('expectedSeq: who waits for a conflict is told of poison and of the close', async () => {
  const poisoned = new Lab({ io: 'oldest' });
  const channel = await poisoned.open();
  await poisoned.done(channel.append(payload(1)));
  poisoned.fail('datasync', DAT, 'EIO');
  outcomeOf(channel.append(payload(2)));
  const waiting = outcomeOf(channel.append(payload(3), { expectedSeq: 1 }));
  await poisoned.drain();
  requireCode(waiting.error, 'POISONED');

  const closed = new Lab({ io: 'oldest' });
  const other = await closed.open();
  await closed.done(other.append(payload(1)));
  outcomeOf(other.append(payload(2)));
  const late = outcomeOf(other.append(payload(3), { expectedSeq: 1 }));
  await closed.done(other.close());
  await closed.drain();
  expect(late.state).toBe('rejected');
});

test('the payload is copied before append returns', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(0)));
  const shared = [payload(1), payload(2, 100), payload(3, LARGE)];
  const appends = shared.map((bytes) => {
    const append = channel.append(bytes);
    bytes.fill(0xee);
    return append;
  });
  await lab.done(Promise.all(appends));
  expect(await idsOf(lab, channel)).toEqual([0, 1, 2, 3]);
});

test('timestamps never decrease, whatever the clock and the caller say', async () => {
  const lab = new Lab();
  let channel = await lab.open({ segmentBytes: 4096 });
  const start = lab.runtime.now();
  const append = (timestamp?: number): Promise<number> =>
    channel.append(payload(1, 900), timestamp === undefined ? {} : { timestamp });
  await append();
  lab.runtime.setNow(start - 50_000);
  await append();
  await append(start - 99_999);
  await append(start + 5000);
  await channel.appendBatch([{ payload: 'a', timestamp: start + 9000 }, { payload: 'b' }]);
  await channel.close();
  channel = await lab.open();
  await append();
  channel.appendSync(payload(2));
  await append(start + 10_000);
  const times = (await channel.readBatch()).map(({ timestamp }) => timestamp - start);
  expect(times).toEqual([0, 0, 0, 5000, 9000, 9000, 9000, 9000, 10_000]);
  const stamps = (await channel.readBatch()).map(({ timestampNs }) => timestampNs);
  expect(stamps).toEqual(stamps.toSorted((a, b) => (a < b ? -1 : Number(a > b))));
});

test('a record that failed leaves no time behind that later ones would have to take', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  const start = lab.runtime.now();
  await channel.append(payload(1));
  lab.fail('anyWrite', DAT, 'ENOSPC');
  await channel.append(payload(2), { timestamp: start + 1_000_000 }).catch(() => undefined);
  await channel.append(payload(3));
  expect((await channel.get(1))?.timestamp).toBe(start);
});

test('CLOSED: a closed channel refuses every use, and close can be called again', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(1));
  const closing = channel.close();
  expect(channel.close()).toBe(closing);
  const early = outcomeOf(channel.append(payload(2)));
  await closing;
  const uses = [
    channel.append(payload(2)),
    channel.appendBatch([payload(2)]),
    channel.sync(),
    channel.get(0),
    channel.readBatch(),
    channel.seqAt(0),
    channel.last(1),
  ].map((asked: Promise<unknown>) => outcomeOf(asked));
  await lab.runtime.settle();
  for (const { error } of [early, ...uses]) requireCode(error, 'CLOSED');
  thrown(() => channel.appendSync(payload(2)), 'CLOSED');
  thrown(() => channel.appendBatchSync([payload(2)]), 'CLOSED');
});

test('CLOSED: close waits for the appends in flight and keeps them', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  const appends = [
    outcomeOf(channel.append(payload(1))),
    outcomeOf(channel.append(payload(2, LARGE))),
    outcomeOf(channel.append(payload(3), { durability: 'synced' })),
  ];
  await lab.done(channel.close());
  expect(appends.map(({ value }) => value)).toEqual([0, 1, 2]);
  expect(lab.faults.openPaths).toEqual([]);
  const next = lab.cut(() => 0, { io: 'immediate' });
  const { length } = next.watch.calls;
  const again = await next.open();
  expect(await idsOf(next, again)).toEqual([1, 2, 3]);
  expect(next.watch.calls.slice(length).some(({ call }) => call === 'write')).toBe(false);
});
