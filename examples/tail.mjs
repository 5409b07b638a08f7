import { openChannel } from 'redexlog';

const channel = await openChannel('./data/chat');
await channel.append('hello');

const reading = (async () => {
  for await (const record of channel.tail()) {
    console.log(record.seq, new TextDecoder().decode(record.payload));
  }
  console.log('closed');
})();

await channel.append('anybody there?');
await channel.append('bye');
await channel.close(); // what was appended before is still delivered to a tail that keeps up
await reading;
