/**
 * Goal: what is in a queue is what was given at the call, whatever has to be waited for before it
 * is written; what cannot be meant is rejected and never thrown; what is due comes when asked for.
 */
import { expect, test } from 'vitest';
import { openQueueLab, textsOf } from '../support/queue-seed-kit.js';

test('bytes that are changed after the call are not in the message', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  const limited = await lab.queues.queue('limited', { maxMessages: 10 });
  const bytes = Buffer.from('a');
  const purging = queue.purge();
  const enqueued = [
    queue.enqueue(bytes),
    limited.enqueue(bytes),
    limited.enqueue(bytes, { dedupKey: 'k' }),
    limited.enqueueMany([{ payload: bytes }]),
  ];
  bytes.fill(0x62);
  await purging;
  enqueued.push(queue.enqueue(bytes));
  bytes.fill(0x63);
  await Promise.all(enqueued);
  expect(textsOf(await queue.receive({ max: 5 }))).toEqual(['a', 'b']);
  expect(textsOf(await limited.receive({ max: 5 }))).toEqual(['a', 'a', 'a']);
  await lab.close();
});

test('what is enqueued while all waits comes behind it in the order of the calls', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  await queue.enqueue(Buffer.from('old'));
  const purging = queue.purge();
  const enqueued = ['a', 'b', 'c'].map((text) => queue.enqueue(Buffer.from(text)));
  expect(await purging).toBe(1);
  const seqs = (await Promise.all(enqueued)).map(({ seq }) => seq);
  expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  expect(textsOf(await queue.receive({ max: 5 }))).toEqual(['a', 'b', 'c']);
  await lab.close();
});

test('what waits to run alone does not wait for messages that come after it', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  const before = queue.enqueue(Buffer.from('a'));
  const pausing = queue.pause();
  const after = queue.enqueue(Buffer.from('b'));
  await pausing;
  // Between them is the record that says that it is paused.
  expect((await after).seq).toBe((await before).seq + 2);
  await lab.close();
});

test('the length counts that the payload had at the call', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  const bytes = new Uint8Array(new ArrayBuffer(100));
  const enqueued = queue.enqueue(bytes);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  expect(bytes.length).toBe(0);
  await enqueued;
  expect((await queue.stats()).bytes).toBe(100);
  await lab.close();
});

test('many messages have the ids and seqs that they are received with', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  const messages = ['a', 'b', 'c'].map((text) => ({ payload: Buffer.from(text) }));
  const results = await queue.enqueueMany(messages);
  const deliveries = await queue.receive({ max: 5 });
  expect(deliveries.map(({ id, seq }) => ({ id, seq, duplicate: false }))).toEqual(results);
  await lab.close();
});

test('options that cannot be meant are rejected, not thrown', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  const durability = 'always' as 'synced';
  const enqueued = queue.enqueue(Buffer.from('a'), { durability });
  await expect(enqueued).rejects.toThrow(TypeError);
  await queue.enqueue(Buffer.from('a'));
  const [delivery] = await queue.receive();
  const acked = delivery?.ack({ durability });
  await expect(acked).rejects.toThrow(TypeError);
  await delivery?.ack();
  await lab.redex.close();
  await expect(queue.enqueue(Buffer.from('a'))).rejects.toThrow('closed');
});

test('a group that begins before a message that was put off gets it when it asks', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q', { mode: 'fanout' });
  await queue.groups.create('first');
  await queue.enqueue(Buffer.from('a'), { delayMs: 10 });
  await lab.runtime.elapse(20);
  await queue.groups.create('second');
  expect(textsOf(await queue.receive({ group: 'second' }))).toEqual(['a']);
  await lab.close();
});
