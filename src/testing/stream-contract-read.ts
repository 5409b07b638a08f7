/** Reads from every place, pages, what is known of a stream, and the list. */
import { at, TEXT, textsOf, type ContractPart } from './stream-contract-support.js';

export function streamReadContract(part: ContractPart): void {
  offsets(part);
  pages(part);
  lists(part);
  trims(part);
}

function offsets({ check, checks, expect }: ContractPart): void {
  check('a read begins at the start, at a place, or at the tail', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: ['a', 'bb', 'ccc'] });
    expect(await textsOf(streams, 'a')).toEqual(['a', 'bb', 'ccc']);
    expect(await textsOf(streams, 'a', { offset: at(0, 0) })).toEqual(['a', 'bb', 'ccc']);
    expect(await textsOf(streams, 'a', { offset: at(1, 1) })).toEqual(['bb', 'ccc']);
    expect(await textsOf(streams, 'a', { offset: at(3, 6) })).toEqual([]);
    const now = await streams.read('a', { offset: 'now' });
    expect(now).toEqual({
      messages: [],
      offset: at(3, 6),
      nextOffset: at(3, 6),
      atTail: true,
      closed: false,
    });
  });

  check('what is no offset of the stream is refused', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: ['a', 'bb', 'ccc'] });
    await streams.append('a', 'x', { streamSeq: '1' });
    const wrong = [
      '',
      '-2',
      'NOW',
      '0_0',
      ` ${at(0, 0)}`,
      `${at(0, 0)}\n`,
      `${at(1, 1)},`,
      'now\0',
    ];
    const nowhere = [at(1, 0), at(1, 2), at(0, 1), at(4, 6), at(4, 8), at(5, 7), at(5, 8)];
    for (const offset of [...wrong, ...nowhere, '9999999999999999_9999999999999999']) {
      await checks.code(streams.read('a', { offset }), 'INVALID_OFFSET');
    }
    await checks.code(streams.read('none'), 'NOT_FOUND');
  });

  check('every place is found among records of state', async ({ streams, reopen }) => {
    await streams.createStream('a', TEXT);
    const places: string[] = [];
    for (let i = 0; i < 60; i++) {
      const producer = { id: 'p', epoch: 0, seq: i };
      const options = i % 7 < 4 ? { producer: { ...producer, id: `p${i}`, seq: 0 } } : {};
      places.push((await streams.append('a', `${i}`, options)).offset);
    }
    const again = (await reopen?.()) ?? streams;
    for (const [i, offset] of [...places.entries()].toReversed()) {
      const { messages } = await again.read('a', { offset, maxBytes: 1 });
      expect(messages.map((each) => Buffer.from(each).toString())).toEqual([`${i}`]);
    }
  });

  check('a read sees a moment, and none of what is not acknowledged', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: 'x' });
    const appended = streams.append('a', 'y');
    const page = await streams.read('a');
    await appended;
    const seen = page.messages.length;
    expect(page.nextOffset).toBe(at(seen, seen));
    expect(page.atTail).toBe(true);
  });
}

function pages({ check, expect }: ContractPart): void {
  check('pages of any size give every message once', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const given = Array.from({ length: 40 }, (_, i) => String(i).repeat(1 + (i % 5)));
    for (let i = 0; i < given.length; i += 4) {
      const streamSeq = String(i).padStart(2, '0');
      await streams.appendBatch('a', given.slice(i, i + 4), i % 8 === 0 ? { streamSeq } : {});
    }
    for (const maxBytes of [1, 2, 7, 30, 1000]) {
      expect(await textsOf(streams, 'a', { maxBytes })).toEqual(given);
    }
  });

  check('a page is never empty before the tail, nor larger than asked', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: ['xxxxx', 'y', 'y', 'y', 'zzzzzz'] });
    await streams.closeStream('a');
    const sizes: number[][] = [];
    let offset = '-1';
    for (let isEnd = false; !isEnd;) {
      const page = await streams.read('a', { offset, maxBytes: 3 });
      sizes.push(page.messages.map(({ length }) => length));
      expect(page.offset).toBe(offset === '-1' ? at(0, 0) : offset);
      expect(page.closed).toBe(true);
      offset = page.nextOffset;
      isEnd = page.atTail;
    }
    expect(sizes).toEqual([[5], [1, 1, 1], [6]]);
  });

  check('a page of messages without bytes ends, too', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: ['', '', '', '', 'x', '', ''] });
    await streams.createFork('f', 'a', { offset: at(2, 0) }, { data: ['', '', ''] });
    for (const [name, expected] of Object.entries({ a: [3, 3, 1], f: [3, 2] })) {
      const sizes: number[] = [];
      let offset = '-1';
      for (let isEnd = false; !isEnd;) {
        const page = await streams.read(name, { offset, maxMessages: 3 });
        sizes.push(page.messages.length);
        offset = page.nextOffset;
        isEnd = page.atTail;
      }
      expect(sizes).toEqual(expected);
    }
    const many = Array.from({ length: 70_000 }, () => '');
    await streams.appendBatch('a', many);
    const { messages, atTail } = await streams.read('a', { offset: at(7, 1) });
    expect(messages.length).toBe(65_536);
    expect(atTail).toBe(false);
  });
}

