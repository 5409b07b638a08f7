/** Runs the rows of a figure in turn, A B A B, each run in a process and a directory of its own. */
import { mkdirSync, rmSync } from 'node:fs';
import { runJob } from './child.mjs';
import { GROUP } from './payloads.mjs';
import { progress } from './report.mjs';
import { summary } from './stats.mjs';
import { countSyncs } from './syncs.mjs';
import { settle, warmPageCache } from './warm.mjs';

const MAX_WARM_BYTES = 2 ** 30;
/** Steps of the small run whose syncs are counted. */
const TRACED_STEPS = { single: 256, batch: 20 * GROUP, inFlight: 20 * GROUP };

/** @param {import('./types.js').Row[]} rows */
export function selected(rows, context) {
  const { contenders } = context;
  return contenders === undefined ? rows : rows.filter((row) => contenders.includes(row.contender));
}

/** Whole thousands, at least one. */
export const scaled = (records, scale) =>
  Math.max(1, Math.round((records * scale) / GROUP)) * GROUP;

/** All rounds of all rows. One that fails is not run again; one that lacks something, never. */
export async function rounds(context, rows, runOnce) {
  const results = rows.map((row) => ({ ...row, runs: [], error: row.missing }));
  for (let round = 0; round < context.rounds; round += 1) {
    // Every round begins with another row, so that nobody always runs behind the same neighbour.
    const order = results.map((_, index) => results[(index + round) % results.length]);
    for (const result of order) {
      if (result.error !== undefined) continue;
      progress(`round ${round + 1} of ${context.rounds}: ${result.label}`);
      try {
        result.runs.push(await runOnce(result));
      } catch (error) {
        result.error = error.message;
      }
    }
  }
  progress('');
  for (const result of results) {
    if (result.error === undefined) {
      Object.assign(result, summary(result.runs.map(({ value }) => value)));
    }
    result.settings = result.runs.at(-1)?.settings;
  }
  return results;
}

function appendJob(context, part, row) {
  const { scale } = context;
  const job = { ...part.job, ...row.job };
  // Only what is measured is scaled: a contender that is not warm yet tells nothing.
  job.warmSeconds = job.seconds / 2;
  job.seconds *= scale;
  job.records = scaled(job.records, scale);
  return {
    ...job,
    task: 'append',
    shape: row.shape ?? job.shape,
    contender: row.contender,
    variant: row.variant,
    synced: part.synced,
    bytes: (job.records + job.warmRecords + 2 * GROUP) * job.size,
    directory: `${context.directory}/${part.id}-${row.contender}`,
  };
}

/** Rows of ours without a counterpart, with what each of them tells in words. */
export async function runOwn(context, rows, { runOnce, detailsOf }) {
  warmPageCache(context.directory, Math.min(1, context.scale) * MAX_WARM_BYTES);
  const results = await rounds(context, selected(rows, context), (row) => runOnce(context, row));
  for (const result of results) result.details = detailsOf(result);
  return results;
}

/** A figure about appending: every run starts with an empty store. */
export async function compareAppends(context, part) {
  const rows = selected(part.rows, context);
  const results = await rounds(context, rows, async (row) => {
    const job = appendJob(context, part, row);
    settle(context.directory);
    warmPageCache(context.directory, Math.min(MAX_WARM_BYTES, job.bytes * 2));
    try {
      return await runJob(job);
    } finally {
      rmSync(job.directory, { recursive: true, force: true });
    }
  });
  if (part.synced && context.strace) await addSyncs(context, part, results);
  return results;
}

async function addSyncs(context, part, results) {
  for (const row of results) {
    if (row.error !== undefined) continue;
    progress(`counting the syncs of ${row.label}`);
    const job = appendJob(context, part, row);
    try {
      row.syncs = await countSyncs(job, TRACED_STEPS[job.shape]);
      const steps = job.shape === 'single' ? row.syncs.records : row.syncs.records / GROUP;
      row.syncs.perStep = row.syncs.syncs / steps;
      row.syncs.step = job.shape === 'single' ? 'append' : '1,000 records';
    } catch (error) {
      row.syncs = { error: error.message };
    }
  }
  progress('');
}

/** Fills every store that the rows read, once: for a slow contender it takes long. */
async function fillStores(context, part, rows) {
  const stores = new Map(rows.map((row) => [row.store ?? row.contender, row]));
  const failed = new Map();
  const records = scaled(part.job.filled, context.scale);
  for (const [name, row] of stores) {
    progress(`filling ${name}`);
    const directory = `${context.directory}/${name}`;
    mkdirSync(directory, { recursive: true });
    const { contender, variant, fillShape: shape } = row;
    const { size } = part.job;
    try {
      await runJob({ task: 'fill', contender, variant, shape, size, records, directory });
    } catch (error) {
      failed.set(name, error.message);
    }
  }
  settle(context.directory);
  return { stores: [...stores.keys()], failed, records };
}

/** A figure about reading: every run opens a store that was filled before. */
export async function compareReads(context, part) {
  const rows = selected(part.rows, context);
  warmPageCache(context.directory, MAX_WARM_BYTES * Math.min(1, context.scale));
  const { stores, failed, records } = await fillStores(context, part, rows);
  try {
    return await rounds(context, rows, (row) => {
      const store = row.store ?? row.contender;
      if (failed.has(store)) throw new Error(failed.get(store));
      return runJob({
        ...part.job,
        ...row.job,
        seconds: part.job.seconds * context.scale,
        warmSeconds: part.job.seconds / 2,
        filled: records,
        contender: row.contender,
        variant: row.variant,
        directory: `${context.directory}/${store}`,
      });
    });
  } finally {
    for (const store of stores) {
      rmSync(`${context.directory}/${store}`, { recursive: true, force: true });
    }
  }
}
