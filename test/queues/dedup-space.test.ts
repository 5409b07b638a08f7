/**
 * Goal: a key that comes again and again, so that it is remembered for ever, keeps no other records
 * than those that say so, and is remembered from everywhere.
 * Method: small segments, reclaimed by hand; the log with checkpoints, and without.
 */
import { expect, test } from 'vitest';
import type { Queue } from '../../src/queues/queue.js';
import { drained, textQueue } from '../../src/testing/queue-contract-support.js';
import { removeCheckpoints } from '../support/queue-checkpoints.js';
import { QueueLab } from '../support/queue-kit.js';

const SETTINGS = { segmentBytes: 4096, reserveBytes: 0 };
const WINDOW_MS = 10_000;

/** Messages with keys of their own, done with, for longer than a window; one key is extended. */
async function busy(lab: QueueLab, queue: Queue<string>, round: number): Promise<void> {
  for (let i = 0; i < 30; i++) {
    const payload = '.'.repeat(400);
    await queue.enqueue(payload, { dedupKey: `${round} ${i}` });
    await queue.enqueue('again', { dedupKey: 'for ever', dedupMode: 'extend' });
    await lab.runtime.elapse(WINDOW_MS / 10);
  }
  await drained(queue);
}

async function fromScratch(lab: QueueLab): Promise<QueueLab> {
  await lab.close();
  removeCheckpoints(lab.disk);
  const { disk, runtime } = lab;
  return QueueLab.open({ ...SETTINGS, disk, startMs: runtime.now(), seed: runtime.seed + 1 });
}

test.each([true, false])('others go when their windows are over; one stays: %s', async (stays) => {
  let lab = await QueueLab.open(SETTINGS);
  let queue = await textQueue(lab.queues, { dedupWindowMs: WINDOW_MS });
  // One that nobody gets lets only a compaction give back space.
  if (stays) await queue.enqueue('stays', { delayMs: 1e9 });
  const { id } = await queue.enqueue('first', { dedupKey: 'for ever' });
  const sizes: number[] = [];
  for (let round = 0; round < 8; round++) {
    await busy(lab, queue, round);
    await queue.reclaim();
    sizes.push((await queue.stats()).sizeBytes);
    if (round % 3 === 0) lab = await lab.killed();
    else if (round % 3 === 1) lab = await fromScratch(lab);
    else lab = await lab.reopened();
    queue = await textQueue(lab.queues);
    const again = await queue.enqueue('again', { dedupKey: 'for ever', dedupMode: 'extend' });
    expect(again).toMatchObject({ id, duplicate: true });
    const last = await queue.enqueue('again', { dedupKey: `${round} 29` });
    expect(last.duplicate).toBe(true);
  }
  expect(Math.max(...sizes)).toBeLessThan(60_000);
  await lab.runtime.elapse(WINDOW_MS);
  expect((await queue.enqueue('new', { dedupKey: 'for ever' })).duplicate).toBe(false);
  await lab.close();
});
