/**
 * Goal: what has been replaced is never seen again, and what is there now is what counts.
 * Method: updates and replacements beside limits, reclaims, seeks, kills and rebuilds from the log.
 */
import { expect, test } from 'vitest';
import type { Queue } from '../../src/queues/queue.js';
import { browsed, drained, received, textQueue } from '../../src/testing/queue-contract-support.js';
import { QueueLab } from '../support/queue-kit.js';

const SETTINGS = { segmentBytes: 4096, reserveBytes: 0 };

type Replace = (queue: Queue<string>, id: string, payload: string) => Promise<unknown>;

const WAYS: Readonly<Record<string, Replace>> = {
  update: (queue, id, payload) => queue.update(id, { payload }),
  replace: (queue, _, payload) => queue.enqueue(payload, { dedupKey: 'k', dedupMode: 'replace' }),
};

test.each(Object.keys(WAYS))(
  'a seek delivers what it has become, though nothing is kept: %s',
  async (way) => {
    let lab = await QueueLab.open(SETTINGS);
    let queue = await textQueue(lab.queues);
    const { id } = await queue.enqueue('before', { dedupKey: 'k' });
    await WAYS[way]?.(queue, id, 'after');
    expect(await drained(queue)).toEqual(['after']);
    for (const next of ['killed', 'reopened'] as const) {
      await queue.groups.seek(undefined, 'earliest');
      expect(await drained(queue)).toEqual(['after']);
      lab = await lab[next]();
      queue = await textQueue(lab.queues);
    }
    await queue.groups.seek(undefined, 0);
    expect(await drained(queue)).toEqual(['after']);
    await lab.close();
  },
);

test.each(Object.keys(WAYS))('the same of one that is there for its key alone: %s', async (way) => {
  let lab = await QueueLab.open(SETTINGS);
  let queue = await textQueue(lab.queues, { dedupWindowMs: 1e9 });
  await queue.enqueue('stays');
  const { id } = await queue.enqueue('before', { dedupKey: 'k' });
  await WAYS[way]?.(queue, id, 'after');
  for (let i = 0; i < 60; i++) await queue.enqueue('.'.repeat(1000));
  const [stays, ...rest] = await queue.receive({ max: 100 });
  await queue.ackMany(rest);
  await stays?.release();
  await queue.reclaim();
  expect((await queue.stats()).sizeBytes).toBeLessThan(20_000);
  lab = await lab.killed();
  queue = await textQueue(lab.queues);
  await queue.groups.seek(undefined, 0);
  const found = await drained(queue);
  expect(found).not.toContain('before');
  expect(found).toContain('after');
  await lab.close();
});

test('a group that is moved on forgets no replacement', async () => {
  const lab = await QueueLab.open(SETTINGS);
  const queue = await textQueue(lab.queues, { mode: 'fanout' });
  await queue.groups.create('a');
  const { id, seq } = await queue.enqueue('before');
  await queue.update(id, { payload: 'after' });
  await queue.ackUpTo(seq, { group: 'a' });
  await queue.groups.create('b');
  expect(await drained(queue, { group: 'b' })).toEqual(['after']);
  await queue.groups.seek('a', 'earliest');
  expect((await received(queue, { group: 'a' })).payload).toBe('after');
  await lab.close();
});

async function bytesOf(queue: Queue<string>): Promise<number> {
  return (await queue.stats()).bytes;
}

test.each(Object.keys(WAYS))('what is there now is counted, everywhere: %s', async (way) => {
  let lab = await QueueLab.open(SETTINGS);
  let queue = await textQueue(lab.queues, { maxDeliveries: 2 });
  const { id } = await queue.enqueue('12345', { dedupKey: 'k' });
  await queue.enqueue('1');
  for (const length of [100, 3, 60]) {
    await WAYS[way]?.(queue, id, '.'.repeat(length));
    expect(await bytesOf(queue)).toBe(length + 1);
  }
  for (const next of ['killed', 'reopened', 'killed'] as const) {
    lab = await lab[next]();
    queue = await textQueue(lab.queues);
    expect(await bytesOf(queue)).toBe(61);
  }
  expect(await drained(queue, { max: 1 })).toEqual(['.'.repeat(60)]);
  expect(await bytesOf(queue)).toBe(1);
  await queue.groups.seek(undefined, 'earliest');
  expect(await bytesOf(queue)).toBe(61);
  const [delivery] = await queue.receive();
  await delivery?.reject();
  expect(await bytesOf(queue)).toBe(1);
  expect(await bytesOf(await queue.deadLetters())).toBe(60);
  await queue.groups.seek(undefined, 'earliest');
  expect(await queue.ackUpTo(delivery?.seq ?? 0)).toBe(1);
  expect(await bytesOf(queue)).toBe(1);
  await queue.groups.seek(undefined, 'earliest');
  expect(await queue.cancel(delivery?.seq ?? 0)).toBe(true);
  expect(await bytesOf(queue)).toBe(1);
  await queue.purge();
  expect(await bytesOf(queue)).toBe(0);
  await lab.close();
});

test('a limit of bytes is one of what is there', async () => {
  const lab = await QueueLab.open(SETTINGS);
  const queue = await textQueue(lab.queues, { maxBytes: 100, dedupMode: 'replace' });
  const { id } = await queue.enqueue('.'.repeat(10), { dedupKey: 'k' });
  const refused = { code: 'LIMIT', what: 'maxBytes', limit: 100, actual: 101 };
  await expect(queue.enqueue('.'.repeat(101), { dedupKey: 'k' })).rejects.toMatchObject(refused);
  await expect(queue.update(id, { payload: '.'.repeat(101) })).rejects.toMatchObject(refused);
  await queue.enqueue('.'.repeat(95), { dedupKey: 'k' });
  await expect(queue.enqueue('.'.repeat(6))).rejects.toMatchObject(refused);
  await queue.enqueue('.'.repeat(5));
  await queue.update(id, { payload: '.'.repeat(20) });
  await queue.enqueue('.'.repeat(75));
  const [delivery] = await queue.receive();
  if (delivery === undefined) throw new Error('there is no message');
  await queue.enqueue('', { dedupKey: 'other' });
  await lab.queues.commit([delivery.acking(), queue.enqueuing('.'.repeat(20))]);
  expect(await bytesOf(queue)).toBe(100);
  await lab.close();
});

test('a replacement without an end leaves the one before it, however often', async () => {
  const lab = await QueueLab.open(SETTINGS);
  const queue = await textQueue(lab.queues);
  const replaced = { dedupKey: 'k', dedupMode: 'replace' } as const;
  const endOf = async (): Promise<number | undefined> => (await browsed(queue))[0]?.expiresAt;
  await queue.enqueue('1', { dedupKey: 'k' });
  expect(await endOf()).toBeUndefined();
  await queue.enqueue('2', { ...replaced, ttlMs: 60_000 });
  const end = await endOf();
  expect(end).toBeGreaterThan(0);
  await queue.enqueue('3', replaced);
  expect(await endOf()).toBe(end);
  await queue.enqueue('4', replaced);
  expect(await endOf()).toBe(end);
  expect(await drained(queue)).toEqual(['4']);
  await lab.close();
});
