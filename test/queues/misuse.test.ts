/**
 * Goal: what two calls at once, or a value that nobody means, did to a queue stays mended.
 * Method: for each finding the fewest steps that show it, on a disk in memory.
 */
import { expect, test } from 'vitest';
import { utf8Codec } from '../../src/channel/codec.js';
import type { Queue } from '../../src/queues/queue.js';
import { received, textQueue } from '../../src/testing/queue-contract-support.js';
import { QueueLab } from '../support/queue-kit.js';

async function fanout(lab: QueueLab): Promise<Queue<string>> {
  const queue = await lab.queues.queue('f', { mode: 'fanout', codec: utf8Codec });
  await queue.groups.create('g');
  return queue;
}

test('an error that has no text fails a delivery like any other', async () => {
  const lab = await QueueLab.open({ reserveBytes: 0 });
  const queue = await textQueue(lab.queues);
  await queue.enqueue('a');
  await (await received(queue)).nack({ error: Object.create(null), delayMs: 0 });
  const again = await received(queue);
  expect(again.deliveryCount).toBe(2);
  await again.ack();
  await lab.close();
});

const OF_GROUP: Readonly<
  Record<string, (queue: Queue<string>, id: string, isTaken: Promise<unknown>) => Promise<unknown>>
> = {
  take: (queue, id) => queue.take(id, { group: 'g' }),
  claim: async (queue, _, isTaken) => {
    await isTaken;
    return queue.claim({ group: 'g' });
  },
  attempt: async (queue, _, isTaken) => {
    await isTaken;
    const [pending] = queue.pending();
    const delivery = queue.delivery(pending?.token ?? '');
    await delivery.attempt();
    return delivery.attempt();
  },
};

test.each(Object.keys(OF_GROUP))(
  'a group that is deleted does not come back by %s',
  async (name) => {
    // The deletion comes in at each of the turns that the other call takes.
    for (let turns = 0; turns < 12; turns++) {
      const lab = await QueueLab.open({ reserveBytes: 0 });
      const queue = await fanout(lab);
      const { id } = await queue.enqueue('a');
      const isTaken = name === 'take' ? Promise.resolve() : queue.receive({ group: 'g' });
      await isTaken;
      const doing = OF_GROUP[name]?.(queue, id, isTaken).catch(() => undefined);
      for (let left = turns; left > 0; left--) await Promise.resolve();
      const deleting = queue.groups.delete('g');
      await Promise.all([doing, deleting]);
      expect(queue.groups.list(), `${turns} turns`).toEqual([]);
      await lab.close();
    }
  },
);
