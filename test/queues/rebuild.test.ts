/**
 * Goal: what a queue knows is the same from a checkpoint, from the log behind one, and from the log
 * alone, also after space was reclaimed.
 * Method: random operations by a seed; then all that can be seen is compared over a kill, a close,
 * and an open without checkpoints.
 */
import { expect, test } from 'vitest';
import type { QueueOptions } from '../../src/queues/queue-options.js';
import type { Queue } from '../../src/queues/queue.js';
import { Random } from '../../src/testing/choices.js';
import { browsed, textQueue } from '../../src/testing/queue-contract-support.js';
import { removeCheckpoints } from '../support/queue-checkpoints.js';
import { QueueLab } from '../support/queue-kit.js';

type Step = (queue: Queue<string>, random: Random) => Promise<unknown>;

async function anyOf(queue: Queue<string>, random: Random): Promise<number> {
  const all = await browsed(queue);
  return all[random.below(Math.max(1, all.length))]?.seq ?? 0;
}

const STEPS: readonly Step[] = [
  (queue, random) => queue.enqueue('p'.repeat(random.below(400)), { priority: random.below(3) }),
  (queue, random) => queue.enqueue('k', { key: `${random.below(2)}` }),
  (queue, random) => queue.enqueue('d', { dedupKey: `${random.below(30)}` }),
  (queue, random) => queue.enqueue('l', { delayMs: 1 + random.below(5000) }),
  (queue) => queue.pushFront('front'),
  async (queue, random) => {
    const deliveries = await queue.receive({ max: 1 + random.below(8) });
    for (const delivery of deliveries) {
      const end = random.below(6);
      if (end < 3) await delivery.ack();
      else if (end === 3) await delivery.nack({ delayMs: random.below(3000), error: 'no' });
      else if (end === 4) await delivery.reject('never');
      else await delivery.release();
    }
  },
  async (queue, random) => queue.cancel(await anyOf(queue, random)),
  async (queue, random) => {
    const change = random.below(2) === 0 ? { payload: 'new' } : { delayMs: random.below(3000) };
    await queue.update(await anyOf(queue, random), change).catch(() => undefined);
  },
  (queue) => queue.popRight(),
  (queue, random) => (random.below(12) === 0 ? queue.purge() : Promise.resolve()),
  (queue, random) => (random.below(4) === 0 ? queue.redrive() : Promise.resolve()),
];

/** Of a queue whose keys wait for dead letters. */
const BLOCK_STEPS: readonly Step[] = [
  (queue, random) => queue.enqueue('b', { key: `${random.below(3)}` }),
  async (queue) => {
    for (const delivery of await queue.receive({ max: 3 })) await delivery.reject('never');
  },
  async (queue, random) => {
    const dead = await queue.deadLetters();
    const [letter] = await dead.receive();
    if (random.below(2) === 0) await letter?.ack();
    else await letter?.release();
  },
  (queue, random) => queue.redrive({ limit: 1 + random.below(2) }),
  async (queue, random) => {
    if (random.below(4) === 0) await queue.keys.unblock(`${random.below(3)}`);
  },
];

/** Of a queue in which what comes again changes what is there. */
const DEDUP_STEPS: readonly Step[] = [
  (queue, random) =>
    queue.enqueue('r'.repeat(random.below(300)), {
      dedupKey: `${random.below(6)}`,
      dedupMode: 'replace',
      delayMs: random.below(3) * 400,
    }),
  (queue, random) =>
    queue.enqueue('e', { dedupKey: `${random.below(6)}`, dedupMode: 'extend', ttlMs: 3000 }),
];

/** Of a queue that keeps what is done with, and delivers it again. */
const PASS_STEPS: readonly Step[] = [
  async (queue, random) => queue.ackUpTo(await anyOf(queue, random)),
  async (queue, random) => {
    const { name, floor } = queue.groups.list()[0] ?? { name: '', floor: 0 };
    const back = random.below(8) === 0 ? random.below(60) : 0;
    if (back > 0) await queue.groups.seek(name, Math.max(0, floor - back));
  },
];

async function seen(queue: Queue<string>, isSought: boolean): Promise<unknown> {
  const { messages, bytes, ready, delayed, inFlight, isPaused } = await queue.stats();
  const blocked = queue.keys.blocked().toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const all = await browsed(queue);
  // Behind a seek it is not known which are put off before somebody has looked.
  const counts = isSought ? { open: ready + delayed } : { ready, delayed };
  return { messages, bytes, ...counts, inFlight, isPaused, blocked, all };
}

/** The next process, which has no checkpoints. */
async function fromScratch(lab: QueueLab): Promise<QueueLab> {
  await lab.close();
  removeCheckpoints(lab.disk);
  const { disk, runtime } = lab;
  const next = { disk, startMs: runtime.now(), seed: runtime.seed + 1 };
  return QueueLab.open({ segmentBytes: 4096, reserveBytes: 0, ...next });
}

interface Kind {
  readonly options: QueueOptions;
  readonly steps: readonly Step[];
}

