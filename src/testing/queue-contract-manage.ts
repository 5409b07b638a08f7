/** Taking messages away, changing them, stopping a queue. */
import {
  browsed,
  drained,
  received,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueManageContract(part: QueueContractPart): void {
  ends(part);
  removals(part);
  updates(part);
  pauses(part);
  closes(part);
}

function ends({ check, checks, expect }: QueueContractPart): void {
  check('pop takes from the front, popRight from the back, for good', async ({ queues }) => {
    const queue = await textQueue(queues);
    await queue.enqueueMany(['a', 'b', 'c', 'd'].map((payload) => ({ payload })));
    await queue.pushFront('first');
    await queue.pushFront('before');
    await queue.enqueue('late', { delayMs: 1000 });
    expect(textsOf(await queue.pop())).toEqual(['before']);
    expect(textsOf(await queue.popRight({ max: 2 }))).toEqual(['d', 'c']);
    expect(textsOf(await queue.pop({ max: 9, durability: 'written' }))).toEqual([
      'first',
      'a',
      'b',
    ]);
    expect([await queue.pop(), await queue.popRight()]).toEqual([[], []]);
    const { messages, delayed, inFlight } = await queue.stats();
    expect([messages, delayed, inFlight]).toEqual([1, 1, 0]);
    await checks.mistake(() => queue.pop({ max: 0 }), 'RangeError');
    const options = { priority: 1 } as object;
    await checks.mistake(() => queue.pushFront('x', options), 'TypeError');
  });

  check('popRight leaves what is held, is over, or is behind a pause', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await textQueue(queues);
    await queue.enqueue('a');
    await queue.enqueue('over', { ttlMs: 100 });
    await queue.enqueue('held', { priority: 1 });
    const held = await received(queue);
    await elapse(200);
    await queue.pause();
    expect([await queue.pop(), await queue.popRight()]).toEqual([[], []]);
    await queue.resume();
    expect(textsOf(await queue.popRight({ max: 5 }))).toEqual(['a']);
    await held.ack();
  });

  check('what is taken from the back of a key lets the key go on', async ({ queues }) => {
    const queue = await textQueue(queues);
    await queue.enqueueMany(['1', '2', '3'].map((payload) => ({ payload, key: 'k' })));
    const one = await received(queue);
    expect(await queue.receive({ max: 5 })).toEqual([]);
    expect(textsOf(await queue.popRight())).toEqual(['3']);
    expect(await queue.receive({ max: 5 })).toEqual([]);
    await one.ack();
    expect(await drained(queue)).toEqual(['2']);
  });
}

function removals({ check, checks, expect }: QueueContractPart): void {
  check('purge ends everything, what is in flight too', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    await queue.enqueueMany(['a', 'b'].map((payload) => ({ payload, key: 'k' })));
    await queue.enqueue('late', { delayMs: 1000 });
    const held = await received(queue);
    expect(await queue.purge()).toBe(3);
    expect(held.signal.aborted).toBe(true);
    await checks.lost(held.ack(), 'purged');
    await checks.lost(held.nack(), 'purged');
    await elapse(2000);
    const { messages, bytes, ready, delayed, inFlight } = await queue.stats();
    expect([messages, bytes, ready, delayed, inFlight]).toEqual([0, 0, 0, 0, 0]);
    await queue.enqueue('new', { key: 'k' });
    expect(await drained(queue)).toEqual(['new']);
    expect(await queue.purge()).toBe(0);
  });

  check('cancel ends one, and tells who has it', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    const results = await queue.enqueueMany(['a', 'b', 'c'].map((payload) => ({ payload })));
    const late = await queue.enqueue('late', { delayMs: 1000 });
    const held = await received(queue);
    expect(await queue.cancel(held.id)).toBe(true);
    expect(held.signal.aborted).toBe(true);
    await checks.lost(held.ack(), 'cancelled');
    expect(await queue.cancel(held.id)).toBe(false);
    expect(await queue.cancel(results[1]?.seq ?? 0)).toBe(true);
    expect(await queue.cancel(late.id)).toBe(true);
    expect((await queue.stats()).delayed).toBe(0);
    await elapse(2000);
    expect(await drained(queue)).toEqual(['c']);
    expect((await queue.stats()).messages).toBe(0);
    expect(await queue.cancel('no such')).toBe(false);
  });
}

