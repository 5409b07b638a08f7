/**
 * Histories and damage for the tests of the defects of the seed: logs with known records and times,
 * changes of single bytes, missing files, and a picture of all files to compare with later.
 */
import { expect } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { AloneOptions } from './open-channel.js';
import { decodeManifest, encodeManifest, type Manifest } from '../../src/format/manifest.js';
import { FRAME_MAGIC, type UnitHeader } from '../../src/format/unit.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { DIRECTORY, GENERATION, Lab, parseDat, payload, readFile } from './channel-kit.js';

export const MANIFEST: string = `${DIRECTORY}/manifest`;
export const CONFIG: string = `${DIRECTORY}/config`;
export const CLEAN: string = `${DIRECTORY}/clean`;
export const DAT: string = `${GENERATION}/00000000000000000000.dat`;
export const IDX: string = `${GENERATION}/00000000000000000000.idx`;
export const TS: string = `${GENERATION}/00000000000000000000.ts`;

/** How the process ended that wrote the log. */
export type Ending = 'close' | 'kill';
export const ENDINGS: readonly Ending[] = ['close', 'kill'];

/** The time of record `seq` in the logs that are made here. */
export const timeOf = (seq: number): number => 1_600_000_000_000 + 1000 * seq;

/** Appends record `seq`, whose payload has the number `seq`, as a frame of its own. */
export function appendNext(channel: Channel, seq: number, size = 40): Promise<number> {
  return channel.append(payload(seq, size), { timestamp: timeOf(seq) });
}

export interface Written {
  readonly count: number;
  readonly ending: Ending;
  readonly options?: AloneOptions;
  readonly size?: number;
}

/** The machine as the next process finds it, after one that wrote records 0 to `count` - 1. */
export async function writtenLog(written: Written): Promise<Lab> {
  const { count, ending, options = {}, size = 40 } = written;
  const lab = new Lab();
  const channel = await lab.open(options);
  for (let seq = 0; seq < count; seq += 1) await appendNext(channel, seq, size);
  if (ending === 'close') await channel.close();
  return lab.kill();
}

/** Every visible record as `seq@time`, each checked to be the one that was appended there. */
export async function shown(channel: Channel): Promise<number[]> {
  const records = await channel.readBatch();
  for (const { seq, timestamp, payload: bytes } of records) {
    expect(timestamp, `time of ${seq}`).toBe(timeOf(seq));
    expect(bytes, `payload of ${seq}`).toEqual(payload(seq, bytes.byteLength));
  }
  return records.map(({ seq }) => seq);
}

/** The numbers from 0 to `end` - 1. */
export const upTo = (end: number): number[] => Array.from({ length: end }, (_, i) => i);

/** Checks that each record is found by its seq and by its time, with that time. */
export async function expectFound(channel: Channel, count: number): Promise<void> {
  for (let seq = 0; seq < count; seq += 1) {
    const record = await channel.get(seq);
    expect([record?.seq, record?.timestamp]).toEqual([seq, timeOf(seq)]);
    expect(await channel.seqAt(timeOf(seq)), `seq at the time of ${seq}`).toBe(seq);
  }
  expect(await channel.seqAt(timeOf(count))).toBe(count);
}

/** The frames of a dat file, in order. */
export function framesAt(fs: FileSystem, path: string): UnitHeader[] {
  return parseDat(readFile(fs, path)).units.filter(({ magic }) => magic === FRAME_MAGIC);
}

/** Writes bytes into a file, and syncs them. */
export function put(fs: FileSystem, path: string, position: number, bytes: Uint8Array): void {
  const file = fs.openSync(path, 'write');
  file.writeSync(bytes, 0, bytes.byteLength, position);
  file.datasyncSync();
  file.closeSync();
}

export function flipBit(fs: FileSystem, path: string, position: number, bit: number): void {
  const byte = readFile(fs, path)[position] ?? 0;
  put(fs, path, position, Uint8Array.of(byte ^ (1 << bit)));
}

/** Cuts a file, or extends it with zeros, and syncs it. */
export function resize(fs: FileSystem, path: string, size: number): void {
  const file = fs.openSync(path, 'write');
  file.truncateSync(size);
  file.datasyncSync();
  file.closeSync();
}

/** Creates or replaces a file, durably. */
export function replaceFile(fs: FileSystem, path: string, bytes: Uint8Array): void {
  if (fs.statSync(path) !== undefined) fs.unlinkSync(path);
  fs.openSync(path, 'create').closeSync();
  put(fs, path, 0, bytes);
  fs.syncDirectorySync(path.slice(0, path.lastIndexOf('/')));
}

export function changeManifest(fs: FileSystem, change: Partial<Manifest>): void {
  const decoded = decodeManifest(readFile(fs, MANIFEST));
  if (!decoded.ok) throw new Error(`no manifest: ${decoded.check}`);
  put(fs, MANIFEST, 0, encodeManifest({ ...decoded.value, ...change }));
}

/** Every file below a directory with its bytes, to see that nothing has changed. */
export function picture(fs: FileSystem, directory: string = DIRECTORY): Record<string, string> {
  const files: Record<string, string> = {};
  for (const { name, kind } of fs.readDirectorySync(directory)) {
    const path = `${directory}/${name}`;
    if (kind === 'directory') Object.assign(files, { [path]: '' }, picture(fs, path));
    else files[path] = Buffer.from(readFile(fs, path)).toString('hex');
  }
  return files;
}