const KINDS: Readonly<Record<string, Kind>> = {
  plain: { options: {}, steps: STEPS },
  dedup: { options: { onExpired: 'drop' }, steps: [...STEPS, ...DEDUP_STEPS, ...DEDUP_STEPS] },
  keeps: { options: { keepMessages: 50 }, steps: [...STEPS, ...PASS_STEPS] },
  blocks: { options: { onDead: 'block' }, steps: [...STEPS, ...BLOCK_STEPS, ...BLOCK_STEPS] },
};

const CASES = Object.keys(KINDS).flatMap((kind) =>
  [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => ({ kind, seed })),
);

test.each(CASES)('the same from everywhere: $kind, seed $seed', async ({ kind, seed }) => {
  const { options, steps } = KINDS[kind] ?? { options: {}, steps: [] };
  const random = new Random(seed);
  let lab = await QueueLab.open({ segmentBytes: 4096, reserveBytes: 0 });
  const common = { dedupWindowMs: 2000, maxDeliveries: 3 };
  let queue = await textQueue(lab.queues, { ...common, ...options });
  for (let round = 0; round < 6; round++) {
    for (let count = 0; count < 60; count++) {
      const step = steps[random.below(steps.length)];
      await step?.(queue, random);
      if (random.below(6) === 0) await lab.runtime.elapse(random.below(500));
    }
    await lab.runtime.elapse(1);
    const before = await seen(queue, kind === 'keeps');
    if (random.below(2) === 0) await queue.reclaim();
    expect(await seen(queue, kind === 'keeps')).toEqual(before);
    if (round % 3 === 0) lab = await lab.killed();
    else if (round % 3 === 1) lab = await lab.reopened();
    else lab = await fromScratch(lab);
    queue = await textQueue(lab.queues);
    expect(await seen(queue, kind === 'keeps')).toEqual(before);
  }
  await lab.close();
});

test.each(['replace', 'extend'] as const)(
  'a window that began again does so from everywhere, also when space was reclaimed: %s',
  async (dedupMode) => {
    let lab = await QueueLab.open({ segmentBytes: 4096, reserveBytes: 0 });
    let queue = await textQueue(lab.queues, { dedupMode, dedupWindowMs: 10_000 });
    const kept = await queue.enqueue('kept', { dedupKey: 'k' });
    for (const next of [fromScratch, (of: QueueLab) => of.killed(), fromScratch]) {
      await lab.runtime.elapse(9000);
      expect((await queue.enqueue('again', { dedupKey: 'k' })).id).toBe(kept.id);
      for (let i = 0; i < 60; i++) await queue.enqueue('.'.repeat(1000), { priority: 1 });
      await queue.ackMany(await queue.receive({ max: 60 }));
      await queue.reclaim();
      lab = await next(lab);
      queue = await textQueue(lab.queues);
    }
    await lab.runtime.elapse(9000);
    expect((await queue.enqueue('again', { dedupKey: 'k' })).duplicate).toBe(true);
    await lab.runtime.elapse(10_000);
    expect((await queue.enqueue('new', { dedupKey: 'k' })).duplicate).toBe(false);
    await lab.close();
  },
);

test('a window that began again with a message is remembered when that is done with', async () => {
  let lab = await QueueLab.open({ segmentBytes: 4096, reserveBytes: 0 });
  let queue = await textQueue(lab.queues, { dedupWindowMs: 10_000 });
  await queue.enqueue('stays');
  const { id } = await queue.enqueue('old', { dedupKey: 'k' });
  await lab.runtime.elapse(9000);
  await queue.enqueue('new', { dedupKey: 'k', dedupMode: 'replace' });
  for (let i = 0; i < 60; i++) await queue.enqueue('.'.repeat(1000));
  const [stays, ...rest] = await queue.receive({ max: 100 });
  await queue.ackMany(rest);
  await stays?.release();
  await queue.reclaim();
  lab = await fromScratch(lab);
  queue = await textQueue(lab.queues);
  await lab.runtime.elapse(9000);
  expect(await queue.enqueue('again', { dedupKey: 'k' })).toMatchObject({ id, duplicate: true });
  await lab.close();
});

test.each(['replace', 'extend'] as const)(
  'what has begun a window again goes when a later record does: %s',
  async (dedupMode) => {
    let lab = await QueueLab.open({ segmentBytes: 4096, reserveBytes: 0 });
    let queue = await textQueue(lab.queues, { dedupMode, dedupWindowMs: 10_000 });
    const options = { dedupKey: 'k', durability: 'written' } as const;
    const { id } = await queue.enqueue('0', options);
    for (let round = 1; round <= 3; round++) {
      for (let i = 1; i <= 300; i++) await queue.enqueue(`${round}${'.'.repeat(100)}`, options);
      await lab.runtime.elapse(6000);
      await queue.enqueue(`${round}`, options);
      await queue.reclaim();
      expect((await queue.stats()).sizeBytes).toBeLessThan(20_000);
      lab = await (round === 2 ? lab.killed() : fromScratch(lab));
      queue = await textQueue(lab.queues);
    }
    expect((await queue.get(id))?.payload).toBe(dedupMode === 'replace' ? '3' : '0');
    await lab.runtime.elapse(6000);
    expect(await queue.enqueue('last', options)).toMatchObject({ id, duplicate: true });
    await lab.close();
  },
);
