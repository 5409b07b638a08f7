import { subscribe } from 'node:diagnostics_channel';
import { Redex } from 'redexlog';

subscribe('redexlog:sync', (message) => {
  console.log(`${message.channel} is synced up to ${message.nextSeq}`);
});

const redex = await Redex.open('./data');
const events = await redex.channel('events');
await events.append('started');
await redex.close();
