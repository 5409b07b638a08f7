/**
 * Goal: retention lets go of nothing that a fold it waits for has not put into a durable
 * checkpoint, whether that fold is open, was never opened, is another version, or cannot save; it
 * goes on by itself when a checkpoint is written, and says what it waits for.
 * Method: channels of segments of three records that keep one record, and a fold of all payloads.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { RetentionPolicy } from '../../src/channel/retention.js';
import { worst } from '../../src/testing/choices.js';
import { Lab, rejection } from '../support/channel-kit.js';
import {
  checkpointNames,
  checkpointPath,
  openFold,
  readCheckpointFile,
  replaceFile,
} from '../support/fold-kit.js';
import { StoreLab } from '../support/store-kit.js';
import { grow, grown, Log, range } from '../support/trim-kit.js';

const RETENTION: RetentionPolicy = { maxRecords: 1, waitFor: ['seen'] };

/** Entries of a fold that has seen all records below `to`. */
const seenTo = (to: number): string[] => range(0, to).map((seq) => `${seq}:${seq}`);

async function applied(lab: Lab, channel: Channel): Promise<number> {
  await lab.done(channel.applyRetention());
  return channel.firstSeq;
}

describe('a fold that is waited for', () => {
  test('keeps what it has not saved, and lets go when it has', async () => {
    const lab = new Lab();
    const channel = await grown(lab, 4, { retention: RETENTION });
    const fold = await openFold(lab, channel);
    await lab.done(fold.caughtUp());
    expect(await applied(lab, channel)).toBe(0);
    await lab.done(fold.checkpoint());
    await lab.drain();
    expect(channel.firstSeq).toBe(9);
    await grow(lab, channel, 3);
    expect(await applied(lab, channel)).toBe(12);
    await lab.done(fold.caughtUp());
    expect(fold.value).toEqual(seenTo(21));
    await lab.done(fold.checkpoint());
    await lab.drain();
    expect(channel.firstSeq).toBe(18);
  });

  test('keeps everything before it was ever opened, at the next open too', async () => {
    const lab = new Lab();
    const channel = await grown(lab, 4, { retention: RETENTION });
    await lab.drain();
    expect(channel.firstSeq).toBe(0);
    await lab.done(channel.close());
    const next = lab.kill();
    const again = await next.open();
    await next.drain();
    expect(await applied(next, again)).toBe(0);
    const fold = await openFold(next, again);
    await next.done(fold.caughtUp());
    expect(fold.value).toEqual(seenTo(12));
  });

  test('holds by its checkpoint on the disk where it is not open', async () => {
    const lab = new Lab();
    const channel = await grown(lab, 2, { retention: RETENTION });
    const fold = await openFold(lab, channel);
    await lab.done(fold.caughtUp());
    await lab.done(fold.checkpoint());
    const next = lab.kill();
    const again = await next.open();
    await grow(next, again, 4);
    await next.drain();
    expect(again.firstSeq).toBe(6);
    const reopened = await openFold(next, again);
    await next.done(reopened.caughtUp());
    expect(reopened.value).toEqual(seenTo(18));
  });

  test('of another version holds for itself, whatever the one before has saved', async () => {
    const lab = new Lab();
    const channel = await grown(lab, 2);
    const fold = await openFold(lab, channel);
    await lab.done(fold.caughtUp());
    await lab.done(fold.checkpoint());
    await lab.done(fold.close());
    const second = await openFold(lab, channel, { version: 2 });
    await lab.done(channel.configure({ retention: RETENTION }));
    await grow(lab, channel, 2);
    expect(await applied(lab, channel)).toBe(0);
    await lab.done(second.caughtUp());
    expect(second.value).toEqual(seenTo(12));
    await lab.done(second.checkpoint());
    await lab.drain();
    expect(channel.firstSeq).toBe(9);
  });

  test('that is opened while records are let go finds all of them, or none', async () => {
    for (let steps = 0; steps < 30; steps += 1) {
      const lab = new Lab();
      const first = await grown(lab, 4);
      const fold = await openFold(lab, first);
      await lab.done(fold.caughtUp());
      await lab.done(first.close());
      const next = lab.kill({ io: 'oldest' });
      const channel = await next.open();
      await next.done(channel.configure({ retention: RETENTION }));
      for (let i = 0; i < steps; i += 1) {
        await next.runtime.settle();
        next.runtime.runIo();
      }
      // Its checkpoint is of another version: it has to start from the first record.
      const opening = channel.fold({
        name: 'seen',
        version: 7,
        initial: () => [0],
        apply: (state) => state,
      });
      const outcome = await next.done(opening.catch((error: unknown) => error));
      await next.drain();
      if (channel.firstSeq === 0) expect(outcome).toHaveProperty('error', undefined);
      else expect(outcome).toHaveProperty('code', 'OUT_OF_RANGE');
    }
  });

  test('that has failed, or cannot save, holds on', async () => {
    const lab = new Lab();
    const channel = await grown(lab, 2, { retention: RETENTION });
    const fold = await openFold(lab, channel, {
      apply: (state, record) => {
        if (record.seq === 4) throw new Error('four');
        return state;
      },
    });
    await expect(lab.done(fold.caughtUp())).rejects.toThrow('four');
    await grow(lab, channel, 2);
    expect(await applied(lab, channel)).toBe(0);
    await lab.done(fold.close());
    const better = await openFold(lab, channel);
    await lab.done(better.caughtUp());
    for (const operation of ['anyWrite', 'datasync', 'renameSync', 'syncDirectory'] as const) {
      lab.fail(operation, /checkpoints/, 'EIO');
      await rejection(better.checkpoint(), 'IO');
      expect(await applied(lab, channel)).toBe(0);
    }
    await lab.done(better.checkpoint());
    await lab.drain();
    expect(channel.firstSeq).toBe(9);
  });

  test('does not hold back a trim', async () => {
    const lab = new Lab();
    const channel = await grown(lab, 4, { retention: RETENTION });
    await lab.done(channel.trim({ beforeSeq: 5 }));
    expect(channel.firstSeq).toBe(5);
    await rejection(
      channel.fold({ name: 'seen', version: 1, initial: 0, apply: (n) => n }),
      'OUT_OF_RANGE',
    );
  });

  test('is removed by configure, which goes on at once', async () => {
    const lab = new Lab();
    const channel = await grown(lab, 4, { retention: { ...RETENTION, waitFor: ['gone', 'seen'] } });
    const fold = await openFold(lab, channel);
    await lab.done(fold.caughtUp());
    await lab.done(fold.checkpoint());
    await lab.drain();
    expect(channel.firstSeq).toBe(0);
    await lab.done(channel.configure({ retention: RETENTION }));
    await lab.drain();
    expect(channel.firstSeq).toBe(9);
  });

  test('may be an index, and hides nothing by age before it is saved', async () => {
    const lab = new Lab();
    const channel = await grown(lab, 2, { retention: { maxAgeMs: 1000, waitFor: ['keys'] } });
    const index = await lab.done(channel.index({ name: 'keys', key: ({ seq }) => `${seq}` }));
    await lab.done(index.caughtUp());
    await lab.runtime.elapse(100_000);
    expect(channel.firstSeq).toBe(0);
    await lab.done(index.checkpoint());
    await lab.drain();
    expect([channel.firstSeq, channel.count]).toEqual([6, 0]);
  });
});

