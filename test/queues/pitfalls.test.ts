/**
 * Goal: what queues get wrong elsewhere, pitfalls 1 to 9, each as a test: durability, ids, clocks,
 * stale settlements, disks that fail, compaction, head of line, dead letters. Their numbers are
 * those of the list that the design was checked against; 10 to 18 are in pitfalls-use.test.ts.
 */
import { describe, expect, test } from 'vitest';
import type { Runtime } from '../../src/core/runtime.js';
import { Random, benign, choicesFromSeed, worst } from '../../src/testing/choices.js';
import type { ManualRuntime } from '../../src/testing/manual-runtime.js';
import {
  browsed,
  drained,
  QueueChecks,
  received,
  sorted,
  textQueue,
  textsOf,
} from '../../src/testing/queue-contract-support.js';
import { QueueLab } from '../support/queue-kit.js';

const checks = new QueueChecks(expect);
const CUTS = [worst, benign, ...[1, 2, 3, 4].map((seed) => choicesFromSeed(seed))];

test.each(CUTS.map((choose, number) => [number, choose] as const))(
  '1 a message is not born acknowledged: power cut %i after an ack of what is not durable',
  async (_number, choose) => {
    const lab = await QueueLab.open();
    const queue = await textQueue(lab.queues);
    await queue.enqueueMany(
      ['a', 'b', 'c'].map((payload) => ({ payload, durability: 'written' as const })),
    );
    for (const delivery of await queue.receive({ max: 3 })) await delivery.ack();
    const next = await lab.cut(choose);
    const after = await textQueue(next.queues);
    await after.enqueueMany(['d', 'e', 'f', 'g'].map((payload) => ({ payload })));
    const texts = await drained(after);
    expect(texts.slice(-4)).toEqual(['d', 'e', 'f', 'g']);
    expect((await after.stats()).messages).toBe(0);
    await next.close();
  },
);

test('2 an id that somebody holds is not given again: drained, purged, cut', async () => {
  let lab = await QueueLab.open();
  const ids = new Set<string>();
  for (let round = 0; round < 6; round++) {
    const queue = await textQueue(lab.queues);
    const inputs = Array.from({ length: 5 }, () => ({
      payload: `${round}`,
      durability: 'written' as const,
    }));
    for (const { id } of await queue.enqueueMany(inputs)) {
      expect(ids.has(id)).toBe(false);
      ids.add(id);
    }
    if (round % 2 === 0) await drained(queue);
    else await queue.purge();
    const random = new Random(round + 1);
    lab =
      round < 3
        ? await lab.cut(round === 0 ? worst : (n) => random.below(n))
        : await lab.reopened();
  }
  await lab.close();
});

test('2 a clean open passes no id over, and a cut behind it gives none again', async () => {
  // The reserve would sync the journal by itself.
  const first = await QueueLab.open({ reserveBytes: 0 });
  await (await textQueue(first.queues)).enqueue('a');
  const lab = await first.reopened();
  const queue = await textQueue(lab.queues);
  const given = await queue.enqueue('b', { durability: 'written' });
  expect(given.seq).toBeLessThan(10);
  const next = await lab.cut(worst);
  const again = await textQueue(next.queues);
  expect((await again.enqueue('c')).seq).toBeGreaterThan(given.seq);
  expect(await drained(again)).toEqual(['a', 'c']);
  await next.close();
});

describe('3 leases and clocks', () => {
  test('a lease does not outlive its process, nor end with a jump of the clock', async () => {
    const lab = await QueueLab.open();
    const queue = await textQueue(lab.queues, { visibilityTimeoutMs: 4 * 3_600_000 });
    await queue.enqueue('a');
    const held = await received(queue);
    lab.runtime.setNow(lab.runtime.now() + 5 * 3_600_000);
    await lab.runtime.elapse(10_000);
    expect(held.signal.aborted).toBe(false);
    const next = await lab.killed();
    expect((await received(await textQueue(next.queues))).deliveryCount).toBe(2);
    await next.close();
  });
});

/** A machine that does nothing for a while: clocks go on, timers come late. */
class Blocked implements Runtime {
  #lateMs = 0;
  readonly keptAlive: number[] = [];
  readonly #runtime: ManualRuntime;

  constructor(runtime: ManualRuntime) {
    this.#runtime = runtime;
  }

  block(ms: number): void {
    this.#lateMs += ms;
  }

  now(): number {
    return this.#runtime.now() + this.#lateMs;
  }

  monotonic(): number {
    return this.#runtime.monotonic() + this.#lateMs;
  }

  random(bytes: Uint8Array): Uint8Array {
    return this.#runtime.random(bytes);
  }

