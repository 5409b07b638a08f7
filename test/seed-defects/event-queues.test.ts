/**
 * Goal: what went wrong in another durable queue of events (E1 to E10 of the list) does not here.
 * Method: queues on a disk in memory, whose reads and syncs are counted where a defect was a cost.
 */
import { expect, test } from 'vitest';
import { utf8Codec, type Codec } from '../../src/channel/codec.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { DurableEventQueue } from '../../src/queues/durable-event-queue.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { openQueueLab, type QueueLab } from '../support/queue-seed-kit.js';

/** Takes no text with `bad` in it. */
const picky: Codec<string> = {
  ...utf8Codec,
  decode: (bytes) => {
    const text = utf8Codec.decode(bytes);
    if (text.includes('bad')) throw new Error(`${text} does not decode`);
    return text;
  },
};

const eventsOf = (
  lab: QueueLab,
  options: { lazy?: boolean; codec?: Codec<string> } = {},
): Promise<DurableEventQueue<string>> =>
  DurableEventQueue.open(lab.queues, { codec: utf8Codec, ...options });

async function pushMany(queue: DurableEventQueue<string>, count: number): Promise<number[]> {
  const texts = Array.from({ length: count }, (_, i) => `event ${i}`);
  const pushed = await Promise.all(texts.map((text) => queue.push(text)));
  return pushed.map(({ id }) => id);
}

test('an id is not used again after a drain and a restart', async () => {
  const ids = new Set<number>();
  let lab = await openQueueLab();
  let count = 0;
  for (let round = 0; round < 5; round++) {
    const queue = await eventsOf(lab);
    const pushed = await pushMany(queue, 3);
    for (const id of pushed) ids.add(id);
    count += pushed.length;
    if (round % 2 === 0) await queue.ack_many(pushed);
    else await (await lab.queues.queue('events')).purge();
    expect(await queue.is_empty()).toBe(true);
    lab = await lab.reopen();
  }
  expect(ids.size).toBe(count);
  // So what was acknowledged late ends nothing.
  const queue = await eventsOf(lab);
  const last = await queue.push('new');
  await queue.ack_many(ids);
  for (const id of ids) await queue.ack(id);
  expect(await queue.pop()).toEqual(last);
  await lab.close();
});

test.each([false, true])(
  'what is acknowledged before its turn is not delivered, lazy %s',
  async (lazy) => {
    const lab = await openQueueLab();
    const queue = await eventsOf(lab, { lazy });
    const [first = 0, second = 0, third = 0] = await pushMany(queue, 3);
    await queue.ack(first);
    await queue.ack_many([third]);
    expect(await queue.ready_len()).toBe(1);
    expect((await queue.pop())?.id).toBe(second);
    expect(await queue.pop()).toBe(null);
    await lab.close();
  },
);

test.each([false, true])(
  'nack of what nobody has taken delivers it once, lazy %s',
  async (lazy) => {
    const lab = await openQueueLab();
    const queue = await eventsOf(lab, { lazy });
    const [first = 0, second = 0] = await pushMany(queue, 2);
    for (const id of [second, first, first]) await queue.nack(id);
    expect(await queue.ready_len()).toBe(2);
    const popped = [await queue.pop(), await queue.pop(), await queue.pop()];
    expect(popped.map((event) => event?.id)).toEqual([first, second, undefined]);
    await lab.close();
  },
);

test.each([false, true])(
  'an event that does not decode holds nothing up, lazy %s',
  async (lazy) => {
    const lab = await openQueueLab();
    const written = await eventsOf(lab);
    for (const text of ['bad 1', 'good 1', 'bad 2', 'good 2']) await written.push(text);
    const again = await lab.reopen();
    const queue = await eventsOf(again, { lazy, codec: picky });
    expect(await queue.len()).toBe(4);
    const seen: string[] = [];
    for await (const each of queue.iterator()) {
      seen.push('error' in each ? String(each.error) : each.event);
    }
    const bad = [1, 2].map((n) => expect.stringContaining(`bad ${n} does not decode`) as unknown);
    expect(seen).toEqual([bad[0], 'good 1', bad[1], 'good 2']);
    for (const text of ['good 1', 'good 2']) expect((await queue.pop())?.event).toBe(text);
    expect(await queue.pop()).toBe(null);
    // They are kept, with where they come from and why.
    const dead = await (await again.queues.queue('events')).deadLetters();
    const kept = [];
    for await (const { bytes, origin } of dead.browse()) {
      kept.push([Buffer.from(bytes).toString(), origin?.cause]);
    }
    expect(kept).toEqual([
      ['bad 1', 'decode'],
      ['bad 2', 'decode'],
    ]);
    expect(await queue.len()).toBe(2);
    await again.close();
  },
);

