/** How streams end - deleted or expired - and how who waits for them is told. */
import type { StreamStore } from '../streams/stream-store.js';
import { TEXT, textsOf, type ContractPart } from './stream-contract-support.js';

export function streamLifeContract(part: ContractPart): void {
  deletion(part);
  expiry(part);
  slidingExpiry(part);
  subscriptions(part);
}

const uses = (streams: StreamStore): (() => Promise<unknown>)[] => [
  () => streams.append('a', 'x'),
  () => streams.closeStream('a'),
  () => streams.read('a'),
  () => streams.head('a'),
  () => streams.deleteStream('a'),
  () => streams.trimStream('a', { before: 'now' }),
  () => streams.createFork('f', 'a'),
  async () => streams.subscribe('a'),
];

function deletion({ check, checks, expect }: ContractPart): void {
  check('a deleted stream is gone, and its path is free', async ({ streams, reopen }) => {
    await streams.createStream('a', TEXT, { data: 'old' });
    await streams.deleteStream('a');
    for (const use of uses(streams)) await checks.code(use(), 'NOT_FOUND');
    const again = (await reopen?.()) ?? streams;
    for (const use of uses(again)) await checks.code(use(), 'NOT_FOUND');
    expect((await again.createStream('a', {}, { data: 'new' })).created).toBe(true);
    expect(await textsOf(again, 'a')).toEqual(['new']);
    expect((await again.stats()).totalBytes).toBe(3);
  });

  check('a closed stream can be deleted', async ({ streams }) => {
    await streams.createStream('a', { closed: true });
    await streams.deleteStream('a');
    expect(await streams.exists('a')).toBe(false);
  });

  check('what runs beside a deletion is done before it, or finds nothing', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const results = await Promise.allSettled([
      streams.append('a', 'before'),
      streams.deleteStream('a'),
      streams.append('a', 'after'),
      streams.deleteStream('a'),
      streams.createStream('a', TEXT, { data: 'new' }),
    ]);
    const ends = results.map(({ status }) => status);
    expect(ends).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(await textsOf(streams, 'a')).toEqual(['new']);
    expect((await streams.stats()).totalBytes).toBe(3);
  });
}

function expiry({ check, checks, expect }: ContractPart): void {
  check('an expired stream is not there for anybody, and its path is free', async (subject) => {
    const { streams, elapse } = subject;
    const expiresAt =
      (await streams.createStream('t').then(() => streams.head('t'))).createdAt + 5000;
    await streams.createStream('a', { ...TEXT, expiresAt }, { data: 'old' });
    await streams.append('a', 'x');
    await elapse(5001);
    for (const use of uses(streams)) await checks.code(use(), 'NOT_FOUND');
    expect(await streams.exists('a')).toBe(false);
    expect((await streams.listStreams()).map(({ name }) => name)).toEqual(['t']);
    expect((await streams.createStream('a', TEXT, { data: 'new' })).created).toBe(true);
    expect(await textsOf(streams, 'a')).toEqual(['new']);
  });

  check('a sweep removes what has expired and nothing else', async ({ streams, elapse }) => {
    for (const [name, ttlSeconds] of Object.entries({ a: 5, b: 50, c: 5 })) {
      await streams.createStream(name, { ...TEXT, ttlSeconds }, { data: name });
    }
    await streams.createStream('d', TEXT, { data: 'd' });
    expect(await streams.cleanupExpiredStreams()).toBe(0);
    await elapse(6000);
    await streams.append('b', 'x');
    expect(await streams.cleanupExpiredStreams()).toBe(2);
    expect(await streams.cleanupExpiredStreams()).toBe(0);
    expect((await streams.listStreams()).map(({ name }) => name)).toEqual(['b', 'd']);
    expect((await streams.stats()).totalBytes).toBe(3);
  });

  check(
    'sweeps come by themselves',
    async ({ streams, elapse }) => {
      await streams.createStream('a', { ...TEXT, ttlSeconds: 5 }, { data: 'x' });
      await elapse(20_000);
      expect((await streams.stats()).streams).toBe(0);
      await streams.createStream('b', { ...TEXT, ttlSeconds: 5 }, { data: 'x' });
      await elapse(20_000);
      expect((await streams.stats()).streams).toBe(0);
    },
    { sweepIntervalMs: 10_000 },
  );

  check('what expired while the store was closed is removed at its start', async (subject) => {
    const { streams, reopen, elapse } = subject;
    if (reopen === undefined) return;
    await streams.createStream('a', { ...TEXT, ttlSeconds: 5 }, { data: 'x' });
    await streams.close();
    await elapse(6000);
    const again = await reopen();
    expect(await again.exists('a')).toBe(false);
    expect((await again.stats()).streams).toBe(0);
    await checks.code(again.read('a'), 'NOT_FOUND');
  });

  check('a time to live of 0 is over at once', async ({ streams }) => {
    await streams.createStream('a', { ttlSeconds: 0 });
    expect(await streams.exists('a')).toBe(false);
  });
}

