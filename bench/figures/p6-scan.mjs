/** P6: reading everything in order, each record verified by ours, each payload touched by all. */
import { againstBest, atLeast, median, named } from '../lib/checks.mjs';
import { compareReads } from '../lib/compare.mjs';
import { NONE } from './durability.mjs';

const BATCHES = 'redexlog readBatches';
const RECORDS = 'redexlog for await';

const rows = [
  ours(BATCHES, 'batches'),
  ours(RECORDS, 'records'),
  { label: 'better-sqlite3 pages of 1,000', role: 'peer', contender: 'better-sqlite3' },
  {
    label: 'better-sqlite3 iterate',
    role: 'peer',
    contender: 'better-sqlite3',
    job: { style: 'records' },
  },
  { label: 'lmdb getRange', role: 'peer', contender: 'lmdb' },
  { label: 'classic-level nextv(1000)', role: 'peer', contender: 'classic-level' },
  { label: 'hypercore get, 64 ahead', role: 'peer', contender: 'hypercore' },
  { label: 'raw read, 512 KiB', role: 'raw', contender: 'raw' },
];

function ours(label, style) {
  return { label, role: 'ours', contender: 'redex', job: { style } };
}

const small = {
  id: 'P6',
  title: 'scan of 100 B records, every payload touched',
  durability: NONE,
  unit: 'records/s',
  job: { task: 'scan', size: 100, filled: 2_000_000, seconds: 1 },
  rows,
  run: (context) => compareReads(context, small),
  checks: (results) => [
    { ...againstBest(results, named(results, BATCHES), 8), note: 'readBatches' },
    { ...againstBest(results, named(results, RECORDS), 4), note: 'for await' },
  ],
};

const large = {
  id: 'P6',
  title: 'scan of 1 KiB records, every payload touched',
  durability: NONE,
  unit: 'bytes/s',
  job: { task: 'scan', size: 1024, filled: 400_000, seconds: 1, unit: 'bytes' },
  rows,
  run: (context) => compareReads(context, large),
  checks(results) {
    const rate = median(named(results, BATCHES));
    const value = rate === undefined ? undefined : rate / 1e9;
    return [atLeast('readBatches at 1 KiB', value, 3, 'GB/s')];
  },
};

export const p6 = [small, large];
