/**
 * Goal: whatever a crash leaves, queues are as they were promised to be: what was enqueued as
 * synced is in exactly one place, what was acknowledged stays so, deliveries are counted, keys and
 * windows are remembered, and what is counted is what is there.
 * Method: a sample of the crash test of queues. scripts/queues-crash-run.mjs runs more of it.
 */
import { expect, test } from 'vitest';
import { queuesCrashTest } from '../../src/crash-test/queues-crash-test.js';

test('a sample of crashes', async () => {
  const { images, steps } = await queuesCrashTest({ images: 300, seed: 1, every: 16 });
  expect(images).toBeGreaterThanOrEqual(300);
  for (const kind of [
    'enqueue',
    'receive',
    'ack',
    'nack',
    'commit',
    'elapse',
    'crash',
    'reclaim',
  ]) {
    expect(steps[kind], kind).toBeGreaterThan(0);
  }
});
