/**
 * Goal: a fold sees every record once and in order, whatever it is restored from; what is wrong with
 * its function, its state or its files is told and costs nobody else anything.
 * Method: histories on a lab whose disk fails on request; the state is the list of what was seen.
 */
import { describe, expect, test } from 'vitest';
import { replaceManifest } from '../../src/channel/channel-files.js';
import type { Codec } from '../../src/channel/codec.js';
import type { Fold } from '../../src/channel/fold.js';
import { FollowedChannel } from '../../src/channel/followed-channel.js';
import { decodeManifest } from '../../src/format/manifest.js';
import { Redex } from '../../src/store/redex.js';
import { worst } from '../../src/testing/choices.js';
import { Lab, outcomeOf, payload, readFile, rejection } from '../support/channel-kit.js';
import { FollowerLab } from '../support/follower-lab.js';
import {
  checkpointNames,
  checkpointPath,
  expectTrue,
  logOf,
  openFold,
  payloads,
  readCheckpointFile,
  replaceFile,
  see,
  SEEN,
  type Seen,
} from '../support/fold-kit.js';

/** A lab with a channel of `count` records and a fold that has seen them. */
async function begun(
  count: number,
  options: Parameters<typeof openFold>[2] = {},
): Promise<{ lab: Lab; channel: Awaited<ReturnType<Lab['open']>>; fold: Fold<Seen> }> {
  const lab = new Lab();
  const channel = await lab.open();
  const fold = await openFold(lab, channel, options);
  await lab.done(channel.appendBatch(payloads(1, count)));
  await lab.done(fold.caughtUp());
  return { lab, channel, fold };
}

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

