/**
 * Goal: what queues get wrong elsewhere, pitfalls 10 to 18, each as a test: attempts, races,
 * batches, windows, wake-ups, shared memory, two openers, changes under leases, large states.
 */
import { expect, test } from 'vitest';
import { QueueStore } from '../../src/queues/queue-store.js';
import { Redex } from '../../src/store/redex.js';
import {
  browsed,
  drained,
  QueueChecks,
  received,
  textQueue,
  textsOf,
} from '../../src/testing/queue-contract-support.js';
import { QueueLab } from '../support/queue-kit.js';

const checks = new QueueChecks(expect);

test('10 N deliveries are N, however they end, in groups too', async () => {
  for (const max of [1, 2, 4]) {
    let lab = await QueueLab.open();
    const options = { mode: 'fanout', maxDeliveries: max, visibilityTimeoutMs: 1000 } as const;
    let queue = await textQueue(lab.queues, options);
    for (const name of ['g', 'other']) await queue.groups.create(name);
    await queue.enqueue('a');
    for (let count = 1; count <= max; count++) {
      await (await received(queue, { group: 'g' })).release();
      const delivery = await received(queue, { group: 'g' });
      expect(delivery.deliveryCount).toBe(count);
      if (count % 3 === 1) await delivery.nack({ delayMs: 0 });
      else if (count % 3 === 2) await lab.runtime.elapse(5000);
      else {
        lab = await lab.killed();
        queue = await textQueue(lab.queues);
      }
    }
    expect(await queue.receive({ group: 'g' })).toEqual([]);
    const dead = await received(await queue.deadLetters());
    expect([dead.origin?.group, dead.origin?.deliveryCount]).toEqual(['g', max]);
    expect((await received(queue, { group: 'other' })).deliveryCount).toBe(1);
    await lab.close();
  }
});

test('11 races with an end: close with who waits, twice, and a break', async () => {
  const lab = await QueueLab.open();
  for (let turns = 0; turns < 30; turns++) {
    const queue = await textQueue(lab.queues);
    const waiting = queue.receive({ waitMs: 1000 }).then(
      (deliveries) => deliveries.map(({ deliveryCount }) => deliveryCount),
      (error: unknown) => (error as { code?: string }).code,
    );
    const enqueued = queue.enqueue(`${turns}`).catch(() => undefined);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    await Promise.all([queue.close(), queue.close()]);
    const isThere = (await enqueued) !== undefined;
    expect(['CLOSED', [1]]).toContainEqual(await waiting);
    const again = await textQueue(lab.queues);
    const [delivery] = await again.receive();
    if (isThere) expect([delivery?.payload, delivery?.deliveryCount]).toEqual([`${turns}`, 1]);
    await delivery?.ack();
    expect((await again.stats()).inFlight).toBe(0);
  }
  await lab.close();
});

test('12 a batch that is too large is refused as a whole; each of many is told apart', async () => {
  const lab = await QueueLab.open({ redex: { journalBytes: 256 * 1024 } });
  const queue = await textQueue(lab.queues);
  const inputs = Array.from({ length: 40 }, () => ({ payload: 'x'.repeat(8000) }));
  await checks.code(queue.enqueueMany(inputs), 'LIMIT');
  const large = await Redex.open('/large', {
    fs: lab.faults,
    runtime: lab.runtime,
    maxRecordBytes: 1000,
  });
  const store = await QueueStore.open(large, { runtime: lab.runtime, reserveBytes: 0 });
  const small = await textQueue(store);
  await checks.code(small.enqueue('x'.repeat(1001)), 'LIMIT');
  await checks.code(small.enqueueMany([{ payload: 'a' }, { payload: 'x'.repeat(1001) }]), 'LIMIT');
  expect(await browsed(small)).toEqual([]);
  await store.close();
  await large.close();
  expect(await browsed(queue)).toEqual([]);
  await queue.enqueueMany(['a', 'b', 'c'].map((payload) => ({ payload })));
  const [a, b, c] = await queue.receive({ max: 3 });
  if (a === undefined || b === undefined || c === undefined) throw new Error('three');
  await queue.cancel(b.id);
  const results = await queue.ackMany([a, b, a, c]);
  expect(results.map(({ ok, code }) => code ?? ok)).toEqual([true, 'LEASE_LOST', true, true]);
  await lab.close();
});

