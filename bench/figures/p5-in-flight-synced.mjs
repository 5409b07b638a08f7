/** P5: 1,000 appends in flight, each with its own acknowledgement, synced. */
import { againstBest, atLeast, bestPeer, named, ratio } from '../lib/checks.mjs';
import { compareAppends } from '../lib/compare.mjs';
import { SYNCED } from './durability.mjs';

const TRANSACTIONS = 'better-sqlite3, transactions of 1,000';

const part = {
  id: 'P5',
  title: '1,000 appends of 100 B in flight, each acknowledged, synced',
  durability: SYNCED,
  unit: 'records/s',
  synced: true,
  syncedStep: 'syncs/1,000',
  job: { shape: 'inFlight', size: 100, records: 3_000_000, warmRecords: 200_000, seconds: 2 },
  rows: [
    { label: 'redexlog append', role: 'ours', contender: 'redex' },
    { label: 'lmdb put', role: 'peer', contender: 'lmdb' },
    { label: 'classic-level put', role: 'peer', contender: 'classic-level' },
    // Has no appends in flight: its own best shape, shown beside the others.
    { label: TRANSACTIONS, role: 'other', contender: 'better-sqlite3', shape: 'batch' },
    rawRow('growing'),
    rawRow('preallocated'),
  ],
  run: (context) => compareAppends(context, part),
  checks(results) {
    const ours = named(results, 'redexlog append');
    const best = bestPeer(results);
    const others = results.filter((row) => row.role === 'peer' && row !== best);
    return [
      againstBest(results, ours, 50),
      ...others.map((row) => atLeast(`ours against ${row.label}`, ratio(ours, row), 50)),
      atLeast(`ours against ${TRANSACTIONS}`, ratio(ours, named(results, TRANSACTIONS)), 0.7),
    ];
  },
};

function rawRow(variant) {
  const label = `raw ${variant}, 1,000 in one buffer`;
  return { label, role: 'raw', contender: 'raw', variant, shape: 'batch' };
}

export const p5 = part;
