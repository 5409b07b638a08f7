import { Redex } from 'redexlog';

const redex = await Redex.open('./data');
const orders = await redex.channel('orders', {
  segmentBytes: 4096,
  retention: { maxRecords: 100, waitFor: ['total'] },
});
for (let i = 0; i < 1000; i++) await orders.append(`order ${i}`, { durability: 'written' });
await orders.applyRetention();
const { retentionWait } = await orders.stats();
console.log(orders.count, 'orders are left, for', retentionWait.folds);

const total = await orders.fold({ name: 'total', version: 1, initial: 0, apply: (n) => n + 1 });
await total.caughtUp();
await total.checkpoint();
await orders.applyRetention(); // it would have come by itself, after the checkpoint
console.log('fewer are left:', orders.count < 300, 'and the fold has seen', total.value);
await redex.close();
