/**
 * Goal: a tail that is given up while it waits is gone at once. The seed kept it until the next
 * append, which an idle log never sees (W24).
 * Method: tails are ended in every way; then appends cost what they cost without tails, and nothing
 * of dat is read.
 */
import { expect, test } from 'vitest';
import { Lab, payload } from '../support/channel-kit.js';
import { countDatReads, openWithParts, tailOf } from '../support/tail-kit.js';

const WAYS = ['return', 'an abort'] as const;

test.each(WAYS)('a tail that ends by %s while it waits is not registered any more', async (way) => {
  const lab = new Lab();
  const { channel, parts } = await openWithParts(lab, { sync: 'never' });
  await channel.append(payload(0));
  const costOf = async (id: number): Promise<number> => {
    const before = lab.runtime.deferred;
    await channel.append(payload(id));
    await lab.runtime.settle();
    return lab.runtime.deferred - before;
  };
  const alone = await costOf(1);
  const controller = new AbortController();
  const { signal } = controller;
  const tails = [0, 1, 2].map(() => tailOf(channel, { signal }));
  for (const tail of tails) tail.ask(100);
  await lab.runtime.settle();
  expect(await costOf(2)).toBeGreaterThan(alone);
  expect(tails.map(({ found }) => found.length)).toEqual([3, 3, 3]);
  if (way === 'an abort') controller.abort();
  else for (const { iterator } of tails) await iterator.return?.();
  await lab.runtime.settle();
  expect(tails.every(({ pending }) => pending === 0)).toBe(true);
  const reads = countDatReads(lab);
  expect(await costOf(3)).toBe(alone);
  expect(reads.count).toBe(0);
  expect(parts.tails.heldBytes).toBe(0);
  expect(tails.map(({ found }) => found.length)).toEqual([3, 3, 3]);
});
