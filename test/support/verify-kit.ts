/** A small channel with everything that a dat file can hold, and what stands where in it. */
import type { Channel } from '../../src/channel/channel.js';
import type { VerifyProblem, VerifyReport } from '../../src/channel/verify-report.js';
import { FILE_HEADER_BYTES } from '../../src/format/file-header.js';
import {
  BLOCK_LIST_AT,
  coveredBytes,
  decodeUnitHeader,
  FLAG_BLOCKS,
  SEAL_MAGIC,
  type UnitHeader,
} from '../../src/format/unit.js';
import { visitRecordKeys } from '../../src/format/unit-records.js';
import { viewOf } from '../../src/format/bytes.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { openChannelIn, type AloneOptions } from './open-channel.js';

export const CHANNEL = '/data/log';
export const LIVE: string = `${CHANNEL}/v0000000001`;

let seed = 100;

export function openOn(fs: FileSystem, options: AloneOptions = {}): Promise<Channel> {
  seed += 1;
  const runtime = new ManualRuntime({ seed, ioOrder: 'immediate' });
  return openChannelIn(CHANNEL, { ...options, fs, runtime });
}

export interface Sample {
  readonly fs: MemoryFs;
  /** Every seq that has a record. */
  readonly seqs: readonly number[];
}

/** Four segments: batches, gaps, types, times, a frame of blocks, a large record. Closed. */
export async function sampleChannel(large = 12): Promise<Sample> {
  const fs = new MemoryFs();
  const runtime = new ManualRuntime({ seed: 7, ioOrder: 'immediate' });
  const channel = await openChannelIn(CHANNEL, { fs, runtime, segmentMs: 1000 });
  await channel.append('first');
  await channel.appendBatch(['a', { payload: 'b', type: 7 }, '']);
  runtime.advance(1000);
  await channel.appendBatch([
    { payload: 'skipped to', seq: 20 },
    'next',
    { payload: 'x', seq: 25 },
  ]);
  await channel.append('small');
  runtime.advance(1000);
  if (large > 0) {
    await channel.appendBatch(
      Array.from({ length: large }, (_, i) => `${i}`.padEnd(1000, 'block')),
    );
    await channel.append('y'.repeat(9000));
  }
  await channel.append('after');
  runtime.advance(1000);
  await channel.appendBatch([{ payload: 'last segment', seq: 60 }, 'one', 'two']);
  await channel.append('end');
  await channel.close();
  const seqs: number[] = [];
  const again = await openOn(fs);
  for await (const { seq } of again.read()) seqs.push(seq);
  await again.close();
  return { fs, seqs };
}

export interface Unit {
  readonly at: number;
  /** Bytes under its own checksum, which are followed by the next unit. */
  readonly end: number;
  readonly isSeal: boolean;
  readonly header: UnitHeader;
  readonly seqs: readonly number[];
}

/** All units of a dat file, blocks for themselves. */
export function unitsIn(bytes: Uint8Array): Unit[] {
  const view = viewOf(bytes);
  const units: Unit[] = [];
  let at = FILE_HEADER_BYTES;
  while (at < bytes.byteLength) {
    const header = decodeUnitHeader(view, at, at, bytes.byteLength - at);
    if (typeof header === 'string') throw new Error(`no unit at ${at}: ${header}`);
    const covered = coveredBytes(view, at, header) ?? BLOCK_LIST_AT;
    const seqs: number[] = [];
    const isSeal = header.magic === SEAL_MAGIC;
    if (!isSeal && (header.flags & FLAG_BLOCKS) === 0) {
      visitRecordKeys(view, at, header, (seq) => seqs.push(seq));
    }
    units.push({ at, end: at + covered, isSeal, header, seqs });
    at += covered;
  }
  return units;
}

export function namesOf(fs: FileSystem, kind: 'dat' | 'idx' | 'ts'): string[] {
  return fs
    .readDirectorySync(LIVE)
    .map(({ name }) => `${LIVE}/${name}`)
    .filter((path) => path.endsWith(`.${kind}`))
    .toSorted();
}

/** Turns one bit over, in place. */
export function flip(fs: FileSystem, path: string, bit: number): void {
  const file = fs.openSync(path, 'write');
  const byte = new Uint8Array(1);
  file.readSync(byte, 0, 1, bit >> 3);
  byte[0] = (byte[0] ?? 0) ^ (1 << (bit & 7));
  file.writeSync(byte, 0, 1, bit >> 3);
  file.closeSync();
}

/** Whether a problem says that a seq cannot be read. */
export function costs(problem: VerifyProblem, seq: number): boolean {
  const { seqRange } = problem;
  return seqRange !== undefined && seq >= seqRange.firstSeq && seq < seqRange.nextSeq;
}

export function problemsOf(report: VerifyReport, severity: VerifyProblem['severity']): string[] {
  return report.problems
    .filter((problem) => problem.severity === severity)
    .map(({ kind, path, position }) => `${kind} ${path.slice(CHANNEL.length + 1)} ${position}`);
}
