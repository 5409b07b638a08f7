/** P4: one append at a time, synced. */
import { atLeast, atMost, named, ratio } from '../lib/checks.mjs';
import { compareAppends } from '../lib/compare.mjs';
import { SYNCED } from './durability.mjs';

const OURS = 'redexlog await append';

const part = {
  id: 'P4',
  title: 'one append of 100 B at a time, synced',
  durability: SYNCED,
  unit: 'records/s',
  synced: true,
  syncedStep: 'syncs/append',
  job: { shape: 'single', size: 100, records: 50_000, warmRecords: 1000, seconds: 2 },
  rows: [
    { label: OURS, role: 'ours', contender: 'redex' },
    { label: 'better-sqlite3 insert', role: 'peer', contender: 'better-sqlite3' },
    { label: 'lmdb putSync', role: 'peer', contender: 'lmdb' },
    { label: 'classic-level await put', role: 'peer', contender: 'classic-level' },
    { label: 'raw growing', role: 'raw', contender: 'raw', variant: 'growing' },
    { label: 'raw preallocated', role: 'raw', contender: 'raw', variant: 'preallocated' },
    // Blocks the event loop, as the synchronous peers do.
    { label: 'raw preallocated, blocking', role: 'raw', contender: 'raw', variant: 'blocking' },
  ],
  run: (context) => compareAppends(context, part),
  checks(results) {
    const ours = named(results, OURS);
    const peers = results.filter(({ role }) => role === 'peer');
    const growing = ratio(ours, named(results, 'raw growing'));
    const preallocated = ratio(ours, named(results, 'raw preallocated'));
    const late = ours?.runs.map(({ loop }) => loop.p99Ms ?? Infinity);
    const worst = late === undefined || late.length === 0 ? undefined : Math.max(...late);
    const unblocked = 'worst round, p99 of a 1 ms timer: the event loop is not blocked';
    return [
      atLeast('ours against raw on a growing file', growing, 0.95, '×', 'binds without journal'),
      atLeast('ours against raw, preallocated', preallocated, 0.95, '×', 'binds with the journal'),
      ...peers.map((peer) => atLeast(`ours against ${peer.label}`, ratio(ours, peer), 1.3)),
      atMost(unblocked, worst, 1, 'ms late'),
    ];
  },
};

export const p4 = part;
