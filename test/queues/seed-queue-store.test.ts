/**
 * Goal: queues do what the tests of an older queue store expect of it, by its operations' names.
 * Each test there has its counterpart here; where queues are meant to differ, the test says how.
 */
import { expect, test } from 'vitest';
import { jsonCodec } from '../../src/channel/codec.js';
import type { QueueOptions } from '../../src/queues/queue-options.js';
import { seedQueueStore, type SeedQueueStore } from '../../src/queues/seed-queue-store.js';
import { openQueueLab, type QueueLab } from '../support/queue-seed-kit.js';

interface SeedLab extends QueueLab {
  readonly store: SeedQueueStore<unknown>;
  /** Makes a queue with so many messages, `p1`, `p2` and so on; resolves to their ids. */
  seed(queue: string, count: number, options?: QueueOptions): Promise<number[]>;
  deadline(ms: number): Date;
}

async function open(): Promise<SeedLab> {
  return labOf(await openQueueLab());
}

function labOf(lab: QueueLab): SeedLab {
  return {
    ...lab,
    store: seedQueueStore(lab.queues, jsonCodec),
    deadline: (ms) => new Date(lab.runtime.now() + ms),
    seed: async (name, count, options = {}) => {
      const queue = await lab.queues.queue(name, { ...options, codec: jsonCodec });
      const messages = Array.from({ length: count }, (_, i) => ({ payload: `p${i + 1}` }));
      return (await queue.enqueueMany(messages)).map(({ seq }) => seq);
    },
  };
}

async function groups(lab: QueueLab, queue: string, ...names: string[]): Promise<void> {
  for (const name of names) await (await lab.queues.queue(queue)).groups.create(name);
}

const UNKNOWN = { code: 'LEASE_LOST', reason: 'unknown' };
const FANOUT = { mode: 'fanout' } as const;

test('the id of a delivery is opaque base32', async () => {
  const lab = await open();
  const [one = 0] = await lab.seed('q', 1);
  const id = await lab.store.mark_pending('q', one, '', lab.deadline(1000));
  expect(id).toMatch(/^[a-z2-7]+$/);
  await lab.close();
});

test('ids of deliveries are unique', async () => {
  const lab = await open();
  const [one = 0, two = 0] = await lab.seed('q', 2);
  const first = await lab.store.mark_pending('q', one, '', lab.deadline(1000));
  const second = await lab.store.mark_pending('q', two, '', lab.deadline(1000));
  expect(second).not.toBe(first);
  // Nor is one ever that of another delivery of the same message.
  await lab.store.release_pending(first);
  expect(await lab.store.mark_pending('q', one, '', lab.deadline(1000))).not.toBe(first);
  await lab.close();
});

test('mark_pending is idempotent for a queue, message and group', async () => {
  const lab = await open();
  const [one = 0] = await lab.seed('q', 1);
  const first = await lab.store.mark_pending('q', one, '', lab.deadline(1000));
  expect(await lab.store.mark_pending('q', one, '', lab.deadline(2000))).toBe(first);
  expect(await lab.store.find_pending_by_key('q', one, '')).toBe(first);
  // Marked together, too.
  await lab.store.release_pending(first);
  const mark = (): Promise<string> => lab.store.mark_pending('q', one, '', lab.deadline(1000));
  expect(new Set(await Promise.all([mark(), mark(), mark()])).size).toBe(1);
  await lab.close();
});

test('release_pending of an unknown id does nothing', async () => {
  const lab = await open();
  const [one = 0] = await lab.seed('q', 1);
  for (const id of ['does-not-exist', '', 'abc']) await lab.store.release_pending(id);
  expect(await lab.store.available_messages('q', 'Left')).toEqual([one]);
  await lab.close();
});

test('bump_attempt returns the new count', async () => {
  const lab = await open();
  const [one = 0] = await lab.seed('q', 1);
  const id = await lab.store.mark_pending('q', one, '', lab.deadline(1000));
  const first = await lab.store.bump_attempt(id);
  expect(first).toEqual({ attempts: 1, queue: 'q', message_id: one });
  expect((await lab.store.bump_attempt(id)).attempts).toBe(2);
  expect((await lab.store.bump_attempt(id)).attempts).toBe(3);
  // It outlives the delivery and the process.
  await lab.store.release_pending(id);
  const again = labOf(await lab.reopen());
  const next = await again.store.mark_pending('q', one, '', again.deadline(1000));
  expect((await again.store.bump_attempt(next)).attempts).toBe(4);
  await again.close();
});

test('a delivery that was released and not tried does not count', async () => {
  const lab = await open();
  const [one = 0] = await lab.seed('q', 1);
  for (let round = 0; round < 10; round++) {
    const id = await lab.store.mark_pending('q', one, '', lab.deadline(1000));
    await lab.store.release_pending(id);
  }
  const id = await lab.store.mark_pending('q', one, '', lab.deadline(1000));
  expect((await lab.store.bump_attempt(id)).attempts).toBe(1);
  await lab.close();
});