describe('a checkpoint that counts', () => {
  /** Two checkpoints, at 3 and at 9, of a log of 12 that nothing was let go of. */
  async function twice(): Promise<Lab> {
    const lab = new Lab();
    const channel = await grown(lab, 1);
    const fold = await openFold(lab, channel);
    for (const segments of [2, 1]) {
      await lab.done(fold.caughtUp());
      await lab.done(fold.checkpoint());
      await grow(lab, channel, segments);
    }
    return lab.kill();
  }

  async function firstSeqOf(lab: Lab): Promise<number> {
    const channel = await lab.open();
    await lab.done(channel.configure({ retention: RETENTION }));
    await lab.drain();
    const fold = await openFold(lab, channel);
    await lab.done(fold.caughtUp());
    expect(fold.value).toEqual(seenTo(12));
    return channel.firstSeq;
  }

  test('is the newest', async () => {
    expect(await firstSeqOf(await twice())).toBe(9);
  });

  test('is the one before where the newest is damaged, in its header or its state', async () => {
    for (const at of [20, -1]) {
      const lab = await twice();
      const name = checkpointNames(lab).at(-1) ?? '';
      const bytes = readCheckpointFile(lab, name);
      const place = at < 0 ? bytes.length + at : at;
      bytes[place] = (bytes[place] ?? 0) ^ 1;
      replaceFile(lab, checkpointPath(lab, name), bytes);
      expect(await firstSeqOf(lab)).toBe(3);
    }
  });

  test('has a name that is durable: a process before may have died between', async () => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await grown(lab, 1);
    const fold = await openFold(lab, channel);
    await lab.done(fold.caughtUp());
    await lab.done(fold.checkpoint());
    await grow(lab, channel, 3);
    await lab.done(fold.caughtUp());
    void fold.checkpoint().catch(() => undefined);
    while (!checkpointNames(lab).includes('seen@0000000002')) {
      await lab.runtime.settle();
      if (!lab.runtime.runIo()) throw new Error('no second checkpoint');
    }
    const killed = lab.kill({ io: 'immediate' });
    const again = await killed.open();
    await killed.done(again.configure({ retention: RETENTION }));
    await killed.drain();
    expect(again.firstSeq).toBe(9);
    const cut = killed.cut(worst);
    const last = await cut.open();
    const restored = await openFold(cut, last);
    await cut.done(restored.caughtUp());
    expect(restored.value).toEqual(seenTo(12));
  });

  test('counts no more once the sync of its name has failed', async () => {
    const lab = await twice();
    const logger = new Log();
    const channel = await lab.open({ logger });
    lab.fail('syncDirectory', /checkpoints/, 'EIO');
    await lab.done(channel.configure({ retention: RETENTION }));
    await lab.drain();
    expect(logger.warnings.map(({ message }) => message)).toContain('retention failed');
    expect(await applied(lab, channel)).toBe(0);
    const fold = await openFold(lab, channel);
    expect(await applied(lab, channel)).toBe(0);
    await lab.done(fold.caughtUp());
    await lab.done(fold.checkpoint());
    await lab.drain();
    expect(channel.firstSeq).toBe(9);
    // What this process has written stays good when the fold is opened once more.
    await lab.done(fold.close());
    await openFold(lab, channel);
    await grow(lab, channel, 2);
    expect(await applied(lab, channel)).toBe(12);
  });

  test('that cannot be read is an error, and nothing goes', async () => {
    const lab = await twice();
    const channel = await lab.open();
    lab.fail('openSync', /checkpoints/, 'EIO', { times: Infinity });
    await lab.done(channel.configure({ retention: RETENTION }));
    await lab.drain();
    const error = await rejection(channel.applyRetention(), 'IO');
    expect(error.systemCode).toBe('EIO');
    await rejection(channel.stats(), 'IO');
    expect(channel.firstSeq).toBe(0);
  });
});

