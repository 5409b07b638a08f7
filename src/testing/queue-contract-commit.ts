/** One step over several queues and channels: all of it, or nothing. */
import {
  browsed,
  drained,
  received,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueCommitContract(part: QueueContractPart): void {
  together(part);
  refused(part);
}

function together({ check, expect }: QueueContractPart): void {
  check('acknowledges, enqueues and appends in one step', async ({ queues, redex }) => {
    const from = await textQueue(queues, {}, 'from');
    const to = await textQueue(queues, {}, 'to');
    await from.enqueueMany(['a', 'b'].map((payload) => ({ payload })));
    const [a, b] = await from.receive({ max: 2 });
    if (a === undefined || b === undefined) throw new Error('two');
    const log = await redex?.channel('log');
    const { enqueued } = await queues.commit([
      a.acking(),
      to.enqueuing('x', { priority: 2 }),
      b.acking(),
      to.enqueuing('y'),
      from.enqueuing('z'),
      ...(log === undefined ? [] : [log.appending('done')]),
    ]);
    expect(enqueued.map(({ duplicate }) => duplicate)).toEqual([false, false, false]);
    expect((await to.get(enqueued[1]?.id ?? ''))?.payload).toBe('y');
    expect((await from.get(enqueued[2]?.id ?? ''))?.payload).toBe('z');
    expect(textsOf(await to.receive({ max: 5 }))).toEqual(['x', 'y']);
    expect(await drained(from)).toEqual(['z']);
    if (log !== undefined) expect(log.nextSeq).toBe(1);
    expect(await queues.commit([])).toEqual({ enqueued: [] });
  });

  check('a duplicate is told, and the rest is done', async ({ queues }) => {
    const queue = await textQueue(queues);
    const first = await queue.enqueue('a', { dedupKey: 'k' });
    const { enqueued } = await queues.commit([
      queue.enqueuing('b', { dedupKey: 'k' }),
      queue.enqueuing('c'),
    ]);
    expect(enqueued[0]).toEqual({ ...first, duplicate: true });
    expect(enqueued[1]?.duplicate).toBe(false);
    expect(await drained(queue)).toEqual(['a', 'c']);
  });

  check('a commit wakes who waits', async ({ queues }) => {
    const queue = await textQueue(queues);
    const waiting = queue.receive({ waitMs: 1000 });
    await queues.commit([queue.enqueuing('a')]);
    expect(textsOf(await waiting)).toEqual(['a']);
  });
}

function refused({ check, checks, expect }: QueueContractPart): void {
  check('a delivery that is lost refuses all of it', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { visibilityTimeoutMs: 1000 });
    const to = await textQueue(queues, {}, 'to');
    await queue.enqueueMany(['a', 'b'].map((payload) => ({ payload })));
    const a = await received(queue);
    await elapse(3000);
    const b = await received(queue);
    await checks.lost(queues.commit([b.acking(), a.acking(), to.enqueuing('x')]), 'expired');
    expect(await browsed(to)).toEqual([]);
    // What was not lost is as it was.
    await b.ack();
    await checks.lost(queues.commit([b.acking()]), 'settled');
  });

  check('a delivery that is lost meanwhile refuses all of it', async ({ queues }) => {
    const queue = await textQueue(queues);
    const to = await textQueue(queues, { maxMessages: 1, overflow: 'wait' }, 'to');
    for (const [end, reason] of [
      [(id: string) => queue.cancel(id), 'cancelled'],
      [() => queue.purge(), 'purged'],
      [() => queue.groups.seek(undefined, 'latest'), 'sought'],
    ] as const) {
      await to.enqueue('full');
      await queue.enqueue('a');
      const held = await received(queue);
      const committing = checks.lost(queues.commit([held.acking(), to.enqueuing('x')]), reason);
      await end(held.id);
      expect(await drained(to)).toEqual(['full']);
      await committing;
      expect(await browsed(to)).toEqual([]);
    }
  });

  check('a limit, or a wrong seq, refuses all of it', async ({ queues, redex }) => {
    const queue = await textQueue(queues);
    const small = await textQueue(queues, { maxMessages: 1 }, 'small');
    await queue.enqueue('a');
    const held = await received(queue);
    const two = [small.enqueuing('x'), small.enqueuing('y')];
    await checks.code(queues.commit([held.acking(), ...two]), 'LIMIT');
    if (redex !== undefined) {
      const log = await redex.channel('log');
      const wrong = log.appending('x', { expectedSeq: 5 });
      const steps = [held.acking(), small.enqueuing('x'), wrong];
      await checks.code(queues.commit(steps), 'SEQ_CONFLICT');
      expect(log.nextSeq).toBe(0);
    }
    expect(await browsed(small)).toEqual([]);
    await small.enqueue('room');
    await held.ack();
  });

  check('steps that cannot be meant are refused', async ({ queues }) => {
    const queue = await textQueue(queues);
    await queue.enqueue('a');
    const held = await received(queue);
    const twice = [held.acking(), held.acking()];
    await checks.mistake(() => queues.commit(twice), 'TypeError');
    await checks.mistake(() => queues.commit([{} as never]), 'TypeError');
    await checks.mistake(() => queues.commit('x' as never), 'TypeError');
    const own = { channel: '$queues/q', records: ['x'] } as never;
    await checks.mistake(() => queues.commit([own]), 'TypeError');
    await checks.mistake(() => queue.enqueuing('x', { priority: -1 }), 'RangeError');
    await held.ack();
  });
}
