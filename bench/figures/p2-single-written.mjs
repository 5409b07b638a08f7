/** P2: one append at a time, the next when the one before is acknowledged, written. */
import { atLeast, named, ratio } from '../lib/checks.mjs';
import { compareAppends } from '../lib/compare.mjs';
import { WRITTEN } from './durability.mjs';

const part = {
  id: 'P2',
  title: 'one append of 100 B at a time, written',
  durability: WRITTEN,
  unit: 'records/s',
  synced: false,
  job: { shape: 'single', size: 100, records: 1_000_000, warmRecords: 100_000, seconds: 2 },
  rows: [
    { label: 'redexlog await append', role: 'ours', contender: 'redex' },
    { label: 'better-sqlite3 insert', role: 'peer', contender: 'better-sqlite3' },
    { label: 'lmdb putSync', role: 'peer', contender: 'lmdb' },
    { label: 'classic-level await put', role: 'peer', contender: 'classic-level' },
    { label: 'hypercore await append', role: 'peer', contender: 'hypercore' },
    { label: 'raw writeSync', role: 'raw', contender: 'raw' },
  ],
  run: (context) => compareAppends(context, part),
  checks(results) {
    const times = ratio(
      named(results, 'redexlog await append'),
      named(results, 'better-sqlite3 insert'),
    );
    return [
      atLeast('ours against better-sqlite3, synchronous=OFF', times, 2.5),
      atLeast('the ambition of the same', times, 3),
    ];
  },
};

export const p2 = part;
