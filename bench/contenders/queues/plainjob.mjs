/**
 * plainjob on better-sqlite3. It is driven through its queue and not through its worker, which
 * sleeps a second whenever there is nothing to do. It keeps jobs that are done.
 */
import Database from 'better-sqlite3';
import { better, defineQueue } from 'plainjob';
import { setImmediate as nextTurn } from 'node:timers/promises';

const TYPE = 'work';
/** Jobs between two turns of the event loop. */
const STRIDE = 250;

/** @param {string} directory @param {import('../../lib/types.js').OpenQueueOptions} options */
export async function open(directory, { synchronous }) {
  const database = new Database(`${directory}/jobs.sqlite`);
  const quiet = { error() {}, warn() {}, info() {}, debug() {} };
  const connection = better(database);
  const queue = defineQueue({ connection, logger: quiet, serializer: (text) => text });
  // It sets NORMAL, which is neither of the classes.
  database.pragma(`synchronous = ${synchronous}`);
  const state = { isOver: false };

  const work = async (handle, settled) => {
    while (!state.isOver) {
      let done = 0;
      for (; done < STRIDE; done += 1) {
        const job = queue.getAndMarkJobAsProcessing(TYPE);
        if (job === undefined) break;
        handle(queue.getJobById(job.id).data);
        queue.markJobAsDone(job.id);
      }
      settled(done);
      await nextTurn();
    }
  };

  /** @type {import('../../lib/types.js').MessageQueue} */
  const contender = {
    enqueueAll: (texts) => void queue.addMany(TYPE, texts),
    start: (handle, settled, failed) => void work(handle, settled).catch(failed),
    settings: () => ({
      journal_mode: database.pragma('journal_mode', { simple: true }),
      synchronous: database.pragma('synchronous', { simple: true }),
    }),
    async close() {
      state.isOver = true;
      await nextTurn();
      queue.close();
    },
  };
  return contender;
}
