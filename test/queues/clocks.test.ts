/**
 * Goal: a wall clock that is wrong, back an hour or ahead ten years, at an open or while it runs:
 * nothing is lost or expires, no window of dedup keys opens again, no lease ends early, and it is
 * told. Method: the clock is set by hand; each queue has all that a clock could do harm to.
 */
import { expect, test } from 'vitest';
import type { Queue } from '../../src/queues/queue.js';
import { browsed, drained, textQueue } from '../../src/testing/queue-contract-support.js';
import { QueueLab } from '../support/queue-kit.js';

const HOUR_MS = 3_600_000;
const YEARS_MS = 10 * 366 * 24 * HOUR_MS;
const WINDOW = { dedupWindowMs: HOUR_MS / 2 };

async function filled(lab: QueueLab): Promise<Queue<string>> {
  const queue = await textQueue(lab.queues, WINDOW);
  await queue.enqueue('plain', { dedupKey: 'k' });
  await queue.enqueue('ends', { ttlMs: 60_000 });
  await queue.enqueue('late', { delayMs: 60_000 });
  return queue;
}

async function expectWhole(queue: Queue<string>): Promise<void> {
  expect((await queue.enqueue('again', { dedupKey: 'k' })).duplicate).toBe(true);
  const texts = (await browsed(queue)).map(({ payload }) => payload);
  expect(texts).toEqual(['plain', 'ends', 'late']);
  expect((await drained(queue)).filter((text) => text !== 'late')).toEqual(['plain', 'ends']);
  expect((await queue.stats()).counters).toMatchObject({ expired: 0, deadLettered: 0 });
}

test.each([
  ['back an hour', -HOUR_MS, 'behind'],
  ['ahead ten years', YEARS_MS, 'more than a year ahead'],
])('at an open, %s', async (_what, offsetMs, warning) => {
  for (const how of ['reopened', 'killed'] as const) {
    const lab = await QueueLab.open();
    await filled(lab);
    const wrong = await lab[how](lab.runtime.now() + offsetMs);
    const queue = await textQueue(wrong.queues);
    expect(wrong.logged.filter((message) => message.includes(warning))).toHaveLength(1);
    await expectWhole(queue);
    await wrong.close();
  }
});

test.each([
  ['back an hour', -HOUR_MS],
  ['ahead ten years', YEARS_MS],
])('while it runs, %s', async (_what, offsetMs) => {
  const lab = await QueueLab.open();
  const queue = await filled(lab);
  const start = lab.runtime.now();
  lab.runtime.setNow(start + offsetMs);
  await lab.runtime.elapse(1000);
  const held = await queue.receive({ max: 5 });
  expect(held.map(({ payload }) => payload)).toEqual(['plain', 'ends']);
  expect(lab.logged.some((message) => message.includes('jumped ahead'))).toBe(offsetMs > 0);
  await lab.runtime.elapse(20_000);
  for (const delivery of held) await delivery.release();
  await expectWhole(queue);
  await lab.close();
});

test('an hour behind, a delay takes as long as was asked for', async () => {
  const lab = await QueueLab.open();
  await filled(lab);
  const behind = await lab.reopened(lab.runtime.now() - HOUR_MS);
  const queue = await textQueue(behind.queues);
  await queue.purge();
  await queue.enqueue('soon', { delayMs: 1000 });
  expect(await drained(queue)).toEqual([]);
  await behind.runtime.elapse(1000);
  expect(await drained(queue)).toEqual(['soon']);
  await behind.close();
});

test('ten years ahead for long: still nothing ends, at whichever open', async () => {
  let lab = await QueueLab.open();
  await filled(lab);
  lab = await lab.reopened(lab.runtime.now() + YEARS_MS);
  await textQueue(lab.queues);
  lab = await lab.killed(lab.runtime.now() + 1000);
  await textQueue(lab.queues);
  lab = await lab.reopened(lab.runtime.now() + 1000);
  await expectWhole(await textQueue(lab.queues));
  await lab.close();
});

test('ahead ten years, and right again: the window goes on, messages end in time', async () => {
  let lab = await QueueLab.open();
  const start = lab.runtime.now();
  await filled(lab);
  lab = await lab.reopened(start + YEARS_MS);
  await textQueue(lab.queues);
  lab = await lab.reopened(start + 1000);
  const queue = await textQueue(lab.queues);
  expect(lab.logged.filter((message) => message.includes('behind'))).toHaveLength(1);
  await expectWhole(queue);
  await queue.enqueue('short', { ttlMs: 1000 });
  await queue.enqueue('long', { ttlMs: 10_000 });
  await lab.runtime.elapse(5000);
  expect(await drained(queue, { max: 1 })).toEqual(['long']);
  await lab.runtime.elapse(WINDOW.dedupWindowMs);
  expect((await queue.enqueue('again', { dedupKey: 'k' })).duplicate).toBe(false);
  await lab.close();
});