  defer(task: () => void): void {
    this.#runtime.defer(task);
  }

  schedule(task: () => void, delayMs: number, keepsAlive = false): () => void {
    if (keepsAlive) this.keptAlive.push(delayMs);
    expect(delayMs).toBeLessThan(2 ** 31);
    return this.#runtime.schedule(task, delayMs);
  }
}

describe('4 an event loop that is blocked', () => {
  test('takes no time from a lease; timers are short, and keep nothing alive', async () => {
    let blocked: Blocked | undefined;
    const lab = await QueueLab.open({
      wrap: (runtime) => {
        blocked = new Blocked(runtime);
        return blocked;
      },
    });
    const queue = await textQueue(lab.queues, { visibilityTimeoutMs: 2000 });
    await queue.enqueue('a');
    await queue.enqueue('far', { delayMs: 100 * 86_400_000 });
    const held = await received(queue);
    await lab.runtime.elapse(500);
    blocked?.block(3_600_000);
    await lab.runtime.elapse(1000);
    expect(held.signal.aborted).toBe(false);
    await held.ack();
    expect((await queue.stats()).counters.timedOut).toBe(0);
    await queue.enqueue('b');
    const other = await received(queue);
    await lab.runtime.elapse(4500);
    expect(other.signal.aborted).toBe(true);
    expect(blocked?.keptAlive).toEqual([]);
    await queue.purge();
    const waiting = queue.receive({ waitMs: 90 * 86_400_000, max: 5 });
    await lab.runtime.elapse(0);
    expect(blocked?.keptAlive.length).toBeGreaterThan(0);
    await queue.close();
    await checks.code(waiting, 'CLOSED');
    await lab.close();
  });
});

test('5 a late settlement is LEASE_LOST, with the reason and without effect', async () => {
  const lab = await QueueLab.open();
  const queue = await textQueue(lab.queues, { visibilityTimeoutMs: 1000, maxDeliveries: 2 });
  const other = await textQueue(lab.queues, {}, 'other');
  const lost: [string, () => Promise<unknown>][] = [
    ['expired', () => lab.runtime.elapse(3000)],
    ['claimed', () => queue.claim()],
    ['purged', () => queue.purge()],
    ['cancelled', async () => queue.cancel((await browsed(queue))[0]?.id ?? '')],
    ['sought', () => queue.groups.seek(undefined, 'latest')],
  ];
  for (const [reason, end] of lost) {
    await queue.purge();
    await queue.enqueue(reason);
    const held = await received(queue);
    await end();
    const before = [await queue.stats(), await browsed(queue)];
    for (const late of [
      () => held.ack(),
      () => held.nack(),
      () => held.reject(),
      () => held.release(),
      () => lab.queues.commit([held.acking(), other.enqueuing('x')]),
    ]) {
      await checks.lost(late(), reason);
    }
    expect(() => held.extend(1000)).toThrow(expect.objectContaining({ code: 'LEASE_LOST' }));
    expect([await queue.stats(), await browsed(queue)]).toEqual(before);
  }
  expect(await browsed(other)).toEqual([]);
  // A dead letter that somebody has is not moved back under his hands.
  await queue.purge();
  await queue.enqueue('dead');
  await (await received(queue)).reject();
  const dead = await queue.deadLetters();
  const held = await received(dead);
  expect(await queue.redrive()).toBe(0);
  await held.ack();
  await lab.close();
});

test('6 a sync that fails ends the store: nothing is told as done, nothing is lost', async () => {
  const lab = await QueueLab.open();
  const queue = await textQueue(lab.queues);
  await queue.enqueueMany(['a', 'b'].map((payload) => ({ payload })));
  const held = await received(queue);
  const effect = { error: 'EIO' };
  lab.faults.inject({ operation: 'anySync', path: /journal/, nth: 1, times: Infinity, effect });
  const ends = await Promise.allSettled([
    held.ack({ durability: 'synced' }),
    queue.enqueue('c'),
    lab.queues.commit([queue.enqueuing('d')]),
  ]);
  expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  lab.faults.clearFaults();
  await checks.code(queue.enqueue('e'), 'POISONED');
  await checks.code(queue.receive(), 'POISONED');
  const next = await lab.cut(worst);
  expect(await drained(await textQueue(next.queues))).toEqual(['a', 'b']);
  await next.close();
});

