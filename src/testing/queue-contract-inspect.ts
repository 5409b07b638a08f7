/** Looking at messages without taking them, at deliveries under way, and at the counts. */
import {
  browsed,
  drained,
  received,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueInspectContract(part: QueueContractPart): void {
  looks(part);
  claims(part);
  counts(part);
  ages(part);
  rates(part);
}

function looks({ check, checks, expect }: QueueContractPart): void {
  check('peek, browse and get take nothing', async ({ queues, now }) => {
    const queue = await textQueue(queues);
    const plain = await queue.enqueue('plain', { headers: { a: 'b' }, ttlMs: 50_000 });
    await queue.enqueue('late', { delayMs: 1000 });
    await queue.enqueue('high', { priority: 2 });
    const held = await received(queue);
    expect(held.payload).toBe('high');
    expect(textsOf(await queue.peek(5))).toEqual(['plain']);
    const all = await browsed(queue);
    expect(all.map(({ payload, state }) => [payload, state])).toEqual([
      ['plain', 'ready'],
      ['late', 'delayed'],
      ['high', 'inFlight'],
    ]);
    expect(all[1]?.dueAt).toBe(now() + 1000);
    const { id, seq } = plain;
    const found = await queue.get(id);
    expect([
      found?.seq,
      found?.payload,
      found?.headers,
      found?.expiresAt,
      found?.deliveryCount,
    ]).toEqual([seq, 'plain', { a: 'b' }, now() + 50_000, 0]);
    expect((await queue.get(seq))?.id).toBe(id);
    expect([await queue.get('no'), await queue.get(10_000), await queue.get(-1)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(textsOf(await browsed(queue, { state: 'delayed' }))).toEqual(['late']);
    expect(textsOf(await browsed(queue, { limit: 1 }))).toEqual(['plain']);
    expect(textsOf(await browsed(queue, { from: seq + 1 }))).toEqual(['late', 'high']);
    await checks.mistake(() => queue.get({} as string), 'TypeError');
    await checks.mistake(() => queue.peek(0), 'RangeError');
    expect(await drained(queue)).toEqual(['plain']);
  });

  check('peek shows what receive would give', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    for (let i = 0; i < 30; i++) {
      const delayMs = i % 5 === 0 ? 10 * i : undefined;
      await queue.enqueue(`${i}`, { priority: (i * 7) % 4, delayMs });
    }
    await queue.pushFront('front');
    await elapse(150);
    for (const delivery of await queue.receive({ max: 4 })) await delivery.nack({ delayMs: 0 });
    const seen = textsOf(await queue.peek(12));
    expect(textsOf(await queue.receive({ max: 12 }))).toEqual(seen);
  });
}

function claims({ check, checks, expect }: QueueContractPart): void {
  check('pending says who has what, and for how long', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { visibilityTimeoutMs: 10_000 });
    await queue.enqueueMany(['a', 'b'].map((payload) => ({ payload })));
    const a = await received(queue, { consumer: 'one' });
    await elapse(1000);
    const b = await received(queue);
    const pending = queue.pending();
    expect(
      pending.map(({ id, consumer, deliveryCount, ageMs, leftMs }) => [
        id,
        consumer,
        deliveryCount,
        ageMs,
        leftMs,
      ]),
    ).toEqual([
      [a.id, 'one', 1, 1000, 9000],
      [b.id, undefined, 1, 0, 10_000],
    ]);
    await a.ack();
    expect(queue.pending().length).toBe(1);
  });

  check('claim takes over what is held for long, and fences who had it', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await textQueue(queues, { maxDeliveries: 3 });
    await queue.enqueueMany(['a', 'b', 'c'].map((payload) => ({ payload, key: payload })));
    const [a, b] = await queue.receive({ max: 2 });
    if (a === undefined || b === undefined) throw new Error('two');
    await elapse(1000);
    const c = await received(queue);
    expect(await queue.claim({ minIdleMs: 1001, max: 5 })).toEqual([]);
    const claimed = await queue.claim({ minIdleMs: 1000, max: 5, consumer: 'two' });
    expect(claimed.map(({ payload, deliveryCount }) => [payload, deliveryCount])).toEqual([
      ['a', 2],
      ['b', 2],
    ]);
    expect(a.signal.aborted).toBe(true);
    await checks.lost(a.ack(), 'claimed');
    await checks.lost(b.nack(), 'claimed');
    for (const delivery of claimed) await delivery.ack();
    await c.ack();
    expect((await queue.stats()).messages).toBe(0);
    await checks.mistake(() => queue.claim({ minIdleMs: -1 }), 'RangeError');
  });

  check('two that claim at once get each message once', async ({ queues }) => {
    const queue = await textQueue(queues);
    await queue.enqueueMany(['a', 'b'].map((payload) => ({ payload })));
    await queue.receive({ max: 2 });
    const [one, two] = await Promise.all([queue.claim({ max: 5 }), queue.claim({ max: 5 })]);
    expect(one.length + two.length).toBe(2);
    // A claim is a delivery: the last one that there may be is not taken over.
    const last = await textQueue(queues, { maxDeliveries: 1 }, 'last');
    await last.enqueue('x');
    await received(last);
    expect(await last.claim()).toEqual([]);
  });
}

