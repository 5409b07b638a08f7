/**
 * Goal: what went wrong in another queue store (Q1 to Q12 of the list) does not here.
 * Method: queues on a disk in memory whose reads are counted, or whose every state that a kill or a
 * power cut could leave is opened again.
 */
import { expect, test } from 'vitest';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import type { Delivery } from '../../src/queues/delivery.js';
import type { Queue } from '../../src/queues/queue.js';
import type { QueueMessage } from '../../src/queues/queue-browser.js';
import { worst } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { openQueueLab, textsOf } from '../support/queue-seed-kit.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (message: QueueMessage | undefined): string =>
  Buffer.from(message?.bytes ?? []).toString();

/** The delivery that there has to be. */
async function next(queue: Queue, group?: string): Promise<Delivery> {
  const [delivery] = await queue.receive({ group });
  if (delivery === undefined) throw new Error('nothing is delivered');
  return delivery;
}

async function all(queue: Queue): Promise<QueueMessage[]> {
  const messages = [];
  for await (const message of queue.browse()) messages.push(message);
  return messages;
}

async function fill(queue: Queue, count: number): Promise<void> {
  const messages = Array.from({ length: count }, (_, i) => ({ payload: bytes(`m${i}`) }));
  await queue.enqueueMany(messages);
}

test('a message costs the same in a long queue as in a short one', async () => {
  const reads: number[] = [];
  for (const count of [500, 8000]) {
    const disk = new FaultFs(new MemoryFs());
    const lab = await openQueueLab(disk);
    const other = await lab.queues.queue('other');
    await fill(other, count);
    const queue = await lab.queues.queue('q');
    await queue.enqueue(bytes('first'), { dedupKey: 'first' });
    await fill(queue, count);
    const before = disk.calls.in('anyRead');
    for (let taken = 0; taken < 100; taken++) {
      const delivery = await next(queue);
      expect(queue.delivery(delivery.token).seq).toBe(delivery.seq);
      await delivery.ack();
      await queue.enqueue(bytes('more'), { dedupKey: `more ${taken}` });
    }
    await queue.enqueue(bytes('again'), { dedupKey: 'first' });
    await queue.expire();
    await queue.stats();
    reads.push(disk.calls.in('anyRead') - before);
    await lab.close();
  }
  const [short = 0, long = 0] = reads;
  expect(long).toBeLessThan(short + 50);
});

test('a message that may fail three times is delivered three times', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q', { maxDeliveries: 3 });
  await queue.enqueue(bytes('a'));
  const counts: number[] = [];
  for (;;) {
    const [delivery] = await queue.receive();
    if (delivery === undefined) break;
    counts.push(delivery.deliveryCount);
    await delivery.nack({ delayMs: 0 });
  }
  expect(counts).toEqual([1, 2, 3]);
  expect(await all(await queue.deadLetters())).toHaveLength(1);
  await lab.close();
});

test('a group whose consumer never answers does not get a message for ever', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q', { mode: 'fanout', maxDeliveries: 3 });
  await queue.groups.create('deaf');
  await queue.groups.create('fine');
  await queue.enqueue(bytes('a'));
  for (let count = 1; count <= 3; count++) {
    expect((await next(queue, 'deaf')).deliveryCount).toBe(count);
    await lab.runtime.elapse(40_000);
  }
  expect(await queue.receive({ group: 'deaf' })).toEqual([]);
  const [dead] = await all(await queue.deadLetters());
  expect(dead?.origin).toMatchObject({ cause: 'timeout', group: 'deaf', deliveryCount: 3 });
  await (await next(queue, 'fine')).ack();
  await lab.close();
});

test('a group whose consumer dies of a message does not get it for ever', async () => {
  let disk = new CrashFs();
  const made = await openQueueLab(disk);
  const queue = await made.queues.queue('q', { mode: 'fanout', maxDeliveries: 3 });
  await queue.groups.create('poisoned');
  await queue.enqueue(bytes('a'));
  for (let count = 1; count <= 3; count++) {
    disk = disk.kill();
    const lab = await openQueueLab(disk);
    const again = await lab.queues.queue('q');
    expect((await next(again, 'poisoned')).deliveryCount).toBe(count);
  }
  const last = await openQueueLab(disk.kill());
  const again = await last.queues.queue('q');
  expect(await again.receive({ group: 'poisoned' })).toEqual([]);
  const [dead] = await all(await again.deadLetters());
  expect(dead?.origin).toMatchObject({ cause: 'crash', deliveryCount: 3 });
  await last.close();
});