test('7 compaction under a handler: bytes, seq, order and attempts stay', async () => {
  const lab = await QueueLab.open({ segmentBytes: 32 * 1024 });
  const queue = await textQueue(lab.queues, { dedupWindowMs: 0 });
  await queue.enqueueMany(
    Array.from({ length: 300 }, (_, i) => ({ payload: `${i}`.padStart(1000, '.') })),
  );
  const held = await received(queue);
  const kept: string[] = [];
  for (const delivery of await queue.receive({ max: 299 })) {
    if (kept.length < 3 && delivery.seq % 100 === 0) {
      kept.push(delivery.payload);
      await delivery.nack({ delayMs: 0 });
    } else await delivery.ack();
  }
  const before = await browsed(queue);
  await queue.reclaim();
  await queue.reclaim();
  expect((await queue.stats()).sizeBytes).toBeLessThan(100_000);
  expect(await browsed(queue)).toEqual(before);
  expect(held.payload).toBe('0'.padStart(1000, '.'));
  await held.nack({ delayMs: 0 });
  const again = await queue.receive({ max: 5 });
  expect(textsOf(again)).toEqual([held.payload, ...kept]);
  expect(again.map(({ deliveryCount }) => deliveryCount)).toEqual(again.map(() => 2));
  expect(again[0]?.seq).toBe(held.seq);
  const next = await lab.killed();
  expect(sorted(await drained(await textQueue(next.queues)))).toEqual(sorted(textsOf(again)));
  await next.close();
});

test('8 head of line: a key, bad, far and huge messages, a slow group, priorities', async () => {
  const lab = await QueueLab.open();
  const codec = {
    encode: (text: string): Uint8Array => Buffer.from(text),
    decode: (bytes: Uint8Array): string => {
      const text = Buffer.from(bytes).toString();
      if (text === 'bad') throw new Error('bad');
      return text;
    },
  };
  const queue = await lab.queues.queue('q', { codec });
  await queue.enqueueMany([
    { payload: 'k1', key: 'k' },
    { payload: 'k2', key: 'k' },
  ]);
  await received(queue);
  await queue.enqueue('bad');
  await queue.enqueue('far', { delayMs: 1e12 });
  await queue.enqueue('huge'.repeat(1_000_000));
  await queue.enqueueMany(Array.from({ length: 20 }, () => ({ payload: 'high', priority: 9 })));
  await queue.enqueue('low');
  const texts = await drained(queue);
  expect(texts).toHaveLength(22);
  expect(texts.at(-1)).toBe('low');
  const fanout = await textQueue(lab.queues, { mode: 'fanout', maxInFlight: 1 }, 'fanout');
  for (const name of ['slow', 'fast']) await fanout.groups.create(name);
  await fanout.enqueueMany(['1', '2', '3'].map((payload) => ({ payload })));
  await received(fanout, { group: 'slow' });
  expect(await drained(fanout, { group: 'fast' })).toEqual(['1', '2', '3']);
  await lab.close();
});

describe('9 a dead letter is in one of two queues', () => {
  test('at whatever write, sync or cut it ends', async () => {
    let fired = 0;
    for (const operation of ['anyWrite', 'anySync'] as const) {
      for (let nth = 1; nth <= 8; nth++) {
        for (const choose of [worst, benign, choicesFromSeed(nth)]) {
          const lab = await QueueLab.open({ reserveBytes: 0 });
          const queue = await textQueue(lab.queues);
          await queue.enqueue('a');
          const held = await received(queue);
          const fault = lab.faults.inject({ operation, nth, effect: { error: 'EIO' } });
          await held.reject('bad').catch(() => undefined);
          fired += fault.fired;
          const next = await lab.cut(choose);
          const source = await browsed(await textQueue(next.queues));
          const dead = await browsed(await (await textQueue(next.queues)).deadLetters());
          expect([...textsOf(source), ...textsOf(dead)]).toEqual(['a']);
          await next.close();
        }
      }
    }
    expect(fired).toBeGreaterThan(20);
  });

  test('what cannot be moved stays, with the error, and goes when it can', async () => {
    const lab = await QueueLab.open({ reserveBytes: 0 });
    const queue = await textQueue(lab.queues);
    await queue.enqueue('a');
    const effect = { error: 'EACCES' };
    const path = /channels\/\.new/;
    lab.faults.inject({ operation: 'anyWrite', path, nth: 1, times: Infinity, effect });
    await (await received(queue)).reject('bad');
    const [kept] = await browsed(queue);
    expect([kept?.payload, kept?.state]).toEqual(['a', 'delayed']);
    expect(kept?.errors.at(-1)?.error).toContain('EACCES');
    expect(lab.logged.some((message) => message.includes('could not become dead'))).toBe(true);
    lab.faults.clearFaults();
    await lab.runtime.elapse(61_000);
    await (await received(queue)).reject('bad');
    expect(textsOf(await browsed(await queue.deadLetters()))).toEqual(['a']);
    await lab.close();
  });
});
