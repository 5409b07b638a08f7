/**
 * Consumers and producers of a queue, to be killed: it enqueues, receives, and ends deliveries in
 * all ways, many at once. It tells on descriptor 3 what it finds, what it begins, and what was
 * acknowledged. Usage: node process-queue-load.js DIRECTORY SEED LIFE
 */
import { writeSync } from 'node:fs';
import process from 'node:process';
import { Redex, RedexError } from '../../src/index.js';
import type { Delivery } from '../../src/queues/delivery.js';
import { QueueStore } from '../../src/queues/queue-store.js';
import type { Queue } from '../../src/queues/queue.js';
import { Random } from '../../src/testing/choices.js';
import {
  findQueues,
  MAX_DELIVERIES,
  numberIn,
  numberOf,
  payloadOf,
  QUEUE,
  SEGMENT_BYTES,
  type Ending,
  type FoundMessage,
  type FoundQueues,
} from './process-queue-records.js';

/** What the program tells; numbers are those of messages, tokens those of what is under way. */
export type QueueKillMessage =
  | readonly ['start', number]
  | readonly ['found', FoundQueues]
  /** It begins its work; how many channels had to be recovered is not told. */
  | readonly ['open', number]
  | readonly ['enqueue', readonly number[]]
  | readonly ['enqueued', readonly FoundMessage[]]
  | readonly ['receive', token: number, most: number]
  | readonly ['received', token: number, readonly FoundMessage[]]
  | readonly ['settle', token: number, number, Ending]
  | readonly ['settled', token: number, number]
  /** One is acknowledged and the other enqueued in one step. */
  | readonly ['move', token: number, from: number, to: number]
  | readonly ['moved', token: number, from: number, to: FoundMessage]
  | readonly ['failed', string];

const REPORTS = 3;
const MAX_MS = 60_000;
const CONSUMERS = 4;
const PRODUCERS = 3;
/** Messages in the queue above which none are enqueued. */
const MANY = 150;
const JOURNALS: readonly number[] = [256 * 1024, 1024 * 1024, 16 * 1024 * 1024];
const ENDINGS: readonly Ending[] = [
  ...(['ack written', 'ack written', 'ack written', 'ack synced', 'ack synced'] as const),
  ...(['nack', 'nack', 'release', 'reject'] as const),
];

const [directory = '', seed = '0', lifeText = '0'] = process.argv.slice(2);
const life = Number(lifeText);
const random = new Random(Number(seed) * 1009 + life);
let index = 0;
let token = 0;

function say(...message: QueueKillMessage): void {
  writeSync(REPORTS, `${JSON.stringify(message)}\n`);
}

function fail(error: unknown): never {
  say('failed', RedexError.is(error) ? `${error.code} ${String(error)}` : String(error));
  console.error(error);
  process.exit(3);
}

const isOver = (): boolean => process.uptime() * 1000 > MAX_MS;

function optionsOf(number: number): { readonly key?: string; readonly priority?: number } {
  if (number % 5 === 0) return { key: `k${number % 3}` };
  return number % 7 === 0 ? { priority: 2 } : {};
}

async function produce(queue: Queue): Promise<void> {
  while (!isOver()) {
    if ((await queue.stats()).messages > MANY) {
      await new Promise(setImmediate);
      continue;
    }
    const numbers = Array.from({ length: 1 + random.below(4) }, () => numberIn(life, index++));
    const durability = random.below(3) === 0 ? 'written' : 'synced';
    say('enqueue', numbers);
    const results = await queue.enqueueMany(
      numbers.map((number) => ({ payload: payloadOf(number), durability, ...optionsOf(number) })),
    );
    const told = results.map(({ id, seq }, at) => ({
      number: numbers[at] ?? -1,
      id,
      seq,
      count: 0,
    }));
    say('enqueued', told);
  }
}

async function consume(store: QueueStore, queue: Queue): Promise<void> {
  while (!isOver()) {
    const max = 1 + random.below(5);
    const mine = token++;
    say('receive', mine, max);
    const deliveries = await queue.receive({ max, waitMs: 20 });
    const told = deliveries.map(({ payload, id, seq, deliveryCount: count }): FoundMessage => {
      return { number: numberOf(payload), id, seq, count };
    });
    say('received', mine, told);
    await Promise.all(deliveries.map((delivery) => settle(store, queue, delivery)));
    if (random.below(40) === 0) await queue.reclaim();
  }
}

async function settle(store: QueueStore, queue: Queue, delivery: Delivery): Promise<void> {
  const number = numberOf(delivery.payload);
  const mine = token++;
  if (random.below(6) === 0) {
    const to = numberIn(life, index++);
    say('move', mine, number, to);
    const steps = [delivery.acking(), queue.enqueuing(payloadOf(to), optionsOf(to))];
    const { enqueued } = await store.commit(steps);
    const [{ id, seq } = { id: '', seq: -1 }] = enqueued;
    say('moved', mine, number, { number: to, id, seq, count: 0 });
    return;
  }
  const ending = ENDINGS[random.below(ENDINGS.length)] ?? 'nack';
  say('settle', mine, number, ending);
  if (ending === 'nack') await delivery.nack({ delayMs: random.below(3) * 5 });
  else if (ending === 'release') await delivery.release();
  else if (ending === 'reject') await delivery.reject('no');
  else await delivery.ack({ durability: ending === 'ack synced' ? 'synced' : 'written' });
  say('settled', mine, number);
}

try {
  say('start', process.pid);
  const redex = await Redex.open(directory, { journalBytes: JOURNALS[random.below(3)] });
  const reserveBytes = random.below(4) === 0 ? 64 * 1024 : 0;
  const store = await QueueStore.open(redex, { segmentBytes: SEGMENT_BYTES, reserveBytes });
  const queue = await store.queue(QUEUE, { maxDeliveries: MAX_DELIVERIES, backoffMs: 1 });
  say('found', await findQueues(queue));
  say('open', 0);
  await Promise.all([
    ...Array.from({ length: PRODUCERS }, () => produce(queue)),
    ...Array.from({ length: CONSUMERS }, () => consume(store, queue)),
  ]);
} catch (error) {
  fail(error);
}
