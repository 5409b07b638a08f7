/**
 * Goal: a redrive moves what has somewhere to go, and says what stays.
 * Method: dead letters of several queues in one, some of which are deleted.
 */
import { expect, test } from 'vitest';
import { browsed, drained, received, textQueue } from '../../src/testing/queue-contract-support.js';
import { QueueLab } from '../support/queue-kit.js';

async function buried(lab: QueueLab, name: string, payload: string): Promise<void> {
  const queue = await textQueue(lab.queues, { deadLetter: 'dead' }, name);
  await queue.enqueue(payload);
  await (await received(queue)).reject();
}

test('dead letters of a queue that is gone stay, and the others go', async () => {
  const lab = await QueueLab.open();
  for (const each of ['a1', 'b1', 'a2', 'c1', 'b2']) await buried(lab, each.charAt(0), each);
  await lab.queues.delete('b');
  const dead = await textQueue(lab.queues, {}, 'dead');
  expect(await dead.redrive({ limit: 2 })).toBe(2);
  expect(await dead.redrive()).toBe(1);
  expect(await drained(await textQueue(lab.queues, {}, 'a'))).toEqual(['a1', 'a2']);
  expect(await drained(await textQueue(lab.queues, {}, 'c'))).toEqual(['c1']);
  expect((await browsed(dead)).map(({ payload }) => payload)).toEqual(['b1', 'b2']);
  expect(lab.logged).toEqual(Array(2).fill('dead letters stay, because their queue is gone'));
  expect(await dead.redrive()).toBe(0);
  expect(await dead.redrive({ to: 'a' })).toBe(2);
  await lab.close();
});

test('with a limit the ones that stay do not count', async () => {
  const lab = await QueueLab.open();
  for (const each of ['b1', 'b2', 'a1']) await buried(lab, each.charAt(0), each);
  await lab.queues.delete('b');
  const dead = await textQueue(lab.queues, {}, 'dead');
  expect(await dead.redrive({ limit: 1 })).toBe(1);
  await lab.close();
});
