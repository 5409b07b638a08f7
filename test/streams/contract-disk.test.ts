/** Goal: streams in a data directory keep the contract, across a close and an open. */
import { describe, expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { StreamStore } from '../../src/streams/stream-store.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { streamStoreContract } from '../../src/testing/stream-store-contract.js';

streamStoreContract(
  { describe, test, expect },
  {
    name: 'a data directory',
    make: async (options) => {
      const fs = new MemoryFs();
      const runtime = new ManualRuntime();
      let redex = await Redex.open('/data', { fs, runtime });
      let streams = await StreamStore.open(redex, { ...options, runtime });
      const close = async (): Promise<void> => {
        await streams.close();
        await redex.close();
      };
      return {
        streams,
        elapse: (ms) => runtime.elapse(ms),
        reopen: async () => {
          await close();
          redex = await Redex.open('/data', { fs, runtime });
          streams = await StreamStore.open(redex, { ...options, runtime });
          return streams;
        },
        cleanup: close,
      };
    },
  },
);
