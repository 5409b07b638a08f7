/**
 * Integers in as few bytes as they need: seven bits a byte, the lowest first, the high bit set on
 * all but the last. Safe integers only, and each in one form, so that equal values are equal bytes.
 */
import { UNSAFE } from '../format/bytes.js';

/** Of the largest safe integer. */
export const MAX_VARINT_BYTES = 8;

/** Writes `value` at `at` and returns where it ends. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  let end = at;
  while (rest >= 128) {
    bytes[end++] = (rest % 128) + 128;
    rest = Math.floor(rest / 128);
  }
  bytes[end++] = rest;
  return end;
}

/** Reads one after the other; UNSAFE for what is not there or not in its one form. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.at = start;
    this.end = end;
  }

  next(): number {
    let value = 0;
    let scale = 1;
    for (let count = 1; count <= MAX_VARINT_BYTES && this.at < this.end; count++) {
      const byte = this.#bytes[this.at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) {
        const isMinimal = byte > 0 || count === 1;
        return isMinimal && Number.isSafeInteger(value) ? value : UNSAFE;
      }
      scale *= 128;
    }
    return UNSAFE;
  }
}