function updates({ check, checks, expect }: QueueContractPart): void {
  check('update changes what is delivered, and when', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    const a = await queue.enqueue('a', { headers: { x: '1' } });
    const b = await queue.enqueue('b');
    const c = await queue.enqueue('c');
    const late = await queue.enqueue('late', { delayMs: 1000 });
    await queue.update(a.id, { payload: 'A' });
    await queue.update(a.id, { payload: 'AA' });
    await queue.update(b.id, { delayMs: 500 });
    await queue.update(c.id, { priority: 3 });
    await queue.update(c.id, { priority: 5 });
    await queue.update(late.id, { delayMs: 0 });
    const all = await queue.receive({ max: 10 });
    expect(textsOf(all)).toEqual(['c', 'AA', 'late']);
    expect(all[0]?.priority).toBe(5);
    expect(all[1]?.headers).toEqual({ x: '1' });
    for (const delivery of all) await delivery.ack();
    await elapse(500);
    expect(await drained(queue)).toEqual(['b']);
    await checks.code(queue.update(a.id, { payload: 'x' }), 'NOT_FOUND');
    expect((await queue.stats()).messages).toBe(0);
  });

  check('of what is in flight it changes the next delivery', async ({ queues }) => {
    const queue = await textQueue(queues);
    const { id } = await queue.enqueue('a');
    const held = await received(queue);
    await queue.update(id, { payload: 'b', headers: { y: '2' } });
    expect(held.payload).toBe('a');
    await held.nack({ delayMs: 0 });
    const again = await received(queue);
    expect([again.payload, again.headers]).toEqual(['b', { y: '2' }]);
    await again.reject();
    const dead = await received(await queue.deadLetters());
    expect([dead.payload, dead.headers]).toEqual(['b', { y: '2' }]);
  });

  check('a change that cannot be meant is refused', async ({ queues }) => {
    const queue = await textQueue(queues);
    const { id } = await queue.enqueue('a', { key: 'k' });
    await checks.mistake(() => queue.update(id, { priority: 1 }), 'TypeError');
    await checks.mistake(() => queue.update(id, { priority: 77 }), 'RangeError');
    await checks.mistake(() => queue.update(id, { delayMs: -1 }), 'RangeError');
    await checks.mistake(() => queue.update(id, { more: 1 } as object), 'TypeError');
    expect(textsOf(await browsed(queue))).toEqual(['a']);
  });
}

function pauses({ check, expect }: QueueContractPart): void {
  check(
    'a pause holds deliveries back, takes messages, and outlives a restart',
    async (subject) => {
      const { elapse, reopen } = subject;
      let queue = await textQueue(subject.queues);
      await queue.enqueue('a');
      const held = await received(queue);
      const waiting = queue.receive({ waitMs: 1000 });
      await queue.pause();
      await queue.enqueue('b');
      await held.ack();
      await elapse(1000);
      expect(await waiting).toEqual([]);
      expect([queue.isPaused, (await queue.stats()).ready]).toEqual([true, 1]);
      if (reopen !== undefined) queue = await textQueue(await reopen());
      expect(queue.isPaused).toBe(true);
      expect(await queue.receive()).toEqual([]);
      const next = queue.receive({ waitMs: 1000 });
      await queue.resume();
      expect(textsOf(await next)).toEqual(['b']);
    },
  );

  check('configure changes what is stored', async ({ queues, reopen }) => {
    const queue = await textQueue(queues, { maxDeliveries: 2, maxMessages: 1 });
    await queue.configure({ maxDeliveries: 1, maxMessages: Infinity });
    await queue.enqueueMany(['a', 'b'].map((payload) => ({ payload })));
    await (await received(queue)).nack({ delayMs: 0 });
    expect(await drained(queue)).toEqual(['b']);
    if (reopen === undefined) return;
    const { options } = await textQueue(await reopen());
    expect([options.maxDeliveries, options.maxMessages]).toEqual([1, null]);
  });
}

function closes({ check, checks, expect }: QueueContractPart): void {
  check('close releases, rejects who waits, and is done once', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await textQueue(queues, { maxMessages: 2, overflow: 'wait' });
    await queue.enqueueMany(['a', 'b'].map((payload) => ({ payload })));
    const held = await received(queue);
    const acked = (await received(queue)).ack();
    const other = await textQueue(queues, {}, 'other');
    const waiting = other.receive({ waitMs: 1000 }).catch((error: unknown) => error);
    await elapse(0);
    const closing = queue.close();
    expect(queue.close()).toBe(closing);
    await acked;
    await closing;
    await checks.lost(held.ack(), 'queue closed');
    expect(held.signal.aborted).toBe(true);
    await checks.code(queue.enqueue('x'), 'CLOSED');
    await checks.code(queue.receive(), 'CLOSED');
    await checks.code(queue.stats(), 'CLOSED');
    const again = await textQueue(queues);
    const delivery = await received(again);
    expect([delivery.payload, delivery.deliveryCount]).toEqual(['a', 1]);
    await queues.close();
    await queues.close();
    expect(((await waiting) as { code?: unknown }).code).toBe('CLOSED');
    await checks.code(queues.queue('q'), 'CLOSED');
    await checks.code(queues.commit([]), 'CLOSED');
  });

  check('who waits for room is rejected when the queue closes', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { maxMessages: 1, overflow: 'wait' });
    await queue.enqueue('a');
    const waiting = queue.enqueue('b').catch((error: unknown) => error);
    await elapse(0);
    await queue.close();
    expect(((await waiting) as { code?: unknown }).code).toBe('CLOSED');
  });

  check('a queue can be opened while it closes', async ({ queues }) => {
    for (let turns = 0; turns < 40; turns++) {
      const queue = await textQueue(queues);
      const closing = queue.close();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      const again = await textQueue(queues);
      await closing;
      await again.enqueue(`${turns}`);
      expect(await drained(again)).toEqual([`${turns}`]);
    }
  });
}
