/**
 * Goal: reads that are under way go on over what was let go; files go in the background, off the
 * calling thread, when the last read has passed them (RULES G6).
 * Method: a channel whose records carry their seqs, in segments of three.
 */
import { afterEach, expect, test, vi } from 'vitest';
import { GENERATION, Lab, outcomeOf, payload, requireCode } from '../support/channel-kit.js';
import { consumerOf } from '../support/tail-kit.js';
import {
  all,
  basesOf,
  grow,
  grown,
  Log,
  nextOf,
  range,
  SEGMENT_MS,
  seqsOf,
} from '../support/trim-kit.js';

afterEach(() => vi.unstubAllGlobals());

test('reads that are under way go on over what was let go; its files stay until then', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 6);
  const forward = channel.readBatches({ copy: true, limit: 1000, to: 18 });
  const backward = channel.read({ reverse: true, copy: true });
  const others = range(0, 20).map(() => channel.read({ from: 2, copy: true }));
  expect(seqsOf((await nextOf(forward)) ?? [])).toContain(0);
  expect((await nextOf(backward))?.seq).toBe(17);
  for (const read of others) expect((await nextOf(read))?.seq).toBe(2);
  await lab.done(channel.trim({ beforeSeq: 18 }));
  await lab.drain();
  expect(basesOf(lab.disk)[0]).toBe(0);
  for (const read of others) {
    const seqs: number[] = [];
    for await (const { seq } of read) seqs.push(seq);
    expect(seqs).toEqual(range(3, 18));
  }
  await lab.drain();
  expect(basesOf(lab.disk)[0]).toBe(0);
  const rest: number[] = [];
  for await (const { seq } of backward) rest.push(seq);
  expect(rest).toEqual(range(0, 17).toReversed());
  await forward.return?.();
  await lab.drain();
  expect(basesOf(lab.disk)).toEqual([15]);
});

test('a batch that ends with its segment, whose files go then, has a next one', async () => {
  const lab = new Lab();
  const channel = await lab.open({ segmentBytes: 200_000, sync: 'never' });
  for (const seq of range(0, 12)) await lab.done(channel.append(payload(seq, 150_000)));
  const read = channel.readBatches({ copy: true });
  const seqs = seqsOf((await nextOf(read)) ?? []);
  await lab.done(channel.trim({ beforeSeq: 9 }));
  await lab.drain();
  expect(basesOf(lab.disk)[0]).toBe(seqs.length);
  for (let batch = await nextOf(read); batch !== undefined; batch = await nextOf(read)) {
    seqs.push(...seqsOf(batch));
  }
  expect(seqs).toEqual(range(0, 12));
});

test('G6: files go as the last read passes them', async () => {
  const lab = new Lab();
  const channel = await lab.open({ segmentMs: SEGMENT_MS, sync: 'never' });
  await grow(lab, channel, 4, 2, 300_000);
  const read = channel.readBatches();
  await lab.done(read.next());
  await lab.done(channel.trim({ beforeSeq: 8 }));
  const seen: number[] = [];
  for (;;) {
    await lab.drain();
    seen.push(basesOf(lab.disk).length);
    if ((await lab.done(read.next())).done === true) break;
  }
  expect(seen[0]).toBeGreaterThan(2);
  expect(seen.at(-1)).toBe(1);
  expect(new Set(seen).size).toBeGreaterThan(2);
});

test('a read that nobody ends does not keep files for ever', async () => {
  let collected = false;
  // What a collected iterator leaves: a reference to nothing.
  class Reference<T extends WeakKey> {
    readonly #target: T;
    constructor(target: T) {
      this.#target = target;
    }
    deref(): T | undefined {
      return collected ? undefined : this.#target;
    }
  }
  vi.stubGlobal('WeakRef', Reference);
  const lab = new Lab();
  const channel = await grown(lab, 4);
  await lab.done(channel.read().next());
  await lab.done(channel.trim({ beforeSeq: 6 }));
  await lab.drain();
  // The records of the first segment are in memory already.
  expect(basesOf(lab.disk)).toEqual([3, 6, 9]);
  collected = true;
  await lab.done(channel.trim({ beforeSeq: 7 }));
  await lab.drain();
  expect(basesOf(lab.disk)).toEqual([6, 9]);
});

