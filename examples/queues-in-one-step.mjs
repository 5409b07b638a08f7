import { Redex } from 'redexlog';
import { QueueStore } from 'redexlog/queues';

const redex = await Redex.open('./data');
const queues = await QueueStore.open(redex);
const orders = await queues.queue('orders');
const invoices = await queues.queue('invoices');
const ledger = await redex.channel('ledger');
await orders.enqueue('order 1');

const [delivery] = await orders.receive();
await queues.commit([
  delivery.acking(),
  invoices.enqueuing('invoice for order 1'),
  ledger.appending('order 1 booked'),
]);
console.log((await orders.stats()).messages, (await invoices.stats()).messages, ledger.nextSeq);
await queues.close();
await redex.close();
