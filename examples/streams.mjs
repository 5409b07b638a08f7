import { Redex } from 'redexlog';
import { StreamStore } from 'redexlog/streams';

const redex = await Redex.open('./data');
const streams = await StreamStore.open(redex);

await streams.createStream('chat/42', { contentType: 'text/plain' });
const producer = { id: 'writer-1', epoch: 0, seq: 0 };
await streams.append('chat/42', 'Hello', { producer });
const again = await streams.append('chat/42', 'Hello', { producer }); // sent twice, there once
console.log(again.duplicate, again.nextOffset);

await streams.createFork('chat/42/draft', 'chat/42');
await streams.appendBatch('chat/42/draft', ['a draft', 'and more'], { close: true });

const text = (message) => Buffer.from(message).toString();
const page = await streams.read('chat/42/draft', { offset: '-1', maxBytes: 65536 });
console.log(page.messages.map(text), page.atTail, page.closed);

await streams.close();
await redex.close();
