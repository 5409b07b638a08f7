/** The order in which messages come, and when: keys, priorities, delays, ends. */
import {
  browsed,
  drained,
  received,
  sorted,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

const DAY_MS = 86_400_000;

export function queueOrderContract(part: QueueContractPart): void {
  keys(part);
  keysThatGo(part);
  priorities(part);
  times(part);
  ends(part);
}

function keys({ check, expect }: QueueContractPart): void {
  check('of a key one at a time, in their order; others are not held up', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await textQueue(queues);
    for (const [payload, key] of [
      ['a1', 'a'],
      ['a2', 'a'],
      ['b1', 'b'],
      ['free', undefined],
      ['b2', 'b'],
      ['a3', 'a'],
    ] as const) {
      await queue.enqueue(payload, { key });
    }
    const [a1, b1, free] = await queue.receive({ max: 10 });
    expect([a1?.payload, b1?.payload, free?.payload]).toEqual(['a1', 'b1', 'free']);
    expect(a1?.key).toBe('a');
    await a1?.nack({ delayMs: 1000 });
    await b1?.ack();
    expect(await drained(queue)).toEqual(['b2']);
    await elapse(1000);
    expect(await drained(queue)).toEqual(['a1', 'a2', 'a3']);
    await free?.ack();
  });

  check('a key goes on behind a dead letter', async ({ queues }) => {
    const queue = await textQueue(queues);
    for (const payload of ['a1', 'a2']) await queue.enqueue(payload, { key: 'a' });
    await (await received(queue)).reject();
    expect(await drained(queue)).toEqual(['a2']);
  });

  check('a long row of a blocked key does not hide what is behind it', async ({ queues }) => {
    const queue = await textQueue(queues);
    const row = Array.from({ length: 5000 }, (_, i) => ({ payload: `a${i}`, key: 'a' }));
    await queue.enqueueMany(row);
    await queue.enqueue('free');
    const first = await received(queue);
    expect(first.payload).toBe('a0');
    expect(textsOf(await queue.receive({ max: 10 }))).toEqual(['free']);
  });

  check('relaxed: a key may have delays and priorities, one in flight', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await textQueue(queues, { ordering: 'relaxed' });
    await queue.enqueue('late', { key: 'a', delayMs: 1000 });
    await queue.enqueue('low', { key: 'a' });
    await queue.enqueue('high', { key: 'a', priority: 9 });
    const high = await received(queue);
    expect(high.payload).toBe('high');
    expect(await queue.receive({ max: 5 })).toEqual([]);
    await high.ack();
    expect(await drained(queue)).toEqual(['low']);
    await elapse(1000);
    expect(await drained(queue)).toEqual(['late']);
  });
}

function keysThatGo({ check, expect }: QueueContractPart): void {
  check('a key goes on when who is next is cancelled', async ({ queues }) => {
    const queue = await textQueue(queues);
    const [, second] = await queue.enqueueMany(
      ['a1', 'a2', 'a3'].map((payload) => ({ payload, key: 'a' })),
    );
    const [a1] = await queue.receive({ max: 3 });
    await a1?.ack();
    expect(await queue.cancel(second?.id ?? '')).toBe(true);
    expect(await drained(queue)).toEqual(['a3']);
  });

  check('what ends behind its key does not let the next one past', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await textQueue(queues);
    for (const [payload, ttlMs] of [
      ['a1', undefined],
      ['a2', 1000],
      ['a3', undefined],
    ] as const) {
      await queue.enqueue(payload, { key: 'a', ttlMs });
    }
    const a1 = await received(queue);
    await elapse(1500);
    expect(await queue.receive({ max: 5 })).toEqual([]);
    await elapse(1500);
    expect(await queue.receive({ max: 5 })).toEqual([]);
    await a1.ack();
    expect(await drained(queue)).toEqual(['a3']);
    expect(textsOf(await browsed(await queue.deadLetters()))).toEqual(['a2']);
  });
}

function priorities({ check, expect }: QueueContractPart): void {
  check('higher ones come first, and in their order', async ({ queues }) => {
    const queue = await textQueue(queues);
    for (const [payload, priority] of [
      ['z1', undefined],
      ['five', 5],
      ['z2', 0],
      ['top1', 15],
      ['top2', 15],
    ] as const) {
      await queue.enqueue(payload, { priority });
    }
    expect(textsOf(await queue.peek(3))).toEqual(['top1', 'top2', 'five']);
    expect(await drained(queue)).toEqual(['top1', 'top2', 'five', 'z1', 'z2']);
  });

  check('a priority is kept over a failure and a delay', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    await queue.enqueue('high', { priority: 7, delayMs: 100 });
    await queue.enqueueMany([{ payload: 'a' }, { payload: 'b' }]);
    await elapse(100);
    const high = await received(queue);
    expect([high.payload, high.priority]).toEqual(['high', 7]);
    await high.nack({ delayMs: 0 });
    expect(await drained(queue)).toEqual(['high', 'a', 'b']);
  });
}

