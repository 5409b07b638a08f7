/** What a close, and what a kill, leaves: everything, and of deliveries what they have cost. */
import type { QueueMessage } from '../queues/queue-browser.js';
import {
  browsed,
  drained,
  received,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueRestartContract(part: QueueContractPart): void {
  afterClose(part);
  afterKill(part);
  suspects(part);
}

/** What a delivery that is undone does not change. */
function lasting(message: QueueMessage<string>): unknown {
  return { ...message, state: undefined, deliveryCount: undefined };
}

function afterClose({ check, expect }: QueueContractPart): void {
  check('everything is as it was after a close', async ({ queues, reopen, elapse }) => {
    if (reopen === undefined) return;
    const queue = await textQueue(queues);
    await queue.enqueue('delayed', { delayMs: 5000 });
    await queue.enqueue('high', { priority: 9 });
    for (const payload of ['k1', 'k2']) await queue.enqueue(payload, { key: 'k' });
    await queue.enqueue('changed');
    await queue.pushFront('front');
    const changed = (await browsed(queue)).find(({ payload }) => payload === 'changed');
    await queue.update(changed?.seq ?? 0, { payload: 'new', delayMs: 7000 });
    await received(queue);
    const before = await browsed(queue);
    const after = await textQueue(await reopen());
    const seen = await browsed(after);
    expect(seen.map(({ state }) => state)).toEqual(
      before.map(({ state }) => (state === 'inFlight' ? 'ready' : state)),
    );
    expect(seen.map((each) => lasting(each))).toEqual(before.map((each) => lasting(each)));
    expect(seen.map(({ deliveryCount }) => deliveryCount)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(await drained(after)).toEqual(['front', 'high', 'k1', 'k2']);
    await elapse(7000);
    expect(await drained(after)).toEqual(['delayed', 'new']);
  });

  check('again and again, with groups', async ({ queues, reopen }) => {
    if (reopen === undefined) return;
    let store = queues;
    const made = await textQueue(store, { mode: 'fanout' });
    for (const name of ['a', 'b']) await made.groups.create(name);
    for (let round = 0; round < 5; round++) {
      const queue = await textQueue(store);
      await queue.enqueueMany([{ payload: `${round}.1` }, { payload: `${round}.2` }]);
      expect(await drained(queue, { group: 'a' })).toEqual([`${round}.1`, `${round}.2`]);
      expect((await drained(queue, { group: 'b', max: 1 })).length).toBe(1);
      expect((await queue.stats()).messages).toBe(round + 1);
      store = await reopen();
    }
    const queue = await textQueue(store);
    const left = ['2.2', '3.1', '3.2', '4.1', '4.2'];
    expect(await drained(queue, { group: 'b' })).toEqual(left);
  });
}

function afterKill({ check, checks, expect }: QueueContractPart): void {
  check('what was acknowledged is done with; what was held comes again', async (subject) => {
    const { queues, kill } = subject;
    if (kill === undefined) return;
    const queue = await textQueue(queues);
    await queue.enqueueMany(['a', 'b', 'c'].map((payload) => ({ payload })));
    const [a, b] = await queue.receive({ max: 2 });
    await a?.ack();
    const next = await textQueue(await kill());
    // At once: no lease outlives its process.
    const again = await received(next);
    expect([again.payload, again.deliveryCount, again.id]).toEqual(['b', 2, b?.id]);
    expect(again.token === b?.token).toBe(false);
    await again.ack();
    expect(await drained(next)).toEqual(['c']);
    await checks.code(
      next.get('no').then(() => next.update('no', {})),
      'NOT_FOUND',
    );
  });

  check('a pop is not undone, a release costs nothing', async ({ queues, kill }) => {
    if (kill === undefined) return;
    const queue = await textQueue(queues);
    await queue.enqueueMany(['a', 'b', 'c'].map((payload) => ({ payload })));
    await queue.pop();
    await queue.popRight();
    await (await received(queue)).release();
    const next = await textQueue(await kill());
    const only = await received(next);
    expect([only.payload, only.deliveryCount]).toEqual(['b', 1]);
    expect((await next.stats()).messages).toBe(1);
  });
}

function suspects({ check, expect }: QueueContractPart): void {
  check('what was in flight comes one at a time; others are not held up', async (subject) => {
    const { queues, kill } = subject;
    if (kill === undefined) return;
    const queue = await textQueue(queues);
    await queue.enqueueMany(['a', 'b', 'c', 'd'].map((payload) => ({ payload })));
    await queue.receive({ max: 3 });
    const next = await textQueue(await kill());
    await next.enqueue('e');
    const first = await next.receive({ max: 10 });
    expect(textsOf(first)).toEqual(['a', 'd', 'e']);
    expect(await next.receive({ max: 10 })).toEqual([]);
    await first[0]?.ack();
    const second = await next.receive({ max: 10 });
    expect(textsOf(second)).toEqual(['b']);
    await second[0]?.nack({ delayMs: 0 });
    expect(textsOf(await next.receive({ max: 1 }))).toEqual(['c']);
    expect(textsOf(await next.receive({ max: 10 }))).toEqual(['b']);
  });

  check('what ends its process ends as a dead letter; those beside it do not', async (subject) => {
    const { kill } = subject;
    if (kill === undefined) return;
    let queue = await textQueue(subject.queues, { maxDeliveries: 3 });
    await queue.enqueueMany(['i1', 'poison', 'i2', 'i3'].map((payload) => ({ payload })));
    const handled: string[] = [];
    let starts = 0;
    for (; starts < 10; starts++) {
      let isDead = false;
      for (;;) {
        const deliveries = await queue.receive({ max: 3 });
        if (deliveries.length === 0) break;
        isDead = textsOf(deliveries).includes('poison');
        if (isDead) break;
        for (const delivery of deliveries) {
          await delivery.ack({ durability: 'synced' });
          handled.push(delivery.payload);
        }
      }
      if (!isDead) break;
      queue = await textQueue(await kill());
    }
    expect(starts).toBe(3);
    expect(handled.toSorted()).toEqual(['i1', 'i2', 'i3']);
    const dead = await browsed(await queue.deadLetters());
    expect(
      dead.map(({ payload, origin }) => [payload, origin?.cause, origin?.deliveryCount]),
    ).toEqual([['poison', 'crash', 3]]);
  });
}
