/**
 * Goal: functions of the user that return a promise where none is waited for get a TypeError, or
 * are left alone; a rejection of that promise never becomes an unhandled one, which would end the
 * process. And what is no options object is refused with its name.
 */
import { setImmediate } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { openChannelIn, type AloneOptions } from '../support/open-channel.js';

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
beforeAll(() => void process.on('unhandledRejection', onUnhandled));
afterAll(() => void process.off('unhandledRejection', onUnhandled));
afterEach(async () => {
  await setImmediate();
  expect(unhandled.splice(0)).toEqual([]);
});

function open(options: AloneOptions = {}): Promise<Channel> {
  return openChannelIn('/log', { ...options, fs: options.fs ?? new MemoryFs() });
}

/** What only a program without types can pass. */
const untyped = (value: unknown): never => value as never;

test('keep and key that return a rejecting promise', async () => {
  const channel = await open();
  await channel.append('one');
  const rejecting = untyped(() => Promise.reject(new Error('late')));
  for (const options of [{ keep: rejecting }, { key: rejecting }]) {
    await expect(channel.compact(options)).rejects.toThrow(/^(keep|key) must return a/);
  }
  let calls = 0;
  const keep = untyped(() => Promise.resolve((calls += 1)));
  await expect(channel.compact({ keep })).rejects.toThrow(TypeError);
  expect(calls).toBe(1);
  await channel.close();
});

test('async functions for keep and key are refused before they are called', async () => {
  const channel = await open();
  await channel.append('one');
  let calls = 0;
  const asynchronous = untyped(async () => {
    calls += 1;
    await setImmediate();
  });
  await expect(channel.compact({ keep: asynchronous })).rejects.toThrow('keep may not be async');
  await expect(channel.compact({ key: asynchronous })).rejects.toThrow('key may not be async');
  expect(calls).toBe(0);
  await channel.close();
});

test('a logger and onRecovery that reject', async () => {
  const fs = new MemoryFs();
  await (await open({ fs })).append('one');
  const late = (): Promise<void> => Promise.reject(new Error('late'));
  const told: unknown[] = [];
  const logger = untyped({
    debug: late,
    info: late,
    warn: late,
    error: (message: string) => {
      told.push(message);
      return late();
    },
  });
  const onRecovery = untyped(late);
  // Nobody closed the first: this recovers.
  const channel = await open({ fs, logger, onRecovery });
  await setImmediate();
  expect(told).toEqual(['onRecovery threw']);
  await channel.close();
});

test('onProgress that rejects ends a verification that is not done', async () => {
  const channel = await open();
  for (let i = 0; i < 6; i += 1) await channel.append(new Uint8Array(1024 * 1024));
  const reason = new Error('late');
  const paths: string[] = [];
  const onProgress = untyped(({ path }: { readonly path: string }) => {
    paths.push(path);
    return Promise.reject(reason);
  });
  await expect(channel.verify({ onProgress })).rejects.toBe(reason);
  expect(paths.length).toBeLessThan(6);
  await channel.close();
  const empty = await open();
  expect((await empty.verify({ onProgress })).ok).toBe(true);
  await empty.close();
});

test.each([undefined, null, 'x', 7, []])('trim(%s) and compact of it', async (given) => {
  const channel = await open();
  const options = untyped(given);
  await expect(channel.trim(options)).rejects.toThrow('options must be an object');
  await expect(channel.compact(options)).rejects.toThrow('options must be an object');
  await channel.close();
});

test('trim takes no options that it does not know', async () => {
  const channel = await open();
  await channel.append('one');
  const options = { beforeSeq: 1, keep: 1 };
  await expect(channel.trim(options)).rejects.toThrow(new TypeError('unknown option keep'));
  await expect(channel.trim(untyped({}))).rejects.toThrow('beforeSeq must be a number');
  expect(channel.firstSeq).toBe(0);
  await channel.close();
});
