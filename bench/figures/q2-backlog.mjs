/** Q2: a queue with a large backlog: what it takes to have it, to open it and to drain it. */
import { mkdirSync, rmSync } from 'node:fs';
import { atMost, median, middle } from '../lib/checks.mjs';
import { runJob } from '../lib/child.mjs';
import { runOwn, scaled } from '../lib/compare.mjs';
import { settle } from '../lib/warm.mjs';

const MILLION = 1_000_000;
const TIMEOUT_MS = 3_600_000;

const STATES = { clean: 'clean close', killed: 'kill -9' };

function rowsFor({ full, scale }) {
  const sizes = full ? [1, 10] : [1];
  return sizes.flatMap((millions) => {
    const records = scaled(millions * MILLION, scale);
    const size = records < MILLION ? `${records / 1000} k` : `${records / MILLION} M`;
    return [false, true].flatMap((delayed) =>
      Object.entries(STATES).map(([state, name]) => ({
        label: `${size}${delayed ? ', 10 % delayed' : ''}, ${name}`,
        role: 'ours',
        contender: 'redex',
        records,
        delayed,
        state,
      })),
    );
  });
}

async function runOnce(context, { records, delayed, state }) {
  const directory = `${context.directory}/backlog`;
  const job = { task: 'backlog', contender: 'redex', directory, records, delayed };
  const how = { timeoutMs: TIMEOUT_MS };
  try {
    mkdirSync(directory, { recursive: true });
    settle(context.directory);
    const filled = await runJob({ ...job, step: 'fill', hold: state === 'killed' }, how);
    const drained = await runJob({ ...job, step: 'drain' }, how);
    return { ...drained, filled };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const HEAP = 'heap and buffers';

/** With the words of the process that opened it, and then of the one that filled it. */
function detailsOf(row) {
  if (median(row) === undefined) return [];
  const of = (pick) => middle(row, (each) => pick(each) ?? Number.NaN).toFixed(1);
  const rate = (pick) => Math.round(middle(row, pick) / 1000).toLocaleString('en-US');
  const more = (pick) =>
    `${HEAP} ${of((each) => pick(each).heapMiB)} MiB, resident ` +
    `${of((each) => pick(each).rssMiB)} MiB more than empty`;
  const isClosed = row.state === 'clean';
  const closed = isClosed ? `; closed in ${of(({ filled }) => filled.closeMs)} ms` : '';
  return [
    `opened: ${more((each) => each.more)}; ` +
      `loop late at most ${of((each) => each.openLateMs)} ms; ` +
      `first delivery ${of((each) => each.firstMs)} ms after it`,
    `drained: ${rate((each) => each.drainRate)} k/s; loop late at most ` +
      `${of((each) => each.drainLateMs)} ms; then ${more((each) => each.after)}; ` +
      `peak ${of((each) => each.peakMiB)} MiB`,
    `filled: ${rate(({ filled }) => filled.fillRate)} k/s; loop late at most ` +
      `${of(({ filled }) => filled.lateMs)} ms; ${more(({ filled }) => filled.more)}; ` +
      `peak ${of(({ filled }) => filled.peakMiB)} MiB${closed}`,
  ];
}

function checks(results) {
  return results.flatMap((row) => {
    const heap = middle(row, ({ more, filled }) => Math.max(more.heapMiB, filled.more.heapMiB));
    return [
      atMost(`${row.label}: open`, median(row), 1000, 'ms'),
      atMost(`${row.label}: ${HEAP}, more than empty`, heap, 100, 'MiB'),
    ];
  });
}

export const q2 = {
  id: 'Q2',
  title: 'a queue with a backlog of 100 B messages: opening it in a new process',
  durability: 'OS buffer; all that was enqueued must be delivered, once and in order',
  unit: 'ms',
  withoutPeers: true,
  run: (context) => runOwn(context, rowsFor(context), { runOnce, detailsOf }),
  checks,
};
