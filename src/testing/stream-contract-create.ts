/** Creating streams: once, again, with data, and against what is there. */
import { at, TEXT, textsOf, type ContractPart } from './stream-contract-support.js';

export function streamCreateContract(part: ContractPart): void {
  idempotence(part);
  contents(part);
}

function idempotence({ check, checks, expect }: ContractPart): void {
  check('a new stream is empty and open', async ({ streams }) => {
    const result = await streams.createStream('a', TEXT);
    expect(result).toEqual({ created: true, nextOffset: at(0, 0), closed: false });
    const head = await streams.head('a');
    expect(head.contentType).toBe('text/plain');
    expect(head.updatedAt).toBe(undefined);
    expect(await textsOf(streams, 'a')).toEqual([]);
  });

  check('creating it again with the same options changes nothing', async ({ streams }) => {
    await streams.createStream('a', { ...TEXT, ttlSeconds: 60 });
    await streams.append('a', 'one');
    const again = await streams.createStream(
      'a',
      { contentType: 'TEXT/Plain ', ttlSeconds: 60 },
      { data: 'ignored' },
    );
    expect(again).toEqual({ created: false, nextOffset: at(1, 3), closed: false });
    expect(await textsOf(streams, 'a')).toEqual(['one']);
  });

  check('other options are a conflict, and change nothing', async ({ streams }) => {
    await streams.createStream('a', { ...TEXT, ttlSeconds: 60 });
    const others = [
      TEXT,
      { ttlSeconds: 60 },
      { ...TEXT, ttlSeconds: 61 },
      { ...TEXT, expiresAt: 4e12 },
      { ...TEXT, ttlSeconds: 60, closed: true },
    ];
    for (const other of others) {
      await checks.refused(streams, 'a', () => streams.createStream('a', other), 'CONFIG_MISMATCH');
    }
  });

  check('an end by the clock is compared, and never moves', async ({ streams }) => {
    const expiresAt = 4_000_000_000_000;
    await streams.createStream('a', { expiresAt });
    expect((await streams.createStream('a', { expiresAt: new Date(expiresAt) })).created).toBe(
      false,
    );
    const other = { expiresAt: expiresAt + 1 };
    await checks.refused(streams, 'a', () => streams.createStream('a', other), 'CONFIG_MISMATCH');
    await streams.append('a', 'x');
    expect((await streams.head('a')).expiresAt).toBe(expiresAt);
  });

  check('what counts is whether the stream is closed now', async ({ streams }) => {
    await streams.createStream('a');
    await streams.closeStream('a');
    await checks.refused(streams, 'a', () => streams.createStream('a'), 'CONFIG_MISMATCH');
    const again = await streams.createStream('a', { closed: true });
    expect(again).toEqual({ created: false, nextOffset: at(0, 0), closed: true });
  });
}

function contents({ check, checks, expect }: ContractPart): void {
  check('the first messages and the close come with the stream', async ({ streams }) => {
    const options = { ...TEXT, closed: true };
    const result = await streams.createStream('a', options, { data: ['one', 'three'] });
    expect(result).toEqual({ created: true, nextOffset: at(2, 8), closed: true });
    expect(await textsOf(streams, 'a')).toEqual(['one', 'three']);
    await checks.refused(streams, 'a', () => streams.append('a', 'x'), 'STREAM_CLOSED');
    const again = await streams.createStream('a', options, { data: 'other' });
    expect(again).toEqual({ created: false, nextOffset: at(2, 8), closed: true });
  });

  check('of many that create the same stream at once, one does', async ({ streams }) => {
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) => streams.createStream('a', TEXT, { data: String(i) })),
    );
    expect(results.filter(({ created }) => created).length).toBe(1);
    expect((await textsOf(streams, 'a')).length).toBe(1);
    expect((await streams.listStreams()).length).toBe(1);
  });

  check('names are names of streams and of nothing else', async ({ streams }) => {
    const names = [
      'a',
      'a/b',
      'A',
      '..',
      '../a',
      'a/',
      '/',
      'é',
      'catalog',
      '1/a',
      'x'.repeat(1024),
    ];
    for (const name of names) {
      expect((await streams.createStream(name, TEXT, { data: name })).created).toBe(true);
    }
    for (const name of names) expect(await textsOf(streams, name)).toEqual([name]);
    const listed = await streams.listStreams();
    expect(listed.map(({ name }) => name)).toEqual(names.toSorted());
    for (const name of ['', 'a\0', '\ud800', 'x'.repeat(1025)]) {
      await checks.mistake(() => streams.createStream(name), 'RangeError');
    }
  });

  check('options that cannot be meant are refused before anything is done', async ({ streams }) => {
    const wrong = [
      { ttlSeconds: -1 },
      { ttlSeconds: 1.5 },
      { ttlSeconds: 1e11 },
      { expiresAt: NaN },
    ];
    for (const options of [...wrong, { contentType: '' }, { contentType: 'a\r\nb' }]) {
      await checks.mistake(() => streams.createStream('a', options), 'RangeError');
    }
    const both = { ttlSeconds: 1, expiresAt: 4e12 };
    await checks.mistake(() => streams.createStream('a', both), 'TypeError');
    expect(await streams.exists('a')).toBe(false);
  });
}
