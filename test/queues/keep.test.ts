/**
 * Goal: what is done with can be delivered again for as long as the options say, whatever space is
 * given back, and the rest goes; a seek says whether something is missing.
 * Method: small segments, reclaimed by hand, and what comes back compared with what was enqueued.
 */
import { expect, test } from 'vitest';
import type { QueueOptions } from '../../src/queues/queue-options.js';
import type { Queue } from '../../src/queues/queue.js';
import { drained, textQueue } from '../../src/testing/queue-contract-support.js';
import { QueueLab } from '../support/queue-kit.js';

const SETTINGS = { segmentBytes: 4096, reserveBytes: 0 };
const PAYLOAD = '.'.repeat(500);

async function fill(queue: Queue<string>, from: number, count: number): Promise<void> {
  for (let i = from; i < from + count; i++) await queue.enqueue(`${i} ${PAYLOAD}`);
}

/** The numbers of the messages. */
function numbers(payloads: readonly (string | undefined)[]): number[] {
  return payloads.map((payload) => Number(payload?.split(' ')[0]));
}

async function opened(options: QueueOptions): Promise<{ lab: QueueLab; queue: Queue<string> }> {
  const lab = await QueueLab.open(SETTINGS);
  return { lab, queue: await textQueue(lab.queues, { dedupWindowMs: 0, ...options }) };
}

/** So many messages at least, and not many more, come back from the end of 400. */
async function replayed(options: QueueOptions): Promise<number[]> {
  const { lab, queue } = await opened(options);
  await fill(queue, 0, 400);
  await drained(queue);
  await queue.reclaim();
  const { messages, complete, from } = await queue.groups.seek(undefined, 'earliest');
  expect(complete).toBe(from === 0);
  const found = numbers(await drained(queue));
  expect(found.length).toBe(messages);
  expect(found).toEqual(Array.from(found, (_, i) => 400 - found.length + i));
  await lab.close();
  return found;
}

test('nothing is kept, unless it is said', async () => {
  expect((await replayed({})).length).toBeLessThan(10);
});

test('all is kept for ever when that is said', async () => {
  expect((await replayed({ keepMs: Infinity })).length).toBe(400);
});

test('the newest so many are kept', async () => {
  const { length } = await replayed({ keepMessages: 150 });
  expect(length).toBeGreaterThanOrEqual(150);
  expect(length).toBeLessThan(260);
});

test('the newest so many bytes are kept', async () => {
  const { length } = await replayed({ keepBytes: 150 * PAYLOAD.length });
  expect(length).toBeGreaterThanOrEqual(145);
  expect(length).toBeLessThan(260);
});

test('the tightest limit holds', async () => {
  const { length } = await replayed({ keepMessages: 300, keepBytes: 60 * PAYLOAD.length });
  expect(length).toBeLessThan(160);
});

test.each(['killed', 'reopened'] as const)(
  'an hour is kept, and what is older goes: %s',
  async (how) => {
    const opening = await opened({ keepMs: 3_600_000 });
    let { lab, queue } = opening;
    await fill(queue, 0, 100);
    await lab.runtime.elapse(3_000_000);
    await fill(queue, 100, 100);
    await drained(queue);
    await lab.runtime.elapse(1_000_000);
    await fill(queue, 200, 1);
    await drained(queue);
    await queue.reclaim();
    lab = await lab[how]();
    queue = await textQueue(lab.queues);
    const sinceMs = lab.runtime.now() - 1_500_000;
    const { complete, messages } = await queue.groups.seek(undefined, { time: sinceMs });
    expect([complete, messages]).toEqual([true, 101]);
    expect(numbers(await drained(queue))[0]).toBe(100);
    const all = await queue.groups.seek(undefined, 'earliest');
    expect(all.complete).toBe(false);
    expect(all.messages).toBeLessThan(120);
    expect((await queue.groups.seek(undefined, 0)).complete).toBe(false);
    expect((await queue.groups.seek(undefined, all.from)).complete).toBe(true);
    await lab.close();
  },
);

test('one that stays does not keep what is older; what is kept outlasts a compaction', async () => {
  const { lab, queue } = await opened({ keepMessages: 100 });
  await queue.enqueue(`0 ${PAYLOAD}`, { delayMs: 1e9 });
  await fill(queue, 1, 600);
  await drained(queue);
  const before = (await queue.stats()).sizeBytes;
  await queue.reclaim();
  expect((await queue.stats()).sizeBytes).toBeLessThan(before / 2);
  const early = await queue.groups.seek(undefined, 50);
  expect(early.complete).toBe(false);
  const { length } = numbers(await drained(queue));
  expect(length).toBeGreaterThanOrEqual(100);
  expect(length).toBeLessThan(250);
  const reopened = await lab.reopened();
  const again = await textQueue(reopened.queues);
  expect((await again.groups.seek(undefined, 50)).complete).toBe(false);
  expect(numbers(await drained(again)).length).toBe(length);
  await reopened.close();
});

test('later groups get what is kept; without any, the rest goes and is not counted', async () => {
  const { lab, queue } = await opened({ mode: 'fanout', keepMessages: 100 });
  await fill(queue, 0, 300);
  await queue.reclaim();
  const { messages, bytes, sizeBytes } = await queue.stats();
  expect(messages).toBeGreaterThanOrEqual(100);
  expect(messages).toBeLessThan(200);
  expect(bytes).toBeLessThan(sizeBytes);
  await queue.groups.create('late');
  expect(queue.groups.list()[0]?.open).toBe(messages);
  const reopened = await lab.reopened();
  const again = await textQueue(reopened.queues);
  expect((await again.stats()).messages).toBe(messages);
  const found = numbers(await drained(again, { group: 'late' }));
  expect([found.length, found.at(-1)]).toEqual([messages, 299]);
  await reopened.close();
});

test('what was changed comes back as it was changed', async () => {
  const { lab, queue } = await opened({ keepMs: 3_600_000 });
  const { id } = await queue.enqueue('old');
  await queue.update(id, { payload: 'new' });
  await fill(queue, 0, 50);
  expect((await drained(queue))[0]).toBe('new');
  await queue.reclaim();
  await queue.groups.seek(undefined, 'earliest');
  expect((await drained(queue))[0]).toBe('new');
  await lab.close();
});

test('limits that keep nothing are a mistake', async () => {
  const { lab, queue } = await opened({ keepMessages: 10 });
  expect(queue.options.keepMs).toBe(null);
  await expect(queue.configure({ keepMs: 0 })).rejects.toThrow(TypeError);
  await expect(textQueue(lab.queues, { keepMs: 0, keepBytes: 1 }, 'other')).rejects.toThrow(
    TypeError,
  );
  await lab.close();
});