function slidingExpiry({ check, expect }: ContractPart): void {
  const keeps: Readonly<Record<string, (streams: StreamStore) => Promise<unknown>>> = {
    'an append': (streams) => streams.append('a', 'x'),
    'a read': (streams) => streams.read('a'),
    'a read of the tail': (streams) => streams.read('a', { offset: 'now' }),
    'a close': (streams) => streams.closeStream('a'),
    'a close by a producer': (streams) =>
      streams.closeStream('a', { producer: { id: 'p', epoch: 0, seq: 0 } }),
  };
  for (const [name, use] of Object.entries(keeps)) {
    check(`${name} begins the time to live anew`, async ({ streams, elapse, reopen }) => {
      await streams.createStream('a', { ...TEXT, ttlSeconds: 10 });
      await elapse(8000);
      await use(streams);
      await elapse(8000);
      expect(await streams.exists('a')).toBe(true);
      const again = (await reopen?.()) ?? streams;
      expect(await again.exists('a')).toBe(true);
      await elapse(3000);
      expect(await again.exists('a')).toBe(false);
    });
  }

  check('head, exists and the list do not', async ({ streams, elapse }) => {
    await streams.createStream('a', { ...TEXT, ttlSeconds: 10 });
    await elapse(8000);
    await streams.head('a');
    await streams.exists('a');
    await streams.listStreams();
    await elapse(3000);
    expect(await streams.exists('a')).toBe(false);
  });
}

function subscriptions({ check, checks, expect }: ContractPart): void {
  check('who waits is woken by an append and by a close', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const hints = streams.subscribe('a');
    const first = hints.next();
    await streams.append('a', 'x');
    expect((await first).done).toBe(false);
    const second = hints.next();
    await streams.closeStream('a');
    expect((await second).done).toBe(false);
    await hints.return?.();
    expect((await hints.next()).done).toBe(true);
  });

  check('one hint is kept for whatever came before it was asked for', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    await streams.createStream('b', TEXT);
    const hints = streams.subscribe('a');
    for (let i = 0; i < 40; i++) await streams.append('a', 'x');
    expect((await hints.next()).done).toBe(false);
    const waiting = hints.next();
    await streams.append('b', 'of another stream');
    await streams.append('a', 'x');
    expect((await waiting).done).toBe(false);
  });

  check('a deletion wakes who waits, and ends it', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const hints = streams.subscribe('a');
    const waiting = hints.next();
    await streams.deleteStream('a');
    await waiting;
    expect((await hints.next()).done).toBe(true);
    await checks.code((async () => streams.subscribe('a'))(), 'NOT_FOUND');
  });

  check('a signal ends it with its reason', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const abort = new AbortController();
    const hints = streams.subscribe('a', { signal: abort.signal });
    const waiting = hints.next().catch((reason: unknown) => reason);
    abort.abort('enough');
    expect(await waiting).toBe('enough');
    const late = streams.subscribe('a', { signal: abort.signal });
    expect(await late.next().catch((reason: unknown) => reason)).toBe('enough');
  });

  check('closing the store ends what waits, and every other use', async ({ streams }) => {
    await streams.createStream('a', TEXT);
    const appended = streams.append('a', 'last');
    const waiting = streams.subscribe('a').next();
    const closing = streams.close();
    await appended;
    await waiting;
    await closing;
    for (const use of uses(streams)) await checks.code(use(), 'CLOSED');
    await checks.code(streams.createStream('b'), 'CLOSED');
    await checks.code(streams.listStreams(), 'CLOSED');
    await checks.code(streams.stats(), 'CLOSED');
  });
}
