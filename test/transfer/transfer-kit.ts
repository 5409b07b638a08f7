/** Stores to export from and import to, in memory, and their contents as values to compare. */
import type { ChannelOptions } from '../../src/channel/options.js';
import { MAX_SEQ } from '../../src/channel/options.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';

interface GivenRecord {
  readonly seq: number;
  readonly type: number;
  readonly timestampNs: bigint;
  readonly payload: Uint8Array;
}

export interface GivenChannel {
  readonly name: string;
  readonly options: ChannelOptions;
  readonly firstSeq: number;
  readonly records: readonly GivenRecord[];
  /** Seqs of records that are compacted away again. */
  readonly dropped?: readonly number[];
}

export function openStore(fs: FileSystem = new MemoryFs(), directory = '/data'): Promise<Redex> {
  return Redex.open(directory, { fs, runtime: new ManualRuntime({ seed: 1 }) });
}

export async function fillStore(redex: Redex, channels: readonly GivenChannel[]): Promise<void> {
  for (const { name, options, firstSeq, records, dropped = [] } of channels) {
    const channel = await redex.channel(name, { ...options, firstSeq });
    // One by one: seqs of a batch have to lie together.
    for (const record of records) await channel.append(record.payload, { ...record, ...NONE });
    if (dropped.length === 0) continue;
    const gone = new Set(dropped);
    await channel.compact({ keep: ({ seq }) => !gone.has(seq) });
  }
}

const NONE = { payload: undefined };

/** Everything about a store that an import has to bring back. */
export async function contentOf(redex: Redex): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const info of redex.channels()) {
    if (info.error !== undefined) throw info.error;
    const channel = await redex.channel(info.name);
    const records: unknown[] = [];
    for await (const { seq, type, timestampNs, payload } of channel.read()) {
      records.push([seq, type, timestampNs, Buffer.from(payload).toString('hex')]);
    }
    const { name, options, firstSeq, nextSeq } = channel;
    found.push({ name, options: { ...options }, firstSeq, nextSeq, records });
  }
  return found;
}

export async function bytesFrom(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece.slice());
  return new Uint8Array(Buffer.concat(pieces));
}

/** The bytes in pieces of `size`. */
export async function* piecesOf(
  bytes: Uint8Array,
  size: number = bytes.byteLength,
): AsyncGenerator<Uint8Array, undefined> {
  for (let at = 0; at < bytes.byteLength; at += size) {
    yield await Promise.resolve(bytes.slice(at, at + size));
  }
}

/** A store that has one of everything: gaps, times, text, bytes, options, names. */
export const SAMPLE: readonly GivenChannel[] = [
  {
    name: 'a/ü\n"quoted"',
    options: { sync: { everyN: 5, intervalMs: 100 }, segmentBytes: 4096, segmentMs: 777 },
    firstSeq: 5,
    records: [
      { seq: 7, type: 1, timestampNs: 1_700_000_000_123_456_789n, payload: utf8('héllo\r\n') },
      { seq: 8, type: 0xffff, timestampNs: 1_700_000_000_123_456_789n, payload: utf8('') },
      { seq: 900, type: 0, timestampNs: 18_446_744_073_709_551_614n, payload: of(255, 0, 254) },
    ],
    dropped: [],
  },
  { name: 'empty', options: { sync: 'never' }, firstSeq: 42, records: [] },
  {
    name: 'gap at the end',
    options: { sync: 'always', retention: { maxRecords: 1000, waitFor: ['sums'] } },
    firstSeq: 0,
    records: [
      { seq: 0, type: 3, timestampNs: 0n, payload: of(0xef, 0xbb, 0xbf, 0x41) },
      { seq: 1, type: 3, timestampNs: 9n, payload: utf8('goes') },
      { seq: 77, type: 3, timestampNs: 2n ** 60n, payload: utf8('goes, too') },
    ],
    dropped: [1, 77],
  },
  {
    name: 'only a gap',
    options: {},
    firstSeq: 3,
    records: [{ seq: MAX_SEQ, type: 0, timestampNs: 5n, payload: utf8('x') }],
    dropped: [MAX_SEQ],
  },
];

export function utf8(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text));
}

function of(...values: readonly number[]): Uint8Array {
  return Uint8Array.from(values);
}
