/**
 * Goal: what two calls at once, or a value that nobody means, did to a queue stays mended.
 * Method: for each finding the fewest steps that show it, on a disk in memory.
 */
import { expect, test, vi } from 'vitest';
import { Channel } from '../../src/channel/channel.js';
import { utf8Codec } from '../../src/channel/codec.js';
import type { Queue } from '../../src/queues/queue.js';
import { browsed, received, textQueue } from '../../src/testing/queue-contract-support.js';
import { QueueLab } from '../support/queue-kit.js';

async function fanout(lab: QueueLab): Promise<Queue<string>> {
  const queue = await lab.queues.queue('f', { mode: 'fanout', codec: utf8Codec });
  await queue.groups.create('g');
  return queue;
}

test('an error that has no text fails a delivery like any other', async () => {
  const lab = await QueueLab.open({ reserveBytes: 0 });
  const queue = await textQueue(lab.queues);
  await queue.enqueue('a');
  await (await received(queue)).nack({ error: Object.create(null), delayMs: 0 });
  const again = await received(queue);
  expect(again.deliveryCount).toBe(2);
  await again.ack();
  await lab.close();
});

const OF_GROUP: Readonly<
  Record<string, (queue: Queue<string>, id: string, isTaken: Promise<unknown>) => Promise<unknown>>
> = {
  take: (queue, id) => queue.take(id, { group: 'g' }),
  claim: async (queue, _, isTaken) => {
    await isTaken;
    return queue.claim({ group: 'g' });
  },
  attempt: async (queue, _, isTaken) => {
    await isTaken;
    const [pending] = queue.pending();
    const delivery = queue.delivery(pending?.token ?? '');
    await delivery.attempt();
    return delivery.attempt();
  },
};

test.each(Object.keys(OF_GROUP))(
  'a group that is deleted does not come back by %s',
  async (name) => {
    // One of the two comes in at each of the turns that the other one takes.
    for (let turns = 0; turns < 24; turns++) {
      const lab = await QueueLab.open({ reserveBytes: 0 });
      const queue = await fanout(lab);
      const { id } = await queue.enqueue('a');
      const isTaken = name === 'take' ? Promise.resolve() : queue.receive({ group: 'g' });
      await isTaken;
      const both = [
        () => OF_GROUP[name]?.(queue, id, isTaken).catch(() => undefined),
        () => queue.groups.delete('g'),
      ];
      const [first, second] = turns % 2 === 0 ? both : both.toReversed();
      const doing = first?.();
      for (let left = turns; left > 1; left -= 2) await Promise.resolve();
      await Promise.all([doing, second?.()]);
      expect(queue.groups.list(), `${turns} turns`).toEqual([]);
      await lab.close();
    }
  },
);

test('what an update does not name stays as another one has just left it', async () => {
  const lab = await QueueLab.open({ reserveBytes: 0 });
  const queue = await textQueue(lab.queues);
  const { id } = await queue.enqueue('old', { dedupKey: 'k', ttlMs: 1000 });
  await queue.enqueue('newer', { dedupKey: 'k', ttlMs: 60_000, dedupMode: 'replace' });
  const changes = [
    queue.update(id, { payload: 'newest' }),
    queue.update(id, { headers: { a: 'b' } }),
  ];
  await Promise.all(changes);
  const message = await queue.get(id);
  expect(message).toMatchObject({ payload: 'newest', headers: { a: 'b' } });
  expect(message?.expiresAt).toBe(lab.runtime.now() + 60_000);
  await lab.close();
});

test('an update beside a replacement leaves what the next process finds', async () => {
  for (let turns = 0; turns < 12; turns++) {
    let lab = await QueueLab.open({ reserveBytes: 0 });
    let queue = await textQueue(lab.queues);
    const { id } = await queue.enqueue('old', { dedupKey: 'k' });
    const updating = queue.update(id, { payload: 'updated' });
    for (let left = turns; left > 0; left--) await Promise.resolve();
    const options = { dedupKey: 'k', dedupMode: 'replace', durability: 'written' } as const;
    await Promise.all([updating, queue.enqueue('replaced', options)]);
    const before = (await queue.get(id))?.payload;
    lab = await lab.killed();
    queue = await textQueue(lab.queues);
    expect((await queue.get(id))?.payload, `${turns} turns`).toBe(before);
    await lab.close();
  }
});

test('what is to be dropped and cannot be is not lost to everybody', async () => {
  const lab = await QueueLab.open({ reserveBytes: 0 });
  const queue = await textQueue(lab.queues, { onExpired: 'drop' });
  await queue.enqueue('a', { ttlMs: 10 });
  lab.runtime.advance(1000);
  const appending = vi.spyOn(Channel.prototype, 'append');
  appending.mockRejectedValueOnce(new Error('no room'));
  expect(await queue.receive()).toEqual([]);
  appending.mockRestore();
  expect((await queue.stats()).inFlight).toBe(0);
  lab.runtime.advance(61_000);
  expect(await queue.receive()).toEqual([]);
  expect((await queue.stats()).messages).toBe(0);
  await lab.close();
});

