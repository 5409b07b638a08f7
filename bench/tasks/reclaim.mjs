/** Gives space back from a filled log: how long it takes, what it writes, what the loop feels. */
import * as fs from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redex } from 'redexlog';
import { deletedButOpen, segmentsOf } from '../lib/log-files.mjs';
import { watchLoop } from '../lib/loop.mjs';

const POLL_MS = 5;
const GIVE_UP_MS = 30_000;
const IDLE_MS = 400;

/** Each resolves when the call that is measured has resolved; what it returns is reported. */
const WAYS = {
  /** The policy is lowered, so that the segments that are to go are too many at once. */
  async retention({ channel, plan }) {
    const maxBytes = plan.segments.reduce((sum, { size }) => sum + size, 0) - plan.bytes;
    const start = performance.now();
    await channel.configure({ retention: { maxBytes } });
    const configured = performance.now();
    await channel.applyRetention();
    return { configureMs: configured - start, applyMs: performance.now() - configured };
  },
  async trim({ channel, plan }) {
    await channel.trim({ beforeSeq: plan.segments[plan.count].baseSeq });
    return {};
  },
  /** All dead records are in one segment, and all of its records are dead. */
  compactWhole: (parts) => compact(parts, () => false),
  /** Every second record of one segment is dead. */
  compactHalf: (parts) => compact(parts, ({ seq }) => seq % 2 === 0),
};

async function compact({ channel, plan }, survives) {
  const [from, to] = plan.middle;
  const report = await channel.compact({
    keep: (record) => record.seq < from || record.seq >= to || survives(record),
  });
  const { writtenBytes, linkedBytes } = report;
  return { writtenBytes, linkedBytes };
}

/** The segments at the head that are to go, at most `bytes` of them, and the one in the middle. */
function planOf(directory, bytes) {
  const segments = segmentsOf(directory);
  let count = 0;
  let sum = 0;
  while (count < segments.length - 1 && sum + segments[count].size <= bytes) {
    sum += segments[count].size;
    count += 1;
  }
  const half = segments.length >> 1;
  const middle = [segments[half].baseSeq, segments[half + 1].baseSeq];
  return { segments, count, bytes: sum, middle, middleBytes: segments[half].size };
}

/** Bytes that this process has given to write calls. */
function bytesWritten() {
  try {
    return Number(/^wchar: (\d+)$/m.exec(fs.readFileSync('/proc/self/io', 'utf8'))[1]);
  } catch {
    return undefined;
  }
}

/** What the file system asks for replacing a small file durably: the least that a call can take. */
function replaceMs(directory) {
  const start = performance.now();
  const file = fs.openSync(`${directory}/probe.new`, 'w');
  fs.writeSync(file, Buffer.alloc(128, 1));
  fs.fdatasyncSync(file);
  fs.closeSync(file);
  fs.renameSync(`${directory}/probe.new`, `${directory}/probe`);
  const folder = fs.openSync(directory, 'r');
  fs.fsyncSync(folder);
  fs.closeSync(folder);
  return performance.now() - start;
}

/**
 * Resolves when none of these files is there, by name or by descriptor. It looks at one name at a
 * time, and not in this thread: a directory that is being changed can keep who reads it waiting.
 */
async function gone(paths) {
  const end = performance.now() + GIVE_UP_MS;
  const left = [...paths];
  while (left.length > 0 || deletedButOpen() > 0) {
    const there = left.length > 0 && (await isThere(left.at(-1)));
    if (!there) left.pop();
    else await sleep(POLL_MS);
    if (performance.now() > end) throw new Error('the files are still there');
  }
}

async function isThere(path) {
  try {
    await fs.promises.access(path);
    return true;
  } catch {
    return false;
  }
}

/** Milliseconds that this thread was ready to run and had no CPU, where the kernel tells. */
function waitedMs() {
  try {
    return Number(fs.readFileSync('/proc/self/schedstat', 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return undefined;
  }
}

/** The loop of a process that does nothing, for as long as giving the space back takes, about. */
async function idleLoop() {
  const loop = watchLoop();
  await sleep(IDLE_MS);
  return loop();
}

/** Reads everything, so that the descriptors of all segments are open. */
async function scan(channel) {
  let records = 0;
  for await (const batch of channel.readBatches({})) records += batch.length;
  return records;
}

/** The directory of the dat files before; those with the same inode afterwards were linked. */
function filesAfter(directory, { segments }) {
  const before = new Set(segments.map(({ ino }) => ino));
  const after = segmentsOf(directory);
  return { segments: after.length, linked: after.filter(({ ino }) => before.has(ino)).length };
}

export async function run({ directory, way, bytes, scanned }) {
  const redex = await Redex.open(`${directory}/data`);
  const channel = await redex.channel('log');
  if (scanned) await scan(channel);
  const plan = planOf(directory, bytes);
  const isCompaction = way.startsWith('compact');
  const going = isCompaction ? plan.segments : plan.segments.slice(0, plan.count);
  const paths = going.map(({ path }) => path);
  const rawMs = replaceMs(directory);
  const idle = await idleLoop();
  const waited = waitedMs();
  const written = bytesWritten();
  const loop = watchLoop();
  const start = performance.now();
  const told = await WAYS[way]({ channel, plan });
  const value = performance.now() - start;
  const callLoop = loop();
  const after = watchLoop();
  await gone(paths);
  const spaceBackMs = performance.now() - start - value;
  const afterLoop = after();
  const cpuWaitMs = waited === undefined ? undefined : waitedMs() - waited;
  const wroteBytes = written === undefined ? undefined : bytesWritten() - written;
  const files = filesAfter(directory, plan);
  await redex.close();
  return {
    value,
    loop: worse(callLoop, afterLoop),
    spaceBackMs,
    rawMs,
    idleLateMs: idle.maxMs,
    cpuWaitMs,
    ...told,
    files,
    wroteBytes,
    segments: plan.segments.length,
    goneSegments: plan.count,
    goneBytes: plan.bytes,
    segmentBytes: plan.middleBytes,
  };
}

/** Until the space is back, the call included: removing files is part of it. */
function worse(during, after) {
  const most = (name) => Math.max(during[name] ?? 0, after[name] ?? 0);
  return {
    busy: during.busy,
    turns: during.turns + after.turns,
    p99Ms: most('p99Ms'),
    maxMs: most('maxMs'),
  };
}
