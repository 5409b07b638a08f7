/**
 * Goal: a message is in the hands of one consumer, whoever asks for it and how: what is about to be
 * handed out is not popped, moved or handed out again, and of a key one message is under way.
 */
import { expect, test, vi } from 'vitest';
import { GroupState } from '../../src/queues/group-state.js';
import { openQueueLab, textsOf } from '../support/queue-seed-kit.js';

const text = (payload: Uint8Array | undefined): string => Buffer.from(payload ?? []).toString();

/** So many turns apart: what one does between two of its steps, the other meets. */
const TURNS = Array.from({ length: 40 }, (_, i) => i);

async function afterTurns<T>(count: number, work: () => Promise<T>): Promise<T> {
  for (let left = count; left > 0; left--) await Promise.resolve();
  return work();
}

test('a message that is being received is not popped from the other end', async () => {
  const lab = await openQueueLab();
  for (const turns of TURNS) {
    const queue = await lab.queues.queue(`q${turns}`);
    await queue.enqueue(Buffer.from('a'));
    const popping = afterTurns(turns, () => queue.popRight());
    const [received, popped] = await Promise.all([queue.receive(), popping]);
    expect(received.length + popped.length, `${turns} turns`).toBe(1);
  }
  await lab.close();
});

test('a dead letter that is being received is not moved', async () => {
  const lab = await openQueueLab();
  for (const turns of TURNS) {
    const queue = await lab.queues.queue(`q${turns}`);
    await queue.enqueue(Buffer.from('a'));
    const [delivery] = await queue.receive();
    await delivery?.reject();
    const dead = await queue.deadLetters();
    const receiving = afterTurns(40 - turns, () => dead.receive());
    const [received, moved] = await Promise.all([receiving, queue.redrive()]);
    expect(received.length + moved, `${turns} turns`).toBe(1);
  }
  await lab.close();
});

test('a message that is about to be handed out is not when it becomes due meanwhile', () => {
  const group = new GroupState('', 0);
  group.onMessage(5, {});
  group.taken.add(5);
  const was = { wasDueMs: 0, wasPriority: 0, nowMs: 10 };
  group.edit(5, 1, { ...was, dueMs: 20, priority: 3 });
  group.takeDue(30);
  expect(group.peekReady(30)).toBeUndefined();
  expect(group.isFree(5)).toBe(false);
  group.putBack(5, 0);
  expect(group.peekReady(30)).toEqual({ seq: 5, priority: 3 });
});

test('a message that was changed twice is received once', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  const { id } = await queue.enqueue(Buffer.from('a'));
  await queue.update(id, { priority: 3 });
  await queue.update(id, { priority: 3 });
  expect(await queue.receive({ max: 5 })).toHaveLength(1);
  await lab.close();
});

test('what is popped from behind a message of its key does not let the next one go', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  for (const each of ['a1', 'a2', 'a3']) await queue.enqueue(Buffer.from(each), { key: 'a' });
  const first = await queue.receive({ max: 5 });
  expect(textsOf(first)).toEqual(['a1']);
  expect((await queue.popRight()).map(({ payload }) => text(payload))).toEqual(['a3']);
  expect(textsOf(await queue.receive({ max: 5 }))).toEqual([]);
  await first[0]?.ack();
  expect(textsOf(await queue.receive({ max: 5 }))).toEqual(['a2']);
  await lab.close();
});

test('what expires behind a message of its key does not let the next one go', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  await queue.enqueue(Buffer.from('a1'), { key: 'a' });
  await queue.enqueue(Buffer.from('a2'), { key: 'a', ttlMs: 10 });
  await queue.enqueue(Buffer.from('a3'), { key: 'a' });
  const first = await queue.receive();
  await lab.runtime.elapse(20);
  expect(textsOf(await queue.receive({ max: 5 }))).toEqual([]);
  await first[0]?.ack();
  expect(textsOf(await queue.receive({ max: 5 }))).toEqual(['a3']);
  await lab.close();
});

