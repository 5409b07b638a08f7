/**
 * Little-endian integers in files. A seq is a u64 on disk and a safe integer in memory: what does
 * not fit is refused when it is read, never rounded.
 */

const TWO_32 = 4294967296;
const MAX_SAFE_HI = 0x1fffff;

/** Returned for a u64 that is no safe integer; never a valid seq or size. */
export const UNSAFE = -1;

/**
 * Bytes to read a small structure into, with anything in them. They share their memory with others,
 * as small Buffers do: to allocate some costs more than such a structure does.
 */
export function sharedBytes(byteLength: number): Uint8Array {
  const { buffer, byteOffset } = Buffer.allocUnsafe(byteLength);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The u64 at `at` as a safe integer, or UNSAFE. */
export function readSafeU64(view: DataView, at: number): number {
  const hi = view.getUint32(at + 4, true);
  return hi > MAX_SAFE_HI ? UNSAFE : hi * TWO_32 + view.getUint32(at, true);
}

export function writeSafeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / TWO_32), true);
}

/** A length rounded up to the 8 bytes that every structure in a dat file is aligned to. */
export function alignTo8(length: number): number {
  return Math.ceil(length / 8) * 8;
}
