/**
 * Goal: deleting a queue beside others who open it, use it or move messages to it is as if one came
 * after the other: nobody is told of what happened in between.
 * Method: one is begun so many turns after the other, for every small number of them.
 */
import { expect, test } from 'vitest';
import { received, textQueue } from '../../src/testing/queue-contract-support.js';
import { pumped, turns } from '../../src/crash-test/pump.js';
import { QueueLab } from '../support/queue-kit.js';

/** Turns of the microtasks: there is no other time on a disk in memory. */
const LATER = [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89];
const CASES = LATER.flatMap((later) =>
  [true, false].flatMap((isOpen) => [true, false].map((first) => ({ later, isOpen, first }))),
);

test.each(CASES)('open it: $later later, open $isOpen, deleted first $first', async (each) => {
  const { later, isOpen, first } = each;
  let lab = await QueueLab.open();
  await (await textQueue(lab.queues)).enqueue('old');
  if (!isOpen) lab = await lab.reopened();
  const remove = (): Promise<boolean> => lab.queues.delete('q');
  const open = async (): Promise<string> => {
    const queue = await textQueue(lab.queues);
    return queue.enqueue('new').then(
      () => 'enqueued',
      (error: unknown) => (error as { code: string }).code,
    );
  };
  const [deleted, opened] = first
    ? await Promise.all([remove(), turns(later).then(open)])
    : await turns(0).then(async () => {
        const opening = open();
        const removing = turns(later).then(remove);
        return [await removing, await opening] as const;
      });
  expect(deleted).toBe(true);
  // Who came before it may have been told that the queue is closed, or have enqueued what is gone.
  expect(['enqueued', 'CLOSED']).toContain(opened);
  const queue = await textQueue(lab.queues);
  const { messages } = await queue.stats();
  expect(messages).toBeLessThanOrEqual(1);
  await queue.enqueue('last');
  const next = await lab.killed();
  expect((await (await textQueue(next.queues)).stats()).messages).toBe(messages + 1);
  await next.close();
});

test.each(LATER)(
  'dead letters move while their queue is deleted and made again: %i',
  async (later) => {
    const lab = await QueueLab.open();
    const queue = await textQueue(lab.queues, { maxDeliveries: 1 });
    await queue.enqueue('m');
    const delivery = await received(queue);
    const rejecting = delivery.reject();
    await turns(later);
    const [deleted] = await pumped(
      lab.runtime,
      Promise.all([
        lab.queues.delete('q.dead'),
        textQueue(lab.queues, { deadLetter: false }, 'q.dead'),
        rejecting,
      ]),
    );
    expect(typeof deleted).toBe('boolean');
    const before = [await queue.stats(), await (await queue.deadLetters()).stats()];
    const next = await lab.killed();
    const again = await textQueue(next.queues);
    const after = [await again.stats(), await (await again.deadLetters()).stats()];
    expect(after.map(({ messages }) => messages)).toEqual(before.map(({ messages }) => messages));
    await next.close();
  },
);

test.each(LATER)('as dead letters of another one that is made: %i', async (later) => {
  const lab = await QueueLab.open();
  await textQueue(lab.queues, {}, 'dead');
  const next = await lab.reopened();
  const removing = next.queues.delete('dead');
  await turns(later);
  const queue = await textQueue(next.queues, { deadLetter: 'dead' }, 'other');
  expect(await removing).toBe(true);
  expect(queue.options.deadLetter).toBe('dead');
  await next.close();
});