test('stats tell which fold is behind, and what stays for it; so does a look beside', async () => {
  const store = new StoreLab();
  await using redex = await store.open();
  const retention: RetentionPolicy = { maxRecords: 1, waitFor: ['b', 'a'] };
  const channel = await redex.channel('c', { segmentMs: 10, retention });
  expect(channel.options.retention).toEqual({ maxRecords: 1, waitFor: ['a', 'b'] });
  await grow(store.lab, channel, 4);
  const options = { version: 1, initial: 0, apply: (count: number): number => count + 1 };
  const a = await channel.fold({ ...options, name: 'a' });
  await a.caughtUp();
  await a.checkpoint();
  await store.lab.drain();
  const segmentBytes = channel.sizeBytes / 4;
  const beside = await store.open({ readOnly: true });
  const folds = [
    { name: 'a', seq: 12 },
    { name: 'b', seq: undefined },
  ];
  for (const each of [channel, await beside.channel('c')]) {
    const { retentionWait } = await each.stats();
    expect(retentionWait?.folds).toEqual(folds);
    expect(retentionWait?.heldBytes).toBeGreaterThan(2 * segmentBytes);
  }
  const b = await channel.fold({ ...options, name: 'b' });
  await b.caughtUp();
  await b.checkpoint();
  await store.lab.drain();
  expect((await channel.stats()).retentionWait).toEqual({
    folds: [folds[0], { name: 'b', seq: 12 }],
    heldBytes: 0,
  });
  const { retentionWait } = await (await beside.channel('c')).stats();
  expect(retentionWait).toMatchObject({ heldBytes: 0 });
  expect((await (await redex.channel('plain')).stats()).retentionWait).toBe(undefined);
  await beside.close();
});

test('the option is checked, stored and compared', async () => {
  const store = new StoreLab();
  const redex = await store.open();
  const wrong: readonly [unknown, typeof RangeError][] = [
    ['seen', TypeError],
    [[1], TypeError],
    [[''], RangeError],
    [['x'.repeat(1025)], RangeError],
    [range(0, 65).map(String), RangeError],
    [range(0, 5).map((i) => `${i}`.repeat(1000)), RangeError],
  ];
  for (const [waitFor, kind] of wrong) {
    const retention = { maxRecords: 1, waitFor } as RetentionPolicy;
    await expect(redex.channel('c', { retention })).rejects.toThrow(kind);
  }
  // Waiting is no limit.
  await expect(redex.channel('c', { retention: { waitFor: ['a'] } })).rejects.toThrow(RangeError);
  const largest = range(0, 4).map((i) => `${i}${'\u0001'.repeat(1023)}`);
  await redex.channel('c', { retention: { maxRecords: 1, waitFor: largest } });
  await redex.channel('d', { retention: { maxRecords: 1, waitFor: ['b', 'a', 'b'] } });
  await redex.channel('d', { retention: { waitFor: ['a', 'b'], maxRecords: 1 } });
  for (const waitFor of [[], ['a'], ['a', 'c']]) {
    const retention = { maxRecords: 1, waitFor };
    await rejection(redex.channel('d', { retention }), 'OPTIONS_CONFLICT');
  }
  await redex.close();
  const next = await store.open();
  const { retention } = (await next.channel('c')).options;
  expect(retention).toEqual({ maxRecords: 1, waitFor: largest });
  await next.close();
});
