/**
 * Goal: whoever reads a fork while its source is trimmed gets the messages that are left, or is
 * told that a place of the stream was let go of; never what was asked of a channel.
 * Method: the source is trimmed just before its channel is asked for the nth time.
 */
import { expect, test } from 'vitest';
import type { StreamStore } from '../../src/streams/stream-store.js';
import { openLab, streamChannels } from '../support/stream-kit.js';

const COUNT = 400;
const LENGTH = 50;
const digits = (value: number): string => String(value).padStart(16, '0');
const placeOf = (count: number): string => `${digits(count)}_${digits(count * LENGTH)}`;
const TEXTS = Array.from({ length: COUNT }, (_, i) => String(i).padEnd(LENGTH));
const KEPT = 10;

interface End {
  readonly value?: unknown;
  readonly error?: unknown;
  /** The channel was asked so often. */
  readonly wasTrimmed: boolean;
}

/** What becomes of the work when most of the source goes before its channel is asked again. */
async function overtaken(
  nth: number,
  work: (streams: StreamStore) => Promise<unknown>,
): Promise<End> {
  const lab = await openLab({ segmentBytes: 4096 });
  const { redex, streams } = lab;
  await streams.createStream('a');
  for (let i = 0; i < COUNT; i += 50) await streams.appendBatch('a', TEXTS.slice(i, i + 50));
  await streams.createFork('f', 'a', {}, { data: 'own' });
  const name = (await streamChannels(redex)).find((each) => each.endsWith('/a'));
  const channel = await redex.channel(name ?? '');
  let asked = 0;
  const overtake = async (): Promise<void> => {
    if (++asked === nth) await streams.trimStream('a', { before: placeOf(COUNT - KEPT) });
  };
  const get = channel.get.bind(channel);
  channel.get = async (seq) => overtake().then(() => get(seq));
  const readBatch = channel.readBatch.bind(channel);
  channel.readBatch = async (options) => overtake().then(() => readBatch(options));
  const end = await work(streams).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  const wasTrimmed = asked >= nth;
  await lab.close();
  return { ...end, wasTrimmed };
}

/** For every time that the channel is asked. */
async function forEach(
  work: (streams: StreamStore) => Promise<unknown>,
  check: (end: End) => void,
): Promise<void> {
  let nth = 1;
  for (;;) {
    const end = await overtaken(nth, work);
    if (!end.wasTrimmed) break;
    check(end);
    nth++;
  }
  expect(nth).toBeGreaterThan(1);
}

const GONE = { code: 'OUT_OF_RANGE', seq: 100, firstSeq: COUNT - KEPT, nextSeq: COUNT };

test('a read from the start gives what is there', async () => {
  await forEach(
    (streams) => streams.read('f'),
    ({ value, error }) => {
      expect(error).toBe(undefined);
      const { messages, atTail } = value as { messages: Uint8Array[]; atTail: boolean };
      const texts = messages.map((each) => Buffer.from(each).toString());
      expect(texts).toEqual([...TEXTS.slice(-KEPT), 'own']);
      expect(atTail).toBe(true);
    },
  );
});

test('a read of a place that goes is told so in places of the stream', async () => {
  await forEach(
    (streams) => streams.read('f', { offset: placeOf(100) }),
    ({ error }) => expect(error).toMatchObject({ ...GONE, nextSeq: COUNT + 1 }),
  );
});

test('a fork of the start begins with what is there', async () => {
  await forEach(
    (streams) => streams.createFork('g', 'a', { offset: '-1' }),
    ({ error, value }) => {
      expect(error).toBe(undefined);
      expect(value).toMatchObject({ created: true, nextOffset: placeOf(COUNT - KEPT) });
    },
  );
});

test('a fork of a place that goes, or within a message there, is told so', async () => {
  for (const subOffset of [0, 3]) {
    await forEach(
      (streams) => streams.createFork('g', 'a', { offset: placeOf(100), subOffset }),
      ({ error }) => expect(error).toMatchObject(GONE),
    );
  }
});
