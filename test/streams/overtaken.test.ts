/**
 * Goal: whoever reads a fork while its source is trimmed gets the messages that are left, or is
 * told that a place of the stream was let go of; never what was asked of a channel.
 * Method: I/O completes one step at a time, and the trim begins after each number of steps.
 */
import { expect, test } from 'vitest';
import type { StreamStore } from '../../src/streams/stream-store.js';
import { done, stepLab, steps } from '../support/stream-steps.js';

const COUNT = 400;
const LENGTH = 50;
const digits = (value: number): string => String(value).padStart(16, '0');
const placeOf = (count: number): string => `${digits(count)}_${digits(count * LENGTH)}`;
const TEXTS = Array.from({ length: COUNT }, (_, i) => String(i).padEnd(LENGTH));

interface End {
  readonly value?: unknown;
  readonly error?: unknown;
}

/** What becomes of the work when most of the source goes after so many steps. */
async function overtaken(count: number, work: (streams: StreamStore) => Promise<unknown>) {
  const prepare = async (streams: StreamStore): Promise<void> => {
    await streams.createStream('a');
    for (let i = 0; i < COUNT; i += 50) await streams.appendBatch('a', TEXTS.slice(i, i + 50));
    await streams.createFork('f', 'a', {}, { data: 'own' });
  };
  const { runtime, redex, streams } = await stepLab(prepare, { segmentBytes: 4096 });
  const working = work(streams).then(
    (value): End => ({ value }),
    (error: unknown): End => ({ error }),
  );
  await steps(runtime, count);
  const trimming = streams.trimStream('a', { before: placeOf(COUNT - 10) });
  await done(runtime, trimming, true);
  const end = await done(runtime, working);
  await done(runtime, streams.close());
  await done(runtime, redex.close());
  return end;
}

test('a read from the start gives what is there', async () => {
  for (let count = 0; count < 40; count += 1) {
    const { value, error } = await overtaken(count, (streams) => streams.read('f'));
    expect(error, `after ${count} steps`).toBe(undefined);
    const { messages, atTail } = value as { messages: Uint8Array[]; atTail: boolean };
    const texts = messages.map((each) => Buffer.from(each).toString());
    expect(texts).toEqual([...TEXTS, 'own'].slice(-texts.length));
    expect(atTail && texts.length >= 11).toBe(true);
  }
});

test('a read of a place that goes is told so in places of the stream', async () => {
  let refused = 0;
  for (let count = 0; count < 40; count += 1) {
    const offset = placeOf(100);
    const { value, error } = await overtaken(count, (streams) => streams.read('f', { offset }));
    if (value !== undefined) continue;
    expect(error).toMatchObject({ code: 'OUT_OF_RANGE', seq: 100, firstSeq: COUNT - 10 });
    refused++;
  }
  expect(refused).toBeGreaterThan(0);
});

test('a fork of a place that goes, or of the start, too', async () => {
  for (let count = 0; count < 40; count += 1) {
    const there = await overtaken(count, (streams) =>
      streams.createFork('g', 'f', { offset: '-1' }),
    );
    expect(there.error, `after ${count} steps`).toBe(undefined);
    const offset = placeOf(100);
    const { error } = await overtaken(count, (streams) => streams.createFork('g', 'f', { offset }));
    if (error === undefined) continue;
    expect(error).toMatchObject({ code: 'OUT_OF_RANGE', seq: 100, firstSeq: COUNT - 10 });
  }
});
