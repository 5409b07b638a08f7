/**
 * Forks: what they have of their source, what is theirs, and how long the source is kept for them.
 */
import { RedexError } from '../core/errors.js';
import { at, TEXT, textsOf, type ContractPart } from './stream-contract-support.js';

export function streamForkContract(part: ContractPart): void {
  reading(part);
  creation(part);
  refusals(part);
  subOffsets(part);
  references(part);
  endings(part);
  lifetimes(part);
}

function reading({ check, expect }: ContractPart): void {
  check('a fork has its source up to its place, and goes on by itself', async (subject) => {
    const { streams, reopen } = subject;
    await streams.createStream('a', TEXT, { data: ['1', '22', '333'] });
    const fork = await streams.createFork('f', 'a', { offset: at(2, 3) }, { data: 'own' });
    expect(fork).toEqual({ created: true, nextOffset: at(3, 6), closed: false });
    await streams.append('f', 'more');
    await streams.append('a', '4444');
    const again = (await reopen?.()) ?? streams;
    expect(await textsOf(again, 'f')).toEqual(['1', '22', 'own', 'more']);
    expect(await textsOf(again, 'a')).toEqual(['1', '22', '333', '4444']);
    for (const maxBytes of [1, 3, 4]) {
      expect(await textsOf(again, 'f', { maxBytes })).toEqual(['1', '22', 'own', 'more']);
    }
    expect(await textsOf(again, 'f', { offset: at(1, 1) })).toEqual(['22', 'own', 'more']);
    expect(await textsOf(again, 'f', { offset: at(2, 3) })).toEqual(['own', 'more']);
    const { forkedFrom, retainedBytes } = await again.head('f');
    expect(forkedFrom).toEqual({ name: 'a', offset: at(2, 3) });
    expect(retainedBytes).toBe(7);
  });

  check('without an offset it is the tail, and with the first one nothing', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: ['1', '22'] });
    await streams.createFork('tail', 'a');
    await streams.createFork('none', 'a', { offset: at(0, 0) });
    await streams.append('a', 'later');
    expect(await textsOf(streams, 'tail')).toEqual(['1', '22']);
    expect(await textsOf(streams, 'none')).toEqual([]);
    expect((await streams.append('none', 'x')).offset).toBe(at(0, 0));
  });

  check('forks of forks read through all of them', async ({ streams, reopen }) => {
    await streams.createStream('f0', TEXT, { data: ['a', 'b'] });
    for (let i = 1; i <= 5; i++) {
      await streams.createFork(`f${i}`, `f${i - 1}`, {}, { data: [`x${i}`, `y${i}`] });
    }
    await streams.createFork('early', 'f5', { offset: at(1, 1) });
    const again = (await reopen?.()) ?? streams;
    const all = ['a', 'b', 'x1', 'y1', 'x2', 'y2', 'x3', 'y3', 'x4', 'y4', 'x5', 'y5'];
    for (const maxBytes of [1, 5, 100])
      expect(await textsOf(again, 'f5', { maxBytes })).toEqual(all);
    expect(await textsOf(again, 'early')).toEqual(['a']);
  });
}

function creation({ check, expect }: ContractPart): void {
  check('a fork of a closed stream is open, and has none of its producers', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const producer = { id: 'p', epoch: 4, seq: 0 };
    await streams.append('a', 'x', { producer, streamSeq: 'z', close: true });
    await streams.createFork('f', 'a');
    expect((await streams.head('f')).closed).toBe(false);
    const first = { producer: { id: 'p', epoch: 0, seq: 0 }, streamSeq: 'a' };
    expect((await streams.append('f', 'y', first)).duplicate).toBe(false);
  });

  check('creating a fork again changes nothing', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: ['1', '22'] });
    await streams.createFork('f', 'a', { offset: at(1, 1) });
    await streams.append('f', 'x');
    const expected = { created: false, nextOffset: at(2, 2), closed: false };
    expect(await streams.createFork('f', 'a', { offset: at(1, 1) })).toEqual(expected);
    expect(await streams.createFork('f', 'a')).toEqual(expected);
  });

  check('an append to the source wakes nobody who waits for the fork', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    await streams.createFork('f', 'a');
    let hints = 0;
    const subscription = streams.subscribe('f');
    const waiting = subscription.next().then(() => hints++);
    await streams.append('a', 'x');
    expect(hints).toBe(0);
    await streams.append('f', 'x');
    await waiting;
    expect(hints).toBe(1);
  });
}