test('acknowledging ends one message a time, and nothing else ends any', async () => {
  const lab = await open();
  const { store } = lab;
  const ids = await lab.seed('q', 3);
  const left = async (): Promise<number> => (await (await lab.queues.queue('q')).stats()).messages;
  const [d1 = '', d2 = '', d3 = ''] = await Promise.all(
    ids.map((id) => store.mark_pending('q', id, '', lab.deadline(1000))),
  );
  expect(await left()).toBe(3);
  await store.ack_pending(d1);
  expect(await left()).toBe(2);
  await store.ack_pending(d2);
  expect(await left()).toBe(1);
  for (const acked of [d1, d2])
    await expect(store.ack_pending(acked)).rejects.toMatchObject(UNKNOWN);
  const [, , three = 0] = ids;
  await store.release_pending(d3);
  const again = await store.mark_pending('q', three, '', lab.deadline(1000));
  await store.bump_attempt(again);
  await store.reclaim_expired('q', lab.deadline(60_000));
  expect(await left()).toBe(1);
  expect(await store.read_message('q', three)).toBe('p3');
  const [one = 0] = ids;
  expect(await store.read_message('q', one)).toBe(null);
  await lab.close();
});

test('read_max_attempts is that of the queue when the message has none', async () => {
  const lab = await open();
  const [one = 0] = await lab.seed('q', 1);
  // 3 there; here it is 5, stored with the queue, and can be changed.
  expect(await lab.store.read_max_attempts('q', one)).toBe(5);
  await (await lab.queues.queue('q')).configure({ maxDeliveries: 3 });
  expect(await lab.store.read_max_attempts('q', one)).toBe(3);
  expect(await lab.store.read_max_attempts('q', 999)).toBe(3);
  expect(await lab.store.read_max_attempts('nowhere', 1)).toBe(5);
  await (await lab.queues.queue('q')).configure({ deadLetter: false });
  expect(await lab.store.read_max_attempts('q', one)).toBe(Infinity);
  await lab.close();
});

test('read_max_attempts is that of the message when it has one', async () => {
  const lab = await open();
  for (const name of ['q', 'other']) {
    const queue = await lab.queues.queue(name, { codec: jsonCodec });
    const { seq } = await queue.enqueue('none');
    expect(await lab.store.read_max_attempts(name, seq)).toBe(5);
  }
  const queue = await lab.queues.queue('q', { codec: jsonCodec });
  const { seq: seven } = await queue.enqueue('seven', { maxDeliveries: 7 });
  const { seq: one } = await queue.enqueue('one', { maxDeliveries: 1 });
  expect(await lab.store.read_max_attempts('q', seven)).toBe(7);
  expect(await lab.store.read_max_attempts('q', one)).toBe(1);
  await lab.close();
});

test('bump_attempt of an unknown id rejects, as do ack_pending and retire_for_group', async () => {
  const lab = await open();
  await lab.seed('q', 1);
  const { store } = lab;
  await expect(store.bump_attempt('nope')).rejects.toMatchObject(UNKNOWN);
  await expect(store.ack_pending('nope')).rejects.toMatchObject(UNKNOWN);
  await expect(store.retire_for_group('nope')).rejects.toMatchObject(UNKNOWN);
  await lab.close();
});

test('enqueue_dlq keeps what it is given', async () => {
  const lab = await open();
  await lab.store.enqueue_dlq('orders.dlq', 'payload-1');
  await lab.store.enqueue_dlq('orders.dlq', 42);
  const again = labOf(await lab.reopen());
  const ids = await again.store.available_messages('orders.dlq', 'Left');
  const payloads = await Promise.all(ids.map((id) => again.store.read_message('orders.dlq', id)));
  expect(payloads).toEqual(['payload-1', 42]);
  expect((await again.queues.queue('orders.dlq')).options.deadLetter).toBe(false);
  await again.close();
});

test('available_messages lists what is not pending, from either side', async () => {
  const lab = await open();
  const [one = 0, two = 0, three = 0] = await lab.seed('q', 3);
  await lab.store.mark_pending('q', two, '', lab.deadline(1000));
  expect(await lab.store.available_messages('q', 'Left')).toEqual([one, three]);
  expect(await lab.store.available_messages('q', 'Right')).toEqual([three, one]);
  expect(await lab.store.available_messages('nowhere', 'Left')).toEqual([]);
  // What was put to the front is at the left end.
  const { seq: front } = await (await lab.queues.queue('q', { codec: jsonCodec })).pushFront('p0');
  expect(await lab.store.available_messages('q', 'Left')).toEqual([front, one, three]);
  await lab.close();
});

