/** Settling: by who has it, once, and a message fails exactly as often as it may. */
import type { Delivery } from '../queues/delivery.js';
import type { Queue } from '../queues/queue.js';
import {
  drained,
  received,
  textQueue,
  textsOf,
  type QueueContractPart,
} from './queue-contract-support.js';

export function queueSettleContract(part: QueueContractPart): void {
  acks(part);
  failures(part);
  attempts(part);
  leases(part);
  mistakes(part);
}

function acks({ check, checks, expect }: QueueContractPart): void {
  check('an acknowledged message is done with; the same again is fine', async ({ queues }) => {
    const queue = await textQueue(queues);
    await queue.enqueueMany([{ payload: 'a' }, { payload: 'b' }]);
    const [a, b] = await queue.receive({ max: 2 });
    if (a === undefined || b === undefined) throw new Error('two messages');
    await Promise.all([a.ack(), a.ack({ durability: 'synced' }), b.ack({ durability: 'synced' })]);
    await a.ack();
    for (const late of [a.nack(), a.reject(), a.release()]) await checks.lost(late, 'settled');
    expect(await queue.get(a.id)).toBe(undefined);
    expect((await queue.stats()).messages).toBe(0);
  });

  check('ackMany says of each what became of it', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { visibilityTimeoutMs: 1000, backoffMs: 0 });
    const other = await textQueue(queues, {}, 'other');
    await queue.enqueue('late');
    const late = await received(queue);
    await elapse(3000);
    await queue.enqueueMany([{ payload: 'a' }, { payload: 'b' }]);
    const now = await queue.receive({ max: 3 });
    const [again, a, b] = now;
    if (again === undefined || a === undefined || b === undefined) throw new Error('three');
    await b.nack({ delayMs: 60_000 });
    await other.enqueue('foreign');
    const foreign = await received(other);
    const results = await queue.ackMany([late, a, a, b, foreign]);
    expect(results).toEqual([
      { id: late.id, ok: false, code: 'LEASE_LOST' },
      { id: a.id, ok: true },
      { id: a.id, ok: true },
      { id: b.id, ok: false, code: 'LEASE_LOST' },
      { id: foreign.id, ok: false, code: 'LEASE_LOST' },
    ]);
    expect((await other.stats()).inFlight).toBe(1);
    expect((await queue.stats()).messages).toBe(2);
    await checks.mistake(() => queue.ackMany([{}] as unknown as Delivery<string>[]), 'TypeError');
    await checks.mistake(() => queue.ackMany(a as unknown as []), 'TypeError');
  });

  check('tokens differ with each delivery', async ({ queues }) => {
    const queue = await textQueue(queues);
    await queue.enqueue('a');
    const tokens = new Set<string>();
    for (let i = 0; i < 4; i++) {
      const delivery = await received(queue);
      tokens.add(delivery.token);
      await delivery.release();
    }
    expect(tokens.size).toBe(4);
  });
}

function failures({ check, checks, expect }: QueueContractPart): void {
  check('nack delivers again after the delay, in its place', async ({ queues, elapse }) => {
    const queue = await textQueue(queues);
    await queue.enqueueMany([{ payload: 'a' }, { payload: 'b' }]);
    const a = await received(queue);
    await a.nack({ delayMs: 100, error: new RangeError('bad') });
    await checks.lost(a.ack(), 'settled');
    await elapse(99);
    expect(textsOf(await queue.peek(5))).toEqual(['b']);
    await elapse(1);
    const again = await received(queue);
    expect([again.payload, again.deliveryCount]).toEqual(['a', 2]);
    const seen = await queue.get(a.id);
    expect(seen?.errors.map(({ error, deliveryCount }) => [error, deliveryCount])).toEqual([
      ['RangeError: bad', 1],
    ]);
  });

  check('without a delay the backoff grows, is bounded, and is never none', async (subject) => {
    const { queues, elapse, now } = subject;
    const options = { backoffMs: 1000, maxBackoffMs: 5000, maxDeliveries: 20 };
    const queue = await textQueue(queues, options);
    await queue.enqueue('a');
    for (const ceiling of [1000, 2000, 4000, 5000, 5000]) {
      const delivery = await received(queue);
      await delivery.nack();
      const { dueAt = 0 } = (await queue.get(delivery.id)) ?? {};
      const delay = dueAt - now();
      expect(delay >= ceiling / 2 && delay <= ceiling).toBe(true);
      await elapse(delay);
    }
  });

  check('reject makes a dead letter at once', async ({ queues }) => {
    const queue = await textQueue(queues);
    await queue.enqueue('a');
    await (await received(queue)).reject('nonsense');
    const dead = await queue.deadLetters();
    const { payload, origin } = await received(dead);
    expect([payload, origin?.cause, origin?.reason, origin?.deliveryCount]).toEqual([
      'a',
      'rejected',
      'nonsense',
      1,
    ]);
    expect((await queue.stats()).messages).toBe(0);
  });
}