test('a read that begins while records go gets all it was promised, or OUT_OF_RANGE', async () => {
  for (let turn = 0; turn < 120; turn += 1) {
    const lab = new Lab({ io: 'immediate' });
    const channel = await grown(lab, 4);
    const trim = channel.trim({ beforeSeq: 9 });
    for (let i = 0; i < turn; i += 1) await Promise.resolve();
    const reads = [
      channel.readBatch({ from: 1 }),
      channel.readBatch(),
      all(channel.read({ fromTime: 0, copy: true })),
      all(channel.read({ fromTime: 0, reverse: true })),
    ];
    const first = channel.seqAt(0);
    const record = outcomeOf(channel.get(1));
    const results = await Promise.allSettled(reads);
    for (const [i, result] of results.entries()) {
      if (result.status === 'rejected') requireCode(result.reason, 'OUT_OF_RANGE');
      else {
        const seqs = seqsOf(result.value).toSorted((a, b) => a - b);
        expect(seqs).toEqual(range(i === 0 ? 1 : (seqs[0] ?? -1), 12));
      }
    }
    expect(range(0, 10)).toContain(await first);
    await lab.runtime.settle();
    if (record.state === 'rejected') requireCode(record.error, 'OUT_OF_RANGE');
    else expect(record.value?.seq).toBe(1);
    await trim;
  }
});

test('a tail that is overtaken is told so; one that starts takes what is kept', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 4);
  const overtaken = consumerOf(channel.tail({ from: 2 }));
  const fresh = consumerOf(channel.tail());
  const live = consumerOf(channel.tail({ from: 'end' }));
  live.ask(1);
  await lab.done(channel.trim({ beforeSeq: 7 }));
  overtaken.ask(1);
  fresh.ask(5);
  await lab.drain();
  expect(requireCode(overtaken.error, 'OUT_OF_RANGE')).toMatchObject({ seq: 2, firstSeq: 7 });
  expect(fresh.found.map(({ seq }) => seq)).toEqual(range(7, 12));
  await lab.done(channel.append(payload(12, 20)));
  await lab.drain();
  expect(live.found.map(({ seq }) => seq)).toEqual([12]);
});

test('what a tail has in memory is let go with the rest', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 4);
  const tails = range(0, 3).map(() => channel.tail({ from: 0 }));
  for (const tail of tails) expect((await lab.done(nextOf(tail)))?.seq).toBe(0);
  await lab.done(channel.trim({ beforeSeq: 7 }));
  for (const tail of tails) {
    // Both are asked for before the first has settled: one is told the error, the other the end.
    const steps = [outcomeOf(tail.next()), outcomeOf(tail.next())];
    await lab.drain();
    const error = requireCode(steps[0]?.error, 'OUT_OF_RANGE');
    expect(error).toMatchObject({ seq: 1, firstSeq: 7, nextSeq: 12 });
    expect(steps[1]?.value).toEqual({ value: undefined, done: true });
  }
});

test('a tail goes on with what it holds from the first record on', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 1);
  const tail = channel.tail({ from: 0 });
  expect((await lab.done(nextOf(tail)))?.seq).toBe(0);
  await lab.done(channel.trim({ beforeSeq: 1 }));
  expect((await lab.done(nextOf(tail)))?.seq).toBe(1);
});

test('G6: no segment file is removed on the calling thread', async () => {
  const lab = new Lab();
  const channel = await grown(lab, 30);
  await lab.done(channel.trim({ beforeSeq: 90 }));
  await lab.drain();
  expect(lab.faults.calls.of('unlink')).toBeGreaterThanOrEqual(29);
  expect(
    lab.disk.operations.filter(
      ({ operation, path }) => operation === 'unlinkSync' && path.startsWith(GENERATION),
    ),
  ).toEqual([]);
});

test('G6: a trim does not wait for its files', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await grown(lab, 6);
  await lab.done(channel.trim({ beforeSeq: 18 }));
  expect(basesOf(lab.disk).length).toBeGreaterThan(3);
  await lab.drain();
  expect(basesOf(lab.disk)).toEqual([15]);
});

test('a file that cannot be removed is reported, and swept at the next open', async () => {
  const lab = new Lab();
  const logger = new Log();
  const channel = await grown(lab, 4, { logger });
  lab.fail('unlink', /00003\.dat$/, 'EACCES');
  await lab.done(channel.trim({ beforeSeq: 9 }));
  await lab.drain();
  expect(basesOf(lab.disk)).toEqual([3, 9]);
  expect(logger.warnings).toMatchObject([
    { message: 'a file could not be removed', details: { error: { code: 'EACCES' } } },
  ]);
  await lab.done(channel.close());
  const next = lab.kill();
  await next.open();
  await next.drain();
  expect(basesOf(next.disk)).toEqual([9]);
});
