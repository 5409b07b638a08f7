/** P3: 1,000 appends in flight, each with its own acknowledgement, written. */
import { againstBest, atLeast, median, named } from '../lib/checks.mjs';
import { compareAppends } from '../lib/compare.mjs';
import { WRITTEN } from './durability.mjs';

const part = {
  id: 'P3',
  title: '1,000 appends of 100 B in flight, written',
  durability: WRITTEN,
  unit: 'records/s',
  synced: false,
  job: { shape: 'inFlight', size: 100, records: 4_000_000, warmRecords: 500_000, seconds: 2 },
  rows: [
    { label: 'redexlog append', role: 'ours', contender: 'redex' },
    { label: 'better-sqlite3 insert', role: 'peer', contender: 'better-sqlite3' },
    { label: 'lmdb put', role: 'peer', contender: 'lmdb' },
    { label: 'classic-level put', role: 'peer', contender: 'classic-level' },
    { label: 'hypercore append', role: 'peer', contender: 'hypercore' },
    { label: 'raw writev', role: 'raw', contender: 'raw', variant: 'writev', shape: 'batch' },
  ],
  run: (context) => compareAppends(context, part),
  checks(results) {
    const ours = named(results, 'redexlog append');
    const rate = median(ours);
    const millions = rate === undefined ? undefined : rate / 1e6;
    return [
      againstBest(results, ours, 2),
      atLeast('ours, on the reference machine', millions, 2.5, 'M/s'),
    ];
  },
};

export const p3 = part;
