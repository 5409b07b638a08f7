/**
 * Commits over several channels, drawn from integers: appends to channels that are there, or are
 * created with the commit, and deletions.
 */
import type { Choose } from '../testing/choices.js';

export interface CommitPart {
  /** A place in NAMES. */
  readonly name: number;
  /** `append` creates a channel that is missing; `create` asks for one in any case. */
  readonly does: 'append' | 'create' | 'delete';
  readonly sizes: readonly number[];
  /** For a compaction by key: 0 for none. */
  readonly key: number;
  /** The next seq as a condition, or one that it cannot be. */
  readonly expects: 'nothing' | 'next' | 'another';
  /** A place in OPTIONS, for a channel that is created. */
  readonly options: number;
}

export interface CommitCommand {
  readonly kind: 'commit';
  /** Of different names. */
  readonly parts: readonly CommitPart[];
}

const SIZES: readonly number[] = [100, 8, 0, 1, 40, 513, 1000, 4096, 9000, 20_000];

export function drawCommit(choose: Choose, names: number, options: number): CommitCommand {
  const chosen = new Set([choose(2)]);
  for (let left = 1 + choose(3); left > 0; left -= 1) {
    chosen.add(choose(4) === 3 ? choose(names) : choose(2));
  }
  if (chosen.size === 1) chosen.add(chosen.has(0) ? 1 : 0);
  return { kind: 'commit', parts: [...chosen].map((name) => drawPart(choose, name, options)) };
}

function drawPart(choose: Choose, name: number, options: number): CommitPart {
  const kind = choose(name < 2 ? 24 : 8);
  const count = choose(6) === 5 ? 0 : 1 + choose(3) * choose(3);
  const expected = choose(24);
  return {
    name,
    does: kind < 5 || kind > 7 ? 'append' : kind < 7 ? 'delete' : 'create',
    sizes: Array.from({ length: count }, () => SIZES[choose(SIZES.length)] ?? 100),
    key: choose(5),
    expects: expected < 19 ? 'nothing' : expected < 23 ? 'next' : 'another',
    options: choose(options),
  };
}
