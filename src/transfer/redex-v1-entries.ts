/**
 * The entries of a RedEX index, 20 bytes each, and the payloads that they lead to:
 *
 *   0 u64 seq   8 u32 offset in dat  12 u32 length  16 u32 flags (4 bits) and checksum (28 bits)
 *
 * A payload of eight bytes may be in the entry itself, in place of offset and length. The checksum
 * is of the payload alone: nothing says whether the rest of an entry is right.
 */
import { readSafeU64, UNSAFE, viewOf } from '../format/bytes.js';
import { checksumOf } from '../format/checksum.js';
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import { MAX_SEQ } from '../channel/options.js';

const V1_ENTRY_BYTES = 20;
const INLINE_BYTES = 8;
const INLINE_FLAG = 0x80000000;
const CHECKSUM_BITS = 0x0fffffff;
const WINDOW_BYTES = 1024 * 1024;

export class V1Entries {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly count: number;
  /** Behind the last whole entry. */
  readonly tornBytes: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.count = Math.floor(bytes.byteLength / V1_ENTRY_BYTES);
    this.tornBytes = bytes.byteLength % V1_ENTRY_BYTES;
  }

  /** UNSAFE for what no channel can have. */
  seqOf(index: number): number {
    const seq = readSafeU64(this.#view, index * V1_ENTRY_BYTES);
    return seq > MAX_SEQ ? UNSAFE : seq;
  }

  /** As it stands in the entry. */
  rawSeqOf(index: number): bigint {
    return this.#view.getBigUint64(index * V1_ENTRY_BYTES, true);
  }

  isInline(index: number): boolean {
    return (this.#view.getUint32(index * V1_ENTRY_BYTES + 16, true) & INLINE_FLAG) !== 0;
  }

  offsetOf(index: number): number {
    return this.#view.getUint32(index * V1_ENTRY_BYTES + 8, true);
  }

  lengthOf(index: number): number {
    return this.isInline(index)
      ? INLINE_BYTES
      : this.#view.getUint32(index * V1_ENTRY_BYTES + 12, true);
  }

  /** Where its payload ends in dat; 0 for one that is not in there. */
  endOf(index: number): number {
    return this.isInline(index) ? 0 : this.offsetOf(index) + this.lengthOf(index);
  }

  inlinePayload(index: number): Uint8Array {
    const at = index * V1_ENTRY_BYTES + 8;
    return this.#bytes.subarray(at, at + INLINE_BYTES);
  }

  isIntact(index: number, payload: Uint8Array): boolean {
    const wanted = this.#view.getUint32(index * V1_ENTRY_BYTES + 16, true) & CHECKSUM_BITS;
    return (checksumOf(payload, 0, payload.byteLength).lo & CHECKSUM_BITS) === wanted;
  }
}

/** The payloads of a log, read in the order of its entries, a window at a time. */
export class V1Payloads {
  readonly #entries: V1Entries;
  readonly #file: FileHandle | undefined;
  readonly size: number;
  #window = new Uint8Array();
  #windowAt = 0;

  /** Without a dat file there are the payloads that the entries have. */
  constructor(fs: FileSystem, path: string, entries: V1Entries) {
    this.#entries = entries;
    this.#file = fs.statSync(path)?.kind === 'file' ? fs.openSync(path, 'read') : undefined;
    this.size = this.#file?.sizeSync() ?? 0;
  }

  /** Makes the payload of this entry available; false when the file does not reach that far. */
  async load(index: number): Promise<boolean> {
    if (this.isLoaded(index)) return true;
    const at = this.#entries.offsetOf(index);
    const length = this.#entries.lengthOf(index);
    if (this.#file === undefined || at + length > this.size) return false;
    const bytes = new Uint8Array(Math.min(Math.max(length, WINDOW_BYTES), this.size - at));
    const count = await readPieces(this.#file, bytes, at);
    this.#window = bytes.subarray(0, count);
    this.#windowAt = at;
    return count >= length;
  }

  /** Whether `payload` can be called without `load`. */
  isLoaded(index: number): boolean {
    if (this.#entries.isInline(index)) return true;
    const at = this.#entries.offsetOf(index) - this.#windowAt;
    const end = at + this.#entries.lengthOf(index);
    return this.#file !== undefined && at >= 0 && end <= this.#window.byteLength;
  }

  /** Lives on when others are loaded. */
  payload(index: number): Uint8Array {
    if (this.#entries.isInline(index)) return this.#entries.inlinePayload(index);
    const at = this.#entries.offsetOf(index) - this.#windowAt;
    return this.#window.subarray(at, at + this.#entries.lengthOf(index));
  }

  close(): void {
    this.#file?.closeSync();
  }
}

/** Reads a file of any size; undefined when there is none. */
export async function readV1File(fs: FileSystem, path: string): Promise<Uint8Array | undefined> {
  if (fs.statSync(path)?.kind !== 'file') return undefined;
  const file = fs.openSync(path, 'read');
  try {
    const bytes = new Uint8Array(file.sizeSync());
    return bytes.subarray(0, await readPieces(file, bytes, 0));
  } finally {
    file.closeSync();
  }
}

/** Fills `bytes` from a position on; a length in an index may be more than is read at once. */
async function readPieces(file: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < bytes.byteLength) {
    const wanted = Math.min(64 * WINDOW_BYTES, bytes.byteLength - done);
    const count = await file.read(bytes, done, wanted, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}
