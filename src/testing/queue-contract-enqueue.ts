/** Enqueuing: what comes out is what went in, once, under an id that is never another's. */
import {
  browsed,
  drained,
  received,
  sorted,
  textQueue,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueEnqueueContract(part: QueueContractPart): void {
  contents(part);
  ids(part);
  mistakes(part);
}

function contents({ check, expect }: QueueContractPart): void {
  check('a message comes out as it went in', async ({ queues, now }) => {
    const queue = await textQueue(queues);
    const headers = { trace: 'ü', empty: '' };
    const before = now();
    const { id, seq, duplicate } = await queue.enqueue('text', { headers });
    expect(duplicate).toBe(false);
    const delivery = await received(queue);
    expect([delivery.id, delivery.seq, delivery.payload]).toEqual([id, seq, 'text']);
    expect(delivery.headers).toEqual(headers);
    expect([delivery.deliveryCount, delivery.priority, delivery.key]).toEqual([1, 0, undefined]);
    expect(delivery.enqueuedAt >= before && delivery.enqueuedAt <= now()).toBe(true);
    expect(delivery.origin).toBe(undefined);
  });

  check('bytes are copied before enqueue returns', async ({ queues }) => {
    const queue = await queues.queue('q');
    const bytes = new Uint8Array([1, 2, 3]);
    const enqueued = queue.enqueue(bytes);
    bytes.fill(9);
    await enqueued;
    const [delivery] = await queue.receive();
    expect([...(delivery?.payload ?? [])]).toEqual([1, 2, 3]);
  });

  check('many are one: in their order, with an id each', async ({ queues }) => {
    const queue = await textQueue(queues);
    const results = await queue.enqueueMany(['a', 'b', 'c'].map((payload) => ({ payload })));
    expect(new Set(results.map(({ id }) => id)).size).toBe(3);
    const { seq = 0 } = results[0] ?? {};
    expect(results.map((result) => result.seq)).toEqual([seq, seq + 1, seq + 2]);
    expect(await drained(queue)).toEqual(['a', 'b', 'c']);
    expect(await queue.enqueueMany([])).toEqual([]);
  });

  check('an empty message is one, and an empty queue gives none', async ({ queues }) => {
    const queue = await textQueue(queues);
    expect(await queue.receive()).toEqual([]);
    await queue.enqueue('');
    expect(await drained(queue)).toEqual(['']);
    expect(await queue.receive()).toEqual([]);
  });

  check('of many enqueued at once each is there once', async ({ queues }) => {
    const queue = await textQueue(queues);
    const texts = Array.from({ length: 300 }, (_, i) => `m${i}`);
    const durability = ['written', 'synced'] as const;
    await Promise.all(
      texts.map((text, i) => queue.enqueue(text, { durability: durability[i % 2] })),
    );
    expect(sorted(await drained(queue))).toEqual(texts.toSorted());
  });
}

function ids({ check, expect }: QueueContractPart): void {
  check('ids are not used again: not after a drain, a purge, or a restart', async (subject) => {
    const seen = new Set<string>();
    let queues = subject.queues;
    let last = -1;
    for (let round = 0; round < 4; round++) {
      const queue = await textQueue(queues);
      const { id, seq } = await queue.enqueue(`${round}`);
      expect(seen.has(id) || seq <= last).toBe(false);
      seen.add(id);
      last = seq;
      if (round % 2 === 0) expect(await drained(queue)).toEqual([`${round}`]);
      else expect(await queue.purge()).toBe(1);
      if (subject.reopen !== undefined) queues = await subject.reopen();
    }
  });

  check('a queue that was deleted and made again has other ids', async ({ queues }) => {
    const first = await (await textQueue(queues)).enqueue('old');
    expect(await queues.delete('q')).toBe(true);
    expect(await queues.delete('q')).toBe(false);
    const queue = await textQueue(queues);
    const second = await queue.enqueue('new');
    expect(second.id === first.id).toBe(false);
    expect(await queue.cancel(first.id)).toBe(false);
    expect(await drained(queue)).toEqual(['new']);
  });
}

function mistakes({ check, checks, expect }: QueueContractPart): void {
  check('what cannot be meant is refused before anything is written', async ({ queues }) => {
    const queue = await textQueue(queues);
    const types: object[] = [
      { delayMs: 1, runAt: 1 },
      { delayMs: '5' },
      { key: 'k', delayMs: 5 },
      { key: 'k', runAt: new Date(0) },
      { key: 'k', priority: 1 },
      { key: 5 },
      { headers: ['a'] },
      { headers: { a: 1 } },
      { durability: 'fast' },
      { runAt: 'tomorrow' },
      { delay: 5 },
    ];
    const ranges: object[] = [
      { delayMs: -1 },
      { delayMs: NaN },
      { delayMs: Infinity },
      { ttlMs: 0 },
      { priority: 16 },
      { priority: 1.5 },
      { key: '' },
      { key: 'x'.repeat(1025) },
      { dedupKey: '\ud800' },
      { runAt: NaN },
      { headers: { big: 'x'.repeat(70_000) } },
    ];
    for (const options of types) {
      await checks.mistake(() => queue.enqueue('x', options), 'TypeError');
    }
    for (const options of ranges) {
      await checks.mistake(() => queue.enqueue('x', options), 'RangeError');
    }
    const many = [{ payload: 'fine' }, { payload: 'x', priority: 99 }];
    await checks.mistake(() => queue.enqueueMany(many), 'RangeError');
    await checks.mistake(() => queue.enqueueMany('x' as unknown as []), 'TypeError');
    await checks.mistake(() => queue.enqueueMany([{}] as unknown as []), 'TypeError');
    await checks.mistake(() => queue.enqueue(5 as unknown as string), 'TypeError');
    expect(await browsed(queue)).toEqual([]);
    expect((await queue.stats()).messages).toBe(0);
  });

  check('options of a queue that contradict are refused, and no queue is made', async (subject) => {
    const { queues } = subject;
    const wrong: object[] = [
      { mode: 'both' },
      { deadLetter: 'q' },
      { deadLetter: true },
      { overflow: 'drop' },
      { ordering: 'loose' },
      { unknown: 1 },
      { visibilityTimeoutMs: '1' },
    ];
    for (const options of wrong)
      await checks.mistake(() => queues.queue('q', options), 'TypeError');
    for (const options of [{ maxDeliveries: 0 }, { maxMessages: 0.5 }, { backoffMs: -1 }]) {
      await checks.mistake(() => queues.queue('q', options), 'RangeError');
    }
    expect(await queues.has('q')).toBe(false);
    await checks.code(queues.queue('q', { createIfMissing: false }), 'NOT_FOUND');
    await queues.queue('q', { maxDeliveries: 3 });
    await checks.code(queues.queue('q', { maxDeliveries: 4 }), 'OPTIONS_CONFLICT');
    expect((await queues.queue('q')).options.maxDeliveries).toBe(3);
    expect(await queues.list()).toEqual(['q']);
  });
}
