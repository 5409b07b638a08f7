/**
 * Goal: what a queue says of many messages at once fits into a store with small records and a small
 * journal: it is divided, and everybody goes on.
 * Method: long keys, so that one operation on all of them is longer than a record may be; all is
 * the same after a kill.
 */
import { expect, test } from 'vitest';
import { drained, sorted, textQueue } from '../../src/testing/queue-contract-support.js';
import type { Queue } from '../../src/queues/queue.js';
import { QueueLab } from '../support/queue-kit.js';

const SMALL = { redex: { maxRecordBytes: 4096 }, reserveBytes: 0 };

function keyOf(i: number): string {
  return `${i} `.padEnd(900, 'k');
}

async function filled(lab: QueueLab, options: object = {}): Promise<Queue<string>> {
  const queue = await textQueue(lab.queues, options);
  const messages = Array.from({ length: 40 }, (_, i) => ({ payload: `${i}`, key: keyOf(i) }));
  await queue.enqueueMany(messages);
  return queue;
}

const ALL = Array.from({ length: 40 }, (_, i) => `${i}`);

test('messages with long keys are handed out together, and counted after a kill', async () => {
  let lab = await QueueLab.open(SMALL);
  const queue = await filled(lab);
  const deliveries = await queue.receive({ max: 40 });
  expect(deliveries.map(({ payload }) => payload)).toEqual(ALL);
  lab = await lab.killed();
  const again = await textQueue(lab.queues);
  const counts: number[] = [];
  for (let i = 0; i < 40; i++) {
    const [delivery] = await again.receive({ max: 40 });
    if (delivery === undefined) break;
    counts.push(delivery.deliveryCount);
    await delivery.ack();
  }
  expect(counts).toEqual(ALL.map(() => 2));
  await lab.close();
});

test('the same where the whole does not fit into the journal', async () => {
  const redex = { journalBytes: 256 * 1024 };
  const lab = await QueueLab.open({ redex, reserveBytes: 0 });
  const queue = await textQueue(lab.queues, { maxInFlight: 100_000, maxDeliveries: 1 });
  for (let i = 0; i < 600; i++) await queue.enqueue(`${i}`, { key: keyOf(i) });
  const found = new Set<string>();
  for (let turn = 0; turn < 100 && found.size < 600; turn++) {
    const deliveries = await queue.receive({ max: 600 });
    for (const delivery of deliveries) {
      found.add(delivery.payload);
      if (Number(delivery.payload) < 300) await delivery.ack();
    }
  }
  expect(found.size).toBe(600);
  // What has failed for the last time goes as many at once as can be.
  await queue.expire(Date.now() + 1e12);
  expect((await (await queue.deadLetters()).stats()).messages).toBe(300);
  expect(lab.logged).toEqual([]);
  expect(await queue.redrive()).toBe(300);
  await lab.close();
});

test('cancelled, released, popped and buried together', async () => {
  const lab = await QueueLab.open(SMALL);
  const queue = await filled(lab, { maxDeliveries: 1, onDead: 'block' });
  expect(await queue.cancelMany([0, 1, 2, 3, 4, 5, 6, 7].map((i) => i + 2))).toHaveLength(8);
  expect((await queue.stats()).messages).toBe(32);
  expect(await queue.pop({ max: 4 })).toHaveLength(4);
  const deliveries = await queue.receive({ max: 10 });
  expect(deliveries).toHaveLength(10);
  await queue.expire(lab.runtime.now() + 1e9);
  expect(queue.keys.blocked()).toHaveLength(10);
  const next = await lab.killed();
  const again = await textQueue(next.queues);
  expect(again.keys.blocked()).toHaveLength(10);
  expect((await again.stats()).messages).toBe(18);
  expect(await again.redrive()).toBe(10);
  expect(await drained(again)).toHaveLength(28);
  await next.close();
});

test('a message that cannot be handed out at all waits, and the others go on', async () => {
  const wide = await QueueLab.open({ reserveBytes: 0 });
  const queue = await textQueue(wide.queues);
  await queue.enqueue('first');
  await queue.enqueue('long', { key: '\u0001'.repeat(1000) });
  await queue.enqueue('last', { key: 'short' });
  await wide.close();
  const lab = await QueueLab.open({ ...SMALL, disk: wide.disk, seed: 2 });
  const narrow = await textQueue(lab.queues);
  expect(sorted(await drained(narrow))).toEqual(['first', 'last']);
  expect((await narrow.stats()).delayed).toBe(1);
  expect(lab.logged).toContain('a message cannot be delivered');
  await lab.close();
});
