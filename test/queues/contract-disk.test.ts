/** Goal: queues in a data directory keep the contract, across a close, a kill and an open. */
import { describe, expect, test } from 'vitest';
import { QueueStore } from '../../src/queues/queue-store.js';
import { Redex } from '../../src/store/redex.js';
import { benign } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { queueStoreContract } from '../../src/testing/queue-store-contract.js';

queueStoreContract(
  { describe, test, expect },
  {
    name: 'a data directory',
    make: async () => {
      let fs = new CrashFs();
      let runtime = new ManualRuntime();
      let redex = await Redex.open('/data', { fs, runtime });
      let queues = await QueueStore.open(redex, { runtime });
      const open = async (): Promise<QueueStore> => {
        redex = await Redex.open('/data', { fs, runtime });
        queues = await QueueStore.open(redex, { runtime });
        return queues;
      };
      const close = async (): Promise<void> => {
        await queues.close();
        await redex.close();
      };
      return {
        queues,
        redex,
        elapse: (ms) => runtime.elapse(ms),
        now: () => runtime.now(),
        reopen: async () => {
          await close();
          return open();
        },
        kill: async () => {
          fs = fs.kill(benign);
          runtime = new ManualRuntime({ startMs: runtime.now() });
          return open();
        },
        cleanup: close,
      };
    },
  },
);