function counts({ check, expect }: QueueContractPart): void {
  check('the counts are those of what there is', async ({ queues, elapse, now }) => {
    const queue = await textQueue(queues);
    const start = now();
    await queue.enqueueMany(['aa', 'b', 'c', 'd'].map((payload) => ({ payload })));
    await elapse(10);
    await queue.enqueue('late', { delayMs: 1000 });
    await (await received(queue)).ack();
    await (await received(queue)).nack({ delayMs: 500 });
    const held = await received(queue);
    const stats = await queue.stats();
    const { name, mode, isPaused, messages, bytes, ready, delayed, inFlight } = stats;
    expect([name, mode, isPaused, messages, bytes, ready, delayed, inFlight]).toEqual([
      'q',
      'work',
      false,
      4,
      7,
      1,
      2,
      1,
    ]);
    expect(stats.oldestEnqueuedAt).toBe(start);
    const { enqueued, delivered, redelivered, acknowledged, failed } = stats.counters;
    expect([enqueued, delivered, redelivered, acknowledged, failed]).toEqual([5, 3, 0, 1, 1]);
    await held.release();
    await elapse(500);
    const later = await queue.stats();
    expect([later.ready, later.delayed, later.inFlight]).toEqual([3, 1, 0]);
    await drained(queue);
    await elapse(500);
    expect((await queue.stats()).ready).toBe(1);
    await drained(queue);
    const end = await queue.stats();
    expect([end.messages, end.bytes, end.ready, end.oldestEnqueuedAt]).toEqual([
      0,
      0,
      0,
      undefined,
    ]);
  });
}

function ages({ check, expect }: QueueContractPart): void {
  check('the age of the oldest that could be delivered', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    const oldest = async (): Promise<number | undefined> => (await queue.stats()).oldestReadyMs;
    expect(await oldest()).toBe(undefined);
    await queue.enqueue('late', { delayMs: 5000 });
    await elapse(1000);
    expect(await oldest()).toBe(undefined);
    await queue.enqueue('plain');
    await elapse(500);
    await queue.enqueue('high', { priority: 5 });
    await elapse(500);
    expect(await oldest()).toBe(1000);
    const [high, plain] = await queue.receive({ max: 2 });
    expect(await oldest()).toBe(undefined);
    await high?.nack({ delayMs: 0 });
    expect(await oldest()).toBe(500);
    await plain?.ack();
    await elapse(3500);
    expect(await drained(queue, { max: 1 })).toEqual(['high']);
    // From when it was due, not from when it came.
    expect(await oldest()).toBe(500);
  });
}

function rates({ check, expect }: QueueContractPart): void {
  check('what happened in the last minute', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    const rate = async (): Promise<number[]> => {
      const { enqueued, delivered, acknowledged } = (await queue.stats()).lastMinute;
      return [enqueued, delivered, acknowledged];
    };
    expect(await rate()).toEqual([0, 0, 0]);
    await queue.enqueueMany(['1', '2', '3'].map((payload) => ({ payload })));
    expect(await rate()).toEqual([3, 0, 0]);
    await elapse(30_000);
    expect(await drained(queue)).toEqual(['1', '2', '3']);
    await queue.enqueue('4');
    expect(await rate()).toEqual([4, 3, 3]);
    await elapse(31_000);
    expect(await rate()).toEqual([1, 3, 3]);
    await elapse(30_000);
    expect(await rate()).toEqual([0, 0, 0]);
    await drained(queue);
    expect(await rate()).toEqual([0, 1, 1]);
  });

  check('how long messages waited from when they were due', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    expect((await queue.stats()).lag).toEqual({
      count: 0,
      maxMs: 0,
      p50Ms: 0,
      p90Ms: 0,
      p99Ms: 0,
      buckets: [],
    });
    for (let i = 0; i < 8; i++) await queue.enqueue('at once');
    await drained(queue);
    await queue.enqueue('later', { delayMs: 1000 });
    await queue.enqueue('now');
    await elapse(1100);
    const found = await queue.receive({ max: 5 });
    for (const delivery of found) await delivery.nack({ delayMs: 0 });
    // Only first deliveries count.
    await drained(queue);
    const { lag } = await queue.stats();
    expect([lag.count, lag.maxMs, lag.p50Ms, lag.p90Ms, lag.p99Ms]).toEqual([
      10, 1100, 0, 128, 1100,
    ]);
    expect(lag.buckets).toEqual([
      { upToMs: 0, count: 8 },
      { upToMs: 128, count: 1 },
      { upToMs: 2048, count: 1 },
    ]);
  });
}
