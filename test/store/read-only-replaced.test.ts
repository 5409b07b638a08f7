/**
 * Goal: reads and folds of a store that was opened with readOnly, while the writer compacts and
 * trims: a read stays with what it began with while its files are there, and goes on in what there
 * is otherwise; a fold is not begun again over records that were only let go.
 * Method: a writer and a reader on one disk in memory; an open read of the writer keeps files.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { generationName } from '../../src/format/file-name.js';
import type { LogRecord } from '../../src/core/record.js';
import { payload, rejection } from '../support/channel-kit.js';
import { ReadOnlyLab } from '../support/read-only-lab.js';
import { all, nextOf, range, seqsOf } from '../support/trim-kit.js';

const COUNT = 100;
const EVEN = range(0, COUNT).filter((seq) => seq % 2 === 0);

let lab: ReadOnlyLab;

beforeEach(() => {
  lab = new ReadOnlyLab();
});

afterEach(() => lab.expectOnlyReads());

interface Pair {
  readonly written: Channel;
  readonly channel: Channel;
}

/** A channel of many segments, and the same channel as the reader has it. */
async function pair(): Promise<Pair> {
  const writer = await lab.write();
  const written = await writer.channel('a', { segmentBytes: 4096 });
  for (const id of range(0, COUNT)) await written.append(payload(id, 100));
  expect((await written.stats()).segments).toBeGreaterThan(3);
  const redex = await lab.look();
  return { written, channel: await redex.channel('a') };
}

async function compactToEven(written: Channel): Promise<void> {
  const report = await written.compact({ keep: ({ seq }) => seq % 2 === 0 });
  expect(report.recordsAfter).toBe(COUNT / 2);
  for (let i = 0; i < 50; i++) await new Promise(setImmediate);
}

/** The seqs of a read that comes to `between` after its first record. */
async function seqsAround(
  records: AsyncIterableIterator<LogRecord>,
  between: () => Promise<unknown>,
): Promise<number[]> {
  const first = await nextOf(records);
  expect(first).toBeDefined();
  await between();
  return [first?.seq ?? -1, ...seqsOf(await all(records))];
}

test('a read that has lost its files is told OUT_OF_RANGE below the first record', async () => {
  const { written, channel } = await pair();
  const read = channel.read({ copy: true });
  const found: number[] = [];
  await read.next();
  await compactToEven(written);
  await written.trim({ beforeSeq: 60 });
  await channel.stats();
  const rest = async (): Promise<void> => {
    for await (const { seq } of read) found.push(seq);
  };
  const error = await rejection(rest(), 'OUT_OF_RANGE');
  expect(error).toMatchObject({ firstSeq: 60 });
  // What was in memory when it was let go.
  expect(found).toEqual(range(1, found.length + 1));
  expect(found.length).toBeLessThan(59);
});

test.each([false, true])('a read stays with what it began with; reverse: %s', async (reverse) => {
  const { written, channel } = await pair();
  // In reverse it comes to the first segment last, and keeps all of them until then.
  const keeping = written.read({ reverse: true });
  await keeping.next();
  const seqs = await seqsAround(channel.read({ copy: true, reverse }), async () => {
    await compactToEven(written);
    expect((await channel.stats()).count).toBe(COUNT / 2);
  });
  const expected = range(0, COUNT);
  expect(seqs).toEqual(reverse ? expected.toReversed() : expected);
  await keeping.return?.();
  expect(seqsOf(await channel.readBatch())).toEqual(EVEN);
  expect(lab.reads.openPaths.filter((path) => path.includes(generationName(1)))).toEqual([]);
});

test.each([
  [false, false],
  [false, true],
  [true, false],
  [true, true],
])('a read goes on in what has replaced its files; reverse: %s, looked: %s', async (...given) => {
  const [reverse, isLooked] = given;
  const { written, channel } = await pair();
  const seqs = await seqsAround(channel.read({ copy: true, reverse }), async () => {
    await compactToEven(written);
    if (isLooked) await channel.stats();
  });
  const sorted = reverse ? seqs.toReversed() : seqs;
  expect(sorted).toEqual(sorted.toSorted((a, b) => a - b));
  // All that survived, and beside it what was in memory: nothing of the old behind the first gap.
  const odd = seqs.filter((seq) => seq % 2 === 1);
  expect(sorted.filter((seq) => seq % 2 === 0)).toEqual(EVEN);
  expect(odd.length).toBeLessThan(COUNT / 2);
  const old = reverse ? sorted.slice(-2 * odd.length) : sorted.slice(0, 2 * odd.length);
  expect(odd.every((seq) => old.includes(seq))).toBe(true);
});

test.each(['start' as const, 0])('a fold from %s is not begun again', async (from) => {
  const { written, channel } = await pair();
  let begun = 0;
  const fold = await channel.fold<number>({
    name: 'count',
    version: 1,
    from,
    initial: () => {
      begun += 1;
      return 0;
    },
    apply: (count) => count + 1,
  });
  await fold.caughtUp();
  const beginnings = begun;
  const waiting = nextOf(channel.tail({ from: COUNT }));
  const changes = [
    () => compactToEven(written),
    () => written.trim({ beforeSeq: 60 }),
    () => written.append(payload(COUNT)),
    () => written.compact({ keep: ({ seq }) => seq > 70 }),
    () => written.append(payload(COUNT + 1)),
  ];
  for (const change of changes) {
    await change();
    await fold.caughtUp();
  }
  expect([fold.error, fold.value, fold.seq]).toEqual([undefined, COUNT + 2, COUNT + 2]);
  expect(begun).toBe(beginnings);
  expect((await waiting)?.seq).toBe(COUNT);
});
