/**
 * Goal: a name that is too long, or leaves no room for that of its dead letters, is refused before
 * anything is written.
 * Method: names of each length around the limits.
 */
import { expect, test } from 'vitest';
import { received, textQueue } from '../../src/testing/queue-contract-support.js';
import { QueueLab } from '../support/queue-kit.js';

/** The name of its channel has eight bytes more. */
const MOST = 1016;
const MOST_WITH_DEAD = MOST - '.dead'.length;

test('a name has to leave room for that of its dead letters', async () => {
  const lab = await QueueLab.open();
  const name = 'ä'.repeat(MOST_WITH_DEAD / 2).padEnd(MOST_WITH_DEAD - 505, 'n');
  expect(Buffer.byteLength(name)).toBe(MOST_WITH_DEAD);
  const queue = await textQueue(lab.queues, {}, name);
  await queue.enqueue('m');
  await (await received(queue)).reject();
  expect((await (await queue.deadLetters()).stats()).messages).toBe(1);
  for (const length of [MOST_WITH_DEAD + 1, MOST]) {
    const long = 'n'.repeat(length);
    await expect(textQueue(lab.queues, {}, long)).rejects.toThrow(/leaves no room for '\.dead'/);
    await expect(textQueue(lab.queues, {}, long)).rejects.toBeInstanceOf(RangeError);
    expect(await lab.queues.has(long)).toBe(false);
  }
  expect(await lab.queues.list()).toHaveLength(2);
  await lab.close();
});

test('the longest name there is, with other dead letters or none', async () => {
  const lab = await QueueLab.open();
  const long = 'n'.repeat(MOST);
  const queue = await textQueue(lab.queues, { deadLetter: false }, long);
  await queue.enqueue('m');
  const other = await textQueue(lab.queues, { deadLetter: 'd'.repeat(MOST) }, 'other');
  await other.enqueue('m');
  await (await received(other)).reject();
  expect(await other.redrive()).toBe(1);
  const next = await lab.reopened();
  expect((await (await textQueue(next.queues, {}, long)).stats()).messages).toBe(1);
  await next.close();
});

test('a name that is too long is called that of a queue', async () => {
  const lab = await QueueLab.open();
  const long = 'n'.repeat(MOST + 1);
  const message = /a queue name must have at most 1016 bytes/;
  await expect(lab.queues.queue(long, { deadLetter: false })).rejects.toThrow(message);
  await expect(lab.queues.has(long)).rejects.toThrow(message);
  await expect(lab.queues.delete(long)).rejects.toThrow(message);
  await expect(lab.queues.queue('q', { deadLetter: long })).rejects.toThrow(RangeError);
  expect(await lab.queues.list()).toEqual([]);
  await lab.close();
});
