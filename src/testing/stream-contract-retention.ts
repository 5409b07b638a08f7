/** What streams let go of by themselves: by age, bytes and messages, and what of it others see. */
import type { StreamStore } from '../streams/stream-store.js';
import { at, TEXT, textsOf, type ContractPart } from './stream-contract-support.js';

export function streamRetentionContract(part: ContractPart): void {
  limits(part);
  times(part);
  configurations(part);
  forks(part);
}

async function append(streams: StreamStore, texts: readonly string[]): Promise<void> {
  for (const text of texts) await streams.append('a', text);
}

function limits({ check, checks, expect }: ContractPart): void {
  check('of messages and of bytes, the last are kept', async ({ streams, reopen }) => {
    await streams.createStream('a', { ...TEXT, retention: { maxMessages: 3 } });
    await streams.createStream('b', { ...TEXT, retention: { maxBytes: 5 } });
    const texts = ['1', '22', '333', '44', '555'];
    await append(streams, texts);
    await streams.appendBatch('b', texts, { streamSeq: '7' });
    expect(await streams.applyRetention()).toBe(2);
    expect(await streams.applyRetention()).toBe(0);
    const again = (await reopen?.()) ?? streams;
    expect(await textsOf(again, 'a')).toEqual(['333', '44', '555']);
    expect(await textsOf(again, 'b')).toEqual(['44', '555']);
    await checks.code(again.read('b', { offset: at(2, 3) }), 'OUT_OF_RANGE');
    const { firstOffset, messageCount, totalBytes, retainedBytes } = await again.head('b');
    expect([firstOffset, messageCount, totalBytes, retainedBytes]).toEqual([at(3, 6), 5, 11, 5]);
    expect((await again.stats()).totalBytes).toBe(13);
    const late = (): Promise<unknown> => again.append('b', 'x', { streamSeq: '6' });
    await checks.refused(again, 'b', late, 'SEQ_CONFLICT');
    expect((await again.append('b', 'x')).offset).toBe(at(5, 11));
  });

  check('one message is kept, however long it is', async ({ streams }) => {
    await streams.createStream('a', { ...TEXT, retention: { maxBytes: 5 } });
    await append(streams, ['1', 'longer than that']);
    await streams.applyRetention();
    expect(await textsOf(streams, 'a')).toEqual(['longer than that']);
    expect(await streams.applyRetention()).toBe(0);
  });

  check('what has less than its limits lets go of nothing', async ({ streams, elapse }) => {
    const retention = { maxBytes: 5, maxMessages: 3, maxAgeMs: 60_000 };
    await streams.createStream('a', { ...TEXT, retention }, { data: ['1', '2', '345'] });
    await elapse(50_000);
    expect(await streams.applyRetention()).toBe(0);
    expect(await textsOf(streams, 'a')).toEqual(['1', '2', '345']);
  });

  check(
    'sweeps see to it, and a limit has room again',
    async ({ streams, elapse }) => {
      await streams.createStream('a', { ...TEXT, retention: { maxMessages: 1 } });
      await append(streams, ['x'.repeat(50), 'y'.repeat(50)]);
      await checks.code(streams.append('a', 'z'), 'LIMIT');
      await elapse(11_000);
      await append(streams, ['z'.repeat(50)]);
      expect(await textsOf(streams, 'a')).toEqual(['y'.repeat(50), 'z'.repeat(50)]);
    },
    { maxTotalBytes: 100, sweepIntervalMs: 10_000 },
  );
}

function times({ check, expect }: ContractPart): void {
  check('messages go when they are too old, also after a restart', async (subject) => {
    const { streams, elapse, reopen } = subject;
    await streams.createStream('a', { ...TEXT, retention: { maxAgeMs: 10_000 } });
    await append(streams, ['1', '2']);
    await elapse(6000);
    await append(streams, ['3']);
    await elapse(6000);
    expect(await streams.applyRetention()).toBe(1);
    expect(await textsOf(streams, 'a')).toEqual(['3']);
    expect(await streams.applyRetention()).toBe(0);
    const again = (await reopen?.()) ?? streams;
    expect(await again.applyRetention()).toBe(0);
    await elapse(6000);
    expect(await again.applyRetention()).toBe(1);
    expect(await textsOf(again, 'a')).toEqual([]);
    expect((await again.append('a', '4')).offset).toBe(at(3, 3));
    await elapse(6000);
    expect(await again.applyRetention()).toBe(0);
    await elapse(6000);
    expect(await again.applyRetention()).toBe(1);
  });

  check('it is no use of the stream', async ({ streams, elapse }) => {
    const retention = { maxAgeMs: 1000 };
    await streams.createStream('a', { ...TEXT, ttlSeconds: 10, retention }, { data: 'x' });
    const { updatedAt } = await streams.head('a');
    await elapse(6000);
    await streams.applyRetention();
    const after = await streams.head('a');
    expect(after.updatedAt).toBe(updatedAt);
    expect(after.firstOffset).toBe(at(1, 1));
    await elapse(6000);
    expect(await streams.exists('a')).toBe(false);
  });
}

