/** Queues of redexlog, through their public entry. */
import { QueueStore } from 'redexlog/queues';

const RECEIVERS = 4;
const MAX = 250;

/** @param {string} directory @param {import('../../lib/types.js').OpenQueueOptions} options */
export async function open(directory, { enqueue, ack, many }) {
  const queues = await QueueStore.open(`${directory}/data`);
  const queue = await queues.queue('work');
  const state = { isOver: false };

  /** Each message is acknowledged by itself; the next are received when all of these are. */
  const receiver = async (handle, settled) => {
    while (!state.isOver) {
      const deliveries = await queue.receive({ max: MAX, waitMs: 1000 });
      const acks = deliveries.map((delivery) => {
        const { buffer, byteOffset, length } = delivery.payload;
        handle(Buffer.from(buffer, byteOffset, length).latin1Slice());
        return delivery.ack({ durability: ack });
      });
      await Promise.all(acks);
      settled(deliveries.length);
    }
  };

  /** @type {import('../../lib/types.js').MessageQueue} */
  const contender = {
    enqueueAll(texts) {
      const payloads = texts.map((text) => Buffer.from(text, 'latin1'));
      if (many)
        return queue.enqueueMany(payloads.map((payload) => ({ payload, durability: enqueue })));
      return Promise.all(
        payloads.map((payload) => queue.enqueue(payload, { durability: enqueue })),
      );
    },
    start(handle, settled, failed) {
      for (let count = RECEIVERS; count > 0; count -= 1) {
        receiver(handle, settled).catch((error) => {
          if (!state.isOver) failed(error);
        });
      }
    },
    settings: () => ({ enqueue, ack, receivers: RECEIVERS, max: MAX }),
    async close() {
      state.isOver = true;
      await queues.close();
    },
  };
  return contender;
}
