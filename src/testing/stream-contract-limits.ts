/** Limits of bytes: strict, whatever runs at the same time, and given back when nothing is kept. */
import { TEXT, type ContractPart } from './stream-contract-support.js';

export function streamLimitContract(part: ContractPart): void {
  strictness(part);
  accounting(part);
}

function strictness({ check, checks, expect }: ContractPart): void {
  check(
    'the limit of all streams holds when many append at once',
    async ({ streams }) => {
      const names = Array.from({ length: 8 }, (_, i) => `s${i}`);
      await Promise.all(names.map((name) => streams.createStream(name, TEXT)));
      const results = await Promise.allSettled(
        names.map((name) => streams.append(name, 'x'.repeat(40))),
      );
      expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(3);
      expect((await streams.stats()).totalBytes).toBe(120);
      for (const { status } of results) expect(typeof status).toBe('string');
      await checks.refused(streams, 's7', () => streams.append('s7', 'x'), 'LIMIT');
    },
    { maxTotalBytes: 120 },
  );

  check(
    'what is refused gives its bytes back',
    async ({ streams }) => {
      await streams.createStream('a', TEXT, { data: 'x'.repeat(40) });
      const wrong = { contentType: 'text/html' };
      const full = 'x'.repeat(60);
      await checks.refused(
        streams,
        'a',
        () => streams.append('a', full, wrong),
        'CONTENT_TYPE_MISMATCH',
      );
      await checks.refused(streams, 'a', () => streams.append('a', `${full}x`), 'LIMIT');
      await checks.code(streams.createStream('b', TEXT, { data: `${full}x` }), 'LIMIT');
      expect(await streams.exists('b')).toBe(false);
      const producer = { id: 'p', epoch: 0, seq: 0 };
      await streams.append('a', 'x'.repeat(30), { producer });
      expect((await streams.append('a', 'x'.repeat(30), { producer })).duplicate).toBe(true);
      await streams.append('a', 'x'.repeat(30));
      expect((await streams.stats()).totalBytes).toBe(100);
    },
    { maxTotalBytes: 100 },
  );

  check(
    'the limit of one stream holds when many append to it at once',
    async ({ streams }) => {
      await streams.createStream('a', TEXT);
      const results = await Promise.allSettled(
        Array.from({ length: 10 }, () => streams.append('a', 'x'.repeat(30))),
      );
      expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(3);
      expect((await streams.head('a')).retainedBytes).toBe(90);
      await checks.refused(streams, 'a', () => streams.append('a', 'x'.repeat(11)), 'LIMIT');
      await checks.code(streams.createStream('b', {}, { data: 'x'.repeat(101) }), 'LIMIT');
      expect(await streams.exists('b')).toBe(false);
      // A close has no bytes.
      expect((await streams.closeStream('a')).closed).toBe(true);
    },
    { maxStreamBytes: 100 },
  );
}

function accounting({ check, checks, expect }: ContractPart): void {
  check(
    'what is deleted, trimmed or expired makes room',
    async ({ streams, elapse }) => {
      const bytes = 'x'.repeat(50);
      await streams.createStream('a', TEXT, { data: bytes });
      await streams.createStream('b', { ...TEXT, ttlSeconds: 10 }, { data: bytes });
      await checks.code(streams.createStream('c', TEXT, { data: 'x' }), 'LIMIT');
      await streams.deleteStream('a');
      await streams.createStream('c', TEXT, { data: bytes });
      await streams.trimStream('c', { before: 'now' });
      await streams.append('c', bytes);
      await elapse(11_000);
      // In its own place it is made again, although there is no room beside it.
      await streams.createStream('b', { ...TEXT, ttlSeconds: 10 }, { data: bytes });
      expect((await streams.stats()).totalBytes).toBe(100);
      await checks.refused(streams, 'c', () => streams.append('c', 'x'), 'LIMIT');
    },
    { maxTotalBytes: 100 },
  );

  check(
    'a restart counts what is there',
    async ({ streams, reopen }) => {
      await streams.createStream('a', TEXT, { data: 'x'.repeat(30) });
      await streams.createStream('b', TEXT, { data: 'x'.repeat(30) });
      await streams.deleteStream('a');
      await streams.append('b', 'x'.repeat(20));
      const again = (await reopen?.()) ?? streams;
      expect((await again.stats()).totalBytes).toBe(50);
      await checks.refused(again, 'b', () => again.append('b', 'x'.repeat(51)), 'LIMIT');
      await again.append('b', 'x'.repeat(50));
    },
    { maxTotalBytes: 100 },
  );

  check(
    'a stream remembers so many producers and no more',
    async ({ streams }) => {
      await streams.createStream('a', TEXT);
      for (const id of ['p', 'q']) {
        await streams.append('a', 'x', { producer: { id, epoch: 0, seq: 0 } });
      }
      const third = { producer: { id: 'r', epoch: 0, seq: 0 } };
      await checks.refused(streams, 'a', () => streams.append('a', 'x', third), 'LIMIT');
      await streams.append('a', 'x', { producer: { id: 'p', epoch: 0, seq: 1 } });
    },
    { maxProducers: 2 },
  );
}
