import { QueueStore, utf8Codec } from 'redexlog/queues';

const queues = await QueueStore.open('./data');
const accounts = await queues.queue('accounts', {
  codec: utf8Codec,
  onDead: 'block',
  maxDeliveries: 1,
});
for (const payload of ['open ada', 'open bob', 'credit ada']) {
  await accounts.enqueue(payload, { key: payload.split(' ')[1] });
}

const [first] = await accounts.receive();
await first.nack({ error: 'no such branch' });
console.log(accounts.keys.blocked().map(({ key }) => key));
for (const delivery of await accounts.receive({ max: 10 })) {
  console.log(delivery.payload);
  await delivery.ack();
}

await accounts.redrive();
for (let left = 2; left > 0; left -= 1) {
  const [delivery] = await accounts.receive();
  console.log(delivery.payload);
  await delivery.ack();
}
await queues.close();