test('what was put to the front is the last that is popped from the other end', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  for (const each of ['b', 'c']) await queue.enqueue(Buffer.from(each));
  for (const each of ['a', 'z']) await queue.pushFront(Buffer.from(each));
  const popped = await queue.popRight({ max: 4 });
  expect(popped.map(({ payload }) => text(payload))).toEqual(['c', 'b', 'a', 'z']);
  await lab.close();
});

test('a settlement that cannot be meant is refused, and loses no delivery', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  await queue.enqueue(Buffer.from('a'));
  const [delivery] = await queue.receive();
  for (const wrong of [{ durability: 'x' }, { durability: null }]) {
    await expect(delivery?.ack(wrong as object)).rejects.toThrow(TypeError);
  }
  for (const wrong of [{ delayMs: '5' }, { delayMs: NaN }, { delayMs: -1 }, { count: 1 }]) {
    await expect(delivery?.nack(wrong as object)).rejects.toThrow(/delayMs|count/);
  }
  for (const wrong of ['5', NaN, -1]) {
    expect(() => delivery?.extend(wrong as number)).toThrow(/ms must be/);
  }
  await expect(delivery?.reject(5 as unknown as string)).rejects.toThrow(TypeError);
  await delivery?.ack();
  expect((await queue.stats()).messages).toBe(0);
  await lab.close();
});

test('a dead letter that could not be moved is received', async () => {
  let failed = 0;
  const lab = await openQueueLab();
  for (const turns of TURNS) {
    const queue = await lab.queues.queue(`q${turns}`);
    await queue.enqueue(Buffer.from('a'));
    const [delivery] = await queue.receive();
    await delivery?.reject();
    const dead = await queue.deadLetters();
    const full = vi.spyOn(lab.redex, 'commit').mockRejectedValueOnce(new Error('no room'));
    const receiving = afterTurns(turns, () => dead.receive());
    const moving = queue.redrive();
    const [received, moved] = await Promise.allSettled([receiving, moving]);
    full.mockRestore();
    failed += moved.status === 'rejected' ? 1 : 0;
    const found = received.status === 'fulfilled' ? [...received.value] : [];
    found.push(...(await dead.receive({ max: 5 })), ...(await queue.receive({ max: 5 })));
    expect(textsOf(found), `${turns} turns`).toEqual(['a']);
  }
  expect(failed).toBeGreaterThan(10);
  await lab.close();
});

test.each(['receive', 'take', 'redrive'] as const)(
  'what is being replaced is got as it was, and there is a new one, or as it is now: %s',
  async (how) => {
    const lab = await openQueueLab();
    const other = await lab.queues.queue('other');
    const seen = new Set<boolean>();
    for (const turns of [...TURNS, ...TURNS.map((each) => -each)]) {
      const queue = await lab.queues.queue(`q${turns}`, { deadLetter: false });
      const options = { dedupKey: 'k', dedupMode: 'replace' } as const;
      const { id } = await queue.enqueue(Buffer.from('old'), options);
      const replacing = afterTurns(turns, () => queue.enqueue(Buffer.from('new'), options));
      const getting = afterTurns(-turns, async () => {
        if (how === 'redrive') return queue.redrive({ to: 'other' });
        if (how === 'receive') return (await queue.receive())[0];
        return queue.take(id);
      });
      const [{ replaced = false }, got] = await Promise.all([replacing, getting]);
      seen.add(replaced);
      const inHand = typeof got === 'object' ? [text(got.payload)] : [];
      const left = [...(await queue.receive({ max: 5 })), ...(await other.receive({ max: 5 }))];
      const all = [...inHand, ...textsOf(left)];
      const isGone = replaced || (how === 'redrive' && got === 0);
      expect(all.toSorted(), `${turns} turns`).toEqual(isGone ? ['new'] : ['new', 'old']);
    }
    expect(seen.has(false) && seen.has(true)).toBe(true);
    await lab.close();
  },
);
