/** Limits: what goes over is refused, waits, or takes the place of the oldest. */
import {
  browsed,
  drained,
  received,
  sorted,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueLimitContract(part: QueueContractPart): void {
  refusals(part);
  waits(part);
  drops(part);
}

function refusals({ check, checks, expect }: QueueContractPart): void {
  check('reject: by messages and by bytes, all of a batch or none', async ({ queues }) => {
    const queue = await textQueue(queues, { maxMessages: 3, maxBytes: 10 });
    await queue.enqueue('aaaa');
    const three = ['b', 'c', 'd'].map((payload) => ({ payload }));
    await checks.code(queue.enqueueMany(three), 'LIMIT');
    await checks.code(queue.enqueue('x'.repeat(7)), 'LIMIT');
    await checks.code(queue.enqueue('x'.repeat(11)), 'LIMIT');
    await queue.enqueue('bbbbbb');
    await checks.code(queue.enqueue('c'), 'LIMIT');
    await queue.enqueue('');
    await checks.code(queue.enqueue(''), 'LIMIT');
    await checks.code(queue.pushFront('f'), 'LIMIT');
    expect(await drained(queue)).toEqual(['aaaa', 'bbbbbb', '']);
    await queue.enqueueMany(three);
  });

  check('what is in flight counts; a duplicate does not', async ({ queues }) => {
    const queue = await textQueue(queues, { maxMessages: 2 });
    await queue.enqueueMany([
      { payload: 'a', dedupKey: 'k' },
      { payload: 'b' },
      { payload: 'c', dedupKey: 'k' },
    ]);
    await queue.receive({ max: 2 });
    expect((await queue.enqueue('d', { dedupKey: 'k' })).duplicate).toBe(true);
    await checks.code(queue.enqueue('e'), 'LIMIT');
  });

  check('of many at once no more get in than there is room for', async ({ queues }) => {
    const queue = await textQueue(queues, { maxMessages: 10 });
    const results = await Promise.allSettled(
      Array.from({ length: 30 }, (_, i) => queue.enqueue(`${i}`)),
    );
    expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(10);
    expect((await queue.stats()).messages).toBe(10);
  });

  check('what was refused otherwise has taken no room', async ({ queues }) => {
    const queue = await textQueue(queues, { maxMessages: 1 });
    const headers = { big: 'x'.repeat(70_000) };
    await checks.mistake(() => queue.enqueue('a', { headers }), 'RangeError');
    await queue.enqueue('b');
    expect(await drained(queue)).toEqual(['b']);
  });
}

function waits({ check, checks, expect }: QueueContractPart): void {
  check('wait: until there is room, in their order', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { maxMessages: 2, overflow: 'wait' });
    await queue.enqueueMany(['a', 'b'].map((payload) => ({ payload })));
    const done: string[] = [];
    for (const text of ['c', 'd']) void queue.enqueue(text).then(() => done.push(text));
    await elapse(1000);
    expect(done).toEqual([]);
    expect(await drained(queue, { max: 1 })).toEqual(['a']);
    await elapse(0);
    expect(done).toEqual(['c']);
    expect(await drained(queue, { max: 1 })).toEqual(['b']);
    await elapse(0);
    expect(done).toEqual(['c', 'd']);
    expect(await drained(queue)).toEqual(['c', 'd']);
  });

  check('a wait ends with its signal; what never fits does not wait', async (subject) => {
    const { queues, elapse } = subject;
    const queue = await textQueue(queues, { maxMessages: 1, overflow: 'wait' });
    await queue.enqueue('a');
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = queue.enqueueMany([{ payload: 'b' }], { signal });
    const failed = waiting.catch((error: unknown) => error);
    await elapse(0);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await failed).toBe(reason);
    await checks.code(queue.enqueueMany([{ payload: 'x' }, { payload: 'y' }]), 'LIMIT');
    expect(await drained(queue)).toEqual(['a']);
    await queue.enqueue('c');
    expect(await drained(queue)).toEqual(['c']);
  });
}

function drops({ check, checks, expect }: QueueContractPart): void {
  check('drop-oldest: the oldest that nobody has becomes a dead letter', async ({ queues }) => {
    const queue = await textQueue(queues, { maxMessages: 2, overflow: 'drop-oldest' });
    await queue.enqueueMany(['a', 'b'].map((payload) => ({ payload })));
    const held = await received(queue);
    await queue.enqueue('c');
    expect(textsOf(await browsed(queue))).toEqual(['a', 'c']);
    await queue.receive({ max: 5 });
    await checks.code(queue.enqueue('d'), 'LIMIT');
    const [dead] = await browsed(await queue.deadLetters());
    expect([dead?.payload, dead?.origin?.cause]).toEqual(['b', 'overflow']);
    await held.ack();
    await queue.enqueue('d');
  });

  check(
    'in groups it is the oldest of all, for those that have it before them',
    async (subject) => {
      const options = { mode: 'fanout', maxMessages: 3, overflow: 'drop-oldest' } as const;
      const queue = await textQueue(subject.queues, options);
      for (const name of ['fast', 'slow', 'idle']) await queue.groups.create(name);
      await queue.enqueueMany(['1', '2', '3'].map((payload) => ({ payload })));
      expect(await drained(queue, { group: 'fast', max: 2 })).toEqual(['1', '2']);
      await queue.enqueue('4');
      expect(await drained(queue, { group: 'fast' })).toEqual(['3', '4']);
      expect(await drained(queue, { group: 'slow' })).toEqual(['2', '3', '4']);
      expect(await drained(queue, { group: 'idle' })).toEqual(['2', '3', '4']);
      const dead = await browsed(await queue.deadLetters());
      expect(sorted(dead.map(({ payload, origin }) => `${payload} ${origin?.group}`))).toEqual([
        '1 idle',
        '1 slow',
      ]);
    },
  );
}
