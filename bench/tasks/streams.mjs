/**
 * What streams cost: a long one, and many of them. Everything is measured in a store that was
 * closed and opened again, so that nothing of the writing helps the reading.
 */
import { readdirSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import v8 from 'node:v8';
import vm from 'node:vm';
import { StreamStore } from 'redexlog/streams';
import { numbersFrom, payloadsOf } from '../lib/payloads.mjs';

const SIZE = 100;
const BATCH = 1000;
const IN_FLIGHT = 1000;
const NAME = 'stream';
/** Of many streams so many are used and deleted at most, which are more than stay open. */
const USED = 10_000;
const KIB = 1024;

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc');

/** Bytes of the heap and of buffers that are in use, when what runs in the background has ended. */
async function usedBytes() {
  await sleep(1000);
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

async function timed(work) {
  const start = performance.now();
  const result = await work();
  return { result, ms: performance.now() - start };
}

/** Median and 99th percentile of the calls, in milliseconds, one after the other. */
async function timesOf(count, work) {
  const times = [];
  for (let i = 0; i < count + BATCH; i += 1) {
    const start = performance.now();
    await work(i);
    // The first ones are for the compiler.
    if (i >= BATCH) times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return { p50Ms: times[times.length >> 1], p99Ms: times[Math.floor(times.length * 0.99)] };
}

const digits = (value) => String(value).padStart(16, '0');
const placeOf = (message) => `${digits(message)}_${digits(message * SIZE)}`;

function descriptors() {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return undefined;
  }
}

async function fill(path, messages) {
  const streams = await StreamStore.open(path);
  const batch = payloadsOf(SIZE);
  await streams.createStream(NAME);
  for (let i = 0; i < messages / BATCH; i += 1) {
    await streams.appendBatch(NAME, batch, { durability: 'written' });
  }
  await streams.close();
}

/** One stream of so many messages. `value`: a read of the last 100, in milliseconds. */
export async function runLong({ directory, messages, calls }) {
  const path = `${directory}/data`;
  const filled = await timed(() => fill(path, messages));
  const { result: streams, ms: openMs } = await timed(() => StreamStore.open(path));
  const { result: head, ms: headMs } = await timed(() => streams.head(NAME));
  if (head.messageCount !== messages) throw new Error(`${head.messageCount} messages`);
  const last = placeOf(messages - 100);
  const tail = await timesOf(calls, () => streams.read(NAME, { offset: last }));
  const poll = await timesOf(calls, () => streams.read(NAME, { offset: head.nextOffset }));
  const next = numbersFrom(0x2545f491);
  const place = await timesOf(calls, () =>
    streams.read(NAME, { offset: placeOf(next() % messages), maxMessages: 1 }),
  );
  const middle = placeOf(messages >> 1);
  await streams.read(NAME, { offset: middle });
  const before = await usedBytes();
  const page = await streams.read(NAME, { offset: middle });
  const pageKiB = ((await usedBytes()) - before) / KIB;
  const pageMessages = page.messages.length;
  const [payload] = payloadsOf(SIZE);
  const append = (durability) => () => streams.append(NAME, payload, { durability });
  const written = await timesOf(calls, append('written'));
  const synced = await timesOf(calls, append('synced'));
  await streams.close();
  const fillPerSecond = messages / (filled.ms / 1000);
  const times = { tail, poll, place, written, synced };
  return { value: tail.p50Ms, openMs, headMs, fillPerSecond, pageKiB, pageMessages, ...times };
}

/** Calls the work for every number below `count`, a thousand of them in flight. */
async function forAll(count, work) {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

/** So many streams. `value`: streams created in a second. */
export async function runMany({ directory, streams: count }) {
  const path = `${directory}/data`;
  const nameOf = (index) => `tenant-${index % 100}/stream-${index}`;
  const first = await StreamStore.open(path);
  const created = await timed(() => forAll(count, (i) => first.createStream(nameOf(i))));
  const closed = await timed(() => first.close());
  const before = await usedBytes();
  const { result: streams, ms: openMs } = await timed(() => StreamStore.open(path));
  const idleBytes = ((await usedBytes()) - before) / count;
  const idleDescriptors = descriptors();
  const listed = await timed(() => streams.listStreams());
  if (listed.result.length !== count) throw new Error(`${listed.result.length} streams`);
  const [payload] = payloadsOf(SIZE);
  const used = Math.min(count, USED);
  const appended = await timed(() => forAll(used, (i) => streams.append(nameOf(i), payload)));
  const busyDescriptors = descriptors();
  const { openStreams } = await streams.stats();
  const residentMiB = process.memoryUsage().rss / KIB / KIB;
  const deleted = await timed(() => forAll(used, (i) => streams.deleteStream(nameOf(i))));
  const left = (await streams.listStreams()).length;
  if (left !== count - used) throw new Error(`${left} streams are left`);
  const closedAgain = await timed(() => streams.close());
  const perSecond = ({ ms }, calls) => calls / (ms / 1000);
  return {
    value: perSecond(created, count),
    closeMs: Math.max(closed.ms, closedAgain.ms),
    openMs,
    listMs: listed.ms,
    idleBytes,
    idleDescriptors,
    busyDescriptors,
    openStreams,
    residentMiB,
    appendsPerSecond: perSecond(appended, used),
    deletesPerSecond: perSecond(deleted, used),
  };
}

export const run = (job) => (job.messages === undefined ? runMany(job) : runLong(job));
