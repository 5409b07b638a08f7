/**
 * Streams on a disk in memory, with a clock that is moved by hand, for tests of what is on disk.
 */
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';
import type { StreamStoreOptions } from '../../src/streams/stream-settings.js';
import { StreamStore } from '../../src/streams/stream-store.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';

export interface StreamLab {
  readonly fs: MemoryFs;
  readonly runtime: ManualRuntime;
  readonly redex: Redex;
  readonly streams: StreamStore;
  close(): Promise<void>;
  /** Closes it and opens the same disk again. */
  reopen(options?: StreamStoreOptions): Promise<StreamLab>;
}

export async function openLab(
  options: StreamStoreOptions = {},
  fs: MemoryFs = new MemoryFs(),
  runtime: ManualRuntime = new ManualRuntime(),
): Promise<StreamLab> {
  const redex = await Redex.open('/data', { fs, runtime });
  let streams: StreamStore;
  try {
    streams = await StreamStore.open(redex, { ...options, runtime });
  } catch (error) {
    await redex.close();
    throw error;
  }
  const close = async (): Promise<void> => {
    await streams.close();
    await redex.close();
  };
  return {
    fs,
    runtime,
    redex,
    streams,
    close,
    reopen: async (given = options) => {
      await close();
      return openLab(given, fs, runtime);
    },
  };
}

/** Names of the channels that belong to streams, without the catalog. */
export async function streamChannels(redex: Redex): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of redex.channels({ prefix: '$streams/' })) {
    if (name !== '$streams/catalog') names.push(name);
  }
  return names;
}

/** Changes one byte in the dat files whose paths have this part, about in the middle of each. */
export function damage(fs: MemoryFs, part: string, at?: number): number {
  let count = 0;
  const visit = (directory: string): void => {
    for (const { name, kind } of fs.readDirectorySync(directory)) {
      const path = `${directory}/${name}`;
      if (kind === 'directory') visit(path);
      else if (path.includes(part) && path.endsWith('.dat')) {
        const handle = fs.openSync(path, 'write');
        const position = at ?? Math.floor(handle.sizeSync() / 2);
        const byte = new Uint8Array(1);
        handle.readSync(byte, 0, 1, position);
        handle.writeSync(
          byte.map((value) => value ^ 0xff),
          0,
          1,
          position,
        );
        handle.closeSync();
        count++;
      }
    }
  };
  visit('/data/channels');
  return count;
}
