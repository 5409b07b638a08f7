/** S1, S2: what a stream costs by its length, and a store by the number of its streams. */
import { mkdirSync, rmSync } from 'node:fs';
import { atMost, median, middle } from '../lib/checks.mjs';
import { runJob } from '../lib/child.mjs';
import { runOwn, scaled } from '../lib/compare.mjs';
import { settle } from '../lib/warm.mjs';
import { NONE, SYNCED } from './durability.mjs';

const CALLS = 2000;
const TIMEOUT_MS = 3_600_000;
const grouped = (value) => Math.round(value).toLocaleString('en-US');

function long(messages) {
  const label = `${grouped(messages)} messages`;
  return { label, role: 'ours', contender: 'redex', messages };
}

function many(streams) {
  const label = `${grouped(streams)} streams`;
  return { label, role: 'ours', contender: 'redex', streams };
}

const LONG = [long(1000), long(1_000_000)];
/** With --full. */
const LONGEST = [long(10_000_000)];
const MANY = [many(1000), many(100_000)];

async function runOnce(context, { messages, streams }) {
  const directory = `${context.directory}/streams`;
  const { scale } = context;
  const size =
    messages === undefined
      ? { streams: Math.max(100, Math.round(streams * scale)) }
      : { messages: scaled(messages, scale), calls: Math.max(100, Math.round(CALLS * scale)) };
  try {
    mkdirSync(directory, { recursive: true });
    settle(context.directory);
    const job = { task: 'streams', contender: 'redex', directory, ...size };
    return await runJob(job, { timeoutMs: TIMEOUT_MS });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const msText = (value) => `${value.toFixed(value < 10 ? 3 : 1)} ms`;

function longDetails(row) {
  if (median(row) === undefined) return [];
  const count = (name) => grouped(middle(row, (each) => each[name]));
  const ms = (name) => msText(middle(row, (each) => each[name]));
  const times = (name) => {
    const [p50, p99] = ['p50Ms', 'p99Ms'].map((part) => middle(row, (each) => each[name][part]));
    return `p50 ${msText(p50)}, p99 ${msText(p99)}`;
  };
  const page = `a page of ${count('pageMessages')} messages holds ${count('pageKiB')} KiB`;
  const filled = `filled with ${count('fillPerSecond')} messages/s`;
  return [
    `last 100 ${times('tail')}; at the tail ${times('poll')}; one anywhere ${times('place')}`,
    `append written ${times('written')}; synced ${times('synced')}`,
    `opened in ${ms('openMs')}, its first head ${ms('headMs')}; ${page}; ${filled}`,
  ];
}

function manyDetails(row) {
  if (median(row) === undefined) return [];
  const count = (name) => grouped(middle(row, (each) => each[name]));
  const ms = (name) => msText(middle(row, (each) => each[name]));
  const appends = `${count('appendsPerSecond')} first appends/s`;
  const rates = `${appends}, ${count('deletesPerSecond')} deletes/s`;
  const times = `opened in ${ms('openMs')}, listed in ${ms('listMs')}, closed in ${ms('closeMs')}`;
  const idle = `${count('idleBytes')} bytes of memory for each idle stream`;
  const used = `${count('busyDescriptors')} after use with ${count('openStreams')} open streams`;
  const open = `${count('idleDescriptors')} descriptors idle, ${used}`;
  return [`${rates}; ${times}`, `${idle}; ${open}; resident ${count('residentMiB')} MiB`];
}

function longChecks(results) {
  const [short, ...longer] = results;
  const within = (row, what, pick) => {
    const value = middle(row, pick) / middle(short, pick);
    return atMost(`${row.label}: ${what}, against ${short.label}`, value, 2);
  };
  return longer.flatMap((row) => [
    within(row, 'a read of the last 100', ({ tail }) => tail.p50Ms),
    within(row, 'an append, written', ({ written }) => written.p50Ms),
    within(row, 'an append, synced', ({ synced }) => synced.p50Ms),
    within(row, 'a read at the tail', ({ poll }) => poll.p50Ms),
  ]);
}

function manyChecks(results) {
  const row = results.at(-1);
  const of = (pick) => middle(row, pick);
  return [
    atMost(
      `${row.label}: open`,
      of(({ openMs }) => openMs),
      2000,
      'ms',
    ),
    atMost(
      `${row.label}: list`,
      of(({ listMs }) => listMs),
      1000,
      'ms',
    ),
    atMost(
      `${row.label}: memory of an idle stream`,
      of(({ idleBytes }) => idleBytes),
      1024,
      'B',
    ),
  ];
}

const s1 = {
  id: 'S1',
  title: 'a read of the last 100 messages of a stream, 100 B each, by the length of the stream',
  durability: NONE,
  unit: 'ms',
  withoutPeers: true,
  run: (context) => {
    const rows = context.full ? [...LONG, ...LONGEST] : LONG;
    return runOwn(context, rows, { runOnce, detailsOf: longDetails });
  },
  checks: longChecks,
};

const s2 = {
  id: 'S2',
  title: 'streams created, 1,000 in flight, and what so many cost',
  durability: SYNCED,
  unit: 'records/s',
  withoutPeers: true,
  run: (context) => runOwn(context, MANY, { runOnce, detailsOf: manyDetails }),
  checks: manyChecks,
};

export const s1s2 = [s1, s2];
