import { QueueStore, utf8Codec } from 'redexlog/queues';

const queues = await QueueStore.open('./data');
const index = await queues.queue('index', { codec: utf8Codec, keepMessages: 1000 });

for (const text of ['draft', 'better', 'final']) {
  const options = { dedupKey: 'page 7', dedupMode: 'replace', delayMs: 50 };
  const { replaced = false } = await index.enqueue(text, options);
  console.log(replaced);
}
const [delivery] = await index.receive({ waitMs: 1000 });
console.log(delivery.payload);
await delivery.ack();

const { messages, complete } = await index.groups.seek(undefined, 'earliest');
console.log(messages, complete);
await queues.close();
