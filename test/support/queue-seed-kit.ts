/**
 * Queues on a disk in memory, with a clock that is moved by hand, for the tests of what other
 * queues did.
 */
import type { FileSystem } from '../../src/fs/file-system.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import type { Delivery } from '../../src/queues/delivery.js';
import type { QueueStoreOptions } from '../../src/queues/queue-settings.js';
import { QueueStore } from '../../src/queues/queue-store.js';
import { Redex } from '../../src/store/redex.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';

export interface QueueLab {
  readonly fs: FileSystem;
  readonly runtime: ManualRuntime;
  readonly redex: Redex;
  readonly queues: QueueStore;
  close(): Promise<void>;
  /** Closes it and opens the same disk again. */
  reopen(): Promise<QueueLab>;
}

export async function openQueueLab(
  fs: FileSystem = new MemoryFs(),
  runtime: ManualRuntime = new ManualRuntime(),
  options: QueueStoreOptions = {},
): Promise<QueueLab> {
  const redex = await Redex.open('/data', { fs, runtime });
  const queues = await QueueStore.open(redex, { ...options, runtime });
  const close = async (): Promise<void> => {
    await queues.close();
    await redex.close();
  };
  return {
    fs,
    runtime,
    redex,
    queues,
    close,
    reopen: async () => {
      await close();
      return openQueueLab(fs, runtime, options);
    },
  };
}

/** Payloads of deliveries, as text. */
export function textsOf(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ payload }) => Buffer.from(payload).toString());
}
