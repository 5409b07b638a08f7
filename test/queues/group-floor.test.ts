/**
 * Goal: what every group is done with is let go of, also where groups came after the queue: the
 * records that are no messages do not hold the log.
 */
import { expect, test } from 'vitest';
import type { Queue } from '../../src/queues/queue.js';
import { openQueueLab } from '../support/queue-seed-kit.js';

const SMALL = { segmentBytes: 4096 };

async function handleAll(queue: Queue, group: string | undefined): Promise<number> {
  let count = 0;
  for (;;) {
    const deliveries = await queue.receive({ group, max: 100 });
    if (deliveries.length === 0) return count;
    await queue.ackMany(deliveries);
    count += deliveries.length;
  }
}

async function fill(queue: Queue): Promise<void> {
  const payload = Buffer.alloc(200, 'x');
  await queue.enqueueMany(Array.from({ length: 200 }, () => ({ payload })));
}

test('a fan-out queue whose groups are done with all is let go of from its beginning', async () => {
  const lab = await openQueueLab(undefined, undefined, SMALL);
  const queue = await lab.queues.queue('q', { mode: 'fanout' });
  await queue.groups.create('a');
  await fill(queue);
  await queue.groups.create('b');
  for (const group of ['a', 'b']) expect(await handleAll(queue, group)).toBe(200);
  await queue.reclaim();
  const again = await lab.reopen();
  const channel = await again.redex.channel('$queues/q');
  expect(channel.firstSeq).toBeGreaterThan(200);
  for (const { floor } of (await again.queues.queue('q')).groups.list()) {
    expect(floor).toBeGreaterThan(200);
  }
  await again.close();
});

test('a group that began again is done with again', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  await fill(queue);
  expect(await handleAll(queue, undefined)).toBe(200);
  await queue.groups.seek(undefined, 'earliest');
  expect(await handleAll(queue, undefined)).toBe(200);
  const [group] = queue.groups.list();
  expect(group?.floor).toBeGreaterThan(200);
  await lab.close();
});
