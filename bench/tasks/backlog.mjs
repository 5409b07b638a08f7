/**
 * A queue with a backlog: one process fills it, and ends by itself or is killed; another opens it
 * and drains what is due. Both look at their memory after everything that is garbage has gone.
 */
import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { QueueStore } from 'redexlog/queues';
import { watchLoop } from '../lib/loop.mjs';
import { peakMiB } from '../lib/memory.mjs';
import { GROUP, payloadsOf } from '../lib/payloads.mjs';

const MIB = 1024 * 1024;
/** One of so many is delayed, when some are. */
const DELAYED_SHARE = 10;
const DELAY_MS = 86_400_000;
const NUMBER_BYTES = 4;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

function memory() {
  collect();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { heapMiB: (heapUsed + external) / MIB, rssMiB: rss / MIB };
}

const grown = (before, after) => ({
  heapMiB: after.heapMiB - before.heapMiB,
  rssMiB: after.rssMiB - before.rssMiB,
});

async function timed(work) {
  const start = performance.now();
  const result = await work();
  return { result, seconds: (performance.now() - start) / 1000 };
}

/** What `work` takes, and how late the loop is meanwhile. */
async function watched(work) {
  const loop = watchLoop();
  const { result, seconds } = await timed(work);
  return { result, seconds, lateMs: loop().maxMs };
}

const isDelayed = (number, delayed) => delayed && number % DELAYED_SHARE === 0;

/** Transactions of 1,000; the loop turns once for each. Payloads begin with their number. */
async function fill(queue, { records, delayed }) {
  const payloads = payloadsOf(100);
  for (let next = 0; next < records; next += GROUP) {
    const inputs = payloads.map((payload, index) => {
      payload.writeUInt32LE(next + index);
      const delayMs = isDelayed(next + index, delayed) ? DELAY_MS : undefined;
      return { payload, delayMs, durability: 'written' };
    });
    await queue.enqueueMany(inputs);
    await nextTurn();
  }
}

/** Each that is due exactly once, in the order in which they came. Resolves to how many. */
async function drain(queue, first, { records, delayed }) {
  let expected = 0;
  let count = 0;
  for (let deliveries = first; deliveries.length > 0;) {
    const acks = deliveries.map((delivery) => {
      if (isDelayed(expected, delayed)) expected += 1;
      const { buffer, byteOffset } = delivery.payload;
      const number = new DataView(buffer, byteOffset, NUMBER_BYTES).getUint32(0, true);
      if (number !== expected) throw new Error(`message ${number} came, not ${expected}`);
      expected += 1;
      return delivery.ack();
    });
    await Promise.all(acks);
    count += acks.length;
    deliveries = await queue.receive({ max: GROUP });
    await nextTurn();
  }
  const due = delayed ? records - records / DELAYED_SHARE : records;
  if (count !== due) throw new Error(`${count} messages were delivered, not ${due}`);
  return count;
}

async function fillAndLeave(job) {
  const empty = memory();
  const queues = await QueueStore.open(`${job.directory}/data`);
  const queue = await queues.queue('work');
  const filled = await watched(() => fill(queue, job));
  const more = grown(empty, memory());
  const peak = peakMiB();
  const closed = job.hold ? undefined : await timed(() => queues.close());
  return {
    fillRate: job.records / filled.seconds,
    lateMs: filled.lateMs,
    more,
    peakMiB: peak,
    closeMs: closed === undefined ? undefined : closed.seconds * 1000,
  };
}

async function openAndDrain(job) {
  const empty = memory();
  const opened = await watched(async () => {
    const queues = await QueueStore.open(`${job.directory}/data`);
    return { queues, queue: await queues.queue('work') };
  });
  const { queues, queue } = opened.result;
  const received = await timed(() => queue.receive({ max: 1 }));
  const more = grown(empty, memory());
  const { messages } = await queue.stats();
  if (messages !== job.records) throw new Error(`${messages} messages, not ${job.records}`);
  const drained = await watched(() => drain(queue, received.result, job));
  const after = grown(empty, memory());
  await queues.close();
  return {
    value: opened.seconds * 1000,
    openLateMs: opened.lateMs ?? opened.seconds * 1000,
    firstMs: received.seconds * 1000,
    more,
    drainRate: drained.result / drained.seconds,
    drainLateMs: drained.lateMs,
    after,
    peakMiB: peakMiB(),
  };
}

export function run(job) {
  return job.step === 'fill' ? fillAndLeave(job) : openAndDrain(job);
}
