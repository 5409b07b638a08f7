/** Appends, batches, Stream-Seq, If-Match, and what a closed stream answers. */
import type { StreamStore } from '../streams/stream-store.js';
import { at, TEXT, textsOf, type ContractPart } from './stream-contract-support.js';

export function streamAppendContract(part: ContractPart): void {
  appends(part);
  refusals(part);
  conditions(part);
  closing(part);
}

function appends({ check, expect }: ContractPart): void {
  check('an append tells where its message is, and where the next one will be', async (subject) => {
    const { streams } = subject;
    await streams.createStream('a', TEXT);
    const first = await streams.append('a', 'one', TEXT);
    expect(first.offset).toBe(at(0, 0));
    expect(first.nextOffset).toBe(at(1, 3));
    expect(first.duplicate).toBe(false);
    expect((await streams.append('a', 'second')).offset).toBe(first.nextOffset);
    expect(await textsOf(streams, 'a', { offset: first.nextOffset })).toEqual(['second']);
    const { messageCount, totalBytes, nextOffset, updatedAt } = await streams.head('a');
    expect({ messageCount, totalBytes }).toEqual({ messageCount: 2, totalBytes: 9 });
    expect(nextOffset).toBe(at(2, 9));
    expect(typeof updatedAt).toBe('number');
  });

  check('a batch is in the stream as one, with its close', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const result = await streams.appendBatch('a', ['x', '', 'yz'], { close: true });
    expect(result.offset).toBe(at(0, 0));
    expect(result.nextOffset).toBe(at(3, 3));
    expect(result.closed).toBe(true);
    expect(await textsOf(streams, 'a')).toEqual(['x', '', 'yz']);
    expect((await streams.head('a')).closed).toBe(true);
  });

  check('appends that are begun together are all there, in their order', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const given = Array.from({ length: 200 }, (_, i) => `message ${i}`);
    const results = await Promise.all(
      given.map((text, i) =>
        streams.append('a', text, { durability: i % 3 === 0 ? 'written' : 'synced' }),
      ),
    );
    expect(await textsOf(streams, 'a')).toEqual(given);
    const offsets = results.map(({ offset }) => offset);
    expect(offsets).toEqual(offsets.toSorted());
    expect(new Set(offsets).size).toBe(given.length);
  });

  check('the caller may use its bytes again at once', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    await streams.append('a', 'warm');
    const bytes = new TextEncoder().encode('kept');
    const appended = streams.append('a', bytes);
    bytes.fill(0);
    await appended;
    expect(await textsOf(streams, 'a')).toEqual(['warm', 'kept']);
  });
}

function refusals({ check, checks }: ContractPart): void {
  check('every refusal has its code and changes nothing', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: 'first' });
    await streams.append('a', 'b', { streamSeq: 'm' });
    const cases: readonly [string, () => Promise<unknown>][] = [
      ['NOT_FOUND', () => streams.append('none', 'x')],
      ['CONTENT_TYPE_MISMATCH', () => streams.append('a', 'x', { contentType: 'text/html' })],
      ['SEQ_CONFLICT', () => streams.append('a', 'x', { streamSeq: 'm' })],
      ['SEQ_CONFLICT', () => streams.append('a', 'x', { streamSeq: 'a' })],
      ['SEQ_CONFLICT', () => streams.append('a', 'x', { ifMatch: at(1, 5) })],
      ['INVALID_OFFSET', () => streams.append('a', 'x', { ifMatch: 'tail' })],
    ];
    for (const [code, action] of cases) await checks.refused(streams, 'a', action, code);
  });

  check('a closed stream is told before the content type is looked at', async ({ streams }) => {
    await streams.createStream('a', { ...TEXT, closed: true });
    const append = (): Promise<unknown> =>
      streams.append('a', 'x', { contentType: 'text/html', streamSeq: 'a', ifMatch: at(9, 9) });
    await checks.refused(streams, 'a', append, 'STREAM_CLOSED');
  });

  check(
    'a missing stream is told before any limit',
    async ({ streams }) => {
      await checks.code(streams.append('none', 'x'.repeat(100)), 'NOT_FOUND');
    },
    { maxTotalBytes: 1, maxStreamBytes: 1 },
  );

  check('what cannot be meant is a mistake', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    await checks.mistake(() => streams.appendBatch('a', []), 'RangeError');
    await checks.mistake(() => streams.append('a', 'x', { streamSeq: '' }), 'RangeError');
    const producer = { id: 'p', epoch: -1, seq: 0 };
    await checks.mistake(() => streams.append('a', 'x', { producer }), 'RangeError');
    const empty = { id: '', epoch: 0, seq: 0 };
    await checks.mistake(() => streams.append('a', 'x', { producer: empty }), 'RangeError');
    const misspelt = { clsoe: true } as object;
    await checks.mistake(() => streams.append('a', 'x', misspelt), 'TypeError');
  });
}

function conditions({ check, checks, expect }: ContractPart): void {
  check('Stream-Seq grows by bytes, and only with what is accepted', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const accepted = ['1', '10', '2', '2a', '\uffff', '\u{10000}'];
    for (const streamSeq of accepted) await streams.append('a', streamSeq, { streamSeq });
    const again = (): Promise<unknown> => streams.append('a', 'x', { streamSeq: '\uffff' });
    await checks.refused(streams, 'a', again, 'SEQ_CONFLICT');
    await streams.append('a', 'without');
    await checks.refused(streams, 'a', again, 'SEQ_CONFLICT');
    expect((await textsOf(streams, 'a')).length).toBe(accepted.length + 1);
  });

  check('of many appends for one tail, one is accepted', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const ifMatch = (await streams.append('a', 'first')).nextOffset;
    const results = await Promise.allSettled(
      ['b', 'c', 'd'].map((text) => streams.append('a', text, { ifMatch })),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
    expect(await textsOf(streams, 'a')).toEqual(['first', 'b']);
  });
}

function closing({ check, checks, expect }: ContractPart): void {
  check('a close is for good, and can be repeated', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: 'x' });
    const first = await streams.closeStream('a');
    expect(first.closed).toBe(true);
    expect(first.duplicate).toBe(false);
    const again = await streams.closeStream('a');
    expect(again.closed).toBe(true);
    expect(again.nextOffset).toBe(at(1, 1));
    for (const append of closedAppends(streams)) {
      await checks.refused(streams, 'a', append, 'STREAM_CLOSED');
    }
    await checks.code(streams.closeStream('none'), 'NOT_FOUND');
  });

  check('nothing comes behind a close that was begun before it', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const results = await Promise.allSettled([
      streams.append('a', 'before'),
      streams.append('a', 'last', { close: true }),
      streams.append('a', 'behind'),
      streams.closeStream('a'),
    ]);
    const ends = results.map(({ status }) => status);
    expect(ends).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(await textsOf(streams, 'a')).toEqual(['before', 'last']);
  });

  check('a stream that is closed stays closed', async ({ streams, reopen }) => {
    await streams.createStream('a', TEXT, { data: 'x' });
    await streams.closeStream('a');
    if (reopen === undefined) return;
    const again = await reopen();
    expect((await again.head('a')).closed).toBe(true);
    await checks.refused(again, 'a', () => again.append('a', 'x'), 'STREAM_CLOSED');
  });
}

function closedAppends(streams: StreamStore): (() => Promise<unknown>)[] {
  const producer = { id: 'p', epoch: 0, seq: 0 };
  return [
    () => streams.append('a', 'x'),
    () => streams.append('a', 'x', { close: true }),
    () => streams.append('a', 'x', { producer }),
    () => streams.closeStream('a', { producer }),
  ];
}
