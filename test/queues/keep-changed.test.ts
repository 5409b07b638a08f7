/**
 * Goal: what is kept is what the options say now, for a seek and for what is given back, when they
 * are changed, too, in any direction.
 * Method: small segments; what comes back is compared with what was enqueued, and the size is
 * looked at without anything coming in.
 */
import { expect, test } from 'vitest';
import type { QueueOptions } from '../../src/queues/queue-options.js';
import type { Queue } from '../../src/queues/queue.js';
import { drained, textQueue } from '../../src/testing/queue-contract-support.js';
import { removeCheckpoints } from '../support/queue-checkpoints.js';
import { QueueLab } from '../support/queue-kit.js';

const SETTINGS = { segmentBytes: 4096, reserveBytes: 0 };
const PAYLOAD = '.'.repeat(500);

async function opened(options: QueueOptions): Promise<{ lab: QueueLab; queue: Queue<string> }> {
  const lab = await QueueLab.open(SETTINGS);
  return { lab, queue: await textQueue(lab.queues, { dedupWindowMs: 0, ...options }) };
}

async function fill(queue: Queue<string>, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await queue.enqueue(PAYLOAD);
}

async function sizeOf(queue: Queue<string>): Promise<number> {
  return (await queue.stats()).sizeBytes;
}

/** How many messages a seek reaches. */
async function reached(queue: Queue<string>): Promise<number> {
  const { messages, complete, from } = await queue.groups.seek(undefined, 'earliest');
  expect(complete).toBe(from === 0);
  expect((await drained(queue)).length).toBe(messages);
  return messages;
}

const LIMITS: readonly QueueOptions[] = [
  { keepMessages: 100 },
  { keepBytes: 100 * PAYLOAD.length },
  { keepMessages: 100, keepMs: Infinity },
  { keepMessages: 100, keepMs: 3_600_000 },
];

test.each(LIMITS)('it begins to keep what is there, and not more: %j', async (limits) => {
  const { lab, queue } = await opened({});
  await fill(queue, 400);
  await queue.configure(limits);
  expect(queue.options.keepMs).toBe(limits.keepMs === 3_600_000 ? 3_600_000 : null);
  await drained(queue);
  await queue.reclaim();
  const count = await reached(queue);
  expect(count).toBeGreaterThanOrEqual(100);
  expect(count).toBeLessThan(210);
  await lab.close();
});

test.each(['killed', 'reopened', 'rebuilt'] as const)(
  'the same by the next one: %s',
  async (how) => {
    const opening = await opened({});
    let { lab, queue } = opening;
    await fill(queue, 400);
    await queue.configure({ keepMessages: 100 });
    if (how === 'rebuilt') {
      await lab.close();
      removeCheckpoints(lab.disk);
      lab = await QueueLab.open({ ...SETTINGS, disk: lab.disk, seed: 2 });
    } else {
      lab = await lab[how]();
    }
    queue = await textQueue(lab.queues);
    await drained(queue);
    await queue.reclaim();
    const count = await reached(queue);
    expect(count).toBeGreaterThanOrEqual(100);
    expect(count).toBeLessThan(210);
    await lab.close();
  },
);

test.each([
  { keepMessages: 50 },
  { keepBytes: 50 * PAYLOAD.length },
  { keepMs: 1 },
  { keepMs: 0, keepMessages: Infinity },
])('less is kept at once, though nothing comes: %j', async (change) => {
  const { lab, queue } = await opened({ keepMessages: 300 });
  await fill(queue, 400);
  await drained(queue);
  await queue.reclaim();
  await lab.runtime.elapse(1000);
  const before = await sizeOf(queue);
  expect(before).toBeGreaterThan(300 * PAYLOAD.length);
  await queue.configure(change);
  await lab.runtime.elapse(1000);
  expect(await sizeOf(queue)).toBeLessThan(before / 2);
  expect(await reached(queue)).toBeLessThan(150);
  await lab.close();
});

test('the same by a compaction, where one message stays', async () => {
  const { lab, queue } = await opened({ keepMs: Infinity });
  await queue.enqueue('stays', { delayMs: 1e9 });
  await fill(queue, 400);
  await drained(queue);
  await queue.reclaim();
  const before = await sizeOf(queue);
  expect(before).toBeGreaterThan(400 * PAYLOAD.length);
  await queue.configure({ keepMessages: 50 });
  // A compaction takes several turns.
  for (let i = 0; i < 20; i++) await lab.runtime.elapse(1000);
  expect(await sizeOf(queue)).toBeLessThan(before / 2);
  await lab.close();
});

test('more is kept at once', async () => {
  const { lab, queue } = await opened({ keepMessages: 100 });
  await fill(queue, 400);
  const configuring = queue.configure({ keepMessages: 300 });
  await drained(queue);
  await Promise.all([configuring, queue.reclaim()]);
  expect(await reached(queue)).toBeGreaterThanOrEqual(300);
  await fill(queue, 200);
  await drained(queue);
  await queue.reclaim();
  const later = await reached(queue);
  expect(later).toBeGreaterThanOrEqual(300);
  expect(later).toBeLessThan(410);
  await lab.close();
});

test('nothing is kept when that is said; without limits it has to be said', async () => {
  const { lab, queue } = await opened({ keepMessages: 100 });
  await fill(queue, 200);
  await drained(queue);
  await expect(queue.configure({ keepMessages: Infinity })).rejects.toThrow(/say keepMs/);
  expect(queue.options.keepMessages).toBe(100);
  await queue.configure({ keepMessages: Infinity, keepMs: Infinity });
  await fill(queue, 200);
  await drained(queue);
  await queue.reclaim();
  expect(await reached(queue)).toBeGreaterThanOrEqual(300);
  await queue.configure({ keepMs: 0 });
  await lab.runtime.elapse(1000);
  expect(await reached(queue)).toBeLessThan(20);
  await queue.configure({ keepMessages: 10, keepMs: 1000 });
  await queue.configure({ keepMessages: Infinity });
  expect(queue.options).toMatchObject({ keepMs: 1000, keepMessages: null });
  await lab.close();
});
