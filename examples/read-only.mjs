import { Redex } from 'redexlog';

const redex = await Redex.open('./data');
const orders = await redex.channel('orders');
await orders.append('order 1');

const looking = await Redex.open('./data', { readOnly: true }); // in this or any other process
const seen = await looking.channel('orders');
await orders.append('order 2');
for await (const { seq, payload } of seen.tail({ from: 'start' })) {
  console.log(seq, new TextDecoder().decode(payload));
  if (seq === 1) break; // the next step would wait
}

await looking.close();
await redex.close();