test('release_pending makes the message available again, in its place', async () => {
  const lab = await open();
  const [one = 0, two = 0] = await lab.seed('q', 2);
  const id = await lab.store.mark_pending('q', one, '', lab.deadline(1000));
  expect(await lab.store.available_messages('q', 'Left')).toEqual([two]);
  await lab.store.release_pending(id);
  expect(await lab.store.available_messages('q', 'Left')).toEqual([one, two]);
  expect(await lab.store.find_pending_by_key('q', one, '')).toBe(null);
  await lab.close();
});

test('read_lock_deadline is that of the delivery while there is one', async () => {
  const lab = await open();
  const [one = 0] = await lab.seed('q', 1);
  const deadline = lab.deadline(1000);
  const id = await lab.store.mark_pending('q', one, '', deadline);
  expect(await lab.store.read_lock_deadline(id)).toEqual(deadline);
  await lab.runtime.elapse(300);
  expect(await lab.store.read_lock_deadline(id)).toEqual(deadline);
  await lab.store.release_pending(id);
  expect(await lab.store.read_lock_deadline(id)).toBe(null);
  await lab.close();
});

test('mark_pending again sets the deadline anew', async () => {
  const lab = await open();
  const [one = 0] = await lab.seed('q', 1);
  const id = await lab.store.mark_pending('q', one, '', lab.deadline(1000));
  const later = lab.deadline(5000);
  expect(await lab.store.mark_pending('q', one, '', later)).toBe(id);
  expect(await lab.store.read_lock_deadline(id)).toEqual(later);
  await lab.runtime.elapse(4000);
  expect(await lab.store.find_pending_by_key('q', one, '')).toBe(id);
  await lab.runtime.elapse(2000);
  expect(await lab.store.find_pending_by_key('q', one, '')).toBe(null);
  expect(await lab.store.available_messages('q', 'Left')).toEqual([one]);
  await lab.close();
});

test('mark_pending in an unknown queue, or of an unknown message, rejects', async () => {
  const lab = await open();
  const [one = 0] = await lab.seed('q', 1);
  const mark = (queue: string, id: number): Promise<string> =>
    lab.store.mark_pending(queue, id, '', lab.deadline(1000));
  await expect(mark('missing', one)).rejects.toMatchObject({ code: 'NOT_FOUND', kind: 'queue' });
  await expect(mark('q', 999)).rejects.toMatchObject({ code: 'NOT_FOUND', kind: 'message' });
  expect(await lab.queues.has('missing')).toBe(false);
  // One that is not due yet is there, and not to be had.
  const queue = await lab.queues.queue('q', { codec: jsonCodec });
  const { seq } = await queue.enqueue('later', { delayMs: 1000 });
  await expect(mark('q', seq)).rejects.toMatchObject({ code: 'BUSY' });
  await lab.runtime.elapse(1000);
  expect(await mark('q', seq)).toMatch(/./);
  await lab.close();
});

test('ids of deliveries have the form of base32, whatever the names are', async () => {
  const lab = await open();
  for (const name of ['a', 'bb', 'ccc', 'dddd', 'eeeee', 'Ünïcode/✓']) {
    const [one = 0] = await lab.seed(name, 1);
    const id = await lab.store.mark_pending(name, one, '', lab.deadline(1000));
    expect(id).toMatch(/^[a-z2-7]+$/);
    expect(await lab.store.read_pending_payload(id)).toBe('p1');
    await expect(lab.store.ack_pending(`${id}a`)).rejects.toMatchObject(UNKNOWN);
    await lab.store.ack_pending(id);
  }
  await lab.close();
});

test('retire_for_group ends the message for one group alone', async () => {
  const lab = await open();
  const [one = 0, two = 0] = await lab.seed('q', 2, FANOUT);
  await groups(lab, 'q', 'a', 'b');
  const { store } = lab;
  const mine = await store.mark_pending('q', one, 'a', lab.deadline(1000));
  expect(await store.available_messages_for_group('q', 'a', 'Left')).toEqual([two]);
  expect(await store.available_messages_for_group('q', 'b', 'Right')).toEqual([two, one]);
  expect(await store.available_messages('q', 'Left')).toEqual([two]);
  await store.retire_for_group(mine);
  expect(await store.available_messages_for_group('q', 'a', 'Left')).toEqual([two]);
  expect(await store.available_messages_for_group('q', 'b', 'Left')).toEqual([one, two]);
  expect(await store.read_message('q', one)).toBe('p1');
  // The last group that retires it ends it.
  await store.retire_for_group(await store.mark_pending('q', one, 'b', lab.deadline(1000)));
  expect(await store.read_message('q', one)).toBe(null);
  await lab.close();
});

