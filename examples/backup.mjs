import { Redex } from 'redexlog';

const redex = await Redex.open('./data');
const orders = await redex.channel('orders');
await orders.append('order 1');

const { channels, damaged } = await redex.backup('./backups/monday'); // missing or empty
console.log(`${channels} channel, ${damaged.length} damaged`);
await orders.append('order 2');
await redex.close();

const copy = await Redex.open('./backups/monday', { createIfMissing: false });
console.log(`${(await copy.channel('orders')).count} record in the copy`);
await copy.close();
