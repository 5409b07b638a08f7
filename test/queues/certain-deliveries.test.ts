/**
 * Goal: a certain message is taken as the next one would be, a delivery is settled by its token,
 * and what is tried, runs out or is cancelled counts for exactly what it is.
 */
import { expect, test } from 'vitest';
import { openQueueLab, textsOf } from '../support/queue-seed-kit.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);

test('take hands out a certain message, and nothing that is not to be had', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q', { maxInFlight: 3 });
  const results = await queue.enqueueMany([
    { payload: bytes('a') },
    { payload: bytes('b') },
    { payload: bytes('k1'), key: 'k' },
    { payload: bytes('k2'), key: 'k' },
    { payload: bytes('later'), delayMs: 1000 },
    { payload: bytes('short'), ttlMs: 500 },
  ]);
  const [a = 0, b = 0, k1 = 0, k2 = 0, later = 0, short = 0] = results.map(({ seq }) => seq);
  const taken = await queue.take(results[1]?.id ?? '', { consumer: 'me' });
  expect(taken).toMatchObject({ seq: b, deliveryCount: 1 });
  expect(queue.pending({ seq: b })).toMatchObject([{ seq: b, consumer: 'me' }]);
  expect(queue.pending({ seq: a })).toEqual([]);
  for (const none of [b, later, 0, 1, 999, 'no-such-id']) {
    expect(await queue.take(none), String(none)).toBe(undefined);
  }
  // Of a key one at a time, here the second one first.
  const second = await queue.take(k2);
  expect(second?.seq).toBe(k2);
  expect(await queue.take(k1)).toBe(undefined);
  expect(textsOf(await queue.receive({ max: 5 }))).toEqual(['a']);
  expect(await queue.take(short), 'more than maxInFlight').toBe(undefined);
  await second?.ack();
  expect(textsOf(await queue.receive({ max: 5 }))).toEqual(['k1']);
  await taken?.ack();
  // Nobody gets what is no longer wanted.
  await lab.runtime.elapse(1000);
  expect(await queue.take(short)).toBe(undefined);
  const [dead] = await (await queue.deadLetters()).peek();
  expect(dead?.origin).toMatchObject({ cause: 'expired', seq: short });
  await queue.pause();
  expect(await queue.take(later)).toBe(undefined);
  await queue.resume();
  expect((await queue.take(later))?.seq).toBe(later);
  await lab.close();
});

test('of those who take one message, or receive meanwhile, one gets it', async () => {
  const lab = await openQueueLab();
  for (let turns = 0; turns < 40; turns++) {
    const queue = await lab.queues.queue(`q${turns}`);
    const { seq } = await queue.enqueue(bytes('a'));
    const taking = (async () => {
      for (let left = turns; left > 0; left--) await Promise.resolve();
      return queue.take(seq);
    })();
    const got = await Promise.all([queue.receive(), taking, queue.take(seq)]);
    expect(
      got.flat().filter((each) => each !== undefined),
      `${turns} turns`,
    ).toHaveLength(1);
    expect(queue.pending()).toHaveLength(1);
  }
  await lab.close();
});

test('a message that was taken and given back comes in its place, once', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  await queue.enqueueMany(['a', 'b', 'c'].map((text) => ({ payload: bytes(text) })));
  const [, b] = await queue.peek(2);
  for (let times = 0; times < 3; times++) {
    const taken = await queue.take(b?.seq ?? 0);
    expect(taken?.deliveryCount).toBe(1);
    await taken?.release();
  }
  expect(textsOf(await queue.receive({ max: 5 }))).toEqual(['a', 'b', 'c']);
  await lab.close();
});

test('a delivery is settled by its token, while it is held', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  const other = await lab.queues.queue('other');
  await queue.enqueueMany(['a', 'b'].map((text) => ({ payload: bytes(text) })));
  const [a, b] = await queue.receive({ max: 2 });
  expect(queue.delivery(a?.token ?? '').id).toBe(a?.id);
  await queue.delivery(a?.token ?? '').ack();
  const lost = (reason: string): unknown => expect.objectContaining({ code: 'LEASE_LOST', reason });
  for (const token of [a?.token ?? '', '', 'x', '1.2.3', '1.2.3.', `${b?.token}x`]) {
    expect(() => queue.delivery(token), token).toThrow(lost('unknown'));
  }
  expect(() => other.delivery(b?.token ?? '')).toThrow(lost('unknown'));
  expect(() => queue.delivery(5 as unknown as string)).toThrow(TypeError);
  const again = await lab.reopen();
  const next = await again.queues.queue('q');
  await next.receive();
  expect(() => next.delivery(b?.token ?? '')).toThrow(lost('queue closed'));
  expect((await next.stats()).messages).toBe(1);
  await again.close();
});

