/** Q1: messages through a queue, 1,000 in flight, each handled exactly once. */
import { mkdirSync, rmSync } from 'node:fs';
import { atLeast, median, middle, named, ratio } from '../lib/checks.mjs';
import { runJob } from '../lib/child.mjs';
import { rounds, scaled, selected } from '../lib/compare.mjs';
import { versionOf } from '../lib/machine.mjs';
import { GROUP } from '../lib/payloads.mjs';
import { progress } from '../lib/report.mjs';
import { commandVersion, startServer } from '../lib/server.mjs';
import { countSyncs } from '../lib/syncs.mjs';
import { settle } from '../lib/warm.mjs';

const TRACED_MESSAGES = 5 * GROUP;
const JOB = { task: 'messages', size: 100, records: 1_000_000, warmRecords: 50_000, seconds: 5 };
const REDIS = 'redis-server';
const NATS = 'nats-server';
const BOTH_SYNCED = 'redexlog, enqueue and ack synced';
const ACK_WRITTEN = 'redexlog, enqueue synced, ack written';
const BOTH_WRITTEN = 'redexlog, enqueue and ack written';

function ours(label, enqueue, ack, many = false) {
  return { label, role: 'ours', contender: 'redex', job: { enqueue, ack, many } };
}

/** `packages`: without them, or without its server, a row is skipped. */
function embedded(label, contender, packages, job = {}) {
  return { label, role: 'peer', contender, packages, job };
}

function served(label, contender, packages, server, options = {}) {
  return { label, role: 'peer', contender, packages, server, options, job: {} };
}

function sqliteRows(synchronous) {
  return ['plainjob', 'liteque'].map((name) =>
    embedded(`${name}, synchronous=${synchronous}`, name, [name], { synchronous }),
  );
}

function bullmq(appendfsync) {
  const label = `BullMQ, server, appendfsync ${appendfsync}`;
  return served(label, 'bullmq', ['bullmq', 'ioredis'], REDIS, { appendfsync });
}

/** What a row needs and does not find here. */
function missing({ packages = [], server }) {
  const absent = packages.filter((name) => versionOf(name) === 'not installed');
  if (absent.length > 0) return `${absent.join(', ')} not installed: npm --prefix bench run setup`;
  if (server === undefined || commandVersion(server) !== undefined) return undefined;
  return `there is no ${server} in PATH`;
}

function jobOf(context, part, row) {
  const { scale } = context;
  return {
    ...JOB,
    ...row.job,
    contender: row.contender,
    records: scaled(JOB.records, scale),
    seconds: JOB.seconds * Math.min(1, scale),
    warmSeconds: JOB.seconds / 4,
    directory: `${context.directory}/${part.id}-${row.contender}`,
  };
}

async function runOnce(context, part, row) {
  const job = jobOf(context, part, row);
  mkdirSync(job.directory, { recursive: true });
  settle(context.directory);
  let server;
  try {
    if (row.server !== undefined) {
      server = await startServer(row.server, `${job.directory}/server`, row.options);
    }
    return await runJob({ ...job, port: server?.port, serverPid: server?.pid });
  } finally {
    await server?.stop();
    rmSync(job.directory, { recursive: true, force: true });
  }
}

/** Of those whose syncs are their own and not a server's. */
async function addSyncs(context, part, results) {
  for (const row of results) {
    if (row.error !== undefined || row.server !== undefined) continue;
    progress(`counting the syncs of ${row.label}`);
    try {
      row.syncs = await countSyncs(jobOf(context, part, row), TRACED_MESSAGES);
      row.syncs.perStep = row.syncs.syncs / (row.syncs.records / GROUP);
    } catch (error) {
      row.syncs = { error: error.message };
    }
  }
  progress('');
}

function detailsOf(row) {
  if (median(row) === undefined) return [];
  const late = middle(row, ({ loop }) => loop.maxMs ?? Number.NaN);
  const lateText = Number.isNaN(late) ? 'loop blocked' : `loop late at most ${late.toFixed(1)} ms`;
  const server = middle(row, ({ serverCpu }) => Math.round(serverCpu * 100));
  const itsServer = row.server === undefined ? '' : `; CPU of ${row.server} ${server} %`;
  const perCpu = Math.round(middle(row, ({ value, cpu }) => value / cpu) / 1000);
  const each = `${perCpu} k messages for each second of CPU`;
  return [`${lateText}; ${each}${itsServer}`];
}

async function run(context, part) {
  const rows = selected(part.rows, context).map((row) =>
    Object.assign({ missing: missing(row) }, row),
  );
  const results = await rounds(context, rows, (row) => runOnce(context, part, row));
  for (const row of results) row.details = detailsOf(row);
  if (part.synced && context.strace) await addSyncs(context, part, results);
  return results;
}

const rateCheck = (results, label) =>
  atLeast(`${label}: messages a second`, median(named(results, label)), 100_000, '');

function peerChecks(results, label) {
  const peers = results.filter(({ role }) => role === 'peer');
  const row = named(results, label);
  return peers.map((peer) => atLeast(`${label}: against ${peer.label}`, ratio(row, peer), 10));
}

function figure(fields) {
  const whole = { id: 'Q1', unit: 'messages/s', ...fields };
  whole.run = (context) => run(context, whole);
  return whole;
}

const synced = figure({
  title: 'enqueue → receive → ack of 100 B, 1,000 in flight, handled exactly once: all synced',
  durability: 'synced: what was enqueued survives a power cut, what was acknowledged stays away',
  synced: true,
  syncedStep: 'syncs/1,000',
  rows: [
    ours(BOTH_SYNCED, 'synced', 'synced'),
    ours(`${BOTH_SYNCED}, enqueueMany`, 'synced', 'synced', true),
    ...sqliteRows('FULL'),
    bullmq('always'),
  ],
  checks: (results) => [rateCheck(results, BOTH_SYNCED), ...peerChecks(results, BOTH_SYNCED)],
});

const written = figure({
  title: 'the same with acks that are written; ours is the only one that syncs what is enqueued',
  durability: 'OS buffer: survives the process, not a power cut; labels say what is more or less',
  rows: [
    ours(ACK_WRITTEN, 'synced', 'written'),
    ours(`${ACK_WRITTEN}, enqueueMany`, 'synced', 'written', true),
    ours(BOTH_WRITTEN, 'written', 'written'),
    ...sqliteRows('OFF'),
    embedded('better-queue, acknowledges before it writes', 'better-queue', [
      'better-queue',
      'better-queue-sqlite',
      'sqlite3',
    ]),
    bullmq('everysec'),
    // No target refers to it; nats-server 2.9 cannot sync for each message.
    { ...served('NATS JetStream, server, files', 'nats', ['nats'], NATS), role: 'other' },
  ],
  checks: (results) => [
    rateCheck(results, ACK_WRITTEN),
    ...peerChecks(results, ACK_WRITTEN),
    ...peerChecks(results, BOTH_WRITTEN),
  ],
});

export const q1 = [synced, written];
