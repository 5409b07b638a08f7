/**
 * Goal: a fold sees every record once and in order, whatever it is restored from; what is wrong
 * with its function is told and costs nobody else anything.
 * Method: histories on a lab whose disk fails on request; the state is the list of what was seen.
 */
import { describe, expect, test } from 'vitest';
import { readConfig, readManifest, replaceManifest } from '../../src/channel/channel-files.js';
import type { Codec } from '../../src/channel/codec.js';
import { FollowedChannel } from '../../src/channel/followed-channel.js';
import { Redex } from '../../src/store/redex.js';
import { worst } from '../../src/testing/choices.js';
import { Lab, outcomeOf, payload, rejection } from '../support/channel-kit.js';
import { FollowerLab } from '../support/follower-lab.js';
import {
  begun,
  checkpointNames,
  expectTrue,
  openFold,
  payloads,
  see,
  SEEN,
  type Seen,
} from '../support/fold-kit.js';

const idOf = (lab: Lab): Uint8Array => readConfig(lab.disk, lab.directory).channelId;

describe('following', () => {
  test('history and what comes, once and in order', async () => {
    const lab = new Lab();
    const channel = await lab.open({ segmentBytes: 4096 });
    for (let i = 0; i < 40; i++) await lab.done(channel.append(payload(i, 300)));
    const fold = await openFold(lab, channel);
    await expectTrue(lab, channel, fold);
    for (let i = 40; i < 60; i++) outcomeOf(channel.append(payload(i, 300)));
    await lab.drain();
    expect([fold.seq, fold.value.length, fold.error]).toEqual([60, 60, undefined]);
    await expectTrue(lab, channel, fold);
  });

  test('caughtUp waits for what is visible, and not for what comes later', async () => {
    const { lab, channel, fold } = await begun(2);
    await lab.done(channel.append(payload(3)));
    const waiting = fold.caughtUp();
    outcomeOf(channel.append(payload(4)));
    await lab.done(waiting);
    expect(fold.seq).toBeGreaterThanOrEqual(3);
  });

  test('seqs that were skipped are passed', async () => {
    const { lab, channel, fold } = await begun(1);
    await lab.done(channel.append(payload(2), { seq: 100 }));
    await lab.done(fold.caughtUp());
    expect([fold.seq, fold.value.length]).toEqual([101, 2]);
  });

  test('seqs at the end that hold nothing are passed', async () => {
    const { lab, channel, fold } = await begun(3);
    await lab.done(fold.close());
    await lab.done(channel.close());
    const manifest = readManifest(lab.disk, lab.directory, idOf(lab));
    replaceManifest(lab.disk, lab.directory, { ...manifest, nextSeqFloor: 20 });
    const reopened = await lab.open();
    const again = await openFold(lab, reopened);
    await lab.done(again.caughtUp());
    expect([again.seq, again.value.length]).toEqual([20, 3]);
    await lab.done(reopened.close());
    const third = await lab.open();
    expect((await third.stats()).damage).toBe(undefined);
    expect((await openFold(lab, third)).checkpointSeq).toBe(20);
  });

  test('an empty channel is caught up, wherever it begins', async () => {
    const lab = new Lab();
    const channel = await lab.open({ firstSeq: 50 });
    await rejection(channel.fold(SEEN), 'OUT_OF_RANGE');
    const fold = await openFold(lab, channel, { from: 50 });
    await lab.done(fold.caughtUp());
    expect([fold.seq, fold.value]).toEqual([50, []]);
    await lab.done(channel.close());
    // Nothing was seen, so there is nothing to keep.
    expect(checkpointNames(lab)).toEqual([]);
  });

  test('poison stops it behind what was synced', async () => {
    const { lab, channel, fold } = await begun(2);
    lab.fail('anySync', /\.dat$/, 'EIO');
    await rejection(channel.append(payload(3)), 'POISONED');
    await rejection(lab.done(fold.caughtUp()), 'POISONED');
    expect([fold.seq, fold.value.length]).toEqual([2, 2]);
    await rejection(fold.checkpoint(), 'POISONED');
    await rejection(lab.done(channel.close()), 'POISONED');
    expect(checkpointNames(lab)).toEqual([]);
  });
});

