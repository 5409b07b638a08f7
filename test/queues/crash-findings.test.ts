/**
 * Goal: what the crash test of queues has found stays mended.
 * Method: for each finding the fewest steps that show it, on a disk in memory.
 */
import { afterEach, expect, test } from 'vitest';
import { pumped as pump } from '../../src/crash-test/pump.js';
import type { Queue } from '../../src/queues/queue.js';
import { storedQueueOptions } from '../../src/queues/stored-options.js';
import { QueueState } from '../../src/queues/queue-state.js';
import { QueueStore } from '../../src/queues/queue-store.js';
import { Redex } from '../../src/store/redex.js';
import { benign } from '../../src/testing/choices.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { processKill } from '../../src/testing/crash-profiles.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';

class Process {
  readonly runtime: ManualRuntime;
  readonly #disk: CrashFs;
  readonly #redex: Redex;
  readonly #store: QueueStore;

  private constructor(disk: CrashFs, runtime: ManualRuntime, redex: Redex, store: QueueStore) {
    this.#disk = disk;
    this.runtime = runtime;
    this.#redex = redex;
    this.#store = store;
  }

  static async start(disk: CrashFs = new CrashFs()): Promise<Process> {
    const runtime = new ManualRuntime({ ioOrder: 'immediate' });
    const redex = await Redex.open('/data', { fs: disk, runtime });
    const store = await QueueStore.open(redex, { runtime, segmentBytes: 4096 });
    return new Process(disk, runtime, redex, store);
  }

  queue(name: string, options: object = {}): Promise<Queue> {
    return this.#store.queue(name, options);
  }

  /** It is killed, and the next one finds what it has written. */
  async kill(): Promise<Process> {
    const left = this.#disk.crash(benign, { profile: processKill });
    await this.close();
    return Process.start(left);
  }

  async close(): Promise<void> {
    await this.#store.close();
    await this.#redex.close();
  }
}

let process: Process | undefined;

async function start(): Promise<Process> {
  process = await Process.start();
  return process;
}

async function killed(): Promise<Process> {
  if (process === undefined) throw new Error('nothing was started');
  process = await process.kill();
  return process;
}

afterEach(async () => {
  await process?.close();
  process = undefined;
});

const texts = (messages: readonly { readonly payload: Uint8Array | undefined }[]): string[] =>
  messages.map(({ payload }) => Buffer.from(payload ?? []).toString());

test('a message that came back before a crash is handed out once in a turn', async () => {
  const first = await (await start()).queue('q');
  await first.enqueue(Buffer.from('a'), { priority: 5 });
  const [delivery] = await first.receive();
  await delivery?.nack({ delayMs: 0 });
  const queue = await (await killed()).queue('q');
  const deliveries = await queue.receive({ max: 5 });
  expect(deliveries.map(({ deliveryCount }) => deliveryCount)).toEqual([2]);
});

test('the bytes that are counted are those that are there, also of what was changed', async () => {
  const queue = await (await start()).queue('q');
  const { seq } = await queue.enqueue(Buffer.from('a'));
  await queue.enqueue(Buffer.from('bb'));
  await queue.update(seq, { payload: Buffer.from('a longer one') });
  expect((await queue.stats()).bytes).toBe(14);
  const [delivery] = await queue.receive();
  expect(texts(delivery === undefined ? [] : [delivery])).toEqual(['a longer one']);
  await delivery?.ack();
  expect((await queue.stats()).bytes).toBe(2);
});

test('a change of the delay leaves the priority, and one of the priority the delay', async () => {
  const queue = await (await start()).queue('q');
  const { seq } = await queue.enqueue(Buffer.from('a'));
  await queue.update(seq, { priority: 3 });
  await queue.update(seq, { delayMs: 1000 });
  await queue.update(seq, { priority: 2 });
  const message = await queue.get(seq);
  expect(message).toMatchObject({ priority: 2, state: 'delayed' });
});

test('a lowered priority counts', async () => {
  const queue = await (await start()).queue('q');
  const { seq } = await queue.enqueue(Buffer.from('a'), { priority: 5 });
  await queue.enqueue(Buffer.from('b'), { priority: 3 });
  await queue.update(seq, { priority: 1 });
  expect(texts(await queue.receive({ max: 2 }))).toEqual(['b', 'a']);
});

test('a suspect that is put off comes when it is due', async () => {
  const first = await (await start()).queue('q');
  const { seq } = await first.enqueue(Buffer.from('a'));
  await first.receive();
  const next = await killed();
  const queue = await next.queue('q');
  await queue.update(seq, { delayMs: 1000 });
  expect(await queue.receive()).toEqual([]);
  next.runtime.advance(1001);
  expect(texts(await queue.receive())).toEqual(['a']);
});

test('suspects of one key come one after the other, and none is forgotten', async () => {
  const options = { ordering: 'relaxed', deadLetter: false };
  const first = await (await start()).queue('q', options);
  const { seq } = await first.enqueue(Buffer.from('a'), { key: 'k' });
  const [delivery] = await first.receive();
  await delivery?.nack({ delayMs: 0 });
  await first.groups.seek(undefined, 'earliest');
  await first.receive();
  await first.enqueue(Buffer.from('b'), { key: 'k' });
  expect(seq).toBeGreaterThan(0);
  const queue = await (await killed()).queue('q');
  const [suspect] = await queue.receive({ max: 2 });
  expect(texts(suspect === undefined ? [] : [suspect])).toEqual(['a']);
  await suspect?.ack();
  expect(texts(await queue.receive())).toEqual(['b']);
});

