/**
 * Everything that an operation may be refused with, each with nothing changed: no message, no byte
 * counted, no producer or Stream-Seq advanced, no time to live begun anew, in no stream.
 */
import type { StreamStoreOptions } from '../streams/stream-settings.js';
import type { StreamStore } from '../streams/stream-store.js';
import {
  allSeen,
  at,
  TEXT,
  type ContractPart,
  type StreamSubject,
} from './stream-contract-support.js';

export function streamRefusalContract(part: ContractPart): void {
  everyRefusal(part);
  timesToLive(part);
}

type Case = readonly [what: string, code: string, act: (streams: StreamStore) => Promise<unknown>];

const OPTIONS: StreamStoreOptions = { maxTotalBytes: 50, maxStreamBytes: 40, maxProducers: 2 };
const HTML = { contentType: 'text/html' };
const P = { id: 'p', epoch: 3 };

/** Streams in every state. */
async function prepare({ streams, elapse }: StreamSubject): Promise<void> {
  await streams.createStream('expired', { ...TEXT, ttlSeconds: 5 });
  await streams.createStream('a', TEXT, { data: ['1', '22'] });
  for (const seq of [0, 1]) {
    await streams.append('a', '333', { producer: { ...P, seq }, streamSeq: `m${seq}` });
  }
  await streams.append('a', '4', { producer: { id: 'q', epoch: 0, seq: 0 } });
  await streams.createStream('closed', { ...TEXT, closed: true }, { data: '1' });
  await streams.createStream('gone', TEXT, { data: '1' });
  await streams.createFork('fork', 'gone', {}, { data: '22' });
  await streams.deleteStream('gone');
  await streams.createStream('trimmed', TEXT, { data: ['1', '22'] });
  await streams.trimStream('trimmed', { before: at(1, 1) });
  await elapse(6000);
}

const anyUse = (name: string): ((streams: StreamStore) => Promise<unknown>)[] => [
  (streams) => streams.append(name, 'x'),
  (streams) => streams.append(name, 'x', { producer: { ...P, seq: 0 }, streamSeq: 'z' }),
  (streams) => streams.closeStream(name),
  (streams) => streams.read(name),
  (streams) => streams.head(name),
  (streams) => streams.trimStream(name, { before: 'now' }),
  (streams) => streams.deleteStream(name),
  (streams) => streams.createFork('new', name),
  async (streams) => streams.subscribe(name),
];

const uses = (name: string, code: string): Case[] =>
  anyUse(name).map((act, i): Case => [`use ${i} of ${name}`, code, act]);

const APPENDS: readonly Case[] = [
  ['closed', 'STREAM_CLOSED', (streams) => streams.append('closed', 'x')],
  ['another type', 'CONTENT_TYPE_MISMATCH', (streams) => streams.append('a', 'x', HTML)],
  ['Stream-Seq again', 'SEQ_CONFLICT', (streams) => streams.append('a', 'x', { streamSeq: 'm1' })],
  ['a lower Stream-Seq', 'SEQ_CONFLICT', (streams) => streams.append('a', 'x', { streamSeq: 'A' })],
  ['another tail', 'SEQ_CONFLICT', (streams) => streams.append('a', 'x', { ifMatch: at(3, 6) })],
  ['no tail', 'INVALID_OFFSET', (streams) => streams.append('a', 'x', { ifMatch: 'now' })],
  ['more than a stream has', 'LIMIT', (streams) => streams.append('a', 'x'.repeat(31))],
  ['more than all have', 'LIMIT', (streams) => streams.append('fork', 'x'.repeat(38))],
  [
    'a batch, close and producer over the limit',
    'LIMIT',
    (streams) =>
      streams.appendBatch('a', ['x', 'y'.repeat(60)], {
        close: true,
        streamSeq: 'z',
        producer: { ...P, seq: 2 },
      }),
  ],
];

const send = (
  [epoch, seq]: readonly [number, number],
  options: object = {},
): ((streams: StreamStore) => Promise<unknown>) => {
  const producer = { id: 'p', epoch, seq };
  return (streams) => streams.append('a', 'x', { streamSeq: 'z', ...options, producer });
};

const PRODUCERS: readonly Case[] = [
  ['a gap', 'PRODUCER_GAP', send([3, 3])],
  ['a gap in a close', 'PRODUCER_GAP', send([3, 9], { close: true })],
  ['a new epoch with a sequence', 'PRODUCER_GAP', send([4, 2])],
  ['an older epoch', 'FENCED', send([2, 2])],
  ['an older epoch that begins', 'FENCED', send([0, 0])],
  ['the next of another type', 'CONTENT_TYPE_MISMATCH', send([3, 2], HTML)],
  ['the next with an old Stream-Seq', 'SEQ_CONFLICT', send([3, 2], { streamSeq: 'm0' })],
  [
    'a new producer that does not begin with 0',
    'PRODUCER_GAP',
    (streams) => streams.append('a', 'x', { producer: { id: 'r', epoch: 0, seq: 1 } }),
  ],
  [
    'one producer more than is remembered',
    'LIMIT',
    (streams) => streams.append('a', 'x', { producer: { id: 'r', epoch: 0, seq: 0 } }),
  ],
];

const read = (name: string, offset: string): Case[2] => {
  return (streams) => streams.read(name, { offset });
};

