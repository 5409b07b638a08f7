/** NATS JetStream, a work queue in files, on the nats-server that the figure has started. */
import { AckPolicy, connect, RetentionPolicy, StorageType, StringCodec } from 'nats';

const STREAM = 'work';
const codec = StringCodec();

/** @param {string} _directory @param {import('../../lib/types.js').OpenQueueOptions} options */
export async function open(_directory, { port }) {
  const connection = await connect({ servers: `127.0.0.1:${port}` });
  const manager = await connection.jetstreamManager();
  const { config } = await manager.streams.add({
    name: STREAM,
    subjects: [STREAM],
    storage: StorageType.File,
    retention: RetentionPolicy.Workqueue,
  });
  const durable = { durable_name: STREAM, ack_policy: AckPolicy.Explicit, max_ack_pending: 10_000 };
  await manager.consumers.add(STREAM, durable);
  const jetstream = connection.jetstream();
  const consumer = await jetstream.consumers.get(STREAM, STREAM);
  let messages;

  const work = async (handle, settled, failed) => {
    messages = await consumer.consume({ max_messages: 1000 });
    for await (const message of messages) {
      handle(codec.decode(message.data));
      // Unlike ack, this one waits until the server has taken it.
      void message.ackAck().then(() => settled(1), failed);
    }
  };

  /** @type {import('../../lib/types.js').MessageQueue} */
  const contender = {
    enqueueAll: (texts) =>
      Promise.all(texts.map((text) => jetstream.publish(STREAM, codec.encode(text)))),
    start: (handle, settled, failed) => void work(handle, settled, failed).catch(failed),
    settings: () => ({
      storage: config.storage,
      retention: config.retention,
      fsync: 'every 2 min',
    }),
    async close() {
      messages?.stop();
      await connection.close();
    },
  };
  return contender;
}