test('the next message of a key comes when the one whose turn it was is cancelled', async () => {
  const queue = await (await start()).queue('q');
  await queue.enqueue(Buffer.from('a'), { key: 'k' });
  const { seq } = await queue.enqueue(Buffer.from('b'), { key: 'k' });
  await queue.enqueue(Buffer.from('c'), { key: 'k' });
  const [delivery] = await queue.receive({ max: 3 });
  await delivery?.ack();
  await queue.cancel(seq);
  expect(texts(await queue.receive({ max: 3 }))).toEqual(['c']);
});

test('what is taken from the end does not take the turn of its key', async () => {
  const queue = await (await start()).queue('q');
  for (const text of ['a', 'b', 'c']) await queue.enqueue(Buffer.from(text), { key: 'k' });
  const [delivery] = await queue.receive();
  expect(texts(await queue.popRight())).toEqual(['c']);
  expect(await queue.receive()).toEqual([]);
  await delivery?.ack();
  expect(texts(await queue.receive())).toEqual(['b']);
});

test('a dead letter has the payload that was given to it while it was in flight', async () => {
  const queue = await (await start()).queue('q');
  const { seq } = await queue.enqueue(Buffer.from('a'));
  const [delivery] = await queue.receive();
  await queue.update(seq, { payload: Buffer.from('b') });
  await delivery?.reject('no');
  const dead = await queue.deadLetters();
  expect(texts(await dead.receive())).toEqual(['b']);
});

test('a group that begins earlier gets a message with a priority first', async () => {
  const queue = await (await start()).queue('q', { mode: 'fanout' });
  await queue.enqueue(Buffer.from('a'), { priority: 3 });
  await queue.enqueue(Buffer.from('b'));
  await queue.groups.create('g');
  expect(texts(await queue.receive({ group: 'g' }))).toEqual(['a']);
});

test('a message that is kept for its key is done with, also without checkpoints', async () => {
  const disk = new CrashFs();
  process = await Process.start(disk);
  const first = await process.queue('q');
  await first.enqueue(Buffer.from('stays'));
  await first.enqueue(Buffer.from('kept'), { dedupKey: 'd' });
  for (let number = 0; number < 60; number++) await first.enqueue(Buffer.alloc(1000));
  const deliveries = await first.receive({ max: 100 });
  for (const delivery of deliveries.slice(1)) await delivery.ack();
  await first.reclaim();
  await process.close();
  const directory = '/data/channels/%24queues%2fq/checkpoints';
  for (const { name } of disk.readDirectorySync(directory)) disk.unlinkSync(`${directory}/${name}`);
  process = await Process.start(disk);
  const queue = await process.queue('q');
  expect(texts(await queue.receive({ max: 5 }))).toEqual(['stays']);
});

test('what is acknowledged while space is reclaimed is not counted after a crash', async () => {
  const disk = new CrashFs();
  process = await Process.start(disk);
  const first = await process.queue('q');
  for (let number = 0; number < 60; number++) await first.enqueue(Buffer.alloc(1000));
  await first.enqueue(Buffer.from('stays'));
  const [one, ...others] = await first.receive({ max: 60 });
  const acknowledging = async (): Promise<void> => {
    for (const delivery of others) await delivery.ack();
  };
  for (const delivery of others.splice(0, 20)) await delivery.ack();
  await one?.ack();
  await Promise.all([first.reclaim(), acknowledging()]);
  const directory = '/data/channels/%24queues%2fq/checkpoints';
  const left = disk.crash(benign, { profile: processKill });
  const names = left.readDirectorySync(directory).map(({ name }) => name);
  for (const name of names.toSorted().slice(1)) left.unlinkSync(`${directory}/${name}`);
  const older = await Process.start(left);
  const { messages, inFlight } = await (await older.queue('q')).stats();
  await older.close();
  expect({ messages, inFlight }).toEqual({ messages: 1, inFlight: 0 });
});

test('a message that is behind one that waits for its sync is delivered after it', async () => {
  const runtime = new ManualRuntime();
  const fs = new CrashFs({ defer: runtime.deferIo });
  const pumped = <T>(work: Promise<T>): Promise<T> => pump(runtime, work);
  const redex = await pumped(Redex.open('/data', { fs, runtime }));
  const store = await pumped(QueueStore.open(redex, { runtime, reserveBytes: 0 }));
  const queue = await pumped(store.queue('q'));
  const synced = queue.enqueue(Buffer.from('synced'));
  let isSynced = false;
  const noted = synced.finally(() => (isSynced = true));
  await pumped(queue.enqueue(Buffer.from('written'), { priority: 1, durability: 'written' }));
  expect(isSynced).toBe(false);
  expect(texts(await pumped(queue.receive({ max: 5 })))).toEqual(['written', 'synced']);
  await noted;
  expect((await pumped(queue.stats())).inFlight).toBe(2);
  await pumped(store.close());
  await pumped(redex.close());
});

test('what was cancelled stays so for a group that is known before it, and begins there', () => {
  const state = new QueueState(storedQueueOptions({ mode: 'fanout' }, 'q', false), 'tag');
  // As a log says it whose first records are gone: where the groups are now comes first.
  for (const name of ['a', 'b']) state.addGroup(name, 5);
  state.apply(6, { o: 'cancel', t: 0, s: [4, 1], z: [1], at: [0], k: [null] });
  state.apply(7, { o: 'ungroup', t: 0, name: 'b', open: 0, total: [0, 0] });
  state.apply(8, { o: 'group', t: 0, name: 'b', start: 3, open: 0, total: [0, 0] });
  expect(state.groups.get('b')?.settled.has(4)).toBe(true);
  expect(state.groups.get('b')?.settled.has(3)).toBe(false);
});