test('attempts within one delivery count, and so does what was tried and released', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q', { maxDeliveries: 4 });
  await queue.enqueue(bytes('a'));
  const [first] = await queue.receive();
  expect([await first?.attempt(), await first?.attempt()]).toEqual([1, 2]);
  expect(first?.deliveryCount).toBe(2);
  await first?.release();
  const [second] = await queue.receive();
  expect(second?.deliveryCount).toBe(3);
  await second?.release();
  const [third] = await queue.receive();
  expect([await third?.attempt(), await third?.attempt()]).toEqual([3, 4]);
  // That was the last one, however it ends.
  await third?.release();
  expect(await queue.receive()).toEqual([]);
  const [dead] = await (await queue.deadLetters()).peek();
  expect(dead?.origin).toMatchObject({ cause: 'attempts', deliveryCount: 4 });
  await expect(third?.attempt()).rejects.toMatchObject({ code: 'LEASE_LOST' });
  await lab.close();
});

test('a message that says how often it may fail is delivered as often', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q', { maxDeliveries: 3 });
  await queue.enqueue(bytes('once'), { maxDeliveries: 1 });
  await queue.enqueue(bytes('five'), { maxDeliveries: 5 });
  for (const wrong of [0, 1.5, 2_000_000]) {
    await expect(queue.enqueue(bytes('x'), { maxDeliveries: wrong })).rejects.toThrow(RangeError);
  }
  const again = await lab.reopen();
  const next = await again.queues.queue('q');
  const counts = new Map<string, number>();
  for (;;) {
    const [delivery] = await next.receive();
    if (delivery === undefined) break;
    counts.set(textsOf([delivery])[0] ?? '', delivery.deliveryCount);
    await delivery.nack({ delayMs: 0 });
  }
  expect([...counts]).toEqual([
    ['once', 1],
    ['five', 5],
  ]);
  // Moved back it may fail as often again.
  expect(await next.redrive()).toBe(2);
  expect((await next.peek(2)).map(({ maxDeliveries }) => maxDeliveries)).toEqual([1, 5]);
  await again.close();
});

test('a delivery is extended until a time, and ends when it is told to or by itself', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q', { visibilityTimeoutMs: 1000 });
  await queue.enqueueMany(['a', 'b', 'c'].map((text) => ({ payload: bytes(text) })));
  const [a, b, c] = await queue.receive({ max: 3 });
  const now = lab.runtime.now();
  a?.extend(new Date(now + 5000));
  b?.extend(new Date(now + 7000));
  expect([a?.leaseExpiresAt, c?.leaseExpiresAt]).toEqual([now + 5000, now + 1000]);
  expect(() => a?.extend(new Date(NaN))).toThrow(RangeError);
  expect(await queue.expire()).toBe(0);
  expect(await queue.expire(new Date(now + 5000))).toBe(2);
  expect(await queue.expire(now + 5000)).toBe(0);
  expect([a?.signal.aborted, b?.signal.aborted]).toEqual([true, false]);
  await expect(a?.ack()).rejects.toMatchObject({ code: 'LEASE_LOST', reason: 'expired' });
  expect(textsOf(await queue.receive({ max: 5 }))).toEqual(['a', 'c']);
  await expect(queue.expire('soon' as unknown as number)).rejects.toThrow(TypeError);
  await lab.close();
});

test('many messages are cancelled in one step, durably, those under way included', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  const results = await queue.enqueueMany(
    ['a', 'b', 'c', 'd'].map((text) => ({ payload: bytes(text) })),
  );
  const [a, b, c, d] = results.map(({ seq }) => seq) as [number, number, number, number];
  const [first] = await queue.receive();
  const { nextSeq } = await lab.redex.channel('$queues/q');
  expect(await queue.cancelMany([d, results[0]?.id ?? '', 99, d, b])).toEqual([
    true,
    true,
    false,
    true,
    true,
  ]);
  expect((await lab.redex.channel('$queues/q')).nextSeq).toBe(nextSeq + 1);
  expect(first?.signal.aborted).toBe(true);
  expect(await queue.cancelMany([a, b, d])).toEqual([false, false, false]);
  expect(await queue.cancelMany([])).toEqual([]);
  const again = await lab.reopen();
  const next = await again.queues.queue('q');
  expect((await next.receive({ max: 5 })).map(({ seq }) => seq)).toEqual([c]);
  expect(await next.stats()).toMatchObject({ messages: 1, bytes: 1, inFlight: 1 });
  await again.close();
});
