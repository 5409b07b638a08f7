import { Redex } from 'redexlog';

const redex = await Redex.open('./data'); // once in a process: it holds the lock
const orders = await redex.channel('orders'); // creates it when it is not there

const seq = await orders.append('order 1 placed'); // synced when this resolves
await orders.appendBatch(['order 1 packed', 'order 1 sent']); // both or neither

for await (const record of orders.read({ from: seq })) {
  console.log(record.seq, new TextDecoder().decode(record.payload));
}

await redex.close();
