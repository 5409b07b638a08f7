/** Targets: what was measured against what was promised. A miss is printed like everything else. */
import { summary } from './stats.mjs';

const usable = (row) => row !== undefined && row.error === undefined && row.median !== undefined;

export const named = (results, label) => results.find((row) => row.label === label);

/** The fastest peer, by median of rates. */
export function bestPeer(results) {
  const peers = results.filter((row) => row.role === 'peer' && usable(row));
  return peers.toSorted((a, b) => b.median - a.median)[0];
}

/** Median of `a` in units of the median of `b`. */
export const ratio = (a, b) => (usable(a) && usable(b) ? a.median / b.median : undefined);

export const median = (row) => (usable(row) ? row.median : undefined);

/** Median of something that each run of a row tells. */
export const middle = (row, pick) =>
  usable(row) ? summary(row.runs.map((each) => pick(each))).median : undefined;

export const atLeast = (text, value, target, unit = '×', note) => ({
  text,
  value,
  target,
  direction: '>=',
  unit,
  note,
});

export const atMost = (text, value, target, unit = '×', note) => ({
  text,
  value,
  target,
  direction: '<=',
  unit,
  note,
});

/** @param {import('./types.js').Check} check */
export function verdict({ value, target, direction }) {
  if (value === undefined || Number.isNaN(value)) return 'not measured';
  return (direction === '>=' ? value >= target : value <= target) ? 'met' : 'missed';
}

/** A check against the best peer of this run, whoever that is. */
export function againstBest(results, ours, target) {
  const best = bestPeer(results);
  const name = best === undefined ? 'the best peer' : `the best peer, ${best.label}`;
  return atLeast(`ours against ${name}`, ratio(ours, best), target);
}
