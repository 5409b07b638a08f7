/**
 * Order brought back into what has none guarded by a checksum: seqs and times of RedEX. The
 * longest run that rises is taken for right, so that one wrong number costs that number and not
 * all that come behind it.
 */
import { UNSAFE } from '../format/bytes.js';

/**
 * The longest selection of 0 .. `count` - 1, in order, in which each may follow the one before. Of
 * any two, at least one may follow the other.
 */
function longestRun(
  count: number,
  mayFollow: (before: number, after: number) => boolean,
): Uint32Array {
  // ends[k]: where the run of k + 1 ends that is easiest to go on with.
  const ends = new Uint32Array(count);
  const previous = new Int32Array(count);
  let length = 0;
  for (let i = 0; i < count; i++) {
    let low = 0;
    let high = length;
    // Nearly always it goes on with what is the longest run already.
    if (length > 0 && mayFollow(ends[length - 1] ?? 0, i)) low = length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (mayFollow(ends[middle] ?? 0, i)) low = middle + 1;
      else high = middle;
    }
    previous[i] = low === 0 ? -1 : (ends[low - 1] ?? 0);
    ends[low] = i;
    if (low === length) length++;
  }
  const run = new Uint32Array(length);
  let at = length === 0 ? -1 : (ends[length - 1] ?? 0);
  for (let k = length - 1; k >= 0; k--) {
    run[k] = at;
    at = previous[at] ?? -1;
  }
  return run;
}

/** A seq that was wrong, and stands between seqs that leave one place for it. */
export interface RepairedSeq {
  /** Number of the entry in the index. */
  readonly index: number;
  readonly seq: number;
}

export interface SeqOrder {
  /** Entries whose seqs rise from one to the next, in order, and these seqs. */
  readonly entries: number[];
  readonly seqs: number[];
  readonly repaired: RepairedSeq[];
  /** Entries with a payload for which no seq is left. */
  readonly dropped: number[];
}

/**
 * `good` are the entries whose payloads are there, `seqOf` what the index says. From one entry to
 * the next a seq rises by one or more, so that its distance from the entry's number never shrinks:
 * that finds a wrong one even where the seqs still rise. A log that was appended to behind entries
 * that were dropped in memory alone has seqs twice; there it is the rising of the seqs that counts.
 */
export function orderSeqs(good: readonly number[], seqOf: (index: number) => number): SeqOrder {
  const usable = good.filter((index) => seqOf(index) !== UNSAFE);
  const seqAt = (i: number): number => seqOf(usable[i] ?? 0);
  const distanceAt = (i: number): number => seqAt(i) - (usable[i] ?? 0);
  const byDistance = longestRun(usable.length, (a, b) => distanceAt(a) <= distanceAt(b));
  const order = orderAround(
    good,
    Array.from(byDistance, (i) => usable[i] ?? 0),
    seqOf,
  );
  if (order.dropped.length === 0) return order;
  const bySeq = longestRun(usable.length, (a, b) => seqAt(a) < seqAt(b));
  const other = orderAround(
    good,
    Array.from(bySeq, (i) => usable[i] ?? 0),
    seqOf,
  );
  return other.entries.length > order.entries.length ? other : order;
}

/** The entries whose seqs are right, and those between them that can be put right. */
function orderAround(
  good: readonly number[],
  kept: readonly number[],
  seqOf: (index: number) => number,
): SeqOrder {
  const order: SeqOrder = { entries: [], seqs: [], repaired: [], dropped: [] };
  let next = 0;
  for (const index of good) {
    const isRight = index === kept[next];
    const seq = isRight ? seqOf(index) : placeBetween(kept[next - 1], index, kept[next], seqOf);
    if (isRight) next++;
    else if (seq !== undefined) order.repaired.push({ index, seq });
    if (seq === undefined) {
      order.dropped.push(index);
      continue;
    }
    order.entries.push(index);
    order.seqs.push(seq);
  }
  return order;
}

/** The only seq that an entry can have, from its neighbours; undefined when there is not one. */
function placeBetween(
  before: number | undefined,
  index: number,
  after: number | undefined,
  seqOf: (index: number) => number,
): number | undefined {
  if (after === undefined) return undefined;
  const seq = seqOf(after) - (after - index);
  if (before !== undefined) {
    return seq === seqOf(before) + (index - before) ? seq : undefined;
  }
  // The first of all has one neighbour: then it must be clear how it went wrong.
  return seq >= 0 && isOneBitFrom(seqOf(index), seq) ? seq : undefined;
}

/**
 * The first and the last record have one neighbour each: a wrong seq may look like a gap there.
 * Those that are one turned bit away from having none.
 */
export function doubtfulEnds({ entries, seqs }: SeqOrder): number[] {
  const doubtful: number[] = [];
  const last = entries.length - 1;
  for (const [at, beside] of last > 0 ? [[0, 1] as const, [last, last - 1] as const] : []) {
    const [index = 0, other = 0] = [entries[at], entries[beside]];
    const [seq = 0, neighbour = 0] = [seqs[at], seqs[beside]];
    const wanted = neighbour + index - other;
    if (wanted >= 0 && isOneBitFrom(seq, wanted)) doubtful.push(index);
  }
  return doubtful;
}

/** UNSAFE is a seq of which a high bit was turned over. */
function isOneBitFrom(found: number, wanted: number): boolean {
  if (found === UNSAFE) return true;
  const difference = BigInt(found) ^ BigInt(wanted);
  return difference > 0n && (difference & (difference - 1n)) === 0n;
}

export interface TimeOrder {
  readonly times: BigUint64Array;
  /** Times that went back, or far ahead of all that follow, and were replaced. */
  readonly adjusted: number;
}

/** The times with those that are out of order replaced by the one before. */
export function orderTimes(given: BigUint64Array): TimeOrder {
  let rises = true;
  for (let i = 1; i < given.length; i++) {
    if ((given[i] ?? 0n) < (given[i - 1] ?? 0n)) rises = false;
  }
  if (rises) return { times: given, adjusted: 0 };
  const run = longestRun(given.length, (a, b) => (given[a] ?? 0n) <= (given[b] ?? 0n));
  const times = new BigUint64Array(given.length);
  let next = 0;
  let last = given[run[0] ?? 0] ?? 0n;
  for (let i = 0; i < given.length; i++) {
    if (i === run[next]) {
      last = given[i] ?? 0n;
      next++;
    }
    times[i] = last;
  }
  return { times, adjusted: given.length - run.length };
}
