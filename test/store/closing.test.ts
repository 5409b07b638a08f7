/**
 * Goal: while a store is being closed it is still held: nobody else writes to what is being synced.
 * Method: held input and output, and another open at each step of the close.
 */
import { expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import { LARGE, outcomeOf, payload, requireCode } from '../support/channel-kit.js';
import { DATA, StoreLab } from '../support/store-kit.js';

test('N3: until a close is done nobody else gets the store', async () => {
  const store = new StoreLab({ io: 'oldest' });
  const redex = await store.open();
  const { lab } = store;
  const channel = await lab.done(redex.channel('a'));
  await lab.done(channel.append(payload(1)));
  const appends = [
    outcomeOf(channel.append(payload(2))),
    outcomeOf(channel.append(payload(3, LARGE))),
  ];
  await lab.runtime.settle();
  const { watch: fs, runtime } = lab;
  const closing = outcomeOf(redex.close());
  let tries = 0;
  for (; closing.state === 'pending'; tries += 1) {
    const again = outcomeOf(Redex.open(DATA, { fs, runtime }));
    await runtime.settle();
    if (closing.state === 'pending') requireCode(again.error, 'LOCKED');
    runtime.runIo();
    await runtime.settle();
  }
  expect(tries).toBeGreaterThan(2);
  expect(appends.map(({ state }) => state)).toEqual(['resolved', 'resolved']);
});
