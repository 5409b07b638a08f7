/**
 * Goal: a checkpoint that was acknowledged survives a power cut, also in a channel that only the
 * journal knew until then.
 * Method: the first thing a new channel gets besides records is a checkpoint; then the power goes.
 */
import { expect, test } from 'vitest';
import { worst } from '../../src/testing/choices.js';
import { payload } from '../support/channel-kit.js';
import { SEEN } from '../support/fold-kit.js';
import { StoreLab } from '../support/store-kit.js';

test('N5: the first checkpoint of a new channel makes its name durable', async () => {
  const store = new StoreLab();
  const redex = await store.open({ sync: 'always' });
  const channel = await redex.channel('a');
  for (let id = 1; id <= 5; id += 1) await channel.append(payload(id));
  const fold = await channel.fold(SEEN);
  await fold.caughtUp();
  await fold.checkpoint();
  expect(fold.checkpointSeq).toBe(5);
  const next = new StoreLab(store.lab.cut(worst));
  const again = await (await next.open({ sync: 'always' })).channel('a');
  const restored = await again.fold({ ...SEEN, apply: () => expect.fail('it was not restored') });
  expect(restored.seq).toBe(5);
  expect(restored.value).toHaveLength(5);
});
