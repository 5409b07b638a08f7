/** A key in the window is one message, whatever became of it. */
import {
  drained,
  received,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueDedupContract(part: QueueContractPart): void {
  window(part);
  together(part);
}

function window({ check, expect }: QueueContractPart): void {
  check('the earlier one is told, also when it is done with', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { dedupWindowMs: 1000 });
    const first = await queue.enqueue('a', { dedupKey: 'k' });
    expect(first.duplicate).toBe(false);
    expect(await queue.enqueue('b', { dedupKey: 'k' })).toEqual({ ...first, duplicate: true });
    expect(await drained(queue)).toEqual(['a']);
    expect(await queue.enqueue('c', { dedupKey: 'k' })).toEqual({ ...first, duplicate: true });
    expect((await queue.enqueue('d', { dedupKey: 'other' })).duplicate).toBe(false);
    await elapse(999);
    expect((await queue.enqueue('e', { dedupKey: 'k' })).duplicate).toBe(true);
    await elapse(2);
    expect((await queue.enqueue('f', { dedupKey: 'k' })).duplicate).toBe(false);
    expect(await drained(queue)).toEqual(['d', 'f']);
    expect((await queue.stats()).counters.duplicates).toBe(3);
  });

  check('also of a message that is in flight, cancelled, purged or dead', async ({ queues }) => {
    const queue = await textQueue(queues);
    const isDuplicate = async (dedupKey: string): Promise<boolean> =>
      (await queue.enqueue('again', { dedupKey })).duplicate;
    await queue.enqueue('a', { dedupKey: 'dead' });
    await (await received(queue)).reject();
    expect(await isDuplicate('dead')).toBe(true);
    const { id } = await queue.enqueue('b', { dedupKey: 'cancelled' });
    await queue.cancel(id);
    expect(await isDuplicate('cancelled')).toBe(true);
    await queue.enqueue('c', { dedupKey: 'in flight' });
    const held = await received(queue);
    expect(await isDuplicate('in flight')).toBe(true);
    await queue.purge();
    expect(await isDuplicate('in flight')).toBe(true);
    expect(held.signal.aborted).toBe(true);
    // A redrive is not an enqueue.
    expect(await queue.redrive()).toBe(1);
    expect(await drained(queue)).toEqual(['a']);
  });

  check('it outlives a restart', async ({ queues, reopen, kill }) => {
    if (reopen === undefined || kill === undefined) return;
    const first = await (await textQueue(queues)).enqueue('a', { dedupKey: 'k' });
    const queue = await textQueue(await reopen());
    expect(await queue.enqueue('b', { dedupKey: 'k' })).toEqual({ ...first, duplicate: true });
    const next = await textQueue(await kill());
    expect(await next.enqueue('c', { dedupKey: 'k' })).toEqual({ ...first, duplicate: true });
    expect(await drained(next)).toEqual(['a']);
  });
}

function together({ check, expect }: QueueContractPart): void {
  check('in one batch, and of many at once, there is one', async ({ queues }) => {
    const queue = await textQueue(queues);
    const batch = await queue.enqueueMany([
      { payload: 'a', dedupKey: 'k' },
      { payload: 'b' },
      { payload: 'c', dedupKey: 'k' },
    ]);
    expect(batch.map(({ duplicate }) => duplicate)).toEqual([false, false, true]);
    expect(batch[2]?.id).toBe(batch[0]?.id);
    const many = await Promise.all(
      Array.from({ length: 20 }, (_, i) => queue.enqueue(`${i}`, { dedupKey: 'many' })),
    );
    expect(many.filter(({ duplicate }) => !duplicate).length).toBe(1);
    expect(new Set(many.map(({ id }) => id)).size).toBe(1);
    const texts = await drained(queue);
    expect(texts.slice(0, 2)).toEqual(['a', 'b']);
    expect(texts.length).toBe(3);
  });

  check('what was refused is not remembered', async ({ queues }) => {
    const queue = await textQueue(queues, { maxMessages: 1 });
    await queue.enqueue('first');
    const refused = await Promise.allSettled([
      queue.enqueue('a', { dedupKey: 'k' }),
      queue.enqueue('b', { dedupKey: 'k' }),
    ]);
    expect(refused.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await drained(queue)).toEqual(['first']);
    expect((await queue.enqueue('c', { dedupKey: 'k' })).duplicate).toBe(false);
    expect(textsOf(await queue.peek())).toEqual(['c']);
  });
}
