/**
 * Where the test kit takes its choices from. Choice 0 is the benign one everywhere (everything is
 * kept), so that a property test shrinks towards "nothing was lost".
 */

/** Returns an integer in [0, n). */
export type Choose = (n: number) => number;

/** Keeps everything. */
export const benign: Choose = () => 0;

/** Drops everything that no sync covers, in every profile. */
export const worst: Choose = (n) => n - 1;

/**
 * Choices from integers in [0, 65536), such as fast-check's `fc.nat(65535)` makes; RangeError for
 * other values. Beyond the last one it is 0. Never from `fc.double`, whose values lie almost all
 * next to 0.
 */
export function choicesFrom(values: readonly number[]): Choose {
  for (const value of values) {
    if (Number.isInteger(value) && value >= 0 && value < 65_536) continue;
    throw new RangeError(`choices are integers from 0 to 65535, not ${value}`);
  }
  let next = 0;
  return (n) => {
    const value = values[next] ?? 0;
    next += 1;
    return Math.floor((value * n) / 65_536);
  };
}

/** A small deterministic generator (splitmix32): the same seed gives the same run everywhere. */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.#state = this.seed;
  }

  uint32(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }

  /** An integer in [0, n). */
  below(n: number): number {
    return Math.floor((this.uint32() / 0x1_0000_0000) * n);
  }

  fill(bytes: Uint8Array): Uint8Array {
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = this.uint32() >>> 24;
    return bytes;
  }
}

/**
 * Of an integer up to 2^53, the low 32 bits of its product with `factor`, with what lies above 32
 * bits mixed in: the product itself would lose its low bits.
 */
export function scaledSeed(seed: number, factor: number): number {
  const high = Math.floor(seed / 0x1_0000_0000);
  return (Math.imul(seed, factor) ^ Math.imul(high, 0x9e3779b1)) >>> 0;
}

/** Choices from a seed. */
export function choicesFromSeed(seed: number): Choose {
  const random = new Random(seed);
  return (n) => random.below(n);
}
