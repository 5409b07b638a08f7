/** BullMQ on the redis-server that the figure has started. */
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const CONCURRENCY = 1000;

/** @param {string} _directory @param {import('../../lib/types.js').OpenQueueOptions} options */
export async function open(_directory, { port }) {
  const connect = () => new Redis({ host: '127.0.0.1', port, maxRetriesPerRequest: null });
  const connections = [connect(), connect()];
  const [forQueue, forWorker] = connections;
  const defaultJobOptions = { removeOnComplete: true, removeOnFail: true };
  const queue = new Queue('work', { connection: forQueue, defaultJobOptions });
  await queue.waitUntilReady();
  const [, appendfsync] = await forQueue.config('GET', 'appendfsync');
  const [, appendonly] = await forQueue.config('GET', 'appendonly');
  let worker;

  /** @type {import('../../lib/types.js').MessageQueue} */
  const contender = {
    enqueueAll: (texts) => queue.addBulk(texts.map((text) => ({ name: 'work', data: text }))),
    start(handle, settled, failed) {
      worker = new Worker('work', async ({ data }) => handle(data), {
        connection: forWorker,
        concurrency: CONCURRENCY,
      });
      worker.on('completed', () => settled(1));
      worker.on('failed', (_job, error) => failed(error));
      worker.on('error', failed);
    },
    settings: () => ({ appendonly, appendfsync, concurrency: CONCURRENCY }),
    async close() {
      await worker.close();
      await queue.close();
      for (const connection of connections) connection.disconnect();
    },
  };
  return contender;
}
