/**
 * One bit that has turned over is put right where a checksum of 64 bits says which one it was: of
 * the few thousand candidates for a small structure, no second one verifies. Every other damage
 * leaves nothing to be proven.
 */
import type { Decoded } from '../format/decoded.js';

/** Larger ones would take too long. */
const MAX_BYTES = 4096;

/** What the bytes say when one bit of them is turned over; undefined when no such bit is there. */
export function withoutOneBit<T>(
  damaged: Uint8Array,
  decode: (bytes: Uint8Array) => Decoded<T>,
): T | undefined {
  if (damaged.byteLength > MAX_BYTES) return undefined;
  const bytes = damaged.slice();
  for (let at = 0; at < bytes.byteLength; at++) {
    const byte = bytes[at] ?? 0;
    for (let bit = 0; bit < 8; bit++) {
      bytes[at] = byte ^ (1 << bit);
      const found = decode(bytes);
      if (found.ok) return found.value;
    }
    bytes[at] = byte;
  }
  return undefined;
}