test('a group that is waited for is not idle, however long nothing comes', async () => {
  const lab = await QueueLab.open({ reserveBytes: 0 });
  const queue = await lab.queues.queue('f', {
    mode: 'fanout',
    codec: utf8Codec,
    maxIdleMs: 1000,
  });
  await queue.groups.create('g');
  await queue.enqueue('a', { delayMs: 5000 });
  const receiving = queue.receive({ group: 'g', waitMs: 20_000 });
  for (const payload of ['b', 'c', 'd']) {
    lab.runtime.advance(1200);
    await queue.enqueue(payload, { delayMs: 5000 });
    // Another call comes behind what the message has set off.
    await queue.groups.create('g');
  }
  expect(queue.groups.list()).toMatchObject([{ open: 4 }]);
  lab.runtime.advance(5000);
  const [delivery] = await receiving;
  expect(delivery?.payload).toBe('a');
  await delivery?.ack();
  expect(lab.logged).toEqual([]);
  await lab.close();
});

test('what replaces a message of the same call leaves what a later call would leave', async () => {
  const lab = await QueueLab.open({ reserveBytes: 0 });
  const queue = await textQueue(lab.queues, { dedupMode: 'replace' });
  const first = { priority: 5, maxDeliveries: 9, ttlMs: 1000, delayMs: 100 };
  await queue.enqueueMany([
    { payload: 'old', dedupKey: 'one', ...first },
    { payload: 'new', dedupKey: 'one', headers: { a: 'b' } },
  ]);
  await queue.enqueue('old', { dedupKey: 'two', ...first });
  await queue.enqueue('new', { dedupKey: 'two', headers: { a: 'b' } });
  const [one, two] = await browsed(queue);
  expect(one).toEqual({ ...two, id: one?.id, seq: one?.seq });
  expect(one).toMatchObject({ payload: 'new', priority: 5, maxDeliveries: 9, state: 'delayed' });
  const keyed = { payload: 'old', key: 'k', dedupKey: 'three' };
  const later = { payload: 'new', delayMs: 10, dedupKey: 'three' };
  await expect(queue.enqueueMany([keyed, later])).rejects.toThrow(TypeError);
  await lab.close();
});

test('a message that its taker cannot read is a dead letter', async () => {
  const lab = await QueueLab.open({ reserveBytes: 0 });
  const queue = await textQueue(lab.queues);
  const decode = (): string => {
    throw new Error('no text');
  };
  const codec = { encode: (text: string): Uint8Array => Buffer.from(text), decode };
  const other = await lab.queues.queue(queue.name, { codec });
  const { id } = await queue.enqueue('a');
  await expect(other.take(id)).rejects.toThrow('no text');
  await lab.runtime.elapse(1);
  const dead = await queue.deadLetters();
  expect(await browsed(dead)).toMatchObject([{ origin: { cause: 'decode' } }]);
  await lab.close();
});

test('what nobody can mean is refused', async () => {
  const lab = await QueueLab.open({ reserveBytes: 0 });
  const queue = await textQueue(lab.queues);
  const reason = new Error('enough');
  const signal = AbortSignal.abort(reason);
  await expect(queue.enqueueMany([{ payload: 'a' }], { signal })).rejects.toBe(reason);
  const options = { signal: {} as AbortSignal };
  await expect(queue.enqueueMany([{ payload: 'a' }], options)).rejects.toThrow(TypeError);
  expect((await queue.stats()).messages).toBe(0);
  for (const wrong of [{ from: NaN }, { from: -1 }, { limit: NaN }, { limit: -1 }]) {
    await expect(queue.browse(wrong).next()).rejects.toThrow(RangeError);
  }
  const state = 'gone' as 'ready';
  await expect(queue.browse({ state }).next()).rejects.toThrow(TypeError);
  for (const deadLetter of ['', '\0', '\ud800']) {
    await expect(lab.queues.queue('new', { deadLetter })).rejects.toThrow(RangeError);
  }
  expect(await lab.queues.list()).toEqual([queue.name]);
  await lab.close();
});

test.each(['wait', 'reject'] as const)(
  'a commit has the room of what it acknowledges, overflow %s',
  async (overflow) => {
    const lab = await QueueLab.open({ reserveBytes: 0 });
    const queue = await textQueue(lab.queues, { maxMessages: 1, maxBytes: 4, overflow });
    await queue.enqueue('a');
    const { enqueued } = await lab.queues.commit([
      (await received(queue)).acking(),
      queue.enqueuing('next'),
    ]);
    expect(enqueued).toHaveLength(1);
    const held = await received(queue);
    // The room of one is not that of two, and what one group is not done with is there.
    const two = lab.queues.commit([held.acking(), queue.enqueuing('b'), queue.enqueuing('c')]);
    await expect(two).rejects.toMatchObject({ code: 'LIMIT' });
    expect(await browsed(queue)).toMatchObject([{ payload: 'next' }]);
    const both = await textQueue(lab.queues, { mode: 'fanout', maxMessages: 1 }, 'both');
    for (const group of ['x', 'y']) await both.groups.create(group);
    await both.enqueue('a');
    const [x, y] = [await received(both, { group: 'x' }), await received(both, { group: 'y' })];
    await expect(lab.queues.commit([x.acking(), both.enqueuing('b')])).rejects.toMatchObject({
      code: 'LIMIT',
    });
    await lab.queues.commit([x.acking(), y.acking(), both.enqueuing('b')]);
    expect(await browsed(both)).toMatchObject([{ payload: 'b' }]);
    await lab.close();
  },
);
