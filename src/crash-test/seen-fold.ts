/**
 * The fold of the crash test: its state is the list of all that it has seen, so that a record that
 * it lost, saw twice, or saw in another order shows.
 */
import type { FoldOptions } from '../channel/fold-options.js';
import type { LogRecord } from '../core/record.js';
import type { FoundLog } from './record-judge.js';
import { CONDEMNED, GONE, idOf, type RecordFacts } from './record-ledger.js';
import { Violation } from './violation.js';

/** Seqs and ids, in turns. */
export type Seen = number[];

function see(state: Seen, { seq, type, payload }: LogRecord): Seen {
  state.push(seq, idOf(type, payload));
  return state;
}

/** Cloned for each use; the same one, or an open fold would not be shared. */
const INITIAL: Seen = [];

export function seenFold(from: number): FoldOptions<Seen> {
  return { name: 'seen', version: 1, initial: INITIAL, apply: see, checkpointEvery: 5, from };
}

/** Throws a Violation when a fold over this log cannot have come to this state. */
export function judgeSeen(seen: Seen, foldSeq: number, log: FoundLog, facts: RecordFacts): void {
  const there = new Map(log.found.map(({ seq, id }) => [seq, id]));
  const applied = new Set<number>();
  let last = -1;
  for (let i = 0; i < seen.length; i += 2) {
    const [seq = 0, id = 0] = [seen[i], seen[i + 1]];
    if (seq <= last || seq >= foldSeq) throw new Violation(`fold: seq ${seq} after ${last}`);
    last = seq;
    applied.add(seq);
    if (there.get(seq) === id) continue;
    const isGone = facts.states[id - 1] === GONE || facts.states[id - 1] === undefined;
    const isHidden = seq < log.firstSeq || ((facts.flags[id - 1] ?? 0) & CONDEMNED) !== 0;
    if (isGone || !isHidden)
      throw new Violation(`N5: the fold has seen ${id} at ${seq}: not there`);
  }
  for (const { seq } of log.found) {
    if (seq < foldSeq && !applied.has(seq)) throw new Violation(`fold: seq ${seq} was not applied`);
  }
}