function lists({ check, checks, expect }: ContractPart): void {
  check('head tells what the stream is', async ({ streams }) => {
    const options = { contentType: 'Application/JSON; charset = UTF-8', ttlSeconds: 60 };
    await streams.createStream('a', options, { data: ['1', '22'] });
    const head = await streams.head('a');
    expect(head.contentType).toBe('application/json;charset=utf-8');
    expect([head.ttlSeconds, head.expiresAt, head.closed]).toEqual([60, undefined, false]);
    expect([head.messageCount, head.totalBytes, head.retainedBytes]).toEqual([2, 3, 3]);
    expect(head.nextOffset).toBe(at(2, 3));
    await checks.code(streams.head('none'), 'NOT_FOUND');
  });

  check('a stream that is made again has another id', async ({ streams }) => {
    await streams.createStream('a');
    const { id } = await streams.head('a');
    await streams.deleteStream('a');
    await streams.createStream('a');
    expect((await streams.head('a')).id === id).toBe(false);
  });

  check('the list is sorted, and has a prefix', async ({ streams, reopen }) => {
    for (const name of ['b', 'a/2', 'a', 'a/10', 'c']) await streams.createStream(name);
    await streams.deleteStream('c');
    const again = (await reopen?.()) ?? streams;
    const names = async (prefix?: string): Promise<string[]> =>
      (await again.listStreams(prefix === undefined ? {} : { prefix })).map(({ name }) => name);
    expect(await names()).toEqual(['a', 'a/10', 'a/2', 'b']);
    expect(await names('a/')).toEqual(['a/10', 'a/2']);
    expect(await again.exists('a')).toBe(true);
    expect(await again.exists('c')).toBe(false);
  });

  check('everything is there after a restart', async ({ streams, reopen }) => {
    await streams.createStream('a', { ...TEXT, ttlSeconds: 500 }, { data: ['x', 'y'] });
    await streams.append('a', 'z', { streamSeq: '5' });
    const head = await streams.head('a');
    const again = (await reopen?.()) ?? streams;
    expect(await again.head('a')).toEqual(head);
    expect(await textsOf(again, 'a')).toEqual(['x', 'y', 'z']);
    const late = (): Promise<unknown> => again.append('a', 'x', { streamSeq: '4' });
    await checks.refused(again, 'a', late, 'SEQ_CONFLICT');
    expect((await again.append('a', 'x')).offset).toBe(at(3, 3));
  });
}

function trims({ check, checks, expect }: ContractPart): void {
  check('what is let go of is out of range, and counts no more', async ({ streams, reopen }) => {
    await streams.createStream('a', TEXT, { data: ['a', 'bb', 'ccc'] });
    const { nextOffset } = await streams.append('a', 'dddd', { streamSeq: '7' });
    await streams.trimStream('a', { before: at(2, 3) });
    const again = (await reopen?.()) ?? streams;
    expect(await textsOf(again, 'a')).toEqual(['ccc', 'dddd']);
    expect(await textsOf(again, 'a', { offset: at(2, 3) })).toEqual(['ccc', 'dddd']);
    for (const offset of [at(0, 0), at(1, 1)]) {
      await checks.code(again.read('a', { offset }), 'OUT_OF_RANGE');
    }
    const { retainedBytes, totalBytes, firstOffset } = await again.head('a');
    expect({ retainedBytes, totalBytes }).toEqual({ retainedBytes: 7, totalBytes: 10 });
    expect(firstOffset).toBe(at(2, 3));
    expect((await again.stats()).totalBytes).toBe(7);
    const late = (): Promise<unknown> => again.append('a', 'x', { streamSeq: '6' });
    await checks.refused(again, 'a', late, 'SEQ_CONFLICT');
    expect((await again.append('a', 'e')).offset).toBe(nextOffset);
  });

  check('a stream can be let go of up to its tail, and no further', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: ['a', 'bb'] });
    const trim = (before: string) => (): Promise<unknown> => streams.trimStream('a', { before });
    for (const before of [at(3, 4), at(1, 2), 'x']) {
      await checks.refused(streams, 'a', trim(before), 'INVALID_OFFSET');
    }
    await streams.trimStream('a', { before: 'now' });
    expect(await textsOf(streams, 'a')).toEqual([]);
    await streams.trimStream('a', { before: at(2, 3) });
    await checks.refused(streams, 'a', trim(at(1, 1)), 'OUT_OF_RANGE');
    await streams.append('a', 'c');
    expect(await textsOf(streams, 'a')).toEqual(['c']);
  });

  check('an empty stream is still what it was', async ({ streams, reopen, elapse }) => {
    const retention = { maxAgeMs: 1000 };
    for (const [name, options] of [
      ['trimmed', TEXT],
      ['aged', { ...TEXT, retention }],
    ] as const) {
      await streams.createStream(name, options, { data: ['a', 'bb'] });
      await streams.append(name, 'ccc', { producer: { id: 'p', epoch: 0, seq: 0 }, close: true });
    }
    await elapse(5000);
    await streams.trimStream('trimmed', { before: 'now' });
    await streams.applyRetention();
    const again = (await reopen?.()) ?? streams;
    for (const name of ['trimmed', 'aged']) {
      expect(await textsOf(again, name)).toEqual([]);
      const { nextOffset, closed, retainedBytes } = await again.head(name);
      expect({ nextOffset, closed, retainedBytes }).toEqual({
        nextOffset: at(3, 6),
        closed: true,
        retainedBytes: 0,
      });
      const producer = { id: 'p', epoch: 0, seq: 0 };
      const { duplicate } = await again.append(name, 'ccc', { producer, close: true });
      expect(duplicate).toBe(true);
    }
  });
}
