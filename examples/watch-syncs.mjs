import { subscribe } from 'node:diagnostics_channel';
import { openChannel } from 'redexlog';

subscribe('redexlog:sync', (message) => {
  console.log(`${message.channel} is synced up to ${message.nextSeq}`);
});

const channel = await openChannel('./data/events');
await channel.append('started');
await channel.close();
