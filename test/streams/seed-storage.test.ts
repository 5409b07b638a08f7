/**
 * Goal: streams do what the tests of an older storage expect of it, by its operations' names. Each
 * test here has a counterpart there; where streams are meant to differ, the test says how.
 */
import { expect, test } from 'vitest';
import { seedStorage, type SeedConfig } from '../../src/streams/seed-storage.js';
import { StreamStore } from '../../src/streams/stream-store.js';
import { damage, openLab, streamChannels } from '../support/stream-kit.js';

const TEXT: SeedConfig = { content_type: 'text/plain' };
const texts = (messages: readonly Uint8Array[]): string[] =>
  messages.map((message) => Buffer.from(message).toString());
const CAPS = { maxTotalBytes: 1024 * 1024, maxStreamBytes: 100 * 1024 };

test('restores messages from disk', async () => {
  const lab = await openLab(CAPS);
  const storage = seedStorage(lab.streams);
  expect(await storage.create_stream('events', TEXT)).toBe('Created');
  expect(await storage.create_stream('events', TEXT)).toBe('AlreadyExists');
  const first = await storage.append('events', 'event-1', 'text/plain');
  expect(await storage.append('events', 'event-2', 'text/plain')).not.toBe(first);

  const again = await lab.reopen();
  const { messages, at_tail: atTail } = await seedStorage(again.streams).read('events');
  expect(texts(messages)).toEqual(['event-1', 'event-2']);
  expect(atTail).toBe(true);
  await again.close();
});

test('restores a closed stream from disk', async () => {
  const lab = await openLab(CAPS);
  const storage = seedStorage(lab.streams);
  await storage.create_stream('s', TEXT);
  await storage.append('s', 'data', 'text/plain');
  await storage.close_stream('s');

  const again = await lab.reopen();
  const restored = seedStorage(again.streams);
  const { closed, message_count: count } = await restored.head('s');
  expect({ closed, count }).toEqual({ closed: true, count: 1 });
  await expect(restored.append('s', 'more', 'text/plain')).rejects.toMatchObject({
    code: 'STREAM_CLOSED',
  });
  await again.close();
});

test('a restart preserves the state of producers', async () => {
  const lab = await openLab(CAPS);
  const storage = seedStorage(lab.streams);
  await storage.create_stream('s', TEXT);
  const producer = { id: 'p1', epoch: 0, seq: 0 };
  const accepted = await storage.append_with_producer('s', ['x'], 'text/plain', producer, false);
  expect(accepted).toMatchObject({ status: 'Accepted', epoch: 0, seq: 0, closed: false });

  const again = await lab.reopen();
  const restored = seedStorage(again.streams);
  const repeated = await restored.append_with_producer('s', ['x'], 'text/plain', producer, false);
  expect(repeated).toEqual({ ...accepted, status: 'Duplicate' });
  await again.close();
});

test('a stream has the same place after a restart, where there was a stable shard', async () => {
  const lab = await openLab();
  await seedStorage(lab.streams).create_stream('same-stream', TEXT);
  const before = await streamChannels(lab.redex);
  const again = await lab.reopen();
  expect(await streamChannels(again.redex)).toEqual(before);
  await again.close();
});

test('every stream has a channel of its own, where there were shards', async () => {
  const lab = await openLab();
  const storage = seedStorage(lab.streams);
  const names = Array.from({ length: 256 }, (_, i) => `stream-${i}`);
  await Promise.all(names.map((name) => storage.create_stream(name, TEXT)));
  expect(new Set(await streamChannels(lab.redex)).size).toBe(256);
  await lab.close();
});

