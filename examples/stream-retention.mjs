import { StreamStore } from 'redexlog/streams';

const streams = await StreamStore.open('./retained', { retention: { maxAgeMs: 7 * 86_400_000 } });
await streams.createStream('log', { contentType: 'text/plain', retention: { maxMessages: 2 } });
await streams.appendBatch('log', ['one', 'two', 'three']);
await streams.applyRetention();
console.log((await streams.head('log')).firstOffset);
try {
  await streams.read('log', { offset: '0000000000000000_0000000000000000' });
} catch (error) {
  console.log(error.code, error.firstSeq);
}
await streams.close();
