/** Many messages at once: acknowledged up to one, or skipped for a group that is too far behind. */
import type { Queue } from '../queues/queue.js';
import type { QueueStore } from '../queues/queue-store.js';
import {
  drained,
  received,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queuePassingContract(part: QueueContractPart): void {
  upTo(part);
  upToWithRest(part);
  lag(part);
  idle(part);
  wrong(part);
}

async function fanned(
  queues: QueueStore,
  options: Parameters<typeof textQueue>[1] = {},
): Promise<Queue<string>> {
  const queue = await textQueue(queues, { mode: 'fanout', ...options });
  for (const name of ['x', 'y']) await queue.groups.create(name);
  return queue;
}

async function enqueued(queue: Queue<string>, ...payloads: string[]): Promise<number[]> {
  const results = await queue.enqueueMany(payloads.map((payload) => ({ payload })));
  return results.map(({ seq }) => seq);
}

function open(queue: Queue<string>): (string | number)[][] {
  return queue.groups.list().map((group) => [group.name, group.open, group.inFlight]);
}

function upTo({ check, checks, expect }: QueueContractPart): void {
  check('ackUpTo: all up to one, of one group', async ({ queues }) => {
    const queue = await fanned(queues);
    const [, , third = 0] = await enqueued(queue, '1', '2', '3', '4');
    const held = await received(queue, { group: 'x' });
    expect(await queue.ackUpTo(third, { group: 'x' })).toBe(3);
    expect(await queue.ackUpTo(third, { group: 'x' })).toBe(0);
    expect(open(queue)).toEqual([
      ['x', 1, 0],
      ['y', 4, 0],
    ]);
    await checks.lost(held.ack(), 'settled');
    expect(await drained(queue, { group: 'x' })).toEqual(['4']);
    expect((await queue.stats()).messages).toBe(4);
    expect(await queue.ackUpTo(third, { group: 'y', durability: 'synced' })).toBe(3);
    const { messages, bytes } = await queue.stats();
    expect([messages, bytes]).toEqual([1, 1]);
    expect(await drained(queue, { group: 'y' })).toEqual(['4']);
    expect((await queue.stats()).messages).toBe(0);
  });

  check('ackUpTo: of a work queue; beyond the end is told', async ({ queues }) => {
    const queue = await textQueue(queues);
    const [first = 0, last = 0] = await enqueued(queue, '1', '2');
    await checks.code(queue.ackUpTo(last + 1000), 'OUT_OF_RANGE');
    await checks.mistake(() => queue.ackUpTo(-1), 'RangeError');
    await checks.mistake(() => queue.ackUpTo(0, { group: 'g' }), 'TypeError');
    expect(await queue.ackUpTo(first)).toBe(1);
    expect(await drained(queue)).toEqual(['2']);
  });
}

function upToWithRest({ check, expect }: QueueContractPart): void {
  for (const how of ['at once', 'reopen', 'kill'] as const) {
    check(`ackUpTo: what was put off, failed, keyed or in flight: ${how}`, async (subject) => {
      const next = how === 'at once' ? () => Promise.resolve(subject.queues) : subject[how];
      if (next === undefined) return;
      let queue = await textQueue(subject.queues, { ordering: 'relaxed' });
      await queue.enqueue('failed');
      await (await received(queue)).nack({ delayMs: 1000 });
      await queue.enqueue('late', { delayMs: 1000 });
      const { id } = await queue.enqueue('edited', { delayMs: 1000 });
      await queue.update(id, { delayMs: 2000 });
      for (const payload of ['k1', 'k2']) await queue.enqueue(payload, { key: 'k' });
      const [k1] = await queue.receive({ max: 5 });
      const { seq } = await queue.enqueue('last', { priority: 3 });
      await queue.enqueue('k3', { key: 'k' });
      await queue.enqueue('later', { delayMs: 1000 });
      expect(k1?.payload).toBe('k1');
      expect(await queue.ackUpTo(seq)).toBe(6);
      queue = await textQueue(await next());
      const { messages, delayed, inFlight, ready } = await queue.stats();
      expect([messages, delayed, inFlight, ready]).toEqual([2, 1, 0, 1]);
      expect(await drained(queue)).toEqual(['k3']);
      await subject.elapse(1000);
      expect(await drained(queue)).toEqual(['later']);
      const after = await queue.stats();
      expect([after.messages, after.delayed, after.ready]).toEqual([0, 0, 0]);
    });
  }
}

function lag({ check, checks, expect }: QueueContractPart): void {
  check('a group that is too far behind is moved on, others are not', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await fanned(queues, { maxLag: 3 });
    await enqueued(queue, '1', '2', '3');
    const held = await received(queue, { group: 'x' });
    expect(await drained(queue, { group: 'y' })).toEqual(['1', '2', '3']);
    await elapse(0);
    expect(open(queue)[0]).toEqual(['x', 3, 1]);
    await enqueued(queue, '4', '5');
    await elapse(0);
    expect(open(queue)).toEqual([
      ['x', 3, 0],
      ['y', 2, 0],
    ]);
    await checks.lost(held.ack(), 'skipped');
    expect(await drained(queue, { group: 'x' })).toEqual(['3', '4', '5']);
    expect(await drained(queue, { group: 'y' })).toEqual(['4', '5']);
    const { messages, counters } = await queue.stats();
    expect([messages, counters.skipped]).toEqual([0, 2]);
  });

  check('one that is changed to a limit is held to it', async ({ queues, elapse }) => {
    const queue = await fanned(queues);
    await enqueued(queue, '1', '2', '3');
    await queue.configure({ maxLag: 1 });
    await elapse(0);
    expect(await drained(queue, { group: 'x' })).toEqual(['3']);
    expect(textsOf(await queue.receive({ group: 'y', max: 5 }))).toEqual(['3']);
  });
}