test('expired streams are removed at start-up', async () => {
  const lab = await openLab(CAPS);
  const storage = seedStorage(lab.streams);
  const expires = new Date(lab.runtime.now() + 50);
  await storage.create_stream('expiring', { ...TEXT, expires_at: expires });
  await storage.append('expiring', 'x', 'text/plain');
  await lab.close();
  lab.runtime.setNow(lab.runtime.now() + 100);

  const again = await openLab(CAPS, lab.fs, lab.runtime);
  const restored = seedStorage(again.streams);
  expect(await restored.exists('expiring')).toBe(false);
  await expect(restored.read('expiring')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(await restored.subscribe('expiring')).toBe(null);
  expect(await streamChannels(again.redex)).toEqual([]);
  await again.close();
});

test('the cap of all streams is strict under concurrency', async () => {
  const lab = await openLab({ maxTotalBytes: 120, maxStreamBytes: 120 });
  const storage = seedStorage(lab.streams);
  const names = Array.from({ length: 8 }, (_, i) => `s-${i}`);
  for (const name of names) await storage.create_stream(name, TEXT);
  const bytes = new Uint8Array(40);
  await Promise.allSettled(names.map((name) => storage.append(name, bytes, 'text/plain')));
  expect(await storage.total_bytes()).toBe(120);
  const again = await lab.reopen();
  expect(await seedStorage(again.streams).total_bytes()).toBe(120);
  await again.close();
});

test('another version of the layout ends the open', async () => {
  const lab = await openLab();
  const catalog = await lab.redex.channel('$streams/catalog');
  await lab.streams.close();
  // As a build of another version would have begun it.
  await lab.redex.deleteChannel('$streams/catalog');
  const other = await lab.redex.channel(catalog.name);
  await other.append('{"version":2}', { type: 1 });
  await expect(StreamStore.open(lab.redex)).rejects.toMatchObject({
    code: 'FORMAT_VERSION',
    found: 2,
    supported: 1,
  });
  await lab.redex.close();
});

test.each(['{invalid-json', ''])(
  'a store manifest that is no JSON ends the open: %j',
  async (text) => {
    const lab = await openLab();
    await lab.close();
    const handle = lab.fs.openSync('/data/redex.json', 'write');
    handle.truncateSync(0);
    handle.writeSync(Buffer.from(text), 0, text.length, 0);
    handle.closeSync();
    await expect(openLab({}, lab.fs)).rejects.toMatchObject({ code: 'CORRUPT' });
  },
);

test('a store manifest that was tampered with ends the open', async () => {
  const lab = await openLab();
  await lab.close();
  const handle = lab.fs.openSync('/data/redex.json', 'write');
  const bytes = new Uint8Array(handle.sizeSync());
  handle.readSync(bytes, 0, bytes.length, 0);
  const text = Buffer.from(bytes).toString();
  const tampered = Buffer.from(
    text.replace(/[0-9a-f]{8}/, (digits) => digits.split('').toReversed().join('')),
  );
  expect(tampered.toString()).not.toBe(text);
  handle.writeSync(tampered, 0, tampered.length, 0);
  handle.closeSync();
  await expect(openLab({}, lab.fs)).rejects.toMatchObject({ code: 'CORRUPT' });
});

test('a list of streams that was tampered with ends the open', async () => {
  const lab = await openLab();
  const storage = seedStorage(lab.streams);
  await storage.create_stream('s', TEXT);
  await storage.append('s', 'payload', 'text/plain');
  await lab.streams.close();
  const catalog = await lab.redex.channel('$streams/catalog');
  await catalog.append('{not-json', { type: 2 });
  await expect(StreamStore.open(lab.redex)).rejects.toMatchObject({ code: 'CORRUPT' });
  await lab.redex.close();
});

test('a file of the list of streams that was tampered with ends the open', async () => {
  const lab = await openLab();
  await seedStorage(lab.streams).create_stream('s', TEXT);
  await lab.close();
  expect(damage(lab.fs, 'catalog')).toBe(1);
  await expect(openLab({}, lab.fs)).rejects.toMatchObject({ code: 'CORRUPT' });
});

test('a file of one stream that was tampered with is told there, and others go on', async () => {
  const lab = await openLab(CAPS);
  const storage = seedStorage(lab.streams);
  for (const name of ['good', 'bad']) {
    await storage.create_stream(name, TEXT);
    await storage.append(name, 'payload', 'text/plain');
  }
  await lab.close();
  expect(damage(lab.fs, 'bad')).toBe(1);
  const again = await openLab(CAPS, lab.fs);
  const restored = seedStorage(again.streams);
  expect(texts((await restored.read('good')).messages)).toEqual(['payload']);
  await expect(restored.read('bad')).rejects.toMatchObject({ code: 'CORRUPT' });
  await expect(restored.append('bad', 'x', 'text/plain')).rejects.toMatchObject({
    code: 'CORRUPT',
  });
  await restored.append('good', 'more', 'text/plain');
  await restored.delete('bad');
  expect(await restored.create_stream('bad', TEXT)).toBe('Created');
  expect(await restored.list_streams()).toHaveLength(2);
  await again.close();
});

test('in memory: create, append, read', async () => {
  const streams = await StreamStore.memory(CAPS);
  const storage = seedStorage(streams);
  await storage.create_stream('s', TEXT);
  await storage.append('s', 'hello', 'text/plain');
  await storage.append('s', 'world', 'text/plain');
  expect(texts((await storage.read('s')).messages)).toEqual(['hello', 'world']);
  const { message_count: count, total_bytes: bytes } = await storage.head('s');
  expect({ count, bytes }).toEqual({ count: 2, bytes: 10 });
  await streams.close();
});

test('in memory: the cap of all streams', async () => {
  const streams = await StreamStore.memory({ maxTotalBytes: 50, maxStreamBytes: 50 });
  const storage = seedStorage(streams);
  await storage.create_stream('s', TEXT);
  await storage.append('s', new Uint8Array(40), 'text/plain');
  await expect(storage.append('s', new Uint8Array(20), 'text/plain')).rejects.toMatchObject({
    code: 'LIMIT',
  });
  expect(await storage.total_bytes()).toBe(40);
  await streams.close();
});

test('every other operation of the storage has its outcome', async () => {
  const streams = await StreamStore.memory();
  const storage = seedStorage(streams);
  const made = await storage.create_stream_with_data('a', TEXT, ['x', 'y'], true);
  expect(made).toMatchObject({ status: 'Created', closed: true });
  const again = await storage.create_stream_with_data('a', TEXT, ['z'], true);
  expect(again).toEqual({ ...made, status: 'AlreadyExists' });
  await storage.create_stream('b', TEXT);
  const next = await storage.batch_append('b', ['1', '2'], 'text/plain', 'seq-1');
  await expect(storage.batch_append('b', ['3'], 'text/plain', 'seq-1')).rejects.toMatchObject({
    code: 'SEQ_CONFLICT',
  });
  expect((await storage.read('b', next)).messages).toEqual([]);
  expect(await storage.create_fork('f', 'b', undefined, TEXT)).toBe('Created');
  expect(texts((await storage.read('f')).messages)).toEqual(['1', '2']);
  await storage.delete('b');
  await expect(storage.read('b')).rejects.toMatchObject({ code: 'STREAM_GONE' });
  expect((await storage.list_streams()).map(([name]) => name)).toEqual(['a', 'f']);
  expect(await storage.cleanup_expired_streams()).toBe(0);
  const hints = await storage.subscribe('f');
  const waiting = hints?.next();
  await storage.append('f', 'more', 'text/plain');
  expect(await waiting).toEqual({ done: false, value: undefined });
  await hints?.return?.();
  await streams.close();
});
