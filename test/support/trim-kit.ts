/**
 * Channels whose records carry their own seq as the number of their payload, in segments of a few
 * records each, and what is left of them on the disk.
 */
import { expect } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { AloneOptions } from './open-channel.js';
import { parseSegmentFileName } from '../../src/format/file-name.js';
import type { LogRecord } from '../../src/core/record.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import type { Logger } from '../../src/core/runtime.js';
import { GENERATION, payload, payloadId, type Lab } from './channel-kit.js';

/** A segment takes what is appended within so many milliseconds. */
export const SEGMENT_MS = 10;

export async function grow(
  lab: Lab,
  channel: Channel,
  segments: number,
  perSegment = 3,
  byteLength = 20,
): Promise<void> {
  for (let i = 0; i < segments; i += 1) {
    lab.runtime.advance(SEGMENT_MS);
    const from = channel.nextSeq;
    const batch = Array.from({ length: perSegment }, (_, at) => payload(from + at, byteLength));
    await lab.done(channel.appendBatch(batch));
  }
}

/** A channel of `segments` segments of three records, with seqs from 0. */
export async function grown(
  lab: Lab,
  segments: number,
  options: AloneOptions = {},
): Promise<Channel> {
  const channel = await lab.open({ segmentMs: SEGMENT_MS, ...options });
  await grow(lab, channel, segments);
  return channel;
}

/** What `work` comes to, however many turns it takes. */
export async function finished<T>(lab: Lab, work: Promise<T>): Promise<T> {
  const state = { settled: false };
  const settle = (): void => {
    state.settled = true;
  };
  work.then(settle, settle);
  for (let idle = 0; !state.settled && idle < 1000; idle += 1) {
    await lab.runtime.settle();
    if (lab.runtime.runIo()) idle = 0;
  }
  if (!state.settled) throw new Error('it waits for something that will never happen');
  return work;
}

export async function all(records: AsyncIterable<LogRecord>): Promise<LogRecord[]> {
  const found: LogRecord[] = [];
  for await (const record of records) found.push(record);
  return found;
}

export async function nextOf<T>(steps: AsyncIterator<T, unknown>): Promise<T | undefined> {
  const result = await steps.next();
  return result.done === true ? undefined : result.value;
}

/** Seqs of these records, all of which have to be whole and at their place. */
export function seqsOf(records: readonly LogRecord[]): number[] {
  return records.map((record) => {
    expect(payloadId(record.payload), `payload of seq ${record.seq}`).toBe(record.seq);
    return record.seq;
  });
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}

/** Base seqs of the files of a generation, by their kind. */
export function basesOf(
  fs: FileSystem,
  kind: 'dat' | 'idx' | 'ts' = 'dat',
  directory: string = GENERATION,
): number[] {
  return fs
    .readDirectorySync(directory)
    .map(({ name }) => parseSegmentFileName(name))
    .filter((parsed) => parsed?.kind === kind)
    .map((parsed) => parsed?.baseSeq ?? -1)
    .toSorted((a, b) => a - b);
}

/** What was logged, by message. */
export class Log implements Logger {
  readonly warnings: { message: string; details: Readonly<Record<string, unknown>> }[] = [];
  debug(): void {}
  info(): void {}
  error(): void {}
  warn(message: string, details: Readonly<Record<string, unknown>>): void {
    this.warnings.push({ message, details });
  }
}
