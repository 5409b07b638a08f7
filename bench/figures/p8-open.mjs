/** P8: opening after a clean close, after kill -9, and with the derived files gone. */
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { atMost, median, ratio } from '../lib/checks.mjs';
import { runJob } from '../lib/child.mjs';
import { rounds, scaled, selected } from '../lib/compare.mjs';
import { progress } from '../lib/report.mjs';
import { settle, warmPageCache } from '../lib/warm.mjs';

const MILLION = 1_000_000;

/** What is done to a store of ours before it is opened. */
const STATES = {
  clean: 'clean close',
  never: "kill -9, sync 'never'",
  always: "kill -9, sync 'always'",
  rebuilt: "kill -9, 'never', idx and ts gone",
};

/** `10 M`, `250 k`: what was really there, at whatever scale. */
function countText(records) {
  return records < MILLION ? `${records / 1000} k` : `${records / MILLION} M`;
}

function oursRow(scale, millions, state, size = 100) {
  const singly = size === 8 ? ' × 8 B singly' : '';
  const records = scaled(millions * MILLION, scale);
  const row = { role: 'ours', contender: 'redex', state, size, millions, records };
  return {
    ...row,
    label: `redexlog ${countText(records)}${singly}, ${STATES[state]}`,
    fillShape: size === 8 ? 'single' : 'batch',
  };
}

function peerRow(scale, contender, state) {
  const records = scaled(10 * MILLION, scale);
  const how = state === 'clean' ? 'clean close' : 'kill -9';
  const label = `${contender} ${countText(records)}, ${how}`;
  return { label, role: 'peer', contender, state, size: 100, records, copied: true };
}

function rowsFor({ full, scale }) {
  const sizes = full ? [1, 10, 100] : [1, 10];
  return [
    ...sizes.flatMap((size) => Object.keys(STATES).map((state) => oursRow(scale, size, state))),
    oursRow(scale, 1, 'rebuilt', 8),
    oursRow(scale, 10, 'rebuilt', 8),
    ...['better-sqlite3', 'lmdb', 'classic-level'].flatMap((contender) => [
      peerRow(scale, contender, 'clean'),
      peerRow(scale, contender, 'never'),
    ]),
  ];
}

/** Builds a store in the row's state: filled by a child that closes it or is killed. */
async function build(context, row, directory) {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const { contender, size, state, fillShape, records } = row;
  const synced = state === 'always';
  const hold = state !== 'clean';
  await runJob({
    task: 'fill',
    contender,
    size,
    records,
    shape: fillShape,
    synced,
    hold,
    directory,
  });
  if (state === 'rebuilt') removeDerived(directory);
}

/** Deletes idx and ts files, wherever they are. */
function removeDerived(directory) {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory()) removeDerived(path);
    else if (/\.(idx|ts)$/.test(entry.name)) rmSync(path);
  }
}

async function openOnce(context, row) {
  const directory = `${context.directory}/open`;
  const template = `${context.directory}/${row.contender}-${row.state}`;
  try {
    if (row.copied) {
      rmSync(directory, { recursive: true, force: true });
      cpSync(template, directory, { recursive: true });
      // Copies are new pages: nobody has to write them back within the time measured.
      settle(context.directory);
    } else {
      await build(context, row, directory);
    }
    const { contender, state, records: filled } = row;
    return await runJob({ task: 'open', contender, filled, synced: state === 'always', directory });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function run(context) {
  const rows = selected(rowsFor(context), context);
  const copied = rows.filter((row) => row.copied);
  warmPageCache(context.directory, Math.min(1, context.scale) * 2 ** 30);
  for (const row of copied) {
    progress(`building ${row.label}`);
    await build(context, row, `${context.directory}/${row.contender}-${row.state}`);
  }
  try {
    return await rounds(context, rows, (row) => openOnce(context, row));
  } finally {
    for (const row of copied) {
      rmSync(`${context.directory}/${row.contender}-${row.state}`, {
        recursive: true,
        force: true,
      });
    }
  }
}

function checks(results) {
  const of = (millions, state, size = 100) =>
    results.find((row) => row.millions === millions && row.state === state && row.size === size);
  const opens = [
    atMost('10 M, clean close', median(of(10, 'clean')), 20, 'ms'),
    atMost("10 M, kill -9 under 'never'", median(of(10, 'never')), 300, 'ms'),
    atMost("10 M, kill -9 under 'always'", median(of(10, 'always')), 300, 'ms'),
    atMost('10 M, kill -9, idx and ts rebuilt', median(of(10, 'rebuilt')), 300, 'ms'),
    atMost('10 M × 8 B singly, rebuilt', median(of(10, 'rebuilt', 8)), 600, 'ms'),
  ];
  const ratios = [10, 100].flatMap((millions) =>
    Object.keys(STATES)
      .filter((state) => of(millions, state) !== undefined || millions === 10)
      .map((state) => {
        const grown = ratio(of(millions, state), of(1, state));
        return atMost(`${millions} M against 1 M, ${STATES[state]}`, grown, 1.5);
      }),
  );
  return [...opens, ...ratios];
}

export const p8 = {
  id: 'P8',
  title: 'opening in a new process, until open resolves; 100 B records unless said otherwise',
  durability: "OS buffer; 'always' is synced. All that was acknowledged must be there",
  unit: 'ms',
  run,
  checks,
};
