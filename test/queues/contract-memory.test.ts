/** Goal: queues in memory keep the same contract as those on a disk. */
import { describe, expect, test } from 'vitest';
import { QueueStore } from '../../src/queues/queue-store.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { queueStoreContract } from '../../src/testing/queue-store-contract.js';

queueStoreContract(
  { describe, test, expect },
  {
    name: 'memory',
    make: async () => {
      const runtime = new ManualRuntime();
      const queues = await QueueStore.memory({ runtime });
      return { queues, elapse: (ms) => runtime.elapse(ms), now: () => runtime.now() };
    },
  },
);
