/**
 * better-queue with its store better-queue-sqlite, which acknowledges a task before it is written
 * and runs SQLite with synchronous=OFF and the rollback journal in memory.
 */
import { once } from 'node:events';
import Queue from 'better-queue';
import SqliteStore from 'better-queue-sqlite';

const BATCH = 250;

/** @param {string} directory */
export async function open(directory) {
  let onBatch;
  const store = new SqliteStore({ path: `${directory}/tasks.sqlite` });
  const queue = new Queue((tasks, done) => onBatch(tasks, done), {
    store,
    batchSize: BATCH,
    batchDelay: 1,
    concurrent: 1,
  });

  /** @type {import('../../lib/types.js').MessageQueue} */
  const contender = {
    enqueueAll: (texts) => Promise.all(texts.map((text) => once(queue.push({ text }), 'queued'))),
    start(handle, settled, failed) {
      onBatch = (tasks, done) => {
        for (const { text } of [tasks].flat()) handle(text);
        done();
      };
      queue.on('error', failed);
      // Said before the batch is deleted: nothing tells when it is.
      queue.on('task_finish', () => settled(1));
    },
    settings: () => ({ batchSize: BATCH, concurrent: 1, synchronous: 'OFF, set by the store' }),
    close: () => new Promise((resolve) => queue.destroy(resolve)),
  };
  return contender;
}
