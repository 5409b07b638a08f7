/**
 * Writes logs of RedEX byte by byte, as its files are specified, for the reader to be tried on. It
 * shares nothing with the reader.
 */
import xxhash from 'xxhash-addon';
import type { RedexV1Log } from '../../src/transfer/redex-v1.js';
import type { FileSystem } from '../../src/fs/file-system.js';

export interface V1Record {
  readonly seq: bigint;
  readonly payload: Uint8Array;
  readonly timeNs: bigint;
  /** In the entry; for eight bytes only. */
  readonly inline?: boolean;
}

export interface V1Files {
  idx: Buffer;
  dat: Buffer;
  ts: Buffer;
}

function xxh3(bytes: Uint8Array): bigint {
  return xxhash.XXHash3.hash(Buffer.from(bytes)).readBigUInt64BE(0);
}

export function v1Entry(record: V1Record, offset: number): Buffer {
  const entry = Buffer.alloc(20);
  entry.writeBigUInt64LE(record.seq, 0);
  let word = Number(xxh3(record.payload) & 0x0fffffffn);
  if (record.inline === true) {
    if (record.payload.byteLength !== 8) throw new Error('eight bytes are inlined, no others');
    Buffer.from(record.payload).copy(entry, 8);
    word += 0x80000000;
  } else {
    entry.writeUInt32LE(offset, 8);
    entry.writeUInt32LE(record.payload.byteLength, 12);
  }
  entry.writeUInt32LE(word, 16);
  return entry;
}

export function v1Files(records: readonly V1Record[]): V1Files {
  const idx: Buffer[] = [];
  const dat: Buffer[] = [];
  const ts: Buffer[] = [];
  let offset = 0;
  for (const record of records) {
    idx.push(v1Entry(record, offset));
    const time = Buffer.alloc(8);
    time.writeBigUInt64LE(record.timeNs);
    ts.push(time);
    if (record.inline === true) continue;
    dat.push(Buffer.from(record.payload));
    offset += record.payload.byteLength;
  }
  return { idx: Buffer.concat(idx), dat: Buffer.concat(dat), ts: Buffer.concat(ts) };
}

export function v1Manifest(generation: number, version = 1): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.write('REDM', 0, 'latin1');
  bytes.writeUInt8(version, 4);
  bytes.writeUInt32LE(generation, 5);
  bytes.writeUInt32LE(Number(xxh3(bytes.subarray(0, 12)) & 0xffffffffn), 12);
  return bytes;
}

export function put(fs: FileSystem, path: string, bytes: Uint8Array): void {
  const parts = path.split('/').slice(1, -1);
  for (let i = 1; i <= parts.length; i += 1) {
    const directory = `/${parts.slice(0, i).join('/')}`;
    if (fs.statSync(directory) === undefined) fs.mkdirSync(directory);
  }
  const file = fs.openSync(path, 'create');
  for (let at = 0; at < bytes.byteLength;) {
    at += file.writeSync(bytes, at, bytes.byteLength - at, at);
  }
  file.closeSync();
}

export const v1Generation = (generation: number): string =>
  `v${String(generation).padStart(10, '0')}`;

/** Files that are left out are not there. */
export function putV1(
  fs: FileSystem,
  directory: string,
  files: Partial<V1Files>,
  options: { readonly generation?: number; readonly manifest?: Buffer | null } = {},
): void {
  const { generation = 1, manifest = v1Manifest(generation) } = options;
  for (const [name, bytes] of Object.entries(files)) {
    put(fs, `${directory}/${v1Generation(generation)}/${name}`, bytes);
  }
  if (manifest !== null) put(fs, `${directory}/manifest`, manifest);
}

/** Records 0 to `count` - 1; every third is inlined, and every seventh is empty. */
export function v1Records(count: number, from = 0): V1Record[] {
  return Array.from({ length: count }, (_, i) => {
    const inline = i % 3 === 2;
    const text = `payload ${from + i} `.repeat(1 + (i % 4));
    const payload = Buffer.from(inline ? text.slice(-8) : i % 7 === 3 ? '' : text);
    return {
      seq: BigInt(from + i),
      payload,
      timeNs: 1_700_000_000_000_000_000n + BigInt(i),
      inline,
    };
  });
}

/** Seq, payload as text, and time of each. */
export type V1Found = readonly [seq: number, text: string, timeNs: bigint];

export async function recordsOf(log: RedexV1Log): Promise<V1Found[]> {
  const found: V1Found[] = [];
  for await (const batch of log.batches()) {
    for (const { seq, payload: bytes, timestampNs } of batch) {
      found.push([seq, Buffer.from(bytes).toString(), timestampNs]);
    }
  }
  return found;
}

export const asRead = (records: readonly V1Record[]): V1Found[] =>
  records.map(({ seq, payload: bytes, timeNs }) => [
    Number(seq),
    Buffer.from(bytes).toString(),
    timeNs,
  ]);