test('13 a window of dedup keys outlives kill, compaction, dead letters, checkpoints', async () => {
  let lab = await QueueLab.open({ segmentBytes: 16 * 1024 });
  let queue = await textQueue(lab.queues);
  const inFlight = await queue.enqueue('a', { dedupKey: 'k' });
  const held = await received(queue);
  expect(await queue.enqueue('b', { dedupKey: 'k' })).toEqual({ ...inFlight, duplicate: true });
  await held.reject();
  for (const how of ['reopened', 'killed', 'reopened', 'cut'] as const) {
    await queue.enqueueMany(Array.from({ length: 50 }, () => ({ payload: '.'.repeat(1000) })));
    await drained(queue);
    await queue.reclaim();
    lab = how === 'cut' ? await lab.cut((n) => n - 1) : await lab[how]();
    queue = await textQueue(lab.queues);
    expect(await queue.enqueue('c', { dedupKey: 'k' })).toEqual({ ...inFlight, duplicate: true });
  }
  await lab.close();
  for (const path of checkpointsOf(lab)) lab.disk.unlinkSync(path);
  lab = await QueueLab.open({ disk: lab.disk, startMs: lab.runtime.now() });
  queue = await textQueue(lab.queues);
  expect(await queue.enqueue('d', { dedupKey: 'k' })).toEqual({ ...inFlight, duplicate: true });
  expect(await queue.redrive()).toBe(1);
  expect(await drained(queue)).toEqual(['a']);
  await lab.runtime.elapse(300_001);
  expect((await queue.enqueue('e', { dedupKey: 'k' })).duplicate).toBe(false);
  await lab.close();
});

/** The files of all checkpoints of queues. */
function checkpointsOf(lab: QueueLab): string[] {
  const found: string[] = [];
  const walk = (path: string): void => {
    for (const { name, kind } of lab.disk.readDirectorySync(path)) {
      const each = `${path}/${name}`;
      if (kind === 'directory') walk(each);
      else if (path.endsWith('/checkpoints')) found.push(each);
    }
  };
  walk('/data');
  expect(found.length).toBeGreaterThan(0);
  return found;
}

test('14 no wake-up is lost, and no more are woken than are served', async () => {
  const lab = await QueueLab.open();
  const queue = await textQueue(lab.queues, { visibilityTimeoutMs: 600_000 });
  for (let turn = 0; turn < 100; turn++) {
    const enqueued = queue.enqueue(`${turn}`);
    for (let i = 0; i < turn; i++) await Promise.resolve();
    const [delivery] = await queue.receive({ waitMs: 60_000 });
    expect(delivery?.payload).toBe(`${turn}`);
    await Promise.all([enqueued, delivery?.ack()]);
  }
  let served = 0;
  const waiting = Array.from({ length: 50 }, () =>
    queue.receive({ waitMs: 60_000 }).then((deliveries) => {
      served += deliveries.length;
      return deliveries.length;
    }),
  );
  await lab.runtime.elapse(0);
  await queue.enqueueMany(['a', 'b', 'c'].map((payload) => ({ payload })));
  await lab.runtime.elapse(100);
  expect(served).toBe(3);
  await lab.runtime.elapse(60_000);
  expect((await Promise.all(waiting)).slice(0, 4)).toEqual([1, 1, 1, 0]);
  await lab.close();
});

