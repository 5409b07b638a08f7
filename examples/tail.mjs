import { Redex } from 'redexlog';

const redex = await Redex.open('./data');
const channel = await redex.channel('chat');
await channel.append('hello');

const reading = (async () => {
  for await (const record of channel.tail()) {
    console.log(record.seq, new TextDecoder().decode(record.payload));
  }
  console.log('closed');
})();

await channel.append('anybody there?');
await channel.append('bye');
await redex.close(); // what was appended before is still delivered to a tail that keeps up
await reading;