describe('a checkpoint that is not good', () => {
  /** Two checkpoints, at 3 and at 5, of a log of 6; changed by `change` and opened again. */
  async function changed(
    change: (lab: Lab, names: string[]) => void,
    options: Parameters<typeof openFold>[2] = {},
  ): Promise<{ lab: Lab; found: number; messages: string[] }> {
    const { lab, channel, fold } = await begun(3);
    await lab.done(fold.checkpoint());
    await lab.done(channel.appendBatch(payloads(4, 2)));
    await lab.done(fold.caughtUp());
    await lab.done(fold.checkpoint());
    await lab.done(channel.append(payload(6)));
    const next = lab.kill();
    change(next, checkpointNames(next));
    const { logger, lines } = logOf();
    const reopened = await next.open({ logger });
    const again = await openFold(next, reopened, options);
    const found = again.checkpointSeq ?? 0;
    const messages = lines.map(
      ({ message, details }) => `${message}: ${String(details['reason'])}`,
    );
    await expectTrue(next, reopened, again);
    // And the next one is written as if nothing had been.
    await next.done(again.checkpoint());
    await next.done(reopened.close());
    const last = await next.open();
    expect((await openFold(next, last, options)).seq).toBe(6);
    return { lab: next, found, messages };
  }
  const flip = (at: number) => (lab: Lab, names: string[]) => {
    const name = names.at(-1) ?? '';
    const bytes = readCheckpointFile(lab, name);
    const place = at < 0 ? bytes.length + at : at;
    bytes[place] = (bytes[place] ?? 0) ^ 0x40;
    replaceFile(lab, checkpointPath(lab, name), bytes);
  };

  test('nothing wrong', async () => {
    const { found, messages } = await changed(() => {});
    expect([found, messages]).toEqual([5, []]);
  });

  test('the one before it is used, wherever a byte is wrong', async () => {
    const length = 64 + 4 + 8 + 30;
    for (let at = 0; at < length; at += 3) {
      const { found, messages } = await changed(flip(at));
      expect([at, found, messages.length]).toEqual([at, 3, 1]);
    }
    expect((await changed(flip(-1))).messages).toEqual(['a checkpoint is not used: checksum']);
  });

  test('short, long, or empty', async () => {
    for (const length of [0, 5, 40, 77, 90, 200]) {
      const { found } = await changed((lab, names) => {
        const path = checkpointPath(lab, names.at(-1) ?? '');
        const bytes = new Uint8Array(length);
        bytes.set(readFile(lab.disk, path).subarray(0, length));
        replaceFile(lab, path, bytes);
      });
      expect([length, found]).toEqual([length, 3]);
    }
  });

  test('both damaged: rebuilt from the log', async () => {
    const { found } = await changed((lab, names) => {
      for (const name of names) {
        replaceFile(lab, checkpointPath(lab, name), new Uint8Array(100).fill(7));
      }
    });
    expect(found).toBe(0);
  });

  test('of another version of the fold: rebuilt', async () => {
    const { found, lab, messages } = await changed(() => {}, { version: 2 });
    expect([found, messages.length]).toEqual([0, 2]);
    expect(checkpointNames(lab)).toContain('seen@0000000003');
  });

  test('of a newer format: not used, and not removed', async () => {
    const newer = (lab: Lab, names: string[]): void => {
      const name = names.at(-1) ?? '';
      const bytes = readCheckpointFile(lab, name);
      bytes[4] = 2;
      replaceFile(lab, checkpointPath(lab, name), bytes);
    };
    const { found, lab, messages } = await changed(newer);
    expect([found, messages]).toEqual([3, ['a checkpoint is not used: version']]);
    expect(checkpointNames(lab)).toContain('seen@0000000002');
  });

  test('of another channel', async () => {
    const other = await begun(5);
    await other.lab.done(other.fold.checkpoint());
    const bytes = readCheckpointFile(other.lab, 'seen@0000000001');
    const { found, messages } = await changed((lab) => {
      bytes[8] = (bytes[8] ?? 0) + 1;
      replaceFile(lab, checkpointPath(lab, 'seen@0000000009'), bytes);
    });
    expect([found, messages.length]).toEqual([5, 1]);
  });

  test('that its codec refuses', async () => {
    let decodes = 0;
    const codec: Codec<Seen> = {
      encode: JSON.stringify,
      decode: (bytes) => {
        decodes += 1;
        if (decodes === 1) throw new Error('an old shape');
        return JSON.parse(Buffer.from(bytes).toString()) as Seen;
      },
    };
    const { found, messages } = await changed(() => {}, { codec });
    expect([found, messages]).toEqual([3, ['a checkpoint is not used: Error: an old shape']]);
  });

  test('what a kill left half written is removed', async () => {
    const { found, lab } = await changed((disk) => {
      replaceFile(disk, checkpointPath(disk, 'seen@0000000003+new'), new Uint8Array(9));
    });
    expect([found, checkpointNames(lab).length]).toEqual([5, 2]);
  });

  test('below what the channel still has, without one that goes far enough: refused', async () => {
    const { lab, channel, fold } = await begun(6);
    await lab.done(fold.close());
    await lab.done(channel.close());
    const raise = (disk: Lab, firstSeq: number): void => {
      const manifest = decodeManifest(readFile(disk.disk, `${disk.directory}/manifest`));
      if (!manifest.ok) throw new Error('no manifest');
      replaceManifest(disk.disk, disk.directory, { ...manifest.value, firstSeq });
    };
    const [name = ''] = checkpointNames(lab);
    raise(lab, 6);
    const whole = await lab.open();
    expect((await openFold(lab, whole)).value.length).toBe(6);
    await lab.done(whole.close());
    replaceFile(lab, checkpointPath(lab, name), new Uint8Array(1));
    raise(lab, 2);
    const reopened = await lab.open();
    const error = await rejection(reopened.fold(SEEN), 'OUT_OF_RANGE');
    expect(error).toMatchObject({ seq: 0, firstSeq: 2, nextSeq: 6 });
    const partial = await openFold(lab, reopened, { from: 'start' });
    await lab.done(partial.caughtUp());
    expect(partial.value.length).toBe(4);
  });
});

