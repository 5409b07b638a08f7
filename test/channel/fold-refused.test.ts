/** Goal: a fold that could not be opened holds back nothing more than it did before. */
import { expect, test } from 'vitest';
import { Lab } from '../support/channel-kit.js';
import { openFold, payloads, SEEN } from '../support/fold-kit.js';

test('what retention knew of it before counts again', async () => {
  const lab = new Lab();
  const channel = await lab.open({ retention: { maxRecords: 1000, waitFor: ['seen'] } });
  const fold = await openFold(lab, channel);
  await lab.done(channel.appendBatch(payloads(1, 3)));
  await lab.done(fold.caughtUp());
  await lab.done(fold.close());
  let makes = 0;
  const initial = (): never[] => {
    if (makes++ > 0) throw new Error('no state');
    return [];
  };
  const opening = channel.fold({ ...SEEN, version: 2, initial });
  await expect(lab.done(opening)).rejects.toThrow('no state');
  const { retentionWait } = await lab.done(channel.stats());
  expect(retentionWait?.folds).toEqual([{ name: 'seen', seq: 3 }]);
});
