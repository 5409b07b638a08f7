/** T1: a record after a silence, until `redex tail --follow` in another process has written it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redex } from 'redexlog';
import { atMost, median, middle } from '../lib/checks.mjs';
import { runOwn } from '../lib/compare.mjs';
import { numbersFrom } from '../lib/payloads.mjs';

const COMMAND = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const RECORDS = 50;
/** Between two records: longer than it takes the follower to look as seldom as it can. */
const SILENCE_MS = { least: 300, most: 900 };

const ROWS = [
  { label: 'written, direct', role: 'ours', contender: 'redex', sync: 'never' },
  { label: 'synced, by the journal', role: 'ours', contender: 'redex', sync: 'always' },
];

/** Appends to a channel that is followed; how long each took until it came out, in milliseconds. */
async function delaysOf(redex, directory, sync, records) {
  const channel = await redex.channel('followed', { sync });
  const args = [COMMAND, 'tail', '--follow', '--lines', '0', directory, 'followed'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = numbersFrom(0x51ed270b);
  const delays = [];
  try {
    // Until it follows it may not show the first ones.
    await sleep(2000);
    for (let i = 0; i < records; i += 1) {
      await sleep(SILENCE_MS.least + (next() % (SILENCE_MS.most - SILENCE_MS.least)));
      const text = `record ${i}`;
      await channel.append(text);
      const appended = performance.now();
      const { value } = await lines.next();
      if (value !== text) throw new Error(`the follower wrote ${value}, not ${text}`);
      delays.push(performance.now() - appended);
    }
  } finally {
    child.kill('SIGINT');
    await once(child, 'close');
  }
  return delays.toSorted((a, b) => a - b);
}

async function runOnce(context, { sync }) {
  const directory = `${context.directory}/followed`;
  const redex = await Redex.open(directory);
  try {
    const records = Math.max(5, Math.round(RECORDS * context.scale));
    const delays = await delaysOf(redex, directory, sync, records);
    return { value: delays.at(-1), p50Ms: delays[delays.length >> 1], delays };
  } finally {
    await redex.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

function detailsOf(row) {
  const p50 = middle(row, ({ p50Ms }) => p50Ms);
  return p50 === undefined ? [] : [`p50 ${p50.toFixed(1)} ms`];
}

export const t1 = {
  id: 'T1',
  title: 'append resolved → written out by redex tail --follow, after a silence; the worst of 50',
  durability: 'as each row says',
  unit: 'ms',
  withoutPeers: true,
  run: (context) => runOwn(context, ROWS, { runOnce, detailsOf }),
  checks: (results) => results.map((row) => atMost(`${row.label}: worst`, median(row), 50, 'ms')),
};
