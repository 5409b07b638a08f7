/**
 * Goal: a message is found by its id, or is not, without a look at the others, wherever it has come
 * from, and after whatever became of the log.
 * Method: counts the reads of more than one record; checkpoints of before there was an index are
 * made by writing none.
 */
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { DedupTable } from '../../src/queues/dedup-table.js';
import { IdIndex } from '../../src/queues/id-index.js';
import type { Queue } from '../../src/queues/queue.js';
import { StateReader, StateWriter } from '../../src/queues/state-bytes.js';
import { Updates } from '../../src/queues/updates.js';
import { Random } from '../../src/testing/choices.js';
import { drained, received, textQueue } from '../../src/testing/queue-contract-support.js';
import { QueueLab } from '../support/queue-kit.js';

afterEach(() => {
  vi.restoreAllMocks();
});

/** How often more than one record of the queue is read from now on. */
async function walksOf(lab: QueueLab, name: string): Promise<() => number> {
  const channel: Channel = await lab.redex.channel(`$queues/${name}`);
  const spies = [vi.spyOn(channel, 'readBatch'), vi.spyOn(channel, 'readBatches')];
  return () => spies.reduce((sum, { mock }) => sum + mock.calls.length, 0);
}

/** The ids of messages that become dead letters. */
async function buried(queue: Queue<string>, count: number): Promise<string[]> {
  const sent = await queue.enqueueMany(
    Array.from({ length: count }, (_, i) => ({ payload: `${i}` })),
  );
  for (const delivery of await queue.receive({ max: count })) await delivery.reject();
  return sent.map(({ id }) => id);
}

test('one that is done with is not looked for', async () => {
  const lab = await QueueLab.open();
  const queue = await textQueue(lab.queues);
  const { id } = await queue.enqueue('done', { dedupKey: 'k' });
  await drained(queue);
  for (let i = 0; i < 50; i++) await queue.enqueue('waits');
  const walks = await walksOf(lab, 'q');
  expect(await queue.get(id)).toBe(undefined);
  expect(await queue.cancel(id)).toBe(false);
  expect(await queue.take(id)).toBe(undefined);
  await expect(queue.update(id, { priority: 1 })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(await queue.get('another-7')).toBe(undefined);
  expect(await queue.enqueue('again', { dedupKey: 'k' })).toMatchObject({ id, duplicate: true });
  expect(walks()).toBe(0);
  await lab.close();
});

test.each(['killed', 'reopened'] as const)(
  'dead letters are found by their ids, and when they are back: %s',
  async (how) => {
    let lab = await QueueLab.open();
    let queue = await textQueue(lab.queues, { maxInFlight: 1000 });
    const ids = await buried(queue, 300);
    lab = await lab[how]();
    queue = await textQueue(lab.queues);
    let dead = await queue.deadLetters();
    const walks = await walksOf(lab, 'q.dead');
    expect((await dead.get(ids[299] ?? ''))?.payload).toBe('299');
    expect(await dead.cancel(ids[7] ?? '')).toBe(true);
    expect(await dead.get(ids[7] ?? '')).toBe(undefined);
    expect(walks()).toBe(0);
    expect(await queue.redrive()).toBe(299);
    lab = await lab[how]();
    queue = await textQueue(lab.queues);
    dead = await queue.deadLetters();
    const back = await walksOf(lab, 'q');
    expect((await queue.get(ids[150] ?? ''))?.payload).toBe('150');
    expect(await dead.get(ids[150] ?? '')).toBe(undefined);
    expect(await queue.cancel(ids[151] ?? '')).toBe(true);
    expect(back()).toBe(0);
    await lab.close();
  },
);

test('what is reclaimed is let go of, and what is sought is found again', async () => {
  let lab = await QueueLab.open({ segmentBytes: 4096, reserveBytes: 0 });
  const queue = await textQueue(lab.queues, { maxInFlight: 1000 });
  const [id = ''] = await buried(queue, 1);
  const dead = await queue.deadLetters();
  const letter = await received(dead);
  await letter.ack();
  await dead.groups.seek(undefined, 'earliest');
  expect((await dead.get(id))?.payload).toBe('0');
  await drained(dead);
  // One that stays, so that a compaction has to let go of what is behind it.
  const [staying = ''] = await buried(queue, 1);
  const gone: string[] = [];
  for (let round = 0; round < 5; round++) gone.push(...(await buried(queue, 100)));
  const [first, ...rest] = await dead.receive({ max: 600 });
  await dead.ackMany(rest);
  await first?.release();
  await dead.reclaim();
  lab = await lab.reopened();
  const again = await (await textQueue(lab.queues)).deadLetters();
  expect((await again.get(staying))?.id).toBe(staying);
  for (const each of gone.slice(0, 10)) expect(await again.get(each)).toBe(undefined);
  await lab.close();
});

test('a checkpoint of before there was an index: it is looked once', async () => {
  vi.spyOn(IdIndex.prototype, 'encodeTo').mockImplementation(() => undefined);
  vi.spyOn(Updates.prototype, 'encodeGrownTo').mockImplementation(() => undefined);
  vi.spyOn(DedupTable.prototype, 'encodeOldestTo').mockImplementation(() => undefined);
  let lab = await QueueLab.open();
  const ids = await buried(await textQueue(lab.queues), 20);
  lab = await lab.reopened();
  vi.restoreAllMocks();
  let dead = await (await textQueue(lab.queues)).deadLetters();
  const walks = await walksOf(lab, 'q.dead');
  expect((await dead.get(ids[3] ?? ''))?.payload).toBe('3');
  expect(walks()).toBe(1);
  expect((await dead.get(ids[19] ?? ''))?.payload).toBe('19');
  expect(walks()).toBe(1);
  lab = await lab.reopened();
  dead = await (await textQueue(lab.queues)).deadLetters();
  const later = await walksOf(lab, 'q.dead');
  expect((await dead.get(ids[5] ?? ''))?.payload).toBe('5');
  expect(later()).toBe(0);
  await lab.close();
});

describe('the index', () => {
  test('finds what was added and not let go of, also when it was written and read', () => {
    const random = new Random(91);
    let index = new IdIndex();
    const model = new Map<number, string>();
    for (let seq = 0; seq < 5000; seq++) {
      const id = `${random.below(2000)}`;
      index.add(id, seq);
      model.set(seq, id);
      if (random.below(1000) === 0) {
        index.keepIf((each) => each % 3 !== 0);
        for (const each of model.keys()) if (each % 3 === 0) model.delete(each);
      }
      if (random.below(1000) > 0) continue;
      const writer = new StateWriter();
      index.encodeTo(writer);
      index = IdIndex.decode(new StateReader(writer.finish()));
    }
    expect(index.size).toBe(model.size);
    for (const [seq, id] of model) expect(index.find(id)).toContain(seq);
    expect(index.find('never')).toEqual([]);
  });

  test('what is none is refused', () => {
    const writer = new StateWriter();
    writer.bool(true);
    writer.bytes(new Uint8Array(4));
    writer.float64s(Float64Array.of(-1));
    expect(() => IdIndex.decode(new StateReader(writer.finish()))).toThrow('no seq');
  });
});
