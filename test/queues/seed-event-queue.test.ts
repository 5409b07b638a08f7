/**
 * Goal: queues do what the tests of an older durable queue of events expect of it, by its
 * operations' names. Each test there has its counterpart here, for both of its ways to be opened;
 * where queues are meant to differ, the test says how.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { jsonCodec, utf8Codec, type Codec } from '../../src/channel/codec.js';
import {
  DurableEventQueue,
  type DurableEvent,
  type UndecodedEvent,
} from '../../src/queues/durable-event-queue.js';
import { EventQueue } from '../../src/queues/event-queue.js';
import { encodeOperation, OPERATION } from '../../src/queues/queue-records.js';
import { storedQueueOptions } from '../../src/queues/stored-options.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { openQueueLab, type QueueLab } from '../support/queue-seed-kit.js';

interface EventLab extends QueueLab {
  readonly queue: DurableEventQueue<string>;
  reopen(): Promise<EventLab>;
}

async function openWith(lazy: boolean, given?: QueueLab): Promise<EventLab> {
  const lab = given ?? (await openQueueLab());
  const queue = await DurableEventQueue.open(lab.queues, { lazy, codec: utf8Codec });
  return { ...lab, queue, reopen: async () => openWith(lazy, await lab.reopen()) };
}

async function listed<T>(
  queue: DurableEventQueue<T>,
): Promise<(DurableEvent<T> | UndecodedEvent)[]> {
  const found = [];
  for await (const each of queue.iterator()) found.push(each);
  return found;
}

describe.each([false, true])('lazy %s:', (lazy) => {
  const open = (): Promise<EventLab> => openWith(lazy);

  test('push keeps an event until it is acknowledged', async () => {
    const lab = await open();
    const pushed = await lab.queue.push('first');
    // 0 there; here a number that no other event has or will have.
    expect(pushed).toEqual({ id: pushed.id, event: 'first' });
    expect(await lab.queue.len()).toBe(1);
    expect(await lab.queue.poll()).toEqual(pushed);
    expect([await lab.queue.ready_len(), await lab.queue.len()]).toEqual([0, 1]);

    const again = await lab.reopen();
    expect(await again.queue.poll()).toEqual(pushed);
    await again.queue.ack(pushed.id);
    const last = await again.reopen();
    expect(await last.queue.is_empty()).toBe(true);
    await last.close();
  });

  test('get returns an event by its id and does not take it', async () => {
    const lab = await open();
    const first = await lab.queue.push('first');
    const second = await lab.queue.push('second');
    expect(await lab.queue.get(second.id)).toEqual(second);
    expect(await lab.queue.ready_len()).toBe(2);
    expect(await lab.queue.poll()).toEqual(first);
    expect(await lab.queue.get(first.id)).toEqual(first);
    expect(await lab.queue.poll()).toEqual(second);
    await lab.close();
  });

  test('get returns nothing once it is acknowledged', async () => {
    const lab = await open();
    const pushed = await lab.queue.push('first');
    expect(await lab.queue.get(pushed.id)).toEqual(pushed);
    await lab.queue.ack(pushed.id);
    for (const id of [pushed.id, 0, 1, 99, -1, 0.5]) expect(await lab.queue.get(id)).toBe(null);
    await lab.close();
  });

  test('nack makes an event available again, with the same id', async () => {
    const lab = await open();
    const pushed = await lab.queue.push('retry me');
    for (let times = 0; times < 20; times++) {
      expect(await lab.queue.pop()).toEqual(pushed);
      expect(await lab.queue.ready_len()).toBe(0);
      await lab.queue.nack(pushed.id);
      expect(await lab.queue.ready_len()).toBe(1);
    }
    expect(await lab.queue.len()).toBe(1);
    await lab.queue.ack(pushed.id);
    expect(await lab.queue.is_empty()).toBe(true);
    await lab.close();
  });

  test('nack puts an event before those that came later', async () => {
    const lab = await open();
    const first = await lab.queue.push('first');
    const second = await lab.queue.push('second');
    expect(await lab.queue.pop()).toEqual(first);
    await lab.queue.nack(first.id);
    expect(await lab.queue.pop()).toEqual(first);
    expect(await lab.queue.pop()).toEqual(second);
    await lab.close();
  });

  test('nack of an unknown id rejects', async () => {
    const lab = await open();
    await expect(lab.queue.nack(99)).rejects.toMatchObject({ code: 'NOT_FOUND', resource: '99' });
    const { id } = await lab.queue.push('acked');
    await lab.queue.ack(id);
    await expect(lab.queue.nack(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await lab.close();
  });

  test('ack_many removes events whether they were taken or not', async () => {
    const lab = await open();
    const first = await lab.queue.push('first');
    const second = await lab.queue.push('second');
    const third = await lab.queue.push('third');
    expect(await lab.queue.pop()).toEqual(first);
    await lab.queue.ack_many([first.id, third.id]);
    expect(await lab.queue.pop()).toEqual(second);
    expect(await lab.queue.pop()).toBe(null);
    const again = await lab.reopen();
    expect(await again.queue.pop()).toEqual(second);
    expect(await again.queue.pop()).toBe(null);
    await again.close();
  });

  test('ack and ack_many of unknown ids succeed', async () => {
    const lab = await open();
    const { id } = await lab.queue.push('first');
    await lab.queue.ack_many([id, 99, id]);
    await lab.queue.ack_many([id, 99]);
    await lab.queue.ack_many([]);
    await lab.queue.ack(id);
    await lab.queue.ack(99);
    const again = await lab.reopen();
    expect(await again.queue.is_empty()).toBe(true);
    await again.close();
  });

  test('events keep their order over a restart', async () => {
    const lab = await open();
    const first = await lab.queue.push('first');
    const second = await lab.queue.push('second');
    const again = await lab.reopen();
    expect(await again.queue.pop()).toEqual(first);
    expect(await again.queue.pop()).toEqual(second);
    expect(await again.queue.pop()).toBe(null);
    await again.close();
  });

  test('nothing is decoded before it is asked for', async () => {
    const lab = await open();
    await lab.queue.push('large payload');
    const next = await lab.reopen();
    await next.queue.close();
    let decoded = 0;
    const counting: Codec<string> = {
      ...utf8Codec,
      decode: (bytes) => {
        decoded++;
        return utf8Codec.decode(bytes);
      },
    };
    const queue = await DurableEventQueue.open(next.queues, { lazy, codec: counting });
    expect([await queue.ready_len(), await queue.len(), decoded]).toEqual([1, 1, 0]);
    expect((await queue.pop())?.event).toBe('large payload');
    expect(decoded).toBe(1);
    await next.close();
  });

  test('what is taken is passed over and not delivered twice', async () => {
    const lab = await open();
    const first = await lab.queue.push('first');
    const second = await lab.queue.push('second');
    expect(await lab.queue.pop()).toEqual(first);
    expect(await lab.queue.pop()).toEqual(second);
    expect(await lab.queue.ready_len()).toBe(0);
    await lab.queue.nack(first.id);
    expect(await lab.queue.pop()).toEqual(first);
    expect(await lab.queue.pop()).toBe(null);
    await lab.queue.nack(second.id);
    expect(await lab.queue.pop()).toEqual(second);
    await lab.close();
  });

  test('where delivery goes on is moved back by nack, and only as far as that', async () => {
    const lab = await open();
    const { queue } = lab;
    const [first, second, third] = [
      await queue.push('first'),
      await queue.push('second'),
      await queue.push('third'),
    ];
    expect([await queue.pop(), await queue.pop()]).toEqual([first, second]);
    await queue.nack(first.id);
    expect(await queue.pop()).toEqual(first);
    await queue.ack(first.id);
    await queue.nack(second.id);
    expect(await queue.pop()).toEqual(second);
    expect(await queue.pop()).toEqual(third);
    expect(await queue.pop()).toBe(null);
    await lab.close();
  });

  test('push wakes who polls', async () => {
    const lab = await open();
    const polling = lab.queue.poll();
    await lab.runtime.elapse(20);
    const pushed = await lab.queue.push('wake');
    // No timer has run for it.
    expect(await polling).toEqual(pushed);
    await lab.close();
  });

  test('poll ends after 100 ms, pop at once', async () => {
    const lab = await open();
    expect(await lab.queue.pop()).toBe(null);
    let isDone = false;
    const polling = lab.queue.poll().finally(() => {
      isDone = true;
    });
    await lab.runtime.elapse(99);
    expect(isDone).toBe(false);
    await lab.runtime.elapse(1);
    expect(await polling).toBe(null);
    await lab.close();
  });

  test('iterator goes over what is not acknowledged, by id', async () => {
    const lab = await open();
    const events = [];
    for (const each of ['a', 'b', 'c', 'd']) events.push(await lab.queue.push(each));
    const [a, b, c, d] = events as [DurableEvent<string>, ...DurableEvent<string>[]];
    expect(await lab.queue.pop()).toEqual(a);
    await lab.queue.ack(b?.id ?? 0);
    expect(await listed(lab.queue)).toEqual([a, c, d]);
    expect(await lab.queue.ready_len()).toBe(2);
    await lab.close();
  });

  test('what is taken stays so, however long it takes', async () => {
    const lab = await open();
    const pushed = await lab.queue.push('slow');
    expect(await lab.queue.pop()).toEqual(pushed);
    await lab.runtime.elapse(10 * 60_000);
    expect(await lab.queue.pop()).toBe(null);
    await lab.queue.ack(pushed.id);
    expect(await lab.queue.is_empty()).toBe(true);
    await lab.close();
  });
});

test('push at the last id that there is rejects, and nothing is written', async () => {
  const lab = await openQueueLab();
  const last = Number.MAX_SAFE_INTEGER - 1;
  // As a queue that has had so many: its first record, the one that opens it, one event.
  const channel = await lab.redex.channel('$queues/events', { firstSeq: last - 2 });
  const options = {
    ...storedQueueOptions({}, 'events'),
    visibilityTimeoutMs: 100 * 366 * 86_400_000,
    maxDeliveries: 1_000_000,
    maxInFlight: 1_000_000,
  };
  const groups = [{ name: '', start: 0, active: 0 }];
  const said = { tag: 'tag', epoch: 0, options, paused: false, groups, sparse: 0, goneMs: 0 };
  const base = { t: 0, o: 'base', ...said } as const;
  await channel.append(encodeOperation(base), { type: OPERATION });
  await channel.close();
  const queue = await DurableEventQueue.open(lab.queues, { codec: utf8Codec });
  const pushed = await queue.push('the last');
  expect(pushed.id).toBe(last);
  await expect(queue.push('boom')).rejects.toThrow(RangeError);
  expect(await queue.len()).toBe(1);
  expect(await queue.get(last)).toEqual(pushed);
  await lab.redex.close();
});

test('a path is opened, and closed with the queue', async () => {
  const path = mkdtempSync(join(tmpdir(), 'redex-events-'));
  const queue = await DurableEventQueue.open(path, { codec: jsonCodec });
  await expect(DurableEventQueue.open(path)).rejects.toMatchObject({ code: 'LOCKED' });
  const pushed = await queue.push({ value: 1 });
  await queue.close();
  await using again = await DurableEventQueue.open(path, { codec: jsonCodec });
  expect(await again.pop()).toEqual(pushed);
  await again.close();
  rmSync(path, { recursive: true });
});

test('a queue that was made for something else is refused', async () => {
  const lab = await openQueueLab();
  await lab.queues.queue('events');
  await expect(DurableEventQueue.open(lab.queues)).rejects.toMatchObject({
    code: 'OPTIONS_CONFLICT',
  });
  const wrong = { lazy: 'yes' } as unknown as { lazy: boolean };
  await expect(DurableEventQueue.open(lab.queues, wrong)).rejects.toThrow(TypeError);
  await lab.close();
});

test('a queue in memory gives events in order, those at the front first, each once', async () => {
  const runtime = new ManualRuntime();
  const queue = await EventQueue.open({ codec: utf8Codec, runtime });
  expect([await queue.is_empty(), await queue.pop()]).toEqual([true, null]);
  for (const each of ['b', 'c']) await queue.push(each);
  await queue.push_front('a');
  expect([await queue.len(), await queue.is_empty()]).toEqual([3, false]);
  const popped = [await queue.pop(), await queue.poll(), await queue.pop(), await queue.pop()];
  expect(popped).toEqual(['a', 'b', 'c', null]);
  expect(await queue.len()).toBe(0);
  const polling = queue.poll();
  await queue.push('wake');
  expect(await polling).toBe('wake');
  const inVain = queue.poll();
  await runtime.elapse(100);
  expect(await inVain).toBe(null);
  await queue.close();
  await expect(queue.push('late')).rejects.toMatchObject({ code: 'CLOSED' });
});
