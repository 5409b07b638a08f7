/**
 * Goal: a store that was opened with readOnly shows what is there, also while it changes, and
 * changes nothing itself (RULES N4).
 * Method: a writer and a reader on one disk in memory. What the writer does while the reader is in
 * the middle of something is done before each of the reader's operations in turn.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { RedexError } from '../../src/core/errors.js';
import type { Redex } from '../../src/store/redex.js';
import { payload, rejection, thrown } from '../support/channel-kit.js';
import { DATA, idsIn, listOf, pathOf, ReadOnlyLab } from '../support/read-only-lab.js';

let lab: ReadOnlyLab;

beforeEach(() => {
  lab = new ReadOnlyLab();
});

afterEach(() => lab.expectOnlyReads());

/** Every way to look at a channel. */
const LOOKS: readonly [string, (channel: Channel) => Promise<unknown>][] = [
  ['get', (channel) => channel.get(0)],
  ['read', (channel) => channel.read().next()],
  ['readBatches', (channel) => channel.readBatches().next()],
  ['readBatch', (channel) => channel.readBatch()],
  ['last', (channel) => channel.last(1)],
  ['seqAt', (channel) => channel.seqAt(0)],
  ['stats', (channel) => channel.stats()],
  ['tail', (channel) => channel.tail().next()],
  ['tailBatches', (channel) => channel.tailBatches({ from: 'end' }).next()],
];

describe('what is not there', () => {
  test('a store: NOT_FOUND, and nothing is made', async () => {
    await rejection(lab.look(), 'NOT_FOUND');
    await rejection(lab.look({ createIfMissing: true }), 'NOT_FOUND');
    expect(lab.disk.readDirectorySync('/')).toEqual([]);
    lab.disk.mkdirSync(DATA);
    const error = await rejection(lab.look(), 'NOT_FOUND');
    expect([error.kind, error.resource]).toEqual(['store', DATA]);
    expect(lab.disk.readDirectorySync(DATA)).toEqual([]);
  });

  test('a channel: NOT_FOUND, whatever is asked for', async () => {
    await lab.make('there', 1);
    const redex = await lab.look();
    expect([await redex.hasChannel('there'), await redex.hasChannel('not')]).toEqual([true, false]);
    for (const options of [{}, { createIfMissing: true }, { firstSeq: 7 }]) {
      const error = await rejection(redex.channel('not', options), 'NOT_FOUND');
      expect([error.kind, error.resource]).toEqual(['channel', 'not']);
    }
    expect(await listOf(redex)).toEqual([['there', 1]]);
  });
});

describe('READ_ONLY', () => {
  test('from everything that would change the store', async () => {
    await lab.make('a', 1);
    const redex = await lab.look();
    const changes = [
      redex.deleteChannel('a'),
      redex.deleteChannel('not'),
      redex.renameChannel('a', 'b'),
      redex.sync(),
      redex.backup('/backup'),
    ];
    for (const change of changes) {
      expect((await rejection(change, 'READ_ONLY')).path).toBe(DATA);
    }
    expect((await redex.stats()).readOnly).toBe(true);
    await redex.close();
    await rejection(redex.deleteChannel('a'), 'CLOSED');
    await rejection(redex.sync(), 'CLOSED');
  });

  test('from everything that would change a channel', async () => {
    await lab.make('a', 1);
    const redex = await lab.look();
    const channel = await redex.channel('a');
    const changes = (): Promise<unknown>[] => [
      channel.append('x'),
      channel.append('x', { expectedSeq: 1 }),
      channel.appendBatch(['x']),
      channel.appendBatch([]),
      channel.sync(),
      channel.configure({ sync: 'always' }),
    ];
    for (const change of changes()) {
      expect((await rejection(change, 'READ_ONLY')).path).toBe(pathOf('a'));
    }
    thrown(() => channel.appendSync('x'), 'READ_ONLY');
    thrown(() => channel.appendBatchSync(['x']), 'READ_ONLY');
    expect((await channel.stats()).count).toBe(1);
    await channel.close();
    for (const change of changes()) await rejection(change, 'CLOSED');
    thrown(() => channel.appendSync('x'), 'CLOSED');
    for (const [, look] of LOOKS) await rejection(look(channel), 'CLOSED');
    await rejection(channel.last(0), 'CLOSED');
  });
});

test('a channel that was written to is closed for every look as well', async () => {
  const writer = await lab.write();
  const channel = await writer.channel('a');
  await channel.append(payload(0));
  const closing = channel.close();
  await rejection(channel.stats(), 'CLOSED');
  await closing;
  for (const [, look] of LOOKS) await rejection(look(channel), 'CLOSED');
  await rejection(channel.last(0), 'CLOSED');
});