test('it is a queue: leases, attempts, delays, batches, dedup keys, dead letters', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('jobs', { codec: utf8Codec, maxDeliveries: 2 });
  const results = await queue.enqueueMany([
    { payload: 'a', dedupKey: 'a' },
    { payload: 'a', dedupKey: 'a' },
    { payload: 'b', delayMs: 1000 },
  ]);
  expect(results.map(({ duplicate }) => duplicate)).toEqual([false, true, false]);
  const [a] = await queue.receive({ max: 5 });
  expect(a).toMatchObject({ payload: 'a', deliveryCount: 1 });
  expect(await queue.receive()).toEqual([]);
  // Its time runs out, and the delay of the other one.
  await lab.runtime.elapse(32_000);
  const again = await queue.receive({ max: 5 });
  expect(again.map(({ payload, deliveryCount }) => [payload, deliveryCount])).toEqual([
    ['a', 2],
    ['b', 1],
  ]);
  for (const delivery of again) await delivery.nack({ delayMs: 0 });
  expect((await (await queue.deadLetters()).peek())[0]?.payload).toBe('a');
  await lab.close();
});

test('what fails is not tried again at once, and others are meanwhile', async () => {
  const lab = await openQueueLab();
  const queue = await lab.queues.queue('jobs', { codec: utf8Codec });
  await queue.enqueueMany([{ payload: 'fails' }, { payload: 'works' }]);
  const [fails] = await queue.receive();
  await fails?.nack({ error: 'no' });
  const [works] = await queue.receive({ max: 5 });
  expect(works?.payload).toBe('works');
  expect(await queue.receive()).toEqual([]);
  // It comes again after half of the backoff at the soonest, in its place.
  await lab.runtime.elapse(499);
  expect(await queue.receive()).toEqual([]);
  await lab.runtime.elapse(501);
  expect((await queue.receive())[0]?.payload).toBe('fails');
  await lab.close();
});

test('events that are pushed together share their syncs', async () => {
  const disk = new FaultFs(new MemoryFs());
  const lab = await openQueueLab(disk);
  const queue = await eventsOf(lab);
  const before = disk.calls.in('anySync');
  expect(await pushMany(queue, 200)).toHaveLength(200);
  expect(disk.calls.in('anySync') - before).toBeLessThan(10);
  await lab.close();
});

/** Reads that it takes to do something with a queue that has, or had, so many events. */
async function readsOf(
  count: number,
  prepare: (queue: DurableEventQueue<string>, ids: number[]) => Promise<void>,
  work: (lab: QueueLab) => Promise<void>,
): Promise<number> {
  const disk = new FaultFs(new MemoryFs());
  const lab = await openQueueLab(disk);
  const queue = await eventsOf(lab);
  await prepare(queue, await pushMany(queue, count));
  const again = await lab.reopen();
  const before = disk.calls.in('anyRead');
  await work(again);
  const reads = disk.calls.in('anyRead') - before;
  await again.close();
  return reads;
}

const nothing = (): Promise<void> => Promise.resolve();

test.each([false, true])('opening a queue does not read its events, lazy %s', async (lazy) => {
  const open = async (lab: QueueLab): Promise<void> => {
    expect(await (await eventsOf(lab, { lazy })).is_empty()).toBe(false);
  };
  const few = await readsOf(100, nothing, open);
  expect(await readsOf(20_000, nothing, open)).toBeLessThanOrEqual(few + 2);
});

test('how many there are is known, not counted', async () => {
  const count = async (lab: QueueLab): Promise<void> => {
    const queue = await eventsOf(lab);
    for (let times = 0; times < 50; times++) {
      expect(await queue.ready_len()).toBe(await queue.len());
    }
  };
  const few = await readsOf(100, nothing, count);
  expect(await readsOf(20_000, nothing, count)).toBeLessThanOrEqual(few + 5);
});

test('the next event is found at once, however many before it are done with', async () => {
  const ackAllButLast = async (queue: DurableEventQueue<string>, ids: number[]): Promise<void> => {
    await queue.ack_many(ids.slice(0, -1));
  };
  const pop = async (lab: QueueLab): Promise<void> => {
    const queue = await eventsOf(lab);
    expect((await queue.pop())?.event).toMatch(/^event \d+$/);
    expect(await queue.pop()).toBe(null);
  };
  const few = await readsOf(10, ackAllButLast, pop);
  expect(await readsOf(10_000, ackAllButLast, pop)).toBeLessThanOrEqual(few + 5);
});
