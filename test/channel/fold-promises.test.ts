/**
 * Goal: a function of the user that returns a promise where nobody would wait for it is told, as a
 * TypeError, and its rejection is nobody's: it does not end the process.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Codec } from '../../src/channel/codec.js';
import type { Fold } from '../../src/channel/fold.js';
import { Lab, payload } from '../support/channel-kit.js';
import { initial, openFold, SEEN, type Seen } from '../support/fold-kit.js';

const unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);
beforeEach(() => {
  unhandled.length = 0;
  process.on('unhandledRejection', note);
});
afterEach(async () => {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

const refused = (): never => Promise.reject(new Error('nobody waits')) as never;

async function logOfOne(): Promise<{ lab: Lab; channel: Awaited<ReturnType<Lab['open']>> }> {
  const lab = new Lab();
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  return { lab, channel };
}

test('initial', async () => {
  const { lab, channel } = await logOfOne();
  const wrong = [refused, (async () => initial()) as never, refused()];
  for (const each of wrong) {
    await expect(lab.done(channel.fold({ ...SEEN, initial: each }))).rejects.toThrow(TypeError);
  }
  expect((await openFold(lab, channel)).error).toBe(undefined);
});

test('the codec of a state', async () => {
  const { lab, channel } = await logOfOne();
  const asyncly = { encode: async () => '', decode: () => [] } as unknown as Codec<Seen>;
  await expect(openFold(lab, channel, { codec: asyncly })).rejects.toThrow(TypeError);
  const codec: Codec<Seen> = { encode: refused, decode: refused };
  const fold = await openFold(lab, channel, { codec });
  await lab.done(fold.caughtUp());
  await expect(lab.done(fold.checkpoint())).rejects.toThrow('encode returned a promise');
  const good = await openFold(lab, channel, { name: 'good' });
  await lab.done(good.caughtUp());
  await lab.done(good.close());
  const again = await openFold(lab, channel, { name: 'good', codec });
  expect([again.checkpointSeq, again.error]).toEqual([undefined, undefined]);
});

test('the codec of values', async () => {
  const { lab, channel } = await logOfOne();
  const typed = channel.typed<string>({ encode: refused, decode: refused });
  await expect(lab.done(typed.append('a'))).rejects.toThrow(TypeError);
  await expect(lab.done(typed.appendBatch(['a']))).rejects.toThrow(TypeError);
  await expect(lab.done(typed.get(0))).rejects.toThrow('decode returned a promise');
  expect(channel.nextSeq).toBe(1);
});

test('key and deleted of an index', async () => {
  const { lab, channel } = await logOfOne();
  const key = (): string => 'k';
  const wrong = [
    { key: refused },
    { key, deleted: refused },
    { key, deleted: (): never => 'yes' as never },
    { key, deleted: (): never => undefined as never },
  ];
  for (const [i, options] of wrong.entries()) {
    const index = await lab.done(channel.index({ name: `index ${i}`, ...options }));
    await lab.done(index.caughtUp()).catch(() => undefined);
    expect([i, index.error]).toEqual([i, expect.any(TypeError)]);
  }
});

test('an initial that asks for the same fold gets the same one', async () => {
  const { lab, channel } = await logOfOne();
  const asked: Promise<Fold<Seen>>[] = [];
  const options = {
    ...SEEN,
    initial: (): Seen => {
      if (asked.length < 5) asked.push(channel.fold(options));
      return [];
    },
  };
  const fold = await lab.done(channel.fold(options));
  expect(asked.length).toBeGreaterThan(0);
  for (const each of await lab.done(Promise.all(asked))) expect(each).toBe(fold);
});