function idle({ check, expect }: QueueContractPart): void {
  check('a group that nobody asks for is moved to the end', async ({ queues, elapse }) => {
    const queue = await fanned(queues, { maxIdleMs: 1000 });
    await enqueued(queue, '1');
    for (let turn = 0; turn < 5; turn++) {
      await elapse(500);
      expect(await drained(queue, { group: 'y' })).toEqual([`${turn + 1}`]);
      await enqueued(queue, `${turn + 2}`);
    }
    await elapse(0);
    const [x, y] = open(queue);
    expect(y).toEqual(['y', 1, 0]);
    // What has come since it was looked is before it.
    expect(Number(x?.[1]) < 4).toBe(true);
    expect((await queue.stats()).counters.skipped > 2).toBe(true);
    await enqueued(queue, 'new');
    expect((await drained(queue, { group: 'x' })).at(-1)).toBe('new');
  });

  check('one that is asked for in vain is not', async ({ queues, elapse }) => {
    const queue = await fanned(queues, { maxIdleMs: 1000 });
    await queue.enqueue('late', { delayMs: 100_000 });
    for (let turn = 0; turn < 8; turn++) {
      await elapse(500);
      expect(await queue.receive({ group: 'x' })).toEqual([]);
      await queue.enqueue('late', { delayMs: 100_000 });
    }
    await elapse(0);
    expect(open(queue)[0]).toEqual(['x', 9, 0]);
    expect(Number(open(queue)[1]?.[1]) < 6).toBe(true);
  });

  check('one that is asked for, has a message in hand, or is paused, is not', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await fanned(queues, { maxIdleMs: 1000 });
    const x = queue.receive({ group: 'x', waitMs: 100_000 });
    await enqueued(queue, '1', '2');
    const [held] = await x;
    await elapse(5000);
    await enqueued(queue, '3');
    await elapse(0);
    expect(open(queue)[0]).toEqual(['x', 3, 1]);
    await held?.ack();
    await queue.pause();
    await elapse(5000);
    await enqueued(queue, '4');
    await queue.resume();
    await elapse(500);
    await enqueued(queue, '5');
    await elapse(0);
    expect(await drained(queue, { group: 'x' })).toEqual(['2', '3', '4', '5']);
  });
}

function wrong({ check, checks }: QueueContractPart): void {
  check('a work queue has no groups that could be behind', async ({ queues }) => {
    await checks.mistake(() => textQueue(queues, { maxLag: 1 }), 'TypeError');
    await checks.mistake(() => textQueue(queues, { maxIdleMs: 1 }), 'TypeError');
    const queue = await textQueue(queues);
    await checks.mistake(() => queue.configure({ maxLag: 5 }), 'TypeError');
    await checks.mistake(() => textQueue(queues, { mode: 'fanout', maxLag: 0 }, 'f'), 'RangeError');
  });
}
