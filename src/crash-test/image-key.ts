/**
 * What tells the contents of two file systems apart: a checksum of all names, sizes and bytes. What
 * an open finds is decided by them alone, so one that was looked at need not be looked at again.
 * Images of one run share most of their chunks, whose checksums are kept with them. A directory is
 * the sum of its entries, so that their order does not count; and so are the names of one file,
 * which are not those of two files with the same bytes.
 */
import { checksumOf, type Checksum } from '../format/checksum.js';
import type { ChunkedBytes } from '../fs/chunked-bytes.js';
import type { MemoryDirectory, MemoryFile } from '../fs/memory-nodes.js';
import type { CrashFs } from '../testing/crash-fs.js';

const CHUNKS = new WeakMap<Uint8Array, Checksum>();
const NAMES = new Map<string, Checksum>();
const MAX_NAMES = 4096;
const NONE: Checksum = { hi: 0x9e37_79b9, lo: 0x7f4a_7c15 };
const DIRECTORY: Checksum = { hi: 0x2545_f491, lo: 0x4f6c_dd1d };

/** Equal for two file systems with the same contents; for others with a chance of 1 in 2^64. */
export function imageKey(fs: CrashFs): string {
  const places: Places = new Map();
  let key = ofDirectory(fs.contents, NONE, places);
  let links = NONE;
  for (const { count, sum } of places.values())
    if (count > 1) links = added(links, mixed(NONE, sum));
  if (links !== NONE) key = mixed(key, links);
  return `${key.hi}.${key.lo}`;
}

/** Where each file is: at how many places, and what they come to. */
type Places = Map<MemoryFile, { readonly count: number; readonly sum: Checksum }>;

function ofDirectory({ entries }: MemoryDirectory, path: Checksum, places: Places): Checksum {
  let sum = DIRECTORY;
  for (const [name, node] of entries) {
    const nameSum = ofName(name);
    const place = mixed(path, nameSum);
    if (node.kind === 'file') notePlace(places, node, place);
    const inside = node.kind === 'file' ? ofFile(node.bytes) : ofDirectory(node, place, places);
    sum = added(sum, mixed(nameSum, inside));
  }
  return mixed(DIRECTORY, sum);
}

function notePlace(places: Places, file: MemoryFile, place: Checksum): void {
  const { count, sum } = places.get(file) ?? { count: 0, sum: NONE };
  places.set(file, { count: count + 1, sum: added(sum, place) });
}

function added(a: Checksum, b: Checksum): Checksum {
  const sum = a.lo + b.lo;
  const lo = sum >>> 0;
  return { lo, hi: (a.hi + b.hi + (sum > lo ? 1 : 0)) >>> 0 };
}

function ofFile(bytes: ChunkedBytes): Checksum {
  let sum = mixed(NONE, { hi: 0, lo: bytes.size });
  for (const [index, chunk] of bytes.frozenChunks().entries()) {
    const part = chunk === undefined ? NONE : ofChunk(chunk);
    // Zeros are the same whether somebody has written them or not.
    if (part !== NONE) sum = mixed(mixed(sum, { hi: 0, lo: index }), part);
  }
  return sum;
}

function ofChunk(chunk: Uint8Array): Checksum {
  let sum = CHUNKS.get(chunk);
  if (sum === undefined) {
    let { length } = chunk;
    while (length > 0 && chunk[length - 1] === 0) length -= 1;
    sum = length === 0 ? NONE : checksumOf(chunk, 0, length);
    CHUNKS.set(chunk, sum);
  }
  return sum;
}

function ofName(name: string): Checksum {
  let sum = NAMES.get(name);
  if (sum === undefined) {
    const bytes = Buffer.from(name);
    sum = checksumOf(bytes, 0, bytes.byteLength);
    if (NAMES.size >= MAX_NAMES) NAMES.clear();
    NAMES.set(name, sum);
  }
  return sum;
}

/** Each bit of both changes about half of the result, which is another one the other way round. */
function mixed(a: Checksum, b: Checksum): Checksum {
  let hi = Math.imul(a.hi ^ (b.lo >>> 15) ^ (b.hi << 7), 0x85eb_ca6b);
  let lo = Math.imul(a.lo ^ (b.hi >>> 13) ^ (b.lo << 9), 0xc2b2_ae35);
  hi = Math.imul(hi ^ (hi >>> 15) ^ lo ^ b.hi, 0x27d4_eb2f);
  lo = Math.imul(lo ^ (lo >>> 13) ^ hi ^ b.lo, 0x1656_67b1);
  hi = Math.imul(hi ^ (hi >>> 16) ^ lo, 0x9e37_79b1);
  lo = Math.imul(lo ^ (lo >>> 14) ^ hi, 0x85eb_ca77);
  return { hi: (hi ^ (hi >>> 15)) >>> 0, lo: (lo ^ (lo >>> 16)) >>> 0 };
}