test('15 bytes are shared with nobody: not those enqueued, and not those delivered', async () => {
  const lab = await QueueLab.open();
  const queue = await lab.queues.queue('q', { maxDeliveries: 2, mode: 'fanout' });
  for (const name of ['a', 'b']) await queue.groups.create(name);
  const bytes = new Uint8Array([1, 2, 3]);
  const enqueued = [queue.enqueue(bytes), queue.enqueueMany([{ payload: bytes }])];
  bytes.fill(9);
  await Promise.all(enqueued);
  const spoilt = await queue.receive({ max: 2, group: 'a' });
  for (const { payload } of spoilt) payload.fill(7);
  for (const delivery of await queue.claim({ max: 2, group: 'a' })) {
    expect([...delivery.payload]).toEqual([1, 2, 3]);
    delivery.payload.fill(7);
    await delivery.nack({ delayMs: 0 });
  }
  for (const { payload } of await queue.receive({ max: 2, group: 'b' })) {
    expect([...payload]).toEqual([1, 2, 3]);
  }
  await lab.runtime.elapse(0);
  const dead = await (await queue.deadLetters()).receive({ max: 5 });
  expect(dead.map(({ payload }) => payload.join(' '))).toEqual(['1 2 3', '1 2 3']);
  await lab.close();
});

test('16 there is one who opens a store, and one QueueStore of it', async () => {
  const lab = await QueueLab.open();
  await checks.code(QueueStore.open(lab.redex), 'BUSY');
  const again = Redex.open('/data', { fs: lab.faults, runtime: lab.runtime });
  expect(['LOCKED', 'BUSY']).toContain(
    await again.then(
      () => 'opened',
      (e: { code: string }) => e.code,
    ),
  );
  await lab.queues.close();
  const next = await QueueStore.open(lab.redex, { runtime: lab.runtime });
  await next.close();
  await lab.redex.close();
});

test('17 what changes under leases: purge, redrive, update, the end of a group', async () => {
  const lab = await QueueLab.open();
  const queue = await textQueue(lab.queues, { mode: 'fanout' });
  await queue.groups.create('g');
  const { id } = await queue.enqueue('a', { key: 'k' });
  const held = await received(queue, { group: 'g' });
  await queue.update(id, { payload: 'b' });
  const acked = held.ack();
  const purged = queue.purge();
  await Promise.allSettled([acked, purged]);
  await queue.enqueue('c', { key: 'k' });
  const other = await received(queue, { group: 'g' });
  expect(other.payload).toBe('c');
  const parked = queue.receive({ group: 'g', waitMs: 1000 });
  await queue.groups.delete('g');
  await checks.code(parked, 'NOT_FOUND');
  await checks.lost(other.nack(), 'group deleted');
  await lab.runtime.elapse(120_000);
  const next = await lab.killed();
  const after = await textQueue(next.queues);
  expect(after.groups.list()).toEqual([]);
  expect(await after.purge()).toBeLessThanOrEqual(1);
  await next.close();
});

test('18 the state of many messages is a few bytes of each, and none when they go', async () => {
  const lab = await QueueLab.open({ reserveBytes: 0 });
  const queue = await textQueue(lab.queues, { dedupWindowMs: 1000 });
  const count = 20_000;
  for (let sent = 0; sent < count; sent += 2000) {
    const batch = Array.from({ length: 2000 }, (_, i) => `${sent + i}`);
    await queue.enqueueMany(batch.map((dedupKey) => ({ payload: '', delayMs: 1000, dedupKey })));
  }
  const sizes = async (): Promise<number[]> => {
    await queue.close();
    return checkpointsOf(lab).map((path) => lab.disk.statSync(path)?.size ?? 0);
  };
  expect(Math.max(...(await sizes())) / count).toBeLessThan(64);
  const again = await textQueue(lab.queues);
  await lab.runtime.elapse(2000);
  expect((await drained(again, { max: count })).length).toBe(count);
  await again.enqueue('last', { dedupKey: 'last' });
  await again.close();
  const last = await textQueue(lab.queues);
  expect(textsOf(await browsed(last))).toEqual(['last']);
  await last.close();
  expect(
    Math.min(...checkpointsOf(lab).map((path) => lab.disk.statSync(path)?.size ?? 0)),
  ).toBeLessThan(4096);
  await lab.close();
});
