/**
 * Does one job in a process of its own: opens one contender's store, does one task, writes the
 * result to a file. Usage: node worker.mjs <job file>. With `hold`, it then keeps the store open,
 * says `ready`, and waits to be killed.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { append, fill } from './tasks/append.mjs';
import { get, scan } from './tasks/read.mjs';

/** What is done with a contender's store. */
const TASKS = { append, fill, scan, get };
/** What is done with a store of ours that has no counterpart elsewhere, and with queues. */
const OWN = {
  steps: './tasks/life.mjs',
  reclaim: './tasks/reclaim.mjs',
  channels: './tasks/channels.mjs',
  streams: './tasks/streams.mjs',
  messages: './tasks/messages.mjs',
  backlog: './tasks/backlog.mjs',
};

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
// The contender alone is loaded, and before any clock starts.
const contender = await import(OWN[job.task] ?? `./contenders/${job.contender}.mjs`);
mkdirSync(job.directory, { recursive: true });

/** How long opening takes, and the first get after it. */
async function openTimed() {
  const start = performance.now();
  const store = await contender.open(job.directory, job);
  const opened = performance.now();
  await store.getAll([Math.floor(job.filled / 2)]);
  const got = performance.now();
  const count = store.count();
  if (count !== undefined && count !== job.filled) {
    throw new Error(`${count} records after opening, not ${job.filled}`);
  }
  await store.close();
  return { value: opened - start, firstGetMs: got - opened };
}

async function runTask() {
  if (job.task in OWN) return await contender.run(job);
  const store = await contender.open(job.directory, job);
  const result = await TASKS[job.task](store, job);
  const settings = store.settings();
  if (!job.hold) await store.close();
  return { ...result, settings };
}

const result = job.task === 'open' ? await openTimed() : await runTask();
writeFileSync(job.result, JSON.stringify(result));
if (job.hold) {
  process.stdout.write('ready\n');
  setInterval(() => {}, 60_000);
} else {
  // lmdb and others may keep handles; everything that matters is closed.
  process.exit(0);
}
