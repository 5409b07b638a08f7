/**
 * Every image that a crash may leave, as far as they can be counted: the tree of choices is walked
 * leaf by leaf. Of a choice among many only the ends and the middle are taken; where there are more
 * leaves than asked for, the rest is drawn.
 */
import type { Choose } from '../../src/testing/choices.js';
import type { CrashFs } from '../../src/testing/crash-fs.js';

/** Of a choice among more than this some are left out. */
const MAX_WAYS = 4;

interface Turn {
  /** Which of the values below is taken. */
  at: number;
  readonly values: readonly number[];
}

export function everyImage(disk: CrashFs, limit: number, draw: Choose): CrashFs[] {
  const images: CrashFs[] = [];
  const turns: Turn[] = [];
  do {
    images.push(disk.crash(replay(turns)));
    if (images.length < limit / 2) continue;
    while (images.length < limit) images.push(disk.crash(draw));
    break;
  } while (advance(turns));
  return images;
}

/** Follows `turns` and adds one, at its first value, for each choice beyond them. */
function replay(turns: Turn[]): Choose {
  let depth = 0;
  return (n) => {
    const turn = (turns[depth] ??= { at: 0, values: valuesOf(n) });
    depth += 1;
    return turn.values[turn.at] ?? 0;
  };
}

function valuesOf(n: number): readonly number[] {
  if (n > MAX_WAYS) return [0, Math.floor(n / 2), n - 1];
  return Array.from({ length: n }, (_, value) => value);
}

/** Moves to the next leaf; false after the last one. */
function advance(turns: Turn[]): boolean {
  for (let last = turns.at(-1); last !== undefined; last = turns.at(-1)) {
    last.at += 1;
    if (last.at < last.values.length) return true;
    turns.pop();
  }
  return false;
}
