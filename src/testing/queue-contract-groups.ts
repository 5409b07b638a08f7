/** Fan-out: each group gets every message, from where it begins, and none waits for another. */
import type { GroupStart } from '../queues/queue-groups.js';
import type { QueueStore } from '../queues/queue-store.js';
import type { Queue } from '../queues/queue.js';
import {
  drained,
  received,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueGroupContract(part: QueueContractPart): void {
  fanout(part);
  starts(part);
  seeks(part);
  deletes(part);
}

async function fanned(queues: QueueStore, ...names: string[]): Promise<Queue<string>> {
  const queue = await textQueue(queues, { mode: 'fanout', maxDeliveries: 2 });
  for (const name of names) await queue.groups.create(name);
  return queue;
}

function fanout({ check, checks, expect }: QueueContractPart): void {
  check('each group gets all, and settles its own', async ({ queues, elapse }) => {
    const queue = await fanned(queues, 'a', 'b');
    await queue.enqueueMany([{ payload: '1' }, { payload: '2' }]);
    expect(await drained(queue, { group: 'a' })).toEqual(['1', '2']);
    expect((await queue.stats()).messages).toBe(2);
    const one = await received(queue, { group: 'b' });
    expect([one.group, one.payload]).toEqual(['b', '1']);
    await one.nack({ delayMs: 1000 });
    expect(await drained(queue, { group: 'b' })).toEqual(['2']);
    expect((await queue.stats()).messages).toBe(1);
    await elapse(1000);
    expect(await drained(queue, { group: 'b' })).toEqual(['1']);
    expect((await queue.stats()).messages).toBe(0);
  });

  check('attempts and dead letters are of one group', async ({ queues }) => {
    const queue = await fanned(queues, 'a', 'b');
    await queue.enqueue('x');
    for (let i = 0; i < 2; i++) await (await received(queue, { group: 'a' })).nack({ delayMs: 0 });
    expect(await queue.receive({ group: 'a' })).toEqual([]);
    const dead = await received(await queue.deadLetters());
    expect([dead.payload, dead.origin?.group, dead.origin?.deliveryCount]).toEqual(['x', 'a', 2]);
    const other = await received(queue, { group: 'b' });
    expect(other.deliveryCount).toBe(1);
  });

  check('a key is held up in its group alone', async ({ queues }) => {
    const queue = await fanned(queues, 'a', 'b');
    for (const payload of ['1', '2']) await queue.enqueue(payload, { key: 'k' });
    await received(queue, { group: 'a' });
    expect(await queue.receive({ group: 'a' })).toEqual([]);
    expect(await drained(queue, { group: 'b' })).toEqual(['1', '2']);
  });

  check('a group that is not there is told, and so is the lack of one', async ({ queues }) => {
    const queue = await fanned(queues, 'a');
    await checks.code(queue.receive({ group: 'b' }), 'NOT_FOUND');
    await checks.mistake(() => queue.receive(), 'TypeError');
    await checks.mistake(() => queue.pop(), 'TypeError');
    const work = await textQueue(queues, {}, 'work');
    await checks.mistake(() => work.groups.create('g'), 'TypeError');
    await checks.mistake(() => work.receive({ group: 'g' }), 'TypeError');
    for (const start of ['first', {}, null]) {
      const options = { start: start as GroupStart };
      await checks.mistake(() => queue.groups.create('c', options), 'TypeError');
    }
    expect(queue.groups.list().map(({ name }) => name)).toEqual(['a']);
  });
}

function starts({ check, expect }: QueueContractPart): void {
  check('a group begins at the first, behind the last, at a seq or a time', async (subject) => {
    const { queues, elapse, now } = subject;
    const queue = await fanned(queues);
    await queue.enqueue('1');
    await elapse(1000);
    const { seq } = await queue.enqueue('2');
    const time = now();
    await elapse(1000);
    await queue.enqueue('3');
    await queue.groups.create('earliest');
    await queue.groups.create('latest', { start: 'latest' });
    await queue.groups.create('seq', { start: seq + 1 });
    await queue.groups.create('time', { start: { time } });
    await queue.enqueue('4');
    const all = ['1', '2', '3', '4'];
    expect((await queue.groups.create('earliest')).created).toBe(false);
    expect(queue.groups.list().map(({ name, open }) => [name, open])).toEqual([
      ['earliest', 4],
      ['latest', 1],
      ['seq', 2],
      ['time', 3],
    ]);
    expect(await drained(queue, { group: 'earliest' })).toEqual(all);
    expect(await drained(queue, { group: 'latest' })).toEqual(['4']);
    expect(await drained(queue, { group: 'seq' })).toEqual(['3', '4']);
    expect(await drained(queue, { group: 'time' })).toEqual(['2', '3', '4']);
  });
}

function seeks({ check, checks, expect }: QueueContractPart): void {
  check('seek replays what is kept, and takes what is in flight', async ({ queues, elapse }) => {
    const queue = await fanned(queues, 'a', 'b');
    const [, two] = await queue.enqueueMany(['1', '2', '3'].map((payload) => ({ payload })));
    expect(await drained(queue, { group: 'a' })).toEqual(['1', '2', '3']);
    await queue.groups.seek('a', 'earliest');
    const held = await received(queue, { group: 'a' });
    expect([held.payload, held.deliveryCount]).toEqual(['1', 1]);
    await queue.groups.seek('a', two?.seq ?? 0);
    await checks.lost(held.ack(), 'sought');
    expect(held.signal.aborted).toBe(true);
    expect(await drained(queue, { group: 'a' })).toEqual(['2', '3']);
    await queue.groups.seek('a', 'latest');
    await queue.enqueue('4');
    expect(await drained(queue, { group: 'a' })).toEqual(['4']);
    expect(queue.groups.list().find(({ name }) => name === 'b')?.open).toBe(4);
    await elapse(0);
    await checks.code(queue.groups.seek('a', 10_000), 'OUT_OF_RANGE');
  });

  check('a work queue replays, too', async ({ queues }) => {
    const queue = await textQueue(queues);
    await queue.enqueueMany(['1', '2'].map((payload) => ({ payload })));
    expect(await drained(queue)).toEqual(['1', '2']);
    await queue.groups.seek(undefined, 'earliest');
    expect((await queue.stats()).messages).toBe(2);
    expect(await drained(queue)).toEqual(['1', '2']);
    expect((await queue.stats()).messages).toBe(0);
  });
}

function deletes({ check, checks, expect }: QueueContractPart): void {
  check('a group that is deleted holds nothing any more', async ({ queues, elapse }) => {
    const queue = await fanned(queues, 'a', 'b');
    await queue.enqueueMany(['1', '2'].map((payload) => ({ payload })));
    await drained(queue, { group: 'a' });
    const held = await received(queue, { group: 'b' });
    const waiting = queue.receive({ group: 'b', max: 5, waitMs: 1000 });
    expect(textsOf(await waiting)).toEqual(['2']);
    const parked = queue.receive({ group: 'b', waitMs: 1000 }).catch((error: unknown) => error);
    await elapse(0);
    expect(await queue.groups.delete('b')).toBe(true);
    expect(await queue.groups.delete('b')).toBe(false);
    expect(((await parked) as { code?: unknown }).code).toBe('NOT_FOUND');
    await checks.lost(held.ack(), 'group deleted');
    expect((await queue.stats()).messages).toBe(0);
    await elapse(120_000);
    expect(queue.groups.list().map(({ name }) => name)).toEqual(['a']);
  });

  check('settling while its group is deleted does not bring it back', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await fanned(queues, 'a', 'b');
    const ends = ['ack', 'nack', 'reject', 'release'] as const;
    for (const end of ends) {
      await queue.enqueue(end);
      const held = await received(queue, { group: 'b' });
      const deleting = queue.groups.delete('b');
      for (let i = 0; i < 3; i++) await Promise.resolve();
      await Promise.allSettled([held[end](), deleting]);
      await elapse(1000);
      expect(queue.groups.list().map(({ name }) => name)).toEqual(['a']);
      await queue.groups.create('b', { start: 'latest' });
    }
    expect(await drained(queue, { group: 'a' })).toEqual([...ends]);
    expect((await queue.stats()).messages).toBe(0);
  });
}
