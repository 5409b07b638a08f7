/** Goal: streams in memory keep the same contract as those on a disk. */
import { describe, expect, test } from 'vitest';
import { StreamStore } from '../../src/streams/stream-store.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { streamStoreContract } from '../../src/testing/stream-store-contract.js';

streamStoreContract(
  { describe, test, expect },
  {
    name: 'memory',
    make: async (options) => {
      const runtime = new ManualRuntime();
      const streams = await StreamStore.memory({ ...options, runtime });
      return { streams, elapse: (ms) => runtime.elapse(ms) };
    },
  },
);