describe('the function', () => {
  test('what it throws stops the fold at that record, and nothing else', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    const problem = new Error('three is too many');
    const fold = await openFold(lab, channel, {
      apply: (state, record) => {
        if (state.length === 2) throw problem;
        return see(state, record);
      },
    });
    await lab.done(channel.appendBatch(payloads(1, 5)));
    await expect(lab.done(fold.caughtUp())).rejects.toBe(problem);
    expect([fold.error, fold.seq, fold.value.length]).toEqual([problem, 2, 2]);
    await expect(fold.caughtUp()).rejects.toBe(problem);
    await expect(fold.checkpoint()).rejects.toBe(problem);
    await lab.done(channel.append(payload(6)));
    expect((await channel.readBatch()).length).toBe(6);
    await lab.done(channel.close());
    expect(checkpointNames(lab)).toEqual([]);
  });

  test('may not be async', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    const isAsync = async (state: unknown): Promise<unknown> => state;
    const wrong = { ...SEEN, name: 'a', initial: 0 as unknown, apply: isAsync };
    await expect(channel.fold(wrong)).rejects.toThrow('apply may not be async');
    const apply = (): unknown => Promise.reject(new Error('nobody hears this'));
    const fold = await channel.fold({ ...wrong, apply });
    await lab.done(channel.append('x'));
    await expect(lab.done(fold.caughtUp())).rejects.toThrow('apply returned a promise');
    expect(fold.error).toBeInstanceOf(TypeError);
  });

  test('an initial value is never changed, a function makes one', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    await lab.done(channel.append(payload(1)));
    const value: Seen = [];
    const fold = await openFold(lab, channel, { initial: value });
    await lab.done(fold.caughtUp());
    expect([value, fold.value]).toEqual([[], ['0:1']]);
  });

  test.each([
    [{ name: '' }, 'not empty'],
    [{ version: -1 }, 'version'],
    [{ version: 1.5 }, 'version'],
    [{ apply: 5 }, 'apply must be a function'],
    [{ codec: {} }, 'encode'],
    [{ checkpointEvery: 0 }, 'checkpointEvery'],
    [{ maxCheckpointBytes: 0 }, 'maxCheckpointBytes'],
    [{ from: 'end' }, 'from'],
    [{ verson: 2 }, 'unknown option verson'],
  ])('an option that cannot be meant, %j', async (option, message) => {
    const channel = await new Lab().open();
    const options = { ...SEEN, ...option } as typeof SEEN;
    await expect(channel.fold(options)).rejects.toThrow(message);
  });
});

describe('one fold of a name', () => {
  test('the same options give the same one, others a conflict', async () => {
    const { lab, channel, fold } = await begun(1);
    expect(await channel.fold({ ...SEEN })).toBe(fold);
    const error = await rejection(channel.fold({ ...SEEN, version: 2 }), 'OPTIONS_CONFLICT');
    expect(error).toMatchObject({ option: 'version', stored: 1, given: 2 });
    const key = (): string => 'x';
    await rejection(channel.index({ name: SEEN.name, key }), 'OPTIONS_CONFLICT');
    const closing = fold.close();
    const next = await lab.done(channel.fold({ ...SEEN, version: 2 }));
    await closing;
    expect([next === fold, next.isClosed, fold.isClosed]).toEqual([false, false, true]);
  });

  test('one that could not be opened is not in the way', async () => {
    const lab = new Lab();
    const channel = await lab.open({ firstSeq: 3 });
    await rejection(channel.fold(SEEN), 'OUT_OF_RANGE');
    expect((await channel.fold({ ...SEEN, from: 'start' })).seq).toBe(3);
  });

  test('an index of the name of a fold does not take its state for one', async () => {
    const { lab, channel, fold } = await begun(3);
    await lab.done(fold.close());
    const index = await lab.done(channel.index({ name: SEEN.name, version: 1, key: () => 'all' }));
    await lab.done(index.caughtUp());
    expect([index.size, index.seqOf('all')]).toEqual([1, 2]);
  });
});

