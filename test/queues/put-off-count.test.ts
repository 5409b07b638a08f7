/**
 * Goal: how many messages are put off is right, also when some of them go before they are due, live
 * and after a crash.
 */
import { expect, test } from 'vitest';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { openQueueLab } from '../support/queue-seed-kit.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);

test('a message that is let go of before it is due is not put off any more', async () => {
  const disk = new CrashFs();
  const lab = await openQueueLab(disk);
  const queue = await lab.queues.queue('q', { maxMessages: 1, overflow: 'drop-oldest' });
  for (let count = 0; count < 3; count++) await queue.enqueue(bytes('a'), { delayMs: 10_000 });
  const expected = { messages: 1, delayed: 1, ready: 0, inFlight: 0 };
  expect(await queue.stats()).toMatchObject(expected);
  const killed = await openQueueLab(disk.kill());
  expect(await (await killed.queues.queue('q')).stats()).toMatchObject(expected);
  await lab.runtime.elapse(10_000);
  expect(await queue.stats()).toMatchObject({ ...expected, delayed: 0, ready: 1 });
  await lab.close();
  await killed.close();
});

test('a dead letter that is moved before it is due is not put off any more', async () => {
  const disk = new CrashFs();
  const lab = await openQueueLab(disk);
  const queue = await lab.queues.queue('q', { maxDeliveries: 1, deadLetter: 'dead' });
  await queue.enqueue(bytes('a'));
  await (await queue.receive())[0]?.nack();
  const dead = await queue.deadLetters();
  await dead.enqueue(bytes('b'), { delayMs: 10_000 });
  await (await dead.receive())[0]?.nack({ delayMs: 10_000 });
  expect(await dead.stats()).toMatchObject({ messages: 2, delayed: 2 });
  expect(await dead.redrive({ to: 'q' })).toBe(2);
  const expected = { messages: 0, delayed: 0, ready: 0, inFlight: 0 };
  expect(await dead.stats()).toMatchObject(expected);
  const killed = await openQueueLab(disk.kill());
  expect(await (await killed.queues.queue('dead')).stats()).toMatchObject(expected);
  await lab.close();
  await killed.close();
});
