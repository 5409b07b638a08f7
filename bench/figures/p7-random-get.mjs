/** P7: random gets by number, from the file cache, one after the other. */
import { atLeast, named, ratio } from '../lib/checks.mjs';
import { compareReads } from '../lib/compare.mjs';
import { NONE } from './durability.mjs';

const SINGLY = 'redexlog await get, appended singly';
const BATCHED = 'redexlog await get, batches of 1,000';
const SQLITE = 'better-sqlite3 get';

const part = {
  id: 'P7',
  title: 'random get of 100 B records by number',
  durability: NONE,
  unit: 'records/s',
  job: { task: 'get', size: 100, filled: 1_000_000, seconds: 1 },
  rows: [
    ours(SINGLY, 'redex-singly', 'single'),
    ours(BATCHED, 'redex-batched', 'batch'),
    { label: SQLITE, role: 'peer', contender: 'better-sqlite3' },
    { label: 'lmdb getBinary', role: 'peer', contender: 'lmdb' },
    { label: 'classic-level await get', role: 'peer', contender: 'classic-level' },
    { label: 'hypercore await get', role: 'peer', contender: 'hypercore' },
    { label: 'raw readSync', role: 'raw', contender: 'raw' },
  ],
  run: (context) => compareReads(context, part),
  checks(results) {
    const sqlite = named(results, SQLITE);
    return [
      atLeast('appended singly, against better-sqlite3', ratio(named(results, SINGLY), sqlite), 1),
      atLeast('in batches, against better-sqlite3', ratio(named(results, BATCHED), sqlite), 1),
    ];
  },
};

function ours(label, store, fillShape) {
  return { label, role: 'ours', contender: 'redex', store, fillShape };
}

export const p7 = part;