test('a dead letter says what it was and why, and is not dropped when it is received', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q', { maxDeliveries: 2 });
  const headers = { kind: 'order' };
  const { id } = await queue.enqueue(bytes('a'), { priority: 7, headers, maxDeliveries: 2 });
  const enqueuedAt = lab.runtime.now();
  await lab.runtime.elapse(1000);
  await (await next(queue)).nack({ delayMs: 0, error: new Error('first') });
  await (await next(queue)).nack({ delayMs: 0, error: 'second' });
  const dead = await queue.deadLetters();
  for (let times = 1; times <= 10; times++) {
    const delivery = await next(dead);
    expect(delivery).toMatchObject({ id, headers, enqueuedAt, deliveryCount: times });
    const { origin } = delivery;
    expect(origin).toMatchObject({ queue: 'q', cause: 'attempts', deliveryCount: 2, priority: 7 });
    expect(origin?.errors.map(({ error }) => error)).toEqual(['Error: first', 'second']);
    expect(origin?.reason).toBe('second');
    await delivery.nack({ delayMs: 0 });
  }
  // Back in its queue it is what it was.
  expect(await queue.redrive()).toBe(1);
  const [back] = await all(queue);
  expect(back).toMatchObject({ id, headers, priority: 7, maxDeliveries: 2, deliveryCount: 0 });
  await lab.close();
});

test('a message is in its queue or a dead letter after every crash, and never both', async () => {
  const disk = new CrashFs();
  const lab = await openQueueLab(disk);
  const queue = await lab.queues.queue('q', { maxDeliveries: 1 });
  const dead = await queue.deadLetters();
  await queue.enqueue(bytes('a'));
  const images: CrashFs[] = [];
  disk.onOperation = () =>
    images.push(
      disk.kill(),
      disk.crash(worst),
      disk.crash(() => 0),
    );
  const delivery = await next(queue);
  await delivery.nack({ error: 'no' });
  expect(await queue.redrive()).toBe(1);
  disk.onOperation = undefined;
  expect(images.length).toBeGreaterThan(10);
  const places = new Set<string>();
  for (const image of images) {
    const after = await openQueueLab(image);
    const alive = await all(await after.queues.queue('q'));
    const gone = await all(await after.queues.queue(dead.name));
    expect([...alive, ...gone].map((message) => text(message))).toEqual(['a']);
    places.add(gone.length === 1 ? 'dead' : 'alive');
  }
  expect([...places].toSorted()).toEqual(['alive', 'dead']);
  await lab.close();
});

test('no group has more in flight than it may, however many ask', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q', { mode: 'fanout', maxInFlight: 3 });
  for (const group of ['a', 'b']) await queue.groups.create(group);
  await fill(queue, 10);
  const asked = Array.from({ length: 5 }, () => queue.receive({ group: 'a', max: 2 }));
  const taken = (await Promise.all(asked)).flat();
  expect(taken).toHaveLength(3);
  expect(await queue.receive({ group: 'a', max: 10 })).toEqual([]);
  expect(await queue.take(taken.length + 20, { group: 'a' })).toBe(undefined);
  expect(await queue.receive({ group: 'b', max: 10 })).toHaveLength(3);
  await taken[0]?.ack();
  expect(await queue.receive({ group: 'a', max: 10 })).toHaveLength(1);
  await lab.close();
});

test('claim takes over what its group has had for long, as much as was asked for', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q', { mode: 'fanout', visibilityTimeoutMs: 60_000 });
  for (const group of ['a', 'b']) await queue.groups.create(group);
  await fill(queue, 4);
  const idle = await queue.receive({ group: 'a', max: 3 });
  const others = await queue.receive({ group: 'b', max: 4 });
  await lab.runtime.elapse(10_000);
  const fresh = await next(queue, 'a');
  // Idle is counted from when it was handed out, not from when its time was over.
  const claimed = await queue.claim({ group: 'a', minIdleMs: 10_000, max: 2, consumer: 'me' });
  expect(claimed.map(({ seq }) => seq)).toEqual(idle.slice(0, 2).map(({ seq }) => seq));
  const rest = await queue.claim({ group: 'a', minIdleMs: 10_000, max: 10 });
  expect(rest.map(({ seq }) => seq)).toEqual(idle.slice(2).map(({ seq }) => seq));
  await fresh.ack();
  for (const delivery of others) await delivery.ack();
  // Nor does a receive take away what could be claimed.
  expect(await queue.receive({ group: 'a', max: 10 })).toEqual([]);
  expect(queue.pending({ group: 'a' })).toHaveLength(3);
  await lab.close();
});