function refusals({ check, checks, expect }: ContractPart): void {
  check('a fork that is refused leaves nothing behind', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: ['1', '22'] });
    await streams.createStream('b', TEXT);
    const cases: readonly [string, () => Promise<unknown>][] = [
      ['NOT_FOUND', () => streams.createFork('f', 'none')],
      ['INVALID_OFFSET', () => streams.createFork('f', 'a', { offset: 'x' })],
      ['INVALID_OFFSET', () => streams.createFork('f', 'a', { offset: at(1, 2) })],
      ['INVALID_OFFSET', () => streams.createFork('f', 'a', { offset: at(3, 3) })],
      ['CONTENT_TYPE_MISMATCH', () => streams.createFork('f', 'a', { contentType: 'text/html' })],
      ['CONFIG_MISMATCH', () => streams.createFork('b', 'a')],
    ];
    for (const [code, action] of cases) await checks.code(action(), code);
    expect(await streams.exists('f')).toBe(false);
    // No reference is left: the source goes at once.
    await streams.deleteStream('a');
    await checks.code(streams.head('a'), 'NOT_FOUND');
  });

  check('another fork in its place is a conflict', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: ['1', '22'] });
    await streams.createStream('b', TEXT, { data: ['1', '22'] });
    await streams.createFork('f', 'a', { offset: at(1, 1) });
    const others = [
      () => streams.createFork('f', 'b', { offset: at(1, 1) }),
      () => streams.createFork('f', 'a', { offset: at(2, 3) }),
      () => streams.createFork('f', 'a', { offset: at(1, 1), subOffset: 1 }),
      () => streams.createFork('f', 'a', { offset: at(1, 1), ttlSeconds: 5 }),
      () => streams.createFork('f', 'a', { offset: at(1, 1), closed: true }),
      () => streams.createStream('f', TEXT),
    ];
    for (const other of others) await checks.refused(streams, 'f', other, 'CONFIG_MISMATCH');
  });
}

function subOffsets({ check, checks, expect }: ContractPart): void {
  check('within a message of bytes, the fork has its beginning', async ({ streams, reopen }) => {
    await streams.createStream('a', TEXT, { data: ['one', 'second', 'x'] });
    const options = { offset: at(1, 3), subOffset: 3 };
    const fork = await streams.createFork('f', 'a', options, { data: 'own' });
    expect(fork.nextOffset).toBe(at(3, 9));
    expect((await streams.createFork('f', 'a', options)).created).toBe(false);
    await streams.createFork('g', 'f', { offset: at(1, 3), subOffset: 2 });
    await streams.createFork('whole', 'a', { offset: at(1, 3), subOffset: 6 });
    const again = (await reopen?.()) ?? streams;
    expect(await textsOf(again, 'f')).toEqual(['one', 'sec', 'own']);
    expect(await textsOf(again, 'g')).toEqual(['one', 'se']);
    expect(await textsOf(again, 'whole')).toEqual(['one', 'second']);
  });

  check('in a stream of JSON it counts messages', async ({ streams }) => {
    const json = { contentType: 'application/json; charset=utf-8' };
    await streams.createStream('a', json, { data: ['1', '2'] });
    await streams.appendBatch('a', ['3', '4']);
    await streams.createFork('f', 'a', { offset: at(1, 1), subOffset: 2 }, { data: '9' });
    expect(await textsOf(streams, 'f')).toEqual(['1', '2', '3', '9']);
    await checks.code(
      streams.createFork('g', 'a', { offset: at(1, 1), subOffset: 4 }),
      'INVALID_OFFSET',
    );
  });

  check('there is nothing behind the end', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: 'one' });
    const wrong = [
      { subOffset: 1 },
      { offset: at(1, 3), subOffset: 1 },
      { offset: at(0, 0), subOffset: 4 },
    ];
    for (const options of wrong) {
      await checks.code(streams.createFork('f', 'a', options), 'INVALID_OFFSET');
    }
  });
}

function references({ check, checks, expect }: ContractPart): void {
  check('a source with forks is gone for all but these', async ({ streams, reopen }) => {
    await streams.createStream('a', TEXT, { data: ['1', '22'] });
    await streams.createFork('f', 'a');
    await streams.deleteStream('a');
    const again = (await reopen?.()) ?? streams;
    for (const use of [
      () => again.append('a', 'x'),
      () => again.read('a'),
      () => again.head('a'),
      () => again.closeStream('a'),
      () => again.deleteStream('a'),
      () => again.createFork('g', 'a'),
      async () => again.subscribe('a'),
    ]) {
      await checks.code(use(), 'STREAM_GONE');
    }
    await checks.code(again.createStream('a', TEXT), 'EXISTS');
    expect(await again.exists('a')).toBe(false);
    expect((await again.listStreams()).map(({ name }) => name)).toEqual(['f']);
    expect(await textsOf(again, 'f')).toEqual(['1', '22']);
    expect((await again.createFork('f', 'a')).created).toBe(false);
    expect((await again.stats()).totalBytes).toBe(3);
  });

  check('with the last fork goes its source, and so on', async ({ streams, reopen }) => {
    await streams.createStream('a', TEXT, { data: 'a' });
    await streams.createFork('b', 'a', {}, { data: 'b' });
    await streams.createFork('c', 'b', {}, { data: 'c' });
    await streams.createFork('d', 'b', {}, { data: 'd' });
    await streams.deleteStream('b');
    await streams.deleteStream('a');
    await streams.deleteStream('c');
    const again = (await reopen?.()) ?? streams;
    expect(await textsOf(again, 'd')).toEqual(['a', 'b', 'd']);
    expect((await again.stats()).tombstones).toBe(2);
    await again.deleteStream('d');
    const { streams: count, tombstones, totalBytes } = await again.stats();
    expect({ count, tombstones, totalBytes }).toEqual({ count: 0, tombstones: 0, totalBytes: 0 });
    expect((await again.createStream('a', TEXT)).created).toBe(true);
  });

  check('the last two forks that go at once take the source with them', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: 'a' });
    const forks = Array.from({ length: 6 }, (_, i) => `f${i}`);
    await Promise.all(forks.map((name) => streams.createFork(name, 'a')));
    await streams.deleteStream('a');
    await Promise.all(forks.map((name) => streams.deleteStream(name)));
    const { tombstones, totalBytes } = await streams.stats();
    expect({ tombstones, totalBytes }).toEqual({ tombstones: 0, totalBytes: 0 });
  });
}