describe('a checkpoint that cannot be written', () => {
  test.each([
    ['mkdirSync', 'ENOSPC'],
    ['createSync', 'EMFILE'],
    ['anyWrite', 'ENOSPC'],
    ['datasync', 'EIO'],
    ['renameSync', 'EIO'],
    ['syncDirectory', 'EIO'],
  ] as const)('%s fails with %s: told, tried again, and nobody is poisoned', async (call, code) => {
    const { logger, lines } = logOf();
    const lab = new Lab();
    const channel = await lab.open({ logger });
    const fold = await openFold(lab, channel, { checkpointEvery: 5 });
    lab.fail(call, /checkpoints/, code);
    for (let i = 0; i < 5; i++) await lab.done(channel.append(payload(i)));
    await lab.drain();
    expect(fold.checkpointError).toMatchObject({ code: 'IO', systemCode: code });
    expect(lines.map(({ message }) => message)).toEqual(['a checkpoint was not written']);
    expect([fold.error, fold.checkpointSeq]).toEqual([undefined, undefined]);
    for (let i = 5; i < 10; i++) await lab.done(channel.append(payload(i)));
    await lab.drain();
    expect([fold.checkpointError, fold.checkpointSeq]).toEqual([undefined, 10]);
    // A number is never used again: what failed under it is not trusted.
    expect(checkpointNames(lab).at(-1)).toBe('seen@0000000002');
    expect(checkpointNames(lab).length).toBe(call === 'syncDirectory' ? 2 : 1);
    await lab.done(channel.close());
    const next = lab.cut(worst);
    expect((await openFold(next, await next.open())).seq).toBe(10);
  });

  test('a file whose sync failed is gone, and is not synced again', async () => {
    const { lab, fold } = await begun(3);
    const fault = lab.fail('datasync', /checkpoints/, 'EIO', { times: 3 });
    for (let i = 0; i < 3; i++) await rejection(lab.done(fold.checkpoint()), 'IO');
    expect([fault.fired, checkpointNames(lab)]).toEqual([3, []]);
    await lab.done(fold.checkpoint());
    expect(checkpointNames(lab)).toEqual(['seen@0000000004']);
  });

  test('behind a failed sync of the directory, what was durable stays', async () => {
    const { lab, channel, fold } = await begun(3);
    await lab.done(fold.checkpoint());
    lab.fail('syncDirectory', /checkpoints/, 'EIO');
    for (let i = 4; i < 8; i++) {
      await lab.done(channel.append(payload(i)));
      await lab.done(fold.caughtUp());
      await lab.done(fold.checkpoint()).catch(() => undefined);
    }
    expect(checkpointNames(lab)).toContain('seen@0000000001');
  });

  test('a failed sync of the channel directory, which names it, poisons', async () => {
    const { lab, channel, fold } = await begun(3);
    lab.fail('syncDirectory', /^\/log$/, 'EIO');
    await rejection(lab.done(fold.checkpoint()), 'POISONED');
    await rejection(channel.append('x'), 'POISONED');
  });

  test('a state that is too large is LIMIT, and the fold goes on', async () => {
    const { lab, channel, fold } = await begun(3, { maxCheckpointBytes: 30 });
    await lab.done(fold.checkpoint());
    await lab.done(channel.appendBatch(payloads(4, 9)));
    await lab.done(fold.caughtUp());
    const error = await rejection(fold.checkpoint(), 'LIMIT');
    expect(error).toMatchObject({ what: 'maxCheckpointBytes', limit: 30 });
    expect(fold.checkpointError).toBe(error);
    expect([fold.value.length, fold.error, fold.checkpointSeq]).toEqual([12, undefined, 3]);
    await lab.done(channel.close());
  });

  test('what the codec throws is told, and the fold goes on', async () => {
    const problem = new Error('not today');
    const codec: Codec<Seen> = {
      encode: () => {
        throw problem;
      },
      decode: () => [],
    };
    const { lab, channel, fold } = await begun(3, { codec });
    await expect(fold.checkpoint()).rejects.toBe(problem);
    await lab.done(channel.append(payload(4)));
    await expectTrue(lab, channel, fold);
  });
});

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
