/** Goal: who listens to redexlog:queue is told what happens, and how much of it. */
import { expect, test } from 'vitest';
import { diagnostics } from '../../src/core/runtime.js';
import { received, textQueue } from '../../src/testing/queue-contract-support.js';
import { QueueLab } from '../support/queue-kit.js';

test('each kind of event is told, with its queue and count', async () => {
  const lab = await QueueLab.open({ segmentBytes: 8 * 1024 });
  const options = { visibilityTimeoutMs: 1000, dedupWindowMs: 0, maxDeliveries: 1 };
  const queue = await textQueue(lab.queues, options);
  const told = new Map<string, number>();
  const listener = (message: unknown): void => {
    const {
      queue: name,
      event,
      count,
    } = message as { queue: string; event: string; count: number };
    expect(name).toBe('q');
    told.set(event, (told.get(event) ?? 0) + count);
  };
  diagnostics.queue.subscribe(listener);
  try {
    await queue.enqueueMany(Array.from({ length: 40 }, () => ({ payload: '.'.repeat(1000) })));
    await queue.ackMany(await queue.receive({ max: 40 }));
    await queue.reclaim();
    await queue.enqueue('late', { ttlMs: 10 });
    await lab.runtime.elapse(20);
    expect(await queue.receive()).toEqual([]);
    await queue.enqueue('slow');
    await received(queue);
    await lab.runtime.elapse(5000);
  } finally {
    diagnostics.queue.unsubscribe(listener);
  }
  const { reclaimed = 0, ...rest } = Object.fromEntries(told);
  expect(rest).toEqual({
    delivered: 41,
    settled: 40,
    expired: 1,
    'timed-out': 1,
    'dead-lettered': 2,
  });
  expect(reclaimed).toBeGreaterThan(20_000);
  await lab.close();
});
