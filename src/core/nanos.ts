/**
 * Unix nanoseconds as two unsigned 32-bit halves. A u64 of nanoseconds exceeds the safe integers
 * and a bigint on every record would cost more than the write, so times are carried as `hi` and
 * `lo` and converted exactly at the edges.
 */

export interface Nanos {
  readonly hi: number;
  readonly lo: number;
}

const TWO_32 = 4294967296;

export const ZERO_NANOS: Nanos = { hi: 0, lo: 0 };

/** The largest millisecond whose nanoseconds fit into 64 bits. */
export const MAX_TIMESTAMP_MS = 18446744073709;
export const MAX_TIMESTAMP_NS = 18446744073709551615n;

/** Exact for integers in [0, MAX_TIMESTAMP_MS]. */
export function nanosFromMs(ms: number): Nanos {
  // ms * 1e6 exceeds 2^53, so it is multiplied in two parts that do not.
  const upper = Math.floor(ms / 65536) * 1e6;
  const upperHi = Math.floor(upper / 65536);
  const rest = (upper - upperHi * 65536) * 65536 + (ms % 65536) * 1e6;
  const carry = Math.floor(rest / TWO_32);
  return { hi: upperHi + carry, lo: rest - carry * TWO_32 };
}

/** Whole milliseconds, rounded down; exact. */
export function msFromNanos(hi: number, lo: number): number {
  // 2^32 ns are 4294 ms and 967296 ns; every product below stays under 2^53.
  return hi * 4294 + Math.floor((hi * 967296 + lo) / 1e6);
}

export function nanosFromBigint(ns: bigint): Nanos {
  return { hi: Number(ns >> 32n), lo: Number(ns & 0xffffffffn) };
}

export function bigintFromNanos(hi: number, lo: number): bigint {
  return (BigInt(hi) << 32n) | BigInt(lo);
}

/** Negative, zero or positive as a is before, at or after b. */
export function compareNanos(a: Nanos, b: Nanos): number {
  return a.hi - b.hi || a.lo - b.lo;
}
