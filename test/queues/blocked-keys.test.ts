/**
 * Goal: a key waits exactly for as long as its dead letter is in the queue of dead letters,
 * whenever the process is killed or the power goes.
 * Method: a dead letter is made, redriven, acknowledged or cancelled, and after so many turns of
 * that the machine is taken down; then the two queues are compared, and the order of messages.
 */
import { expect, test } from 'vitest';
import { Random } from '../../src/testing/choices.js';
import { browsed, drained, received, textQueue } from '../../src/testing/queue-contract-support.js';
import type { Queue } from '../../src/queues/queue.js';
import { QueueLab } from '../support/queue-kit.js';

const DEEDS: Readonly<Record<string, (queue: Queue<string>) => Promise<unknown>>> = {
  redriven: (queue) => queue.redrive(),
  acknowledged: async (queue) => (await received(await queue.deadLetters())).ack(),
  cancelled: async (queue) => {
    const dead = await queue.deadLetters();
    await dead.cancel((await browsed(dead))[0]?.id ?? '');
  },
  buried: async (queue) => {
    await queue.redrive();
    await (await received(queue)).reject('again');
  },
};

const CASES = Object.keys(DEEDS).flatMap((deed) =>
  (['killed', 'cut'] as const).map((end) => ({ deed, end })),
);

test.each(CASES)('$deed, and then $end', async ({ deed, end }) => {
  const seen = new Set<boolean>();
  for (let turns = 0; turns < 120; turns += 3) {
    const random = new Random(turns + 1);
    let lab = await QueueLab.open({ reserveBytes: 0 });
    let queue = await textQueue(lab.queues, { onDead: 'block' });
    for (const payload of ['1', '2', '3']) await queue.enqueue(payload, { key: 'k' });
    await (await received(queue)).reject();
    const doing = DEEDS[deed]?.(queue).catch(() => undefined);
    for (let left = turns; left > 0; left--) await Promise.resolve();
    lab = end === 'killed' ? await lab.killed() : await lab.cut((count) => random.below(count));
    queue = await textQueue(lab.queues);
    const letters = await browsed(await queue.deadLetters());
    const isWaiting = queue.keys.blocked().length > 0;
    expect(isWaiting, `${turns} turns`).toBe(letters.length > 0);
    seen.add(isWaiting);
    const isGone = deed === 'acknowledged' || deed === 'cancelled';
    const expected = isWaiting ? [] : isGone ? ['2', '3'] : ['1', '2', '3'];
    expect(await drained(queue), `${turns} turns`).toEqual(expected);
    await lab.close();
    await doing;
  }
  // What is buried again may wait at every moment that was met.
  expect(seen.has(true)).toBe(true);
  expect(seen.has(false) || deed === 'buried').toBe(true);
});

test.each([1, 2])('a message that has expired holds its key up, %i asked for', async (max) => {
  const lab = await QueueLab.open({ reserveBytes: 0 });
  const queue = await textQueue(lab.queues, { onDead: 'block' });
  await queue.enqueue('1', { key: 'k', ttlMs: 1000 });
  await queue.enqueue('2', { key: 'k' });
  await lab.runtime.elapse(2000);
  expect(await queue.receive({ max })).toEqual([]);
  expect(queue.keys.blocked()).toMatchObject([{ key: 'k' }]);
  expect((await browsed(await queue.deadLetters())).map(({ payload }) => payload)).toEqual(['1']);
  await (await received(await queue.deadLetters())).ack();
  expect(await drained(queue)).toEqual(['2']);
  await lab.close();
});
