/** P11: synced appends round robin over many channels, with all the work of checkpoints. */
import { mkdirSync, rmSync } from 'node:fs';
import { atLeast, atMost, median, middle } from '../lib/checks.mjs';
import { runJob } from '../lib/child.mjs';
import { runOwn } from '../lib/compare.mjs';
import { settle } from '../lib/warm.mjs';
import { SYNCED } from './durability.mjs';

const SECONDS = 60;

const ROWS = [ours(1000, 200_000), ours(10_000, 80_000)];

function ours(channels, target) {
  const label = `${channels.toLocaleString('en-US')} channels`;
  return { label, role: 'ours', contender: 'redex', channels, target };
}

async function runOnce(context, { channels }) {
  const directory = `${context.directory}/channels`;
  try {
    mkdirSync(directory, { recursive: true });
    settle(context.directory);
    const seconds = SECONDS * context.scale;
    return await runJob({ task: 'channels', contender: 'redex', directory, channels, seconds });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function detailsOf(row) {
  if (median(row) === undefined) return [];
  const count = (pick) => Math.round(middle(row, pick)).toLocaleString('en-US');
  const ms = (pick) => `${count(pick)} ms`;
  const waits = `acknowledged p50 ${ms((each) => each.p50Ms)}, p99 ${ms((each) => each.p99Ms)}`;
  const made = ms((each) => each.createMs);
  const created = `created in ${made}, opened in ${ms((each) => each.openMs)}`;
  const checkpoints = `${count((each) => each.checkpoints)} checkpoints`;
  const worst = `worst second ${count((each) => each.worstSecond)} records`;
  const closed = `closed in ${ms((each) => each.closeMs)}`;
  const memory = `resident ${count((each) => each.residentMiB)} MiB`;
  return [`${worst}; ${waits}; ${checkpoints}; ${closed}; ${created}; ${memory}`];
}

function checks(results) {
  return results.flatMap((row) => {
    const { label, target } = row;
    const share = middle(row, ({ worstSecond, value }) => worstSecond / value);
    const of = (pick) => middle(row, pick);
    return [
      atLeast(`${label}: records a second`, median(row), target, ''),
      atLeast(`${label}: worst second of the mean`, share, 0.25),
      atMost(
        `${label}: acknowledged, p99`,
        of(({ p99Ms }) => p99Ms),
        50,
        'ms',
      ),
      atLeast(
        `${label}: checkpoints`,
        of((each) => each.checkpoints),
        5,
        '',
      ),
      atMost(
        `${label}: close`,
        of(({ closeMs }) => closeMs),
        10_000,
        'ms',
      ),
    ];
  });
}

export const p11 = {
  id: 'P11',
  title: '100 B round robin over many channels, 1,000 in flight, each acknowledged, synced',
  durability: SYNCED,
  unit: 'records/s',
  withoutPeers: true,
  run: (context) => runOwn(context, ROWS, { runOnce, detailsOf }),
  checks,
};
