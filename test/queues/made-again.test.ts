/**
 * Goal: a queue that was deleted and made again under its name has nothing to do with the dead
 * letters of the one before, though they have the same seqs and keys.
 * Method: both have a dead letter of a key that waits for it; one of the two leaves.
 */
import { expect, test } from 'vitest';
import type { Queue } from '../../src/queues/queue.js';
import { browsed, drained, received, textQueue } from '../../src/testing/queue-contract-support.js';
import { QueueLab } from '../support/queue-kit.js';

const OPTIONS = { onDead: 'block', maxDeliveries: 1 } as const;

async function buried(lab: QueueLab, payload: string): Promise<Queue<string>> {
  const queue = await textQueue(lab.queues, OPTIONS);
  await queue.enqueue(payload, { key: 'k' });
  await (await received(queue)).nack();
  return queue;
}

/** The key waits for the dead letter of the second queue, whose seq the other one has, too. */
async function twice(): Promise<{ lab: QueueLab; queue: Queue<string>; dead: Queue<string> }> {
  const lab = await QueueLab.open();
  const first = await buried(lab, 'old');
  await first.deadLetters();
  await lab.queues.delete('q');
  const queue = await buried(lab, 'new');
  await queue.enqueue('waits', { key: 'k' });
  const dead = await queue.deadLetters();
  const letters = await browsed(dead);
  expect(letters.map(({ payload }) => payload)).toEqual(['old', 'new']);
  const [old, now] = letters.map(({ origin }) => origin);
  expect([old?.queue, old?.seq]).toEqual([now?.queue, now?.seq]);
  expect(old?.tag).not.toBe(now?.tag);
  return { lab, queue, dead };
}

test.each(['ack', 'cancel'] as const)('the key waits when the old one leaves: %s', async (how) => {
  const { lab, queue, dead } = await twice();
  const old = await received(dead);
  expect(old.payload).toBe('old');
  if (how === 'ack') await old.ack();
  else await dead.cancel(old.id);
  await lab.runtime.elapse(10);
  expect(queue.keys.blocked()).toHaveLength(1);
  expect(await drained(queue)).toEqual([]);
  await (await received(dead)).ack();
  await lab.runtime.elapse(10);
  expect(await drained(queue)).toEqual(['waits']);
  await lab.close();
});

test('a redrive of the old one takes the place of nobody', async () => {
  const { lab, queue } = await twice();
  expect(await queue.redrive({ filter: ({ payload }) => payload === 'old' })).toBe(1);
  expect(queue.keys.blocked()).toHaveLength(1);
  expect(await drained(queue)).toEqual([]);
  expect(await queue.redrive()).toBe(1);
  expect(await drained(queue)).toEqual(['new', 'waits', 'old']);
  await lab.close();
});

test('what is found at an open are its own: the old one keeps no key waiting', async () => {
  const { lab } = await twice();
  let next = await lab.reopened();
  const dead = await textQueue(next.queues, {}, 'q.dead');
  const letter = (await browsed(dead)).find(({ payload }) => payload === 'new');
  expect(await dead.cancel(letter?.seq ?? 0)).toBe(true);
  next = await next.reopened();
  const queue = await textQueue(next.queues);
  expect(queue.keys.blocked()).toEqual([]);
  expect(await drained(queue)).toEqual(['waits']);
  await next.close();
});
