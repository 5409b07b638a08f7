/**
 * Goal: who goes back to the version before, or has opened an index with the name of a fold, finds
 * the checkpoints as they were; and they do not become more and more.
 */
import { expect, test } from 'vitest';
import { type Lab, payload } from '../support/channel-kit.js';
import { begun, checkpointNames, openFold } from '../support/fold-kit.js';
import type { Channel } from '../../src/channel/channel.js';

/** Some checkpoints of a version; which one it had found. */
async function life(lab: Lab, channel: Channel, version: number): Promise<number | undefined> {
  const fold = await openFold(lab, channel, { version });
  const found = fold.checkpointSeq;
  for (let i = 0; i < 3; i++) {
    await lab.done(channel.append(payload(9)));
    await lab.done(fold.caughtUp());
    await lab.done(fold.checkpoint());
  }
  await lab.done(fold.close());
  return found;
}

test('a rollback finds the checkpoints of its version', async () => {
  const { lab, channel, fold } = await begun(1);
  await lab.done(fold.close());
  const found: (number | undefined)[] = [];
  for (const version of [1, 2, 1, 2, 3, 2, 3]) found.push(await life(lab, channel, version));
  expect(found).toEqual([1, undefined, 4, 7, undefined, 13, 16]);
  // Of this version and the other that was written last, two each.
  expect(checkpointNames(lab).length).toBe(4);
});

test('an index with the name of a fold leaves its checkpoints, and it those', async () => {
  const { lab, channel, fold } = await begun(2);
  await lab.done(fold.close());
  for (let i = 0; i < 3; i++) {
    const index = await lab.done(channel.index({ name: 'seen', key: () => 'k' }));
    expect(index.checkpointSeq).toBe(i === 0 ? undefined : 5 + 6 * (i - 1));
    for (let j = 0; j < 3; j++) {
      await lab.done(channel.append(payload(j)));
      await lab.done(index.caughtUp());
      await lab.done(index.checkpoint());
    }
    await lab.done(index.close());
    expect(await life(lab, channel, 1)).toBe(2 + 6 * i);
  }
  expect(checkpointNames(lab).length).toBe(4);
});