test('ack_pending ends the message for all groups', async () => {
  const lab = await open();
  const [one = 0] = await lab.seed('q', 1, FANOUT);
  await groups(lab, 'q', 'a', 'b');
  const mine = await lab.store.mark_pending('q', one, 'a', lab.deadline(1000));
  const other = await lab.store.mark_pending('q', one, 'b', lab.deadline(1000));
  expect(other).not.toBe(mine);
  await lab.store.ack_pending(mine);
  expect(await lab.store.read_message('q', one)).toBe(null);
  expect(await lab.store.available_messages_for_group('q', 'b', 'Left')).toEqual([]);
  await expect(lab.store.retire_for_group(other)).rejects.toMatchObject(UNKNOWN);
  await lab.close();
});

test('read_pending_payload is there while the delivery is', async () => {
  const lab = await open();
  const [one = 0] = await lab.seed('q', 1);
  const id = await lab.store.mark_pending('q', one, '', lab.deadline(1000));
  expect(await lab.store.read_pending_payload(id)).toBe('p1');
  await lab.store.ack_pending(id);
  expect(await lab.store.read_pending_payload(id)).toBe(null);
  await lab.close();
});

test('reclaim_expired ends what is due by then, once', async () => {
  const lab = await open();
  const [one = 0, two = 0] = await lab.seed('q', 2);
  const early = await lab.store.mark_pending('q', one, '', lab.deadline(1000));
  const late = await lab.store.mark_pending('q', two, '', lab.deadline(1001));
  await lab.store.reclaim_expired('q', lab.deadline(999));
  expect(await lab.store.pending_deliveries_for_queue('q')).toHaveLength(2);
  for (let times = 0; times < 3; times++) await lab.store.reclaim_expired('q', lab.deadline(1000));
  expect(await lab.store.available_messages('q', 'Left')).toEqual([one]);
  expect(await lab.store.read_lock_deadline(early)).toBe(null);
  expect(await lab.store.find_pending_by_key('q', two, '')).toBe(late);
  // There its attempts stay as they were; here a delivery that ran out has been one.
  const again = await lab.store.mark_pending('q', one, '', lab.deadline(1000));
  expect((await lab.store.bump_attempt(again)).attempts).toBe(2);
  await lab.store.reclaim_expired('nowhere', lab.deadline(0));
  await lab.close();
});

test('purge_queue ends what is available and what is pending', async () => {
  const lab = await open();
  const [one = 0, two = 0] = await lab.seed('q', 3);
  const id = await lab.store.mark_pending('q', two, '', lab.deadline(1000));
  expect(await lab.store.purge_queue('q')).toBe(3);
  expect(await lab.store.available_messages('q', 'Left')).toEqual([]);
  expect(await lab.store.pending_deliveries_for_queue('q')).toEqual([]);
  expect(await lab.store.read_message('q', one)).toBe(null);
  await expect(lab.store.ack_pending(id)).rejects.toMatchObject(UNKNOWN);
  expect(await lab.store.purge_queue('q')).toBe(0);
  expect(await lab.store.purge_queue('nowhere')).toBe(0);
  await lab.close();
});

test('pending_deliveries_for_queue lists those of all groups', async () => {
  const lab = await open();
  const [one = 0, two = 0] = await lab.seed('q', 2, FANOUT);
  await groups(lab, 'q', 'a', 'b');
  const deadline = lab.deadline(1000);
  const a = await lab.store.mark_pending('q', one, 'a', deadline);
  await lab.runtime.elapse(1);
  const b = await lab.store.mark_pending('q', two, 'b', deadline);
  expect(await lab.store.pending_deliveries_for_queue('q')).toEqual([
    { delivery_id: a, queue: 'q', message_id: one, group: 'a', deadline },
    { delivery_id: b, queue: 'q', message_id: two, group: 'b', deadline },
  ]);
  expect(await lab.store.find_pending_by_key('q', one, 'b')).toBe(null);
  expect(await lab.store.pending_deliveries_for_queue('nowhere')).toEqual([]);
  await lab.close();
});

test('a delivery of an earlier process is unknown to the next one', async () => {
  const lab = await open();
  const [one = 0] = await lab.seed('q', 1);
  const before = await lab.store.mark_pending('q', one, '', lab.deadline(1000));
  const again = labOf(await lab.reopen());
  await again.store.release_pending(before);
  await expect(again.store.ack_pending(before)).rejects.toMatchObject({ code: 'LEASE_LOST' });
  const after = await again.store.mark_pending('q', one, '', again.deadline(1000));
  expect(after).not.toBe(before);
  await expect(again.store.ack_pending(before)).rejects.toMatchObject({ code: 'LEASE_LOST' });
  await again.store.ack_pending(after);
  await again.close();
});