function configurations({ check, checks, expect }: ContractPart): void {
  check(
    'who says nothing gets what the store says, and takes what is there',
    async ({ streams, reopen }) => {
      await streams.createStream('a', TEXT);
      await streams.createStream('all', { ...TEXT, retention: null });
      await streams.createStream('own', { ...TEXT, retention: { maxBytes: 9 } });
      const again = (await reopen?.()) ?? streams;
      expect((await again.head('a')).retention).toEqual({ maxMessages: 2 });
      expect((await again.head('all')).retention).toBe(undefined);
      expect((await again.listStreams({ prefix: 'own' }))[0]?.retention).toEqual({ maxBytes: 9 });
      for (const name of ['a', 'all', 'own']) {
        expect((await again.createStream(name, TEXT)).created).toBe(false);
      }
      const same = { ...TEXT, retention: { maxMessages: 2, maxBytes: undefined } };
      expect((await again.createStream('a', same)).created).toBe(false);
      for (const retention of [null, { maxMessages: 3 }, { maxMessages: 2, maxAgeMs: 1 }]) {
        const create = (): Promise<unknown> => again.createStream('a', { ...TEXT, retention });
        await checks.refused(again, 'a', create, 'CONFIG_MISMATCH');
      }
    },
    { retention: { maxMessages: 2 } },
  );

  check('a retention that cannot be meant is refused', async ({ streams }) => {
    for (const retention of [{}, { maxBytes: 0 }, { maxMessages: 1.5 }, { maxAgeMs: -1 }]) {
      await checks.mistake(() => streams.createStream('a', { retention }), 'RangeError');
    }
    const misspelt = { maxRecords: 5 } as object;
    await checks.mistake(() => streams.createStream('a', { retention: misspelt }), 'TypeError');
    expect(await streams.exists('a')).toBe(false);
  });
}

function forks({ check, checks, expect }: ContractPart): void {
  check('a fork keeps what its source does, of its own messages', async ({ streams }) => {
    const retention = { maxMessages: 3 };
    await streams.createStream('a', { ...TEXT, retention }, { data: ['1', '2', '3'] });
    await streams.createFork('f', 'a', {}, { data: ['4', '5', '6'] });
    await streams.createFork('all', 'a', { retention: null }, { data: ['4', '5', '6', '7'] });
    expect((await streams.head('f')).retention).toEqual(retention);
    expect((await streams.createFork('f', 'a', { retention })).created).toBe(false);
    const other = (): Promise<unknown> => streams.createFork('f', 'a', { retention: null });
    await checks.refused(streams, 'f', other, 'CONFIG_MISMATCH');
    expect(await streams.applyRetention()).toBe(0);
    expect(await textsOf(streams, 'f')).toEqual(['1', '2', '3', '4', '5', '6']);
    await streams.append('f', '7');
    expect(await streams.applyRetention()).toBe(1);
    expect(await textsOf(streams, 'f')).toEqual(['5', '6', '7']);
    expect(await textsOf(streams, 'all')).toEqual(['1', '2', '3', '4', '5', '6', '7']);
  });

  check('what a source lets go of is gone for its forks, too', async ({ streams }) => {
    await streams.createStream('a', { ...TEXT, retention: { maxMessages: 1 } }, { data: '1' });
    await streams.append('a', '2');
    await streams.createFork('f', 'a', {}, { data: '3' });
    await streams.applyRetention();
    await checks.code(streams.read('f', { offset: at(0, 0) }), 'OUT_OF_RANGE');
    expect(await textsOf(streams, 'f')).toEqual(['2', '3']);
  });

  check('a deleted source is kept for its forks as it was', async ({ streams }) => {
    await streams.createStream('a', { ...TEXT, retention: { maxMessages: 1 } });
    await append(streams, ['1', '2']);
    await streams.createFork('f', 'a', { retention: null });
    await streams.deleteStream('a');
    expect(await streams.applyRetention()).toBe(0);
    expect(await textsOf(streams, 'f')).toEqual(['1', '2']);
  });
}
