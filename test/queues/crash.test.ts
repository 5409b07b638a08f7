/**
 * Goal: whatever a crash leaves, queues are as they were promised to be: what was enqueued as
 * synced is in exactly one place, what was acknowledged stays so, deliveries are counted, keys and
 * windows are remembered, and what is counted is what is there.
 * Method: a sample of the crash test of queues. scripts/queues-crash-run.mjs runs more of it.
 */
import { expect, test } from 'vitest';
import { queuesCrashTest } from '../../src/crash-test/queues-crash-test.js';

test('a sample of crashes', async () => {
  const { images, distinct, steps, counts } = await queuesCrashTest({
    images: 250,
    seed: 2,
    every: 16,
  });
  expect(images).toBeGreaterThanOrEqual(250);
  expect(distinct).toBeGreaterThan(images * 0.8);
  for (const kind of ['open', 'again', 'use', 'verify', 'ids', 'scratch', 'older', 'nested']) {
    expect(counts[kind], kind).toBeGreaterThan(0);
  }
  for (const kind of ['inCheckpoint', 'inTrim', 'inCompaction', 'inMove']) {
    expect(counts[kind], kind).toBeGreaterThan(0);
  }
  for (const kind of [
    'enqueue',
    'receive',
    'ack',
    'nack',
    'commit',
    'elapse',
    'crash',
    'reclaim',
    'tidy',
  ]) {
    expect(steps[kind], kind).toBeGreaterThan(0);
  }
});

test.each([
  { seed: 29, kinds: ['replace', 'extend', 'drop'] },
  { seed: 2, kinds: ['block', 'endDeadLetters', 'redrive'] },
  { seed: 77, kinds: ['unblock'] },
  { seed: 20, kinds: ['flood', 'seek', 'ackUpTo'] },
  { seed: 3, kinds: ['skip'] },
])('crashes of queues with other options: $kinds', async ({ seed, kinds }) => {
  const { images, steps } = await queuesCrashTest({ images: 1, seed, every: 64 });
  expect(images).toBeGreaterThan(0);
  for (const kind of kinds) expect(steps[kind], kind).toBeGreaterThan(0);
});