/** Delivers a message until it is a dead letter, and returns how often that was. */
async function deliveriesOf(
  queue: Queue<string>,
  end: (delivery: Delivery<string>) => Promise<unknown>,
  most: number,
): Promise<number> {
  for (let count = 0; count < most; count++) {
    const [delivery] = await queue.receive();
    if (delivery === undefined) return count;
    if (delivery.deliveryCount !== count + 1) throw new Error(`not ${delivery.deliveryCount}`);
    await end(delivery);
  }
  return most;
}

function attempts({ check, expect }: QueueContractPart): void {
  for (const max of [1, 3]) {
    check(`${max} deliveries are ${max}: by nack and by time, mixed`, async (subject) => {
      const { queues, elapse } = subject;
      const options = { maxDeliveries: max, visibilityTimeoutMs: 500, backoffMs: 0 };
      const queue = await textQueue(queues, options);
      for (const [text, isNacked] of [
        ['nacked', () => true],
        ['timed out', () => false],
        ['mixed', (count: number) => count % 2 === 0],
      ] as const) {
        await queue.enqueue(text);
        const count = await deliveriesOf(
          queue,
          async (delivery) => {
            if (isNacked(delivery.deliveryCount)) await delivery.nack({ delayMs: 0 });
            else await elapse(2500);
          },
          10,
        );
        expect(count).toBe(max);
        const dead = await received(await queue.deadLetters());
        expect([dead.payload, dead.origin?.deliveryCount]).toEqual([text, max]);
        await dead.ack();
      }
    });
  }

  check('release, and nack that does not count, cost nothing', async ({ queues }) => {
    const queue = await textQueue(queues, { maxDeliveries: 2 });
    await queue.enqueueMany([{ payload: 'a' }, { payload: 'b' }]);
    for (let i = 0; i < 5; i++) {
      const delivery = await received(queue);
      expect([delivery.payload, delivery.deliveryCount]).toEqual(['a', 1]);
      if (i % 2 === 0) await delivery.release();
      else await delivery.nack({ count: false });
    }
    expect(await drained(queue)).toEqual(['a', 'b']);
  });

  check('a queue without dead letters delivers without end', async ({ queues }) => {
    const queue = await textQueue(queues, { maxDeliveries: 2, deadLetter: false });
    await queue.enqueue('a');
    expect(await deliveriesOf(queue, (delivery) => delivery.nack({ delayMs: 0 }), 10)).toBe(10);
  });
}

function leases({ check, checks, expect }: QueueContractPart): void {
  check('what is not settled in time fails, and who had it is told', async (subject) => {
    const { queues, elapse, now } = subject;
    const queue = await textQueue(queues, { visibilityTimeoutMs: 2000 });
    await queue.enqueue('a');
    const delivery = await received(queue);
    expect(delivery.leaseExpiresAt - now()).toBe(2000);
    await elapse(1900);
    expect(delivery.signal.aborted).toBe(false);
    await elapse(1200);
    expect(delivery.signal.aborted).toBe(true);
    await checks.lost(delivery.ack(), 'expired');
    expect((await queue.stats()).counters.timedOut).toBe(1);
    await elapse(60_000);
    expect((await received(queue)).deliveryCount).toBe(2);
  });

  check('extend moves the end, as often as is wanted', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { visibilityTimeoutMs: 2000 });
    await queue.enqueue('a');
    const delivery = await received(queue);
    for (let i = 0; i < 5; i++) {
      await elapse(1500);
      delivery.extend(2000);
    }
    await delivery.ack();
    expect((await queue.stats()).counters.timedOut).toBe(0);
  });

  check('a settlement that is under way does not expire', async ({ queues, elapse }) => {
    const queue = await textQueue(queues, { visibilityTimeoutMs: 1000 });
    await queue.enqueue('a');
    const delivery = await received(queue);
    await elapse(999);
    const acked = delivery.ack();
    await elapse(5000);
    await acked;
    expect((await queue.stats()).counters.timedOut).toBe(0);
  });
}

function mistakes({ check, checks, expect }: QueueContractPart): void {
  check('a settlement that cannot be meant is refused, and it is still held', async (subject) => {
    const queue = await textQueue(subject.queues);
    await queue.enqueue('a');
    const delivery = await received(queue);
    const lax = delivery as unknown as Record<string, (given?: unknown) => unknown>;
    for (const [method, given, kind] of [
      ['extend', NaN, 'RangeError'],
      ['extend', -1, 'RangeError'],
      ['extend', '5', 'TypeError'],
      ['nack', { delayMs: -1 }, 'RangeError'],
      ['nack', { delayMs: NaN }, 'RangeError'],
      ['nack', { delayMs: '1' }, 'TypeError'],
      ['nack', { count: 1 }, 'TypeError'],
      ['nack', { delay: 1 }, 'TypeError'],
      ['ack', { durability: 'fast' }, 'TypeError'],
      ['reject', 5, 'TypeError'],
    ] as const) {
      await checks.mistake(() => lax[method]?.call(delivery, given), kind);
    }
    expect((await queue.stats()).inFlight).toBe(1);
    await delivery.ack();
    expect(await drained(queue)).toEqual([]);
  });
}
