/** What callers do to a channel without meaning to, each once the cause of a bug. */
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { openChannelIn } from '../support/open-channel.js';
import type { AloneOptions } from '../support/open-channel.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';

function open(options: AloneOptions = {}): Promise<Channel> {
  return openChannelIn('/log', { ...options, fs: options.fs ?? new MemoryFs() });
}

function detached(): Uint8Array {
  const bytes = new Uint8Array(8);
  structuredClone(bytes, { transfer: [bytes.buffer] });
  return bytes;
}

async function textsOf(channel: Channel): Promise<string[]> {
  const texts: string[] = [];
  for await (const { payload } of channel.read()) texts.push(new TextDecoder().decode(payload));
  return texts;
}

describe('a payload whose buffer was transferred', () => {
  test('is refused, and leaves no trace in the appends after it', async () => {
    const fs = new MemoryFs();
    const channel = await open({ fs });
    await channel.append('one');
    await expect(channel.append(detached(), { seq: 10 })).rejects.toThrow(TypeError);
    expect(await channel.append('two')).toBe(1);
    expect(await textsOf(channel)).toEqual(['one', 'two']);
    await channel.close();
    const again = await open({ fs });
    expect(await textsOf(again)).toEqual(['one', 'two']);
    await again.close();
  });

  test('takes its whole batch with it', async () => {
    const channel = await open();
    await expect(channel.appendBatch(['one', detached(), 'three'])).rejects.toThrow(TypeError);
    await expect(channel.appendBatch([new Uint8Array(1), detached()])).rejects.toThrow(TypeError);
    expect(await channel.append('after')).toBe(0);
    const among = [
      channel.append('a'),
      channel.appendBatch(['b', detached()]),
      channel.append('c'),
    ];
    const settled = await Promise.allSettled(among);
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await textsOf(channel)).toEqual(['after', 'a', 'c']);
    await channel.close();
  });

  test('does not keep sync and close waiting', async () => {
    const channel = await open();
    await expect(channel.appendBatch(['one', detached()])).rejects.toThrow(TypeError);
    await channel.sync();
    await channel.close();
  });
});

test('a reader is given its segment however many others are open', async () => {
  const channel = await open({ segmentBytes: 4096, maxOpenFiles: 16, sync: 'never' });
  for (let i = 0; i < 12; i += 1) await channel.append(new Uint8Array(3000).fill(i));
  // Each holds three descriptors.
  const held = [0, 1, 2, 3, 4, 5].map((from) => channel.read({ from }));
  for (const iterator of held) expect(await iterator.next()).toMatchObject({ done: false });
  for (let seq = 0; seq < 12; seq += 1) expect((await channel.get(seq))?.payload[0]).toBe(seq);
  await channel.close();
});

test('a record cannot be taken to another thread with the memory of its neighbours', async () => {
  const channel = await open();
  await channel.appendBatch(['one', 'two']);
  const first = await channel.get(0);
  const { port1, port2 } = new MessageChannel();
  // Refused or not, depending on the version of Node: the memory stays here.
  try {
    port1.postMessage(first?.payload, [first?.payload.buffer as ArrayBuffer]);
  } catch (error) {
    expect(error).toMatchObject({ name: 'DataCloneError' });
  }
  port1.close();
  port2.close();
  expect(new TextDecoder().decode((await channel.get(1))?.payload)).toBe('two');
  expect(new TextDecoder().decode(first?.payload)).toBe('one');
  await channel.close();
});

describe('a logger', () => {
  test('without all its methods is refused at once', async () => {
    const logger = { warn: () => {} } as unknown as NonNullable<AloneOptions['logger']>;
    await expect(open({ logger })).rejects.toThrow('logger.debug must be a function');
  });

  test('that throws does not keep a failed append waiting', async () => {
    const fs = new FaultFs(new MemoryFs());
    const fail = (): never => {
      throw new Error('the log is full');
    };
    const logger = { debug: fail, info: fail, warn: fail, error: fail };
    const channel = await open({ fs, logger });
    await channel.append('one');
    fs.inject({ operation: 'datasync', nth: 1, effect: { error: 'EIO' } });
    await expect(channel.append('two')).rejects.toMatchObject({ code: 'POISONED' });
    await expect(channel.close()).rejects.toMatchObject({ code: 'POISONED' });
  });
});

describe('an iterator', () => {
  test('delivers nothing after its signal was aborted', async () => {
    const channel = await open();
    await channel.appendBatch(Array.from({ length: 100 }, (_, i) => `${i}`));
    for (const limit of [undefined, 50]) {
      const abort = new AbortController();
      const iterator = channel.read({ limit, signal: abort.signal });
      expect(await iterator.next()).toMatchObject({ done: false });
      abort.abort(new Error('enough'));
      await expect(iterator.next()).rejects.toThrow('enough');
      expect(await iterator.next()).toMatchObject({ done: true });
    }
    await channel.close();
  });

  test('delivers nothing after the channel was closed', async () => {
    const channel = await open();
    await channel.appendBatch(['one', 'two']);
    const iterator = channel.read();
    await iterator.next();
    await channel.close();
    await expect(iterator.next()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('delivers nothing after it was returned, whatever was pending', async () => {
    const channel = await open();
    await channel.appendBatch(['one', 'two', 'three']);
    const iterator = channel.read();
    const pending = iterator.next();
    await iterator.return?.();
    await pending;
    expect(await iterator.next()).toMatchObject({ done: true });
    await channel.close();
  });
});

test('a misspelt option is not taken for none', async () => {
  const channel = await open();
  const wrong = { expectedseq: 7 } as object;
  await expect(channel.append('one', wrong)).rejects.toThrow('unknown option expectedseq');
  await expect(channel.appendBatch(['one'], wrong)).rejects.toThrow('unknown option expectedseq');
  const record = { payload: 'one', timstamp: 1 } as { payload: string };
  await expect(channel.appendBatch([record])).rejects.toThrow('unknown option timstamp');
  expect(channel.nextSeq).toBe(0);
  await channel.close();
});

test('a reverse read of large records holds few of them', async () => {
  const channel = await open({ sync: 'never' });
  for (let i = 0; i < 40; i += 1) await channel.append(new Uint8Array(300_000).fill(i));
  const iterator = channel.readBatches({ reverse: true });
  const sizes: number[] = [];
  for await (const batch of iterator) sizes.push(batch.length);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(40);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(16);
  await channel.close();
});
