import { Redex, jsonCodec } from 'redexlog';

const redex = await Redex.open('./data');
const channel = await redex.channel('orders');
const orders = channel.typed(jsonCodec);

await orders.append({ id: 1, items: ['tea'] });
await orders.appendRecords([{ value: { id: 2, items: [] }, type: 7 }]);
await channel.append('no JSON');

const reading = orders.read();
for (let i = 0; i < 3; i++) {
  try {
    const { value: record } = await reading.next();
    console.log(record.seq, record.type, record.value);
  } catch (error) {
    console.log(error.name, error.seq); // the next step goes on behind it
  }
}
await redex.close();