const READS: readonly Case[] = [
  ['no offset', 'INVALID_OFFSET', read('a', 'begin')],
  ['between two messages', 'INVALID_OFFSET', read('a', at(1, 2))],
  ['behind the tail', 'INVALID_OFFSET', read('a', at(6, 10))],
  ['below the floor', 'OUT_OF_RANGE', read('trimmed', at(0, 0))],
  [
    'a trim behind the tail',
    'INVALID_OFFSET',
    (streams) => streams.trimStream('a', { before: at(6, 10) }),
  ],
  [
    'a trim of what is the source',
    'INVALID_OFFSET',
    (streams) => streams.trimStream('fork', { before: at(0, 0) }),
  ],
];

const create = (name: string, options: object, data: string[] = []): Case[2] => {
  return (streams) => streams.createStream(name, { ...TEXT, ...options }, { data });
};
const fork = (name: string, source: string, options: object): Case[2] => {
  return (streams) => streams.createFork(name, source, options);
};

const CREATES: readonly Case[] = [
  ['another type', 'CONFIG_MISMATCH', create('a', HTML, ['x'])],
  ['another time to live', 'CONFIG_MISMATCH', create('a', { ttlSeconds: 9 })],
  ['another end', 'CONFIG_MISMATCH', create('a', { expiresAt: 4e12 })],
  ['not closed', 'CONFIG_MISMATCH', create('a', { closed: true })],
  ['closed', 'CONFIG_MISMATCH', create('closed', {})],
  ['a fork', 'CONFIG_MISMATCH', create('fork', {})],
  ['the path of a deleted source', 'EXISTS', create('gone', {})],
  ['more than a stream has', 'LIMIT', create('new', {}, ['x'.repeat(41)])],
  ['more than all have', 'LIMIT', create('new', {}, ['x'.repeat(20), 'x'.repeat(20)])],
  ['more in place of an expired one', 'LIMIT', create('expired', {}, ['x'.repeat(40)])],
  ['a fork behind the tail', 'INVALID_OFFSET', fork('new', 'a', { offset: at(6, 10) })],
  ['a fork between messages', 'INVALID_OFFSET', fork('new', 'a', { offset: at(1, 2) })],
  ['a fork below the floor', 'OUT_OF_RANGE', fork('new', 'trimmed', { offset: at(0, 0) })],
  [
    'a fork far in a message',
    'INVALID_OFFSET',
    fork('new', 'a', { offset: at(0, 0), subOffset: 2 }),
  ],
  ['a fork of another type', 'CONTENT_TYPE_MISMATCH', fork('new', 'a', HTML)],
  ['a fork in place of a stream', 'CONFIG_MISMATCH', fork('closed', 'a', {})],
  ['another fork', 'CONFIG_MISMATCH', fork('fork', 'a', {})],
];

const ALL: readonly Case[] = [
  ...uses('unknown', 'NOT_FOUND'),
  ...uses('expired', 'NOT_FOUND'),
  ...uses('gone', 'STREAM_GONE'),
  ...APPENDS,
  ...PRODUCERS,
  ...READS,
  ...CREATES,
];

function everyRefusal({ check, checks, expect }: ContractPart): void {
  check(
    'every refusal leaves every stream as it was',
    async (subject) => {
      const { streams, reopen } = subject;
      await prepare(subject);
      const hints = streams.subscribe('a');
      let hinted = 0;
      const waiting = hints.next().then(() => hinted++);
      for (const [what, code, act] of ALL) {
        try {
          await checks.harmless(streams, () => act(streams), code);
        } catch (cause) {
          throw new Error(`${what}: ${String(cause)}`, { cause });
        }
      }
      for (const messages of [[], [5 as unknown as string]]) {
        const before = await allSeen(streams);
        const kind = messages.length === 0 ? 'RangeError' : 'TypeError';
        await checks.mistake(() => streams.appendBatch('a', messages), kind);
        expect(await allSeen(streams)).toEqual(before);
      }
      expect(hinted).toBe(0);
      await hints.return?.();
      await waiting;
      // Nothing of it was kept for later, either.
      const again = (await reopen?.()) ?? streams;
      const next = await again.append('a', 'x', {
        producer: { ...P, seq: 2 },
        streamSeq: 'm2',
        ifMatch: at(5, 10),
      });
      expect(next.duplicate).toBe(false);
      expect(await again.exists('new')).toBe(false);
    },
    OPTIONS,
  );
}

function timesToLive({ check, checks, expect }: ContractPart): void {
  check(
    'what is refused does not begin the time to live anew',
    async ({ streams, elapse }) => {
      await streams.createStream('b', TEXT, { data: 'x'.repeat(20) });
      await streams.createStream('a', { ...TEXT, ttlSeconds: 10 }, { data: '1' });
      await elapse(8000);
      await checks.code(streams.read('a', { offset: at(5, 5) }), 'INVALID_OFFSET');
      await checks.code(streams.append('a', 'x'.repeat(35)), 'LIMIT');
      await checks.code(streams.append('a', 'x'.repeat(41)), 'LIMIT');
      await checks.code(
        streams.append('a', 'x', { streamSeq: 'a', ifMatch: at(0, 0) }),
        'SEQ_CONFLICT',
      );
      await checks.code(streams.append('a', 'x', HTML), 'CONTENT_TYPE_MISMATCH');
      await elapse(3000);
      expect(await streams.exists('a')).toBe(false);
    },
    OPTIONS,
  );
}