describe('a trim of the writer', () => {
  // A tail that begins at the end waits for what comes.
  test.each(LOOKS.slice(0, 8))('is seen by %s', async (_, look) => {
    await using writer = await lab.write();
    const written = await writer.channel('a');
    for (let id = 0; id < 9; id += 1) await written.append(payload(id));
    const redex = await lab.look();
    const channel = await redex.channel('a');
    expect((await channel.readBatch()).length).toBe(9);
    await written.trim({ beforeSeq: 5 });
    await look(channel).catch((error: unknown) =>
      expect(error).toMatchObject({ code: 'OUT_OF_RANGE' }),
    );
    expect(channel.firstSeq).toBe(5);
    expect((await channel.readBatch()).map(({ seq }) => seq)).toEqual([5, 6, 7, 8]);
    await rejection(channel.get(4), 'OUT_OF_RANGE');
  });
});

describe('a channel', () => {
  test('is the same for everybody while it is open, and a new one after its close', async () => {
    await lab.make('a', 1);
    const redex = await lab.look();
    const [first, second] = await Promise.all([redex.channel('a'), redex.channel('a')]);
    expect(second).toBe(first);
    expect(await redex.channel('a')).toBe(first);
    expect((await redex.stats()).openChannels).toBe(1);
    await first.close();
    expect((await redex.stats()).openChannels).toBe(0);
    const third = await redex.channel('a');
    expect(third).not.toBe(first);
    expect(await idsIn(third.read())).toEqual([1]);
  });

  test('that is closed while it is asked for is opened again', async () => {
    await lab.make('a', 1);
    const redex = await lab.look();
    const first = await redex.channel('a');
    const [second] = await Promise.all([redex.channel('a'), first.close()]);
    expect(await idsIn(second.read())).toEqual([1]);
  });

  test('that is closed while it is listed is listed', async () => {
    await lab.make('a', 1);
    const redex = await lab.look();
    const channel = await redex.channel('a');
    const [list] = await Promise.all([listOf(redex), channel.close()]);
    expect(list).toEqual([['a', 1]]);
  });

  test('is refused with other options than are stored', async () => {
    await using writer = await lab.write({ segmentBytes: 10_000 });
    await writer.channel('a');
    const redex = await lab.look({ segmentBytes: 20_000 });
    const given = { segmentBytes: 30_000 };
    const error = await rejection(redex.channel('a', given), 'OPTIONS_CONFLICT');
    expect([error.stored, error.given]).toEqual([10_000, 30_000]);
    const channel = await redex.channel('a', { segmentBytes: 10_000, sync: 'never' });
    await rejection(redex.channel('a', { sync: 'always' }), 'OPTIONS_CONFLICT');
    expect(channel.options).toEqual({ sync: 'never', segmentBytes: 10_000, segmentMs: 0 });
  });

  test('shows what was appended since, to every way of looking', async () => {
    await using writer = await lab.write();
    const written = await writer.channel('a');
    const redex = await lab.look();
    const channel = await redex.channel('a');
    for (const [id, [way, look]] of LOOKS.slice(0, 8).entries()) {
      await written.append(payload(id));
      expect(channel.nextSeq, way).toBe(id);
      await look(channel);
      expect(channel.nextSeq, way).toBe(id + 1);
    }
    await written.append(payload(8));
    expect(await listOf(redex)).toEqual([['a', 9]]);
    expect(channel.nextSeq).toBe(9);
    expect(await idsIn(channel.read())).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test.each(LOOKS)('that is deleted is NOT_FOUND for %s, and is not listed', async (_, look) => {
    await lab.make('a', 1);
    const redex = await lab.look();
    const channel = await redex.channel('a');
    await lab.delete('a');
    await rejection(look(channel), 'NOT_FOUND');
    await rejection(look(channel), 'NOT_FOUND');
    expect([await listOf(redex), await redex.hasChannel('a')]).toEqual([[], false]);
    await rejection(redex.channel('a'), 'NOT_FOUND');
    await redex.close();
    expect(lab.reads.openPaths).toEqual([]);
  });

  test('that is created again is another one, for who asks for it', async () => {
    await lab.make('a', 1, 2);
    const redex = await lab.look();
    const channel = await redex.channel('a');
    expect(await idsIn(channel.read())).toEqual([1, 2]);
    await lab.delete('a');
    await lab.make('a', 3);
    await rejection(channel.get(0), 'NOT_FOUND');
    const again = await redex.channel('a');
    expect(again).not.toBe(channel);
    expect(await idsIn(again.read())).toEqual([3]);
    await rejection(channel.stats(), 'CLOSED');
    expect(await redex.channel('a')).toBe(again);
    await redex.close();
    expect(lab.reads.openPaths).toEqual([]);
  });

  test('that is created again is listed, when the old one is open', async () => {
    await lab.make('a', 1, 2);
    const redex = await lab.look();
    await redex.channel('a');
    await lab.delete('a');
    await lab.make('a', 3);
    expect(await listOf(redex)).toEqual([['a', 1]]);
  });

  test('that is renamed is gone under its old name', async () => {
    await lab.make('a', 1, 2);
    const redex = await lab.look();
    const channel = await redex.channel('a');
    await using writer = await lab.write();
    await writer.renameChannel('a', 'b');
    await rejection(channel.readBatch(), 'NOT_FOUND');
    expect(await listOf(redex)).toEqual([['b', 2]]);
    await rejection(redex.channel('a'), 'NOT_FOUND');
    expect(await idsIn((await redex.channel('b')).read())).toEqual([1, 2]);
  });
});

describe('a channel that the journal has made', () => {
  test('has only its new name once it is renamed, and none once that is deleted', async () => {
    await using writer = await lab.write();
    const made = await writer.channel('a');
    await made.append(payload(1));
    const redex = await lab.look();
    await writer.renameChannel('a', 'b');
    expect(await listOf(redex)).toEqual([['b', 1]]);
    await rejection(redex.channel('a'), 'NOT_FOUND');
    await writer.deleteChannel('b');
    expect(await listOf(redex)).toEqual([]);
    expect(await redex.hasChannel('a')).toBe(false);
  });
});

/** A name, and one that only the config has as a whole. */
const NAMES = ['a', 'a'.repeat(500)];

/** What happens to a channel that has two records: by renames, as a writer does it. */
interface Change {
  readonly what: string;
  readonly prepare: (name: string) => Promise<void>;
  readonly apply: (name: string) => void;
}

const GRAVE = `${DATA}/channels/.trash/grave`;
const CHANGES: readonly Change[] = [
  {
    what: 'deleted',
    prepare: async () => undefined,
    apply: (name) => lab.disk.renameSync(pathOf(name), GRAVE),
  },
  {
    what: 'deleted and created again',
    prepare: async (name) => {
      await lab.make(name, 5, 6, 7);
      lab.disk.renameSync(pathOf(name), '/replacement');
    },
    apply: (name) => {
      lab.disk.renameSync(pathOf(name), GRAVE);
      lab.disk.renameSync('/replacement', pathOf(name));
    },
  },
];

describe.each(CHANGES)('a channel that is $what at any step', ({ prepare, apply }) => {
  /** Looks again and again; the n-th time the change comes before the n-th operation. */
  async function atEveryStep(
    name: string,
    isOpen: boolean,
    look: (redex: Redex, channel: Channel) => Promise<void>,
  ): Promise<void> {
    for (let step = 0; ; step++) {
      lab = new ReadOnlyLab();
      await lab.make('0', 1);
      await lab.make('b', 1, 2, 3);
      await prepare(name);
      await lab.make(name, 1, 2);
      const redex = await lab.look();
      const channel = await redex.channel(name);
      if (!isOpen) await channel.close();
      let left = step;
      lab.disk.onOperation = () => {
        if (left-- > 0) return;
        lab.disk.onOperation = undefined;
        apply(name);
      };
      await look(redex, channel);
      const isDone = lab.disk.onOperation !== undefined;
      lab.disk.onOperation = undefined;
      lab.expectOnlyReads();
      await redex.close();
      expect(lab.reads.openPaths).toEqual([]);
      if (!isDone) continue;
      expect(step).toBeGreaterThan(2);
      return;
    }
  }

  /** The result, or the code of the error. */
  async function codeOf(work: Promise<unknown>): Promise<unknown> {
    try {
      return await work;
    } catch (error) {
      if (RedexError.is(error)) return error.code;
      throw error;
    }
  }

  const cases = NAMES.flatMap((name) => [true, false].map((isOpen) => ({ name, isOpen })));
  test.each(cases)('does not spoil a list; open: $isOpen', async ({ name, isOpen }) => {
    await atEveryStep(name, isOpen, async (redex) => {
      const list = await listOf(redex);
      const ends = list.length === 3 ? list[1]?.[1] : 2;
      expect([2, 3]).toContain(ends);
      expect(list).toEqual([['0', 1], ...(list.length === 3 ? [[name, ends]] : []), ['b', 3]]);
    });
  });

  test.each(NAMES)('is opened, or NOT_FOUND', async (name) => {
    await atEveryStep(name, false, async (redex) => {
      const found = await codeOf(redex.channel(name));
      if (typeof found === 'string') expect(found).toBe('NOT_FOUND');
    });
  });

  test.each(LOOKS.slice(0, 8))('is its old self to %s, or NOT_FOUND', async (_, look) => {
    await atEveryStep('a', true, async (_redex, channel) => {
      const found = await codeOf(look(channel));
      if (typeof found === 'string') expect(found).toBe('NOT_FOUND');
      else expect(channel.nextSeq).toBe(2);
    });
  });
});
