import { openChannel } from 'redexlog';

const channel = await openChannel('./data/orders'); // creates it when it is not there

const seq = await channel.append('order 1 placed'); // synced when this resolves
await channel.appendBatch(['order 1 packed', 'order 1 sent']); // both or neither

for await (const record of channel.read({ from: seq })) {
  console.log(record.seq, new TextDecoder().decode(record.payload));
}

await channel.close();
