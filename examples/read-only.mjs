import { Redex } from 'redexlog';

const redex = await Redex.open('./data');
const orders = await redex.channel('orders');
await orders.append('order 1');

const looking = await Redex.open('./data', { readOnly: true }); // in any process
const seen = await looking.channel('orders');
const waiting = (async () => {
  for await (const { seq, payload } of seen.tail({ from: 'start' })) {
    console.log(seq, new TextDecoder().decode(payload));
    if (seq === 1) return;
  }
})();

await orders.append('order 2');
await waiting;
await looking.close();
await redex.close();
