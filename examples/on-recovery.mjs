import { Redex } from 'redexlog';

const redex = await Redex.open('./data', {
  onRecovery({ channel, tornTail, damage }) {
    if (tornTail !== undefined) console.warn(`${channel}: a torn tail was cut`, tornTail);
    if (damage !== undefined) console.error(`${channel}: takes no appends`, damage);
  },
});

const orders = await redex.channel('orders');
console.log(`open, next seq ${orders.nextSeq}`);
await redex.close();