test('each group gets every message, and a work queue says that it has no groups', async () => {
  const lab = await openQueueLab();
  const work = await lab.queues.queue('work');
  await fill(work, 1);
  await expect(work.receive({ group: 'a' })).rejects.toThrow(TypeError);
  await expect(work.groups.create('a')).rejects.toThrow(TypeError);
  const fanout = await lab.queues.queue('fanout', { mode: 'fanout' });
  for (const group of ['a', 'b']) await fanout.groups.create(group);
  await fill(fanout, 2);
  for (const group of ['a', 'b']) {
    const deliveries = await fanout.receive({ group, max: 5 });
    expect(textsOf(deliveries)).toEqual(['m0', 'm1']);
    expect((await fanout.ackMany(deliveries)).every(({ ok }) => ok)).toBe(true);
  }
  await lab.close();
});

test('a delivery that failed is over: not in flight, nor acknowledged later', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  await queue.enqueue(bytes('a'));
  const failed = await next(queue);
  const { token } = failed;
  await failed.nack({ delayMs: 5000 });
  expect(await queue.stats()).toMatchObject({ inFlight: 0, delayed: 1, messages: 1 });
  expect(queue.pending()).toEqual([]);
  await expect(failed.ack()).rejects.toMatchObject({ code: 'LEASE_LOST', reason: 'settled' });
  expect(() => queue.delivery(token)).toThrow(expect.objectContaining({ code: 'LEASE_LOST' }));
  await lab.runtime.elapse(5000);
  const again = await next(queue);
  expect(again.token).not.toBe(token);
  await expect(failed.ack()).rejects.toMatchObject({ code: 'LEASE_LOST' });
  expect((await queue.stats()).messages).toBe(1);
  await lab.close();
});

test('what one group puts off is not put off for another', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q', { mode: 'fanout' });
  for (const group of ['slow', 'fast']) await queue.groups.create(group);
  await queue.enqueue(bytes('a'));
  await (await next(queue, 'slow')).nack({ delayMs: 60_000 });
  expect(await queue.receive({ group: 'slow' })).toEqual([]);
  const fast = await next(queue, 'fast');
  expect([fast.deliveryCount, textsOf([fast])]).toEqual([1, ['a']]);
  await fast.ack();
  await lab.runtime.elapse(60_000);
  expect((await next(queue, 'slow')).deliveryCount).toBe(2);
  await lab.close();
});

test('what a wait resolves to can be settled, and by nobody who has lost it', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('q');
  const waiting = queue.receive({ waitMs: 1000 });
  await queue.enqueue(bytes('a'));
  const [before] = await waiting;
  await lab.runtime.elapse(10);
  const [after] = await queue.claim({ minIdleMs: 10 });
  expect(after?.token).not.toBe(before?.token);
  await expect(before?.ack()).rejects.toMatchObject({ code: 'LEASE_LOST', reason: 'claimed' });
  await expect(before?.nack()).rejects.toMatchObject({ code: 'LEASE_LOST' });
  expect(() => before?.extend(1000)).toThrow(/claimed/);
  await queue.delivery(after?.token ?? '').ack();
  expect((await queue.stats()).messages).toBe(0);
  await lab.close();
});

test('what all groups have acknowledged is gone, and costs nothing any more', async () => {
  const disk = new FaultFs(new MemoryFs());
  const lab = await openQueueLab(disk);
  const queue = await lab.queues.queue('q', { mode: 'fanout' });
  for (const group of ['a', 'b']) await queue.groups.create(group);
  for (let round = 0; round < 20; round++) {
    await fill(queue, 1000);
    for (const group of ['a', 'b']) {
      await queue.ackMany(await queue.receive({ group, max: 1000 }));
    }
  }
  expect(await queue.stats()).toMatchObject({ messages: 0, bytes: 0, ready: 0 });
  const floors = queue.groups.list().map(({ floor }) => floor);
  await queue.enqueue(bytes('last'));
  const before = disk.calls.in('anyRead');
  const last = await next(queue, 'a');
  expect(textsOf([last])).toEqual(['last']);
  expect(disk.calls.in('anyRead') - before).toBeLessThan(10);
  // All before it is settled: one number for each group.
  expect(Math.min(...floors)).toBeGreaterThan(20_000);
  expect(last.seq - Math.min(...floors)).toBeLessThan(10);
  await lab.close();
});
