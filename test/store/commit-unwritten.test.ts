/**
 * Goal: what a commit has in the journal and could not write to the file of a channel that does not
 * go through the journal, is there when the same process opens that channel again, and so is what
 * comes behind it.
 * Method: the write behind the journal's sync fails, or the sync of the file does; the channel is
 * closed, opened and used; then the process is killed, or the power goes.
 */
import { expect, test } from 'vitest';
import type { Operation, OperationGroup } from '../../src/testing/operations.js';
import { worst } from '../../src/testing/choices.js';
import { payload } from '../support/channel-kit.js';
import { idsOfName, StoreLab } from '../support/store-kit.js';

const FAULTS: readonly (readonly [Operation | OperationGroup, times: number])[] = [
  ['anyWrite', 1],
  ['anyWrite', 2],
  ['anySync', 1],
  ['anySync', 2],
];

test.each(FAULTS)('%s fails %i times behind a commit', async (operation, times) => {
  const store = new StoreLab();
  const redex = await store.open();
  const channel = await redex.channel('a', { sync: 'never' });
  await channel.append(payload(1), { durability: 'synced' });
  const fault = store.lab.fail(operation, /a\/v.*\.dat$/, 'EIO', { times });
  // The journal has it: whatever is said of it, it happens.
  await redex
    .commit([{ channel: 'a', records: [payload(2, 500)] }])
    .catch((error: unknown) => expect(error).toMatchObject({ code: 'POISONED' }));
  await channel.close().catch(() => undefined);
  for (let attempt = 1; ; attempt += 1) {
    const opened = await redex.channel('a').catch((error: unknown) => error);
    if (!(opened instanceof Error)) break;
    expect([opened, attempt < 4]).toMatchObject([{ code: 'IO' }, true]);
  }
  expect(fault.fired).toBe(times);
  const again = await redex.channel('a');
  await again.append(payload(3, 9000), { durability: 'synced' });
  await redex.commit([{ channel: 'a', records: [payload(4)] }]);
  expect(await idsOfName(redex, 'a')).toEqual([1, 2, 3, 4]);
  for (const image of [store.kill(), new StoreLab(store.lab.cut(worst))]) {
    const next = await image.open();
    expect(await idsOfName(next, 'a')).toEqual([1, 2, 3, 4]);
    await next.close();
  }
});
