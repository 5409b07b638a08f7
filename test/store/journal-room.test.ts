/**
 * Goal: an append of any size that the journal can hold gets its room, whatever was in it before,
 * and is told LIMIT only for a size that it can never hold, or when what fills it is pinned; who
 * appends synchronously is told BUSY only when something has to be freed first (RULES J7, J8, W1).
 * Method: large appends to a new journal and to a small one, one by one and together.
 */
import { expect, test } from 'vitest';
import { outcomeOf, payload, rejection, thrown } from '../support/channel-kit.js';
import { idsIn, StoreLab } from '../support/store-kit.js';

const KIB = 1024;
/** The smallest that there is. */
const SMALL = { journalBytes: 256 * KIB };
const IDS = [1, 2, 3, 4, 5, 6, 7, 8];

test('the first append may be larger than the first segment of the journal', async () => {
  const store = new StoreLab();
  const redex = await store.open();
  const channel = await redex.channel('a');
  const appends = [1, 2].map((id) => outcomeOf(channel.append(payload(id, 700_000))));
  await store.lab.drain();
  expect(appends.map(({ state }) => state)).toEqual(['resolved', 'resolved']);
  expect(await idsIn(channel)).toEqual([1, 2]);
  await redex.close();
});

test.each([20, 60, 76])('appends of %i KiB find room in a small journal', async (kib) => {
  const store = new StoreLab();
  const redex = await store.open(SMALL);
  const channel = await redex.channel('a');
  for (const id of IDS.slice(0, 4)) await channel.append(payload(id, kib * KIB));
  await Promise.all(IDS.slice(4).map((id) => channel.append(payload(id, kib * KIB))));
  expect(await idsIn(channel)).toEqual(IDS);
  await rejection(channel.append(payload(9, 120 * KIB)), 'LIMIT');
  await redex.close();
});

test('synchronous appends make the journal grow, and are told BUSY when it is full', async () => {
  const store = new StoreLab({ io: 'oldest' });
  const { lab } = store;
  const redex = await store.open({ journalBytes: 1024 * KIB });
  const channel = await lab.done(redex.channel('a'));
  let count = 0;
  const appendAll = (): void => {
    for (;;) channel.appendSync(payload(count++, 1000));
  };
  expect(thrown(appendAll, 'BUSY').reason).toContain('journal');
  // All of it but what is kept free, and what is too small to be a segment.
  expect(count).toBeGreaterThan(700);
  await lab.drain();
  expect(channel.appendSync(payload(count - 1, 1000))).toBe(count - 1);
  expect(await lab.done(idsIn(channel))).toEqual(Array.from({ length: count }, (_, id) => id));
  await lab.done(redex.close());
});

test('what waits for room is told LIMIT when a checkpoint frees too little of it', async () => {
  const store = new StoreLab({ io: 'oldest' });
  const { lab } = store;
  const redex = await store.open(SMALL);
  const [pinned, free] = [
    await lab.done(redex.channel('pinned')),
    await lab.done(redex.channel('free')),
  ];
  lab.fail('datasync', /pinned.*\.dat$/, 'EIO', { times: Infinity });
  await lab.done(free.append(payload(1, 20 * KIB)));
  for (const kib of [76, 20]) await lab.done(pinned.append(payload(1, kib * KIB)));
  await lab.done(free.append(payload(2, 60 * KIB)));
  // The checkpoint frees what is before the pinned one, which is too little.
  const late = outcomeOf(free.append(payload(3, 76 * KIB)));
  await lab.drain();
  expect(late.state).toBe('rejected');
  expect(late.error).toMatchObject({ code: 'LIMIT', what: 'journalBytes' });
  await lab.done(free.append(payload(4, 10 * KIB)));
  await lab.done(rejection(redex.close(), 'POISONED'));
  expect(lab.faults.openPaths).toEqual([]);
});
