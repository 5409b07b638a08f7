import { Redex } from 'redexlog';
import { QueueStore, jsonCodec } from 'redexlog/queues';

const redex = await Redex.open('./data');
const queues = await QueueStore.open(redex);
const emails = await queues.queue('emails', { codec: jsonCodec, maxDeliveries: 2, backoffMs: 1 });

await emails.enqueue({ to: 'ada' });
await emails.enqueue({ to: 'nobody' }, { headers: { trace: '7' }, dedupKey: 'welcome/nobody' });
const again = await emails.enqueue({ to: 'nobody' }, { dedupKey: 'welcome/nobody' });
console.log(again.duplicate);

for (let turn = 0; turn < 2; turn += 1) {
  for (const delivery of await emails.receive({ max: 10, waitMs: 1000 })) {
    if (delivery.payload.to === 'ada') await delivery.ack();
    else await delivery.nack({ error: 'no such address' });
  }
}

const dead = await emails.deadLetters();
for await (const { payload, headers, origin } of dead.browse()) {
  console.log(payload, headers, origin.cause, origin.deliveryCount, origin.reason);
}
await queues.close();
await redex.close();
