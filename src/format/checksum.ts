/**
 * XXH3-64 of a run of bytes, as two unsigned halves. On disk it is a little-endian u64. The cost
 * of a call is nearly the same for 64 bytes and for 4 KiB, so callers hash few and large runs.
 */
import xxhash from 'xxhash-addon';

const { XXHash3 } = xxhash;

/** The seed of all checksums, as the addon wants it: eight bytes, and no other length. */
const SEED: Buffer = Buffer.alloc(8);

export interface Checksum {
  readonly hi: number;
  readonly lo: number;
}

/** The checksum of `length` bytes of `bytes` from `start`. */
export function checksumOf(bytes: Uint8Array, start: number, length: number): Checksum {
  const run = new Uint8Array(bytes.buffer, bytes.byteOffset + start, length);
  // The addon reads any Uint8Array; its types know only Buffer.
  const digest = XXHash3.hash(run as Buffer);
  return { hi: digest.readUInt32BE(0), lo: digest.readUInt32BE(4) };
}

/** The same of bytes that come in pieces. */
export class RunningChecksum {
  readonly #hash = new XXHash3(SEED);

  add(bytes: Uint8Array, start: number, length: number): void {
    this.#hash.update(Buffer.from(bytes.buffer, bytes.byteOffset + start, length));
  }

  /** Of all bytes that were added. */
  get value(): Checksum {
    const digest = this.#hash.digest();
    return { hi: digest.readUInt32BE(0), lo: digest.readUInt32BE(4) };
  }
}

export function sameChecksum(a: Checksum, b: Checksum): boolean {
  return a.lo === b.lo && a.hi === b.hi;
}

export function readChecksum(view: DataView, at: number): Checksum {
  return { hi: view.getUint32(at + 4, true), lo: view.getUint32(at, true) };
}

export function writeChecksum(view: DataView, at: number, checksum: Checksum): void {
  view.setUint32(at, checksum.lo, true);
  view.setUint32(at + 4, checksum.hi, true);
}

/** Ties a checksum to the random nonce of its file, so that no other file's bytes pass for it. */
export function bindToNonce(checksum: Checksum, nonce: Checksum): Checksum {
  return { hi: (checksum.hi ^ nonce.hi) >>> 0, lo: (checksum.lo ^ nonce.lo) >>> 0 };
}