function times({ check, expect }: QueueContractPart): void {
  check('at whatever distance: put off until then, and not longer', async (subject) => {
    const { queues, elapse, now } = subject;
    const queue = await textQueue(queues);
    const start = now();
    await queue.enqueue('year', { runAt: start + 365 * DAY_MS });
    await queue.enqueue('month', { delayMs: 30 * DAY_MS });
    await queue.enqueue('date', { runAt: new Date(start + 1000) });
    await queue.enqueue('past', { runAt: 0 });
    expect(await drained(queue)).toEqual(['past']);
    expect((await queue.stats()).delayed).toBe(3);
    await elapse(1000);
    expect(await drained(queue)).toEqual(['date']);
    let month: unknown;
    void queue.receive({ waitMs: 400 * DAY_MS }).then((deliveries) => {
      month = textsOf(deliveries);
      void queue.ackMany(deliveries);
    });
    await elapse(30 * DAY_MS - 2000);
    expect(month).toBe(undefined);
    await elapse(2000);
    expect(month).toEqual(['month']);
    await elapse(334 * DAY_MS);
    expect(await queue.receive()).toEqual([]);
    await elapse(DAY_MS);
    expect((await drained(queue)).includes('year')).toBe(true);
  });

  check('one that waits for long does not hold up those behind it', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    await queue.enqueue('late', { delayMs: 1000 });
    await queue.enqueue('later', { delayMs: 2000 });
    await queue.enqueue('now');
    expect(await drained(queue)).toEqual(['now']);
    await queue.enqueue('meanwhile');
    await elapse(2000);
    expect(sorted(await drained(queue))).toEqual(['late', 'later', 'meanwhile']);
  });
}

function ends({ check, checks, expect }: QueueContractPart): void {
  check('what was not delivered in its time is a dead letter', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { ttlMs: 2000 });
    await queue.enqueue('short', { ttlMs: 1000 });
    await queue.enqueue('default');
    await elapse(999);
    expect(textsOf(await queue.peek(2))).toEqual(['short', 'default']);
    await elapse(1);
    expect(await drained(queue, { max: 1 })).toEqual(['default']);
    await queue.enqueue('again');
    await elapse(2000);
    expect(await queue.receive({ max: 5 })).toEqual([]);
    const dead = await browsed(await queue.deadLetters());
    expect(
      dead.map(({ payload, origin }) => [payload, origin?.cause, origin?.deliveryCount]),
    ).toEqual([
      ['short', 'expired', 0],
      ['again', 'expired', 0],
    ]);
    expect((await queue.stats()).counters.expired).toBe(2);
  });

  check('what is over may be dropped, what fails still may not', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { ttlMs: 1000, onExpired: 'drop', maxDeliveries: 1 });
    await queue.enqueue('fails');
    await (await received(queue)).nack();
    await queue.enqueue('over');
    await elapse(1000);
    expect(await queue.receive()).toEqual([]);
    expect(textsOf(await browsed(await queue.deadLetters()))).toEqual(['fails']);
    const { messages, counters } = await queue.stats();
    expect([messages, counters.expired, counters.deadLettered]).toEqual([0, 1, 1]);
  });

  check('without dead letters what is over is dropped, and nothing else said', async (subject) => {
    const { queues } = subject;
    const both = { deadLetter: false, onExpired: 'dead' } as const;
    await checks.mistake(() => textQueue(queues, both), 'TypeError');
    const queue = await textQueue(queues, { deadLetter: false });
    expect(queue.options.onExpired).toBe('drop');
    await checks.mistake(() => queue.configure({ onExpired: 'dead' }), 'TypeError');
    const other = await textQueue(queues, {}, 'other');
    await other.configure({ deadLetter: false });
    expect(other.options.onExpired).toBe('drop');
  });

  check('the end is of delivery: who has it in time may settle it later', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await textQueue(queues);
    await queue.enqueue('a', { ttlMs: 1000 });
    const delivery = await received(queue);
    await elapse(5000);
    await delivery.ack();
    expect((await queue.stats()).messages).toBe(0);
  });
}
