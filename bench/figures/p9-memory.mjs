/** P9: peak resident memory over the life of a large log, against one of a tenth of its size. */
import { mkdirSync, rmSync } from 'node:fs';
import { atMost, median } from '../lib/checks.mjs';
import { runJob } from '../lib/child.mjs';
import { rounds, scaled, selected } from '../lib/compare.mjs';
import { GROUP, mixedPayloads } from '../lib/payloads.mjs';
import { settle, warmPageCache } from '../lib/warm.mjs';

const LARGE = 10;
const SMALL = 1;
/** Appended by the process that is then killed. */
const KILLED_BYTES = 100e6;

/** What a process does; the figure's step is the one that the row is named after. */
const STEPS = [
  { step: 'append', name: 'append' },
  { step: 'open', name: 'open, after a clean close' },
  { step: 'scan', name: 'scan' },
  { step: 'get', name: 'get, 100 k at random' },
  { step: 'verify', name: 'verify' },
  { step: 'open', name: 'open, after kill -9', killed: true },
  { step: 'compact', name: 'compact, one segment dead' },
  { step: 'trim', name: 'trim, to the middle' },
  { step: 'all', name: 'all in one process' },
];
const ALL = 'open append scan get close open verify compact trim close'.split(' ');

const bytesOf = (payloads) => payloads.reduce((sum, { length }) => sum + length, 0);

function sizeText(gigabytes, scale) {
  const bytes = gigabytes * scale;
  return bytes < 1 ? `${Math.round(bytes * 1000)} MB` : `${bytes} GB`;
}

function rowsFor({ scale }) {
  const average = bytesOf(mixedPayloads()) / GROUP;
  const rows = [SMALL, LARGE].flatMap((gigabytes) => {
    const records = scaled((gigabytes * 1e9) / average, scale);
    const size = sizeText(gigabytes, scale);
    return STEPS.map(({ step, name, killed }) => ({
      label: `${size}: ${name}`,
      role: 'ours',
      contender: 'redex',
      step,
      name,
      killed,
      gigabytes,
      records,
    }));
  });
  const nothing = { label: 'nothing', role: 'other', contender: 'redex', step: 'idle', records: 0 };
  return [nothing, ...rows];
}

/** What a process does that is there for one step. */
function stepsOf(step) {
  if (step === 'all') return ALL;
  if (step === 'idle') return ['idle'];
  return step === 'open' ? ['open', 'close'] : ['open', step, 'close'];
}

async function runRow(context, row) {
  const directory = `${context.directory}/life`;
  const { step, records, killed } = row;
  const job = { task: 'steps', contender: 'redex', directory, records };
  const timeoutMs = 3_600_000;
  if (['idle', 'append', 'all'].includes(step)) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
  }
  settle(context.directory);
  if (killed) {
    const last = scaled((KILLED_BYTES / bytesOf(mixedPayloads())) * GROUP, context.scale);
    await runJob({ ...job, steps: ['open', 'append'], records: last, hold: true }, { timeoutMs });
  }
  return await runJob({ ...job, steps: stepsOf(step) }, { timeoutMs });
}

/** What the step took; of the process that takes all of them, each. */
function detailsOf({ runs, step: main }) {
  const [last] = runs;
  if (last === undefined) return [];
  const text = (value) => value?.toFixed(1) ?? '–';
  const shown = last.steps.filter(({ step }) => main === 'all' || step === main);
  return shown.map(({ step, seconds, loop, peakMiB, memory }) => {
    const { rss, heapTotal, heapUsed, external, arrayBuffers } = memory;
    const parts = `heap ${heapUsed} of ${heapTotal}, external ${external}, buffers ${arrayBuffers}`;
    const late = `loop late p99 ${text(loop.p99Ms)} ms, at most ${text(loop.maxMs)} ms`;
    const time = seconds < 1 ? `${(seconds * 1000).toFixed(1)} ms` : `${seconds.toFixed(1)} s`;
    return `${step} ${time}; ${late}; peak ${text(peakMiB)} MiB; worst look ${rss}: ${parts}`;
  });
}

/** Once only, whatever the number of rounds: peaks vary little, and it writes 22 GB. */
async function run(context) {
  warmPageCache(context.directory, Math.min(1, context.scale) * 2 ** 30);
  try {
    const rows = selected(rowsFor(context), context);
    const results = await rounds({ ...context, rounds: 1 }, rows, (row) => runRow(context, row));
    for (const result of results) {
      const main = result.runs[0]?.steps.findLast(({ step }) => step === result.step);
      if (main !== undefined) result.runs[0].loop = main.loop;
      result.details = detailsOf(result);
    }
    return results;
  } finally {
    rmSync(`${context.directory}/life`, { recursive: true, force: true });
  }
}

function checks(results) {
  const ofSize = (size) => results.filter(({ gigabytes }) => gigabytes === size);
  const large = ofSize(LARGE);
  const small = ofSize(SMALL);
  const both = [...large, ...small];
  const worst = both.every((row) => median(row) !== undefined)
    ? Math.max(...both.map((row) => median(row)))
    : undefined;
  const differences = large.map((row, index) => {
    const value = Math.abs(median(row) - median(small[index]));
    return atMost(`${row.name}: difference of the sizes`, value, 20, 'MiB');
  });
  return [atMost('the most that any process takes', worst, 150, 'MiB'), ...differences];
}

export const p9 = {
  id: 'P9',
  title: 'peak resident memory over the life of 1 GB and 10 GB of records of 100 B to 1 KiB',
  durability: 'OS buffer; one run, not one for each round',
  unit: 'MiB',
  withoutPeers: true,
  run,
  checks,
};