function endings({ check, checks, expect }: ContractPart): void {
  check('a trim that a deletion overtakes takes nothing from forks', async ({ streams }) => {
    for (let turns = 0; turns < 40; turns++) {
      const name = `a${turns}`;
      await streams.createStream(name, TEXT, { data: ['1', '22', '333'] });
      await streams.createFork(`${name}/f`, name);
      const trimming = streams.trimStream(name, { before: at(1, 1) }).then(
        () => '22,333',
        (error: unknown) => (RedexError.is(error, 'STREAM_GONE') ? '1,22,333' : String(error)),
      );
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await streams.deleteStream(name);
      expect((await textsOf(streams, `${name}/f`)).join(',')).toBe(await trimming);
    }
  });

  check('a source that was not deleted stays when its forks go', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: 'a' });
    await streams.createFork('f', 'a');
    await streams.deleteStream('f');
    expect(await textsOf(streams, 'a')).toEqual(['a']);
    await streams.deleteStream('a');
    await checks.code(streams.read('a'), 'NOT_FOUND');
  });
}

function lifetimes({ check, checks, expect }: ContractPart): void {
  check('a fork lives as its source does, unless it is told otherwise', async ({ streams }) => {
    await streams.createStream('a', { ...TEXT, ttlSeconds: 60 });
    await streams.createStream('b', { ...TEXT, expiresAt: 4e12 });
    await streams.createFork('a1', 'a');
    await streams.createFork('a2', 'a', { ttlSeconds: 5 });
    await streams.createFork('a3', 'a', { expiresAt: 3e12 });
    await streams.createFork('b1', 'b');
    const found: unknown[] = [];
    for (const name of ['a1', 'a2', 'a3', 'b1']) {
      const { ttlSeconds, expiresAt } = await streams.head(name);
      found.push([ttlSeconds, expiresAt]);
    }
    expect(found).toEqual([
      [60, undefined],
      [5, undefined],
      [undefined, 3e12],
      [undefined, 4e12],
    ]);
  });

  check('an expired source is kept for its forks', async ({ streams, elapse }) => {
    await streams.createStream('a', { ...TEXT, ttlSeconds: 5 }, { data: 'a' });
    await streams.createFork('f', 'a', { ttlSeconds: 20 });
    await elapse(6000);
    expect(await textsOf(streams, 'f')).toEqual(['a']);
    expect(await streams.cleanupExpiredStreams()).toBe(1);
    await checks.code(streams.read('a'), 'STREAM_GONE');
    expect(await textsOf(streams, 'f')).toEqual(['a']);
    await elapse(21_000);
    expect(await streams.cleanupExpiredStreams()).toBe(1);
    const { tombstones, totalBytes } = await streams.stats();
    expect({ tombstones, totalBytes }).toEqual({ tombstones: 0, totalBytes: 0 });
  });

  check('what the source lets go of is gone for its forks', async ({ streams }) => {
    await streams.createStream('a', TEXT, { data: ['1', '22', '333'] });
    await streams.createFork('f', 'a', {}, { data: 'own' });
    await streams.trimStream('f', { before: '-1' });
    await streams.trimStream('a', { before: at(1, 1) });
    await checks.code(streams.read('f', { offset: at(0, 0) }), 'OUT_OF_RANGE');
    expect(await textsOf(streams, 'f')).toEqual(['22', '333', 'own']);
    await streams.trimStream('a', { before: 'now' });
    expect(await textsOf(streams, 'f')).toEqual(['own']);
    await streams.trimStream('f', { before: at(3, 6) });
    expect(await textsOf(streams, 'f')).toEqual(['own']);
  });
}
