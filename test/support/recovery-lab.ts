/** Logs on a file system in memory whose bytes a test may change between two opens. */
import type { Channel } from '../../src/channel/channel.js';
import { openChannelIn, type OpenChannelOptions } from './open-channel.js';
import type { RecoveryReport } from '../../src/channel/recovery-report.js';
import { RedexError, type ErrorCode, type RedexErrorOf } from '../../src/core/errors.js';
import type { LogRecord } from '../../src/core/record.js';
import { segmentFileName, type SegmentFileKind } from '../../src/format/file-name.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { benign } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';

export const LOG = '/data/log';
const GENERATION: string = `${LOG}/v0000000001`;

export function fileOf(baseSeq: number, kind: SegmentFileKind = 'dat'): string {
  return `${GENERATION}/${segmentFileName(baseSeq, kind)}`;
}

export interface Opened {
  readonly channel: Channel;
  /** Absent when the clean mark was believed. */
  readonly report: RecoveryReport | undefined;
  readonly runtime: ManualRuntime;
}

export type LogOptions = Omit<OpenChannelOptions, 'fs' | 'runtime' | 'onRecovery'>;

let seed = 0;

export async function openLog(fs: FileSystem, options: LogOptions = {}): Promise<Opened> {
  seed += 1;
  const runtime = new ManualRuntime({ seed, ioOrder: 'immediate' });
  let report: RecoveryReport | undefined;
  const onRecovery = (given: RecoveryReport): void => {
    report = given;
  };
  const channel = await openChannelIn(LOG, { ...options, fs, runtime, onRecovery });
  return { channel, report, runtime };
}

/** The same directory after the process died, with all that was written durable. */
export function durableCopy(fs: CrashFs): CrashFs {
  return fs.crash(benign);
}

export function readFile(fs: FileSystem, path: string): Uint8Array {
  const file = fs.openSync(path, 'read');
  const bytes = new Uint8Array(file.sizeSync());
  file.readSync(bytes, 0, bytes.length, 0);
  file.closeSync();
  return bytes;
}

/** Gives a file these bytes, whatever it held; creates it when it is missing. */
export function putFile(fs: FileSystem, path: string, bytes: Uint8Array): void {
  const file = fs.openSync(path, fs.statSync(path) === undefined ? 'create' : 'write');
  file.truncateSync(0);
  file.writeSync(bytes, 0, bytes.length, 0);
  file.closeSync();
}

export function editFile(
  fs: FileSystem,
  path: string,
  edit: (bytes: Uint8Array) => Uint8Array,
): void {
  putFile(fs, path, edit(readFile(fs, path)));
}

export function truncateFile(fs: FileSystem, path: string, size: number): void {
  const file = fs.openSync(path, 'write');
  file.truncateSync(size);
  file.closeSync();
}

export function flipBit(fs: FileSystem, path: string, bit: number): void {
  editFile(fs, path, (bytes) => {
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return bytes;
  });
}

export function fillFile(
  fs: FileSystem,
  path: string,
  from: number,
  to: number,
  value: number,
): void {
  editFile(fs, path, (bytes) => bytes.fill(value, from, to));
}

/** Every file below a directory, as hex. */
export function tree(fs: FileSystem, directory = '/data'): Record<string, string> {
  const files: Record<string, string> = {};
  const names = fs.readDirectorySync(directory).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, kind } of names) {
    const path = `${directory}/${name}`;
    if (kind === 'directory') Object.assign(files, { [path]: 'directory' }, tree(fs, path));
    else files[path] = Buffer.from(readFile(fs, path)).toString('hex');
  }
  return files;
}

/** Names of the dat files. */
export function segmentsOf(fs: FileSystem): number[] {
  return fs
    .readDirectorySync(GENERATION)
    .filter(({ name }) => name.endsWith('.dat'))
    .map(({ name }) => Number(name.slice(0, 20)))
    .toSorted((a, b) => a - b);
}

export function textOf(record: LogRecord): string {
  return Buffer.from(record.payload).toString();
}

export async function textsOf(channel: Channel, from = 0): Promise<string[]> {
  return (await channel.readBatch({ from })).map(textOf);
}

/** The error of this code that a call ends with. */
export async function errorOf<C extends ErrorCode>(
  code: C,
  call: () => Promise<unknown>,
): Promise<RedexErrorOf<C>> {
  let value: unknown;
  try {
    value = await call();
  } catch (error) {
    if (RedexError.is(error, code)) return error;
    throw error;
  }
  throw new Error(`expected ${code}, but it succeeded with ${JSON.stringify(value)}`);
}

/** Sizes of the units of a dat file, from its lengths; header and all. */
export function unitsOf(bytes: Uint8Array): { magic: string; at: number; byteLength: number }[] {
  const units: { magic: string; at: number; byteLength: number }[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 64; at + 48 <= bytes.length;) {
    const byteLength = view.getUint32(at + 12, true);
    const magic = Buffer.from(bytes.subarray(at + 8, at + 12)).toString();
    if (byteLength === 0) break;
    units.push({ magic, at, byteLength });
    at += byteLength;
  }
  return units;
}

export interface SmallLog {
  readonly fs: CrashFs;
  readonly texts: readonly string[];
}

/** A log of one short record for each segment, by age; the clock moves on between records. */
export async function segmentPerRecord(
  count: number,
  options: LogOptions = {},
): Promise<SmallLog & { readonly opened: Opened }> {
  const fs = new CrashFs();
  const opened = await openLog(fs, { segmentMs: 10, ...options });
  const texts: string[] = [];
  for (let i = 0; i < count; i += 1) {
    opened.runtime.advance(10);
    const text = `record ${i} ${'x'.repeat(i % 5)}`;
    texts.push(text);
    await opened.channel.append(text);
  }
  return { fs, texts, opened };
}
