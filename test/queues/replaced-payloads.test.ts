/**
 * Goal: what has been replaced is never seen again, and what is there now is what counts.
 * Method: updates and replacements beside limits, reclaims, seeks, kills and rebuilds from the log.
 */
import { expect, test } from 'vitest';
import type { Queue } from '../../src/queues/queue.js';
import { drained, received, textQueue } from '../../src/testing/queue-contract-support.js';
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
