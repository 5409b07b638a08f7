/**
 * Appends round robin to many channels of one store, a thousand in flight, and closes it. Nobody is
 * warm before, and everything that the journal has is in the files of the channels at the end.
 */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { Redex } from 'redexlog';
import { watchLoop } from '../lib/loop.mjs';
import { GROUP, payloadsOf } from '../lib/payloads.mjs';

const IN_FLIGHT = 1000;
/** Of so many acknowledgements the time of one is kept. */
const SAMPLED = 16;
const MIB = 1024 * 1024;

/** How often the journal's control block was written, as FORMAT.md says where that stands. */
function controlWrites(directory) {
  const bytes = readFileSync(`${directory}/journal/control`);
  return Math.max(...[24, 512 + 24].map((at) => Number(bytes.readBigUInt64LE(at))));
}

async function timed(work) {
  const start = performance.now();
  const result = await work();
  return { result, ms: performance.now() - start };
}

const nameOf = (_, index) => `sensor-${String(index).padStart(6, '0')}`;

/** Appends until the time is over; what each second has done, and how long some of them took. */
async function appendFor(channels, seconds) {
  const payloads = payloadsOf(100);
  const waits = [];
  const perSecond = [];
  const state = { next: 0, done: 0, isOver: false };
  const lane = async () => {
    while (!state.isOver) {
      const index = state.next++;
      const start = index % SAMPLED === 0 ? performance.now() : 0;
      await channels[index % channels.length].append(payloads[index % GROUP]);
      state.done += 1;
      if (start > 0) waits.push(performance.now() - start);
    }
  };
  let before = 0;
  const start = performance.now();
  const timer = setInterval(() => {
    perSecond.push(state.done - before);
    before = state.done;
  }, 1000);
  const end = setTimeout(() => (state.isOver = true), seconds * 1000);
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  clearInterval(timer);
  clearTimeout(end);
  const value = state.done / ((performance.now() - start) / 1000);
  return { value, records: state.done, perSecond, waits: waits.toSorted((a, b) => a - b) };
}

export async function run({ directory, channels: count, seconds }) {
  const path = `${directory}/data`;
  const first = await Redex.open(path);
  const names = Array.from({ length: count }, nameOf);
  const created = await timed(() => Promise.all(names.map((name) => first.channel(name))));
  await first.close();
  const redex = await Redex.open(path);
  const opened = await timed(() => Promise.all(names.map((name) => redex.channel(name))));
  const channels = opened.result;
  const control = controlWrites(path);
  const cpu = process.cpuUsage();
  const loop = watchLoop();
  const { value, records, perSecond, waits } = await appendFor(channels, seconds);
  const figures = loop();
  const used = process.cpuUsage(cpu);
  const checkpoints = controlWrites(path) - control;
  const residentMiB = process.memoryUsage().rss / MIB;
  const held = channels.reduce((sum, { nextSeq }) => sum + nextSeq, 0);
  if (held !== records) throw new Error(`the channels hold ${held} records, not ${records}`);
  const closed = await timed(() => redex.close());
  const at = (share) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))];
  return {
    value,
    records,
    worstSecond: Math.min(...perSecond),
    perSecond,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    checkpoints,
    createMs: created.ms,
    openMs: opened.ms,
    closeMs: closed.ms,
    residentMiB,
    cpu: (used.user + used.system) / 1e6 / seconds,
    loop: figures,
  };
}
