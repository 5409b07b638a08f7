/**
 * Goal: a channel that is deleted does not come back when the power goes, even if what says that
 * the journal is empty was written by a process before and never synced (RULES S4, J5).
 * Method: the sync of the journal's control block fails when the first process ends; the next one
 * reads what it wrote, and changes channels; then the power goes, and takes it back.
 */
import { expect, test } from 'vitest';
import { choicesFromSeed, worst } from '../../src/testing/choices.js';
import { fill, idsOfName, listed, StoreLab } from '../support/store-kit.js';

/** The journal has its groups; that none of them is needed is in its control block, unsynced. */
async function unsyncedEnd(): Promise<StoreLab> {
  const store = new StoreLab();
  const redex = await store.open({ sync: 'always' });
  await fill(await redex.channel('a'), 1, 2);
  await fill(await redex.channel('b'), 3);
  store.lab.fail('datasync', /control$/, 'EIO');
  await redex.close().catch(() => undefined);
  return store.kill();
}

test('a channel that was deleted after an unsynced end of the journal stays deleted', async () => {
  for (let seed = 0; seed < 8; seed++) {
    const store = await unsyncedEnd();
    const redex = await store.open({ sync: 'always' });
    expect(await redex.deleteChannel('a')).toBe(true);
    await redex.renameChannel('b', 'c');
    const left = new StoreLab(store.lab.cut(seed === 0 ? worst : choicesFromSeed(seed)));
    const next = await left.open();
    expect(
      (await listed(next)).map(({ name }) => name),
      `seed ${seed}`,
    ).toEqual(['c']);
    expect(await idsOfName(next, 'c'), `seed ${seed}`).toEqual([3]);
    await next.close();
  }
});
