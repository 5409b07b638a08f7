/**
 * liteque on better-sqlite3. It is driven through its queue and not through its runner, which
 * sleeps whenever there is nothing to do. Its transactions return promises, which better-sqlite3
 * refuses since 11.10: it works on the last one that did not.
 */
import Database from 'better-sqlite3-promises';
import { buildDBClient, SqliteQueue } from 'liteque';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Jobs between two turns of the event loop. */
const STRIDE = 250;

/** @param {string} directory @param {import('../../lib/types.js').OpenQueueOptions} options */
export async function open(directory, { synchronous }) {
  const db = buildDBClient(`${directory}/jobs.sqlite`, { runMigrations: true });
  // drizzle keeps the database to itself; this is where.
  db.session.client.close();
  const database = new Database(`${directory}/jobs.sqlite`);
  // What it sets by itself, but for `synchronous = NORMAL`, which is neither of the classes.
  for (const setting of ['cache_size = -65536', 'foreign_keys = ON', 'temp_store = MEMORY']) {
    database.pragma(setting);
  }
  database.pragma(`synchronous = ${synchronous}`);
  db.session.client = database;
  const options = { defaultJobArgs: { numRetries: 2 }, keepFailedJobs: false };
  const queue = new SqliteQueue('work', db, options);
  const state = { isOver: false };

  const work = async (handle, settled) => {
    while (!state.isOver) {
      let done = 0;
      for (; done < STRIDE; done += 1) {
        const job = await queue.attemptDequeue({ timeoutSecs: 60 });
        if (job === null) break;
        handle(JSON.parse(job.payload));
        await queue.finalize(job.id, job.allocationId, 'completed');
      }
      settled(done);
      await nextTurn();
    }
  };

  /** @type {import('../../lib/types.js').MessageQueue} */
  const contender = {
    enqueueAll: (texts) => Promise.all(texts.map((text) => queue.enqueue(text))),
    start: (handle, settled, failed) => void work(handle, settled).catch(failed),
    settings: () => ({
      journal_mode: database.pragma('journal_mode', { simple: true }),
      synchronous: database.pragma('synchronous', { simple: true }),
    }),
    async close() {
      state.isOver = true;
      await nextTurn();
      database.close();
    },
  };
  return contender;
}
