import { QueueStore, utf8Codec } from 'redexlog/queues';

const queues = await QueueStore.open('./data');
const jobs = await queues.queue('jobs', { codec: utf8Codec, visibilityTimeoutMs: 1000 });
const [a, b, c] = await jobs.enqueueMany(['a', 'b', 'c'].map((payload) => ({ payload })));

const taken = await jobs.take(b.id);
const { token } = taken;
await jobs.delivery(token).ack();
console.log(await jobs.cancelMany([a.id, b.id]));

const [held] = await jobs.receive();
await held.attempt();
await held.release();
const [again] = await jobs.receive();
console.log(again.id === c.id, again.deliveryCount);
console.log(await jobs.expire(Date.now() + 5000), again.signal.aborted);
await queues.close();
