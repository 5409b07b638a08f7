/**
 * A reader beside a writer, as two processes on one machine would be: one disk, a file system of
 * its own for each life of the writer, and one for the reader that counts what it does. Large
 * frames reach the disk in two pieces, so that the reader can see one of them alone.
 */
import { expect } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { SharedResources, type ChannelContext } from '../../src/channel/channel-context.js';
import { ChannelFollower } from '../../src/channel/channel-follower.js';
import { readChannel } from '../../src/channel/open-channel.js';
import { BatchIterator, RecordIterator } from '../../src/channel/read-iterator.js';
import type { ReadOptions } from '../../src/channel/read-options.js';
import { settingsOf } from '../../src/channel/settings.js';
import type { LogRecord } from '../../src/core/record.js';
import { generationName } from '../../src/format/file-name.js';
import type { FileHandle, OpenMode } from '../../src/fs/file-system.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { openChannelIn, type AloneOptions } from './open-channel.js';

/** Every asynchronous write of the writer is two. */
class TwoPieceFs extends CrashFs {
  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = super.openSync(path, mode);
    const write = handle.write.bind(handle);
    handle.write = async (buffer, offset, length, position): Promise<number> => {
      const half = length >> 1;
      const first = await write(buffer, offset, half, position);
      if (first < half) return first;
      return first + (await write(buffer, offset + half, length - half, position + half));
    };
    return handle;
  }
}

export class FollowerLab {
  readonly directory = '/data/log';
  readonly generation: string = `${this.directory}/${generationName(1)}`;
  readonly runtime: ManualRuntime;
  readonly disk: CrashFs;
  /** What the reader does. */
  readonly reads: FaultFs;
  /** What the current life of the writer does. */
  writes: FaultFs;

  constructor(seed = 1, io: 'immediate' | 'random' = 'immediate') {
    this.runtime = new ManualRuntime({ seed, ioOrder: io });
    const defer = this.runtime.deferIo;
    this.disk = new TwoPieceFs({ defer });
    this.reads = new FaultFs(this.disk, { defer });
    this.writes = new FaultFs(this.disk, { defer });
  }

  openWriter(options: AloneOptions = {}): Promise<Channel> {
    const { writes: fs, runtime } = this;
    return this.done(openChannelIn(this.directory, { ...options, fs, runtime }));
  }

  /** The writer is gone: nothing of it reaches the disk any more. */
  async killWriter(): Promise<void> {
    await this.runtime.drainIo();
    this.writes.clearFaults();
    this.writes.inject({ operation: 'any', nth: 1, times: Infinity, effect: { error: 'EIO' } });
    this.writes = new FaultFs(this.disk, { defer: this.runtime.deferIo });
  }

  contextOf(fs: FaultFs, options: AloneOptions = {}): ChannelContext {
    const { directory, runtime } = this;
    const settings = settingsOf({ ...options, fs, runtime });
    // What it is made of is read beside the file system that counts what the follower does.
    const place = { directory, name: undefined, isNameSynced: true };
    const shared = new SharedResources(settings);
    const { context } = readChannel(place, { ...settings, fs: this.disk }, shared, true);
    return { ...context, fs, settings, owner: { ...context.owner, fs } };
  }

  follow(options: AloneOptions = {}): Promise<ChannelFollower> {
    return this.done(ChannelFollower.open(this.contextOf(this.reads, options)));
  }

  /** Completes held operations until `promise` has settled. */
  async done<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    promise.then(settle, settle);
    // A read over many segments takes many turns, even when nothing is held.
    let idle = 0;
    for (;;) {
      await this.runtime.settle();
      if (settled) return promise;
      idle = this.runtime.runIo() ? 0 : idle + 1;
      if (idle > 1000) throw new Error('it waits for something that will never happen');
    }
  }

  /** The reader has only ever read. */
  expectOnlyReads(): void {
    const { calls } = this.reads;
    expect([calls.in('anyMutation'), calls.in('anySync')], 'the reader changes nothing').toEqual([
      0, 0,
    ]);
  }

  get datPaths(): string[] {
    return this.disk
      .readDirectorySync(this.generation)
      .map(({ name }) => `${this.generation}/${name}`)
      .filter((path) => path.endsWith('.dat'))
      .toSorted();
  }
}

/** All records of a read, in bytes of their own. */
export async function recordsOf(
  follower: ChannelFollower,
  options: ReadOptions = {},
): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const record of new RecordIterator(follower.reader, options)) {
    records.push(record.copy());
  }
  return records;
}

export async function batchesOf(
  follower: ChannelFollower,
  options: ReadOptions = {},
): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const batch of new BatchIterator(follower.reader, options)) {
    for (const record of batch) records.push(record.copy());
  }
  return records;
}

/** Records that the follower shows, as it counts them. */
export function countOf(follower: ChannelFollower): number {
  return follower.chain.all.reduce((sum, segment) => sum + segment.recordCount, 0);
}
