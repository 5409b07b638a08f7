/** P1: atomic batches of 1,000 records of 100 bytes, written. */
import { againstBest, atLeast, named, ratio } from '../lib/checks.mjs';
import { compareAppends } from '../lib/compare.mjs';
import { WRITTEN } from './durability.mjs';

const part = {
  id: 'P1',
  title: 'batches of 1,000 × 100 B, written',
  durability: WRITTEN,
  unit: 'records/s',
  synced: false,
  job: { shape: 'batch', size: 100, records: 4_000_000, warmRecords: 1_000_000, seconds: 2 },
  rows: [
    { label: 'redexlog appendBatch', role: 'ours', contender: 'redex' },
    { label: 'better-sqlite3 transaction', role: 'peer', contender: 'better-sqlite3' },
    { label: 'lmdb transactionSync', role: 'peer', contender: 'lmdb' },
    { label: 'classic-level batch', role: 'peer', contender: 'classic-level' },
    { label: 'hypercore append([…])', role: 'peer', contender: 'hypercore' },
    { label: 'raw one buffer', role: 'raw', contender: 'raw', variant: 'buffer' },
    { label: 'raw writev', role: 'raw', contender: 'raw', variant: 'writev' },
  ],
  run: (context) => compareAppends(context, part),
  checks(results) {
    const ours = named(results, 'redexlog appendBatch');
    const buffer = ratio(ours, named(results, 'raw one buffer'));
    return [
      againstBest(results, ours, 5),
      atLeast('ours against one raw write of one buffer', buffer, 0.4),
      atLeast('ours against raw writev', ratio(ours, named(results, 'raw writev')), 1),
    ];
  },
};

export const p1 = part;