describe('checkpoints', () => {
  test('opening costs what came after the last one', async () => {
    const { lab, channel, fold } = await begun(5);
    await lab.done(fold.checkpoint());
    await lab.done(channel.appendBatch(payloads(6, 2)));
    const next = lab.kill();
    const reopened = await next.open();
    let calls = 0;
    const apply: typeof see = (state, record) => {
      calls += 1;
      return see(state, record);
    };
    const again = await openFold(next, reopened, { apply });
    await expectTrue(next, reopened, again);
    expect([again.checkpointSeq, again.seq, calls]).toEqual([5, 7, 2]);
  });

  test('are written every so many records, and two are kept', async () => {
    const { lab, channel, fold } = await begun(1, { checkpointEvery: 10 });
    for (let i = 2; i <= 45; i++) await lab.done(channel.append(payload(i)));
    await lab.drain();
    expect(checkpointNames(lab)).toEqual(['seen@0000000003', 'seen@0000000004']);
    expect(fold.checkpointSeq).toBe(40);
  });

  test('a large state is not written again before the log has grown as much', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    const codec: Codec<Seen> = { encode: () => 'x'.repeat(5000), decode: () => [] };
    const fold = await openFold(lab, channel, { checkpointEvery: 10, codec });
    for (let i = 0; i < 30; i++) await lab.done(channel.append(payload(i, 100)));
    await lab.drain();
    expect(fold.checkpointSeq).toBe(10);
    for (let i = 30; i < 60; i++) await lab.done(channel.append(payload(i, 100)));
    await lab.drain();
    expect(fold.checkpointSeq).toBe(48);
  });

  test('one is written when the fold or the channel is closed', async () => {
    const { lab, channel, fold } = await begun(3);
    const closing = outcomeOf(fold.close());
    await lab.drain();
    expect([closing.state, checkpointNames(lab).length]).toEqual(['resolved', 1]);
    await rejection(fold.caughtUp(), 'CLOSED');
    await rejection(fold.checkpoint(), 'CLOSED');
    expect(fold.value.length).toBe(3);
    const again = await openFold(lab, channel);
    await lab.done(channel.append(payload(4)));
    await lab.done(channel.close());
    expect([again.isClosed, again.seq, checkpointNames(lab).length]).toEqual([true, 4, 2]);
    await rejection(channel.fold(SEEN), 'CLOSED');
    const next = lab.cut(worst);
    const reopened = await next.open();
    const third = await openFold(next, reopened);
    expect([third.seq, third.value.length]).toEqual([4, 4]);
    // Nothing has changed: nothing is written.
    await next.done(third.close());
    expect(checkpointNames(next).length).toBe(2);
  });

  test('who waits when it is closed is told', async () => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await lab.open();
    for (let i = 0; i < 3; i++) await lab.done(channel.append(payload(i, 200_000)));
    const fold = await openFold(lab, channel);
    const waiting = outcomeOf(fold.caughtUp());
    await lab.done(fold.close());
    expect(waiting).toMatchObject({ state: 'rejected', error: { code: 'CLOSED' } });
  });

  test('a codec of its own', async () => {
    const lab = new Lab();
    const channel = await lab.open();
    const codec: Codec<number> = {
      encode: (value) => Uint8Array.of(value),
      decode: (bytes) => bytes[0] ?? -1,
    };
    const options = { name: 'Größe/1', version: 0, initial: 0, apply: count, codec };
    const fold = await lab.done(channel.fold(options));
    await lab.done(channel.appendBatch(payloads(1, 7)));
    await lab.done(channel.close());
    expect(fold.value).toBe(7);
    const reopened = await lab.open();
    expect((await lab.done(reopened.fold(options))).value).toBe(7);
  });
});

const count = (state: number): number => state + 1;

test('a read-only channel: from the checkpoint on, and nothing is written', async () => {
  const lab = new Lab();
  const { watch: fs, runtime } = lab;
  const redex = await lab.done(Redex.open('/data', { fs, runtime }));
  const channel = await lab.done(redex.channel('log'));
  const fold = await openFold(lab, channel);
  await lab.done(channel.appendBatch(payloads(1, 4)));
  await lab.done(fold.caughtUp());
  await lab.done(fold.checkpoint());
  await lab.done(channel.append(payload(5)));

  const before = lab.disk.mutations.total;
  const reader = await lab.done(Redex.open('/data', { fs, runtime, readOnly: true }));
  const seen = await lab.done(reader.channel('log'));
  const other = await openFold(lab, seen, { checkpointEvery: 1 });
  expect(other.checkpointSeq).toBe(4);
  await lab.done(other.caughtUp());
  expect(other.value.length).toBe(5);
  await rejection(other.checkpoint(), 'READ_ONLY');
  await lab.done(reader.close());
  expect(lab.disk.mutations.total).toBe(before);
  await lab.done(redex.close());
});

test('a read-only channel whose writer takes records back: begun again', async () => {
  const lab = new FollowerLab();
  const writer = await lab.openWriter({ sync: 'never' });
  const ownFold = await lab.done(writer.fold(SEEN));
  await lab.done(writer.append(payload(1)));
  await lab.done(ownFold.caughtUp());
  await lab.done(ownFold.checkpoint());
  const path = lab.datPaths[0] ?? '';
  const length = lab.disk.statSync(path)?.size ?? 0;
  await lab.done(writer.append(payload(2)));

  const context = lab.contextOf(lab.reads);
  const followed = await lab.done(FollowedChannel.open(context, () => undefined));
  const fold = await lab.done(followed.folds.fold({ ...SEEN }));
  await lab.done(fold.caughtUp());
  expect([fold.value, fold.seq]).toEqual([['0:1', '1:2'], 2]);

  await lab.killWriter();
  const file = lab.disk.openSync(path, 'write');
  file.truncateSync(length);
  file.closeSync();
  await lab.done(fold.caughtUp());
  expect([fold.value, fold.seq]).toEqual([['0:1'], 1]);
  const next = await lab.openWriter();
  await lab.done(next.append(payload(3)));
  await lab.done(fold.caughtUp());
  expect([fold.value, fold.error]).toEqual([['0:1', '1:3'], undefined]);
  await lab.done(followed.close());
  expect(fold.isClosed).toBe(true);
  lab.expectOnlyReads();
});
