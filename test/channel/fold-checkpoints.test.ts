/**
 * Goal: a checkpoint that is not good, or cannot be written, is told, and costs nothing but the
 * time to read the log again.
 * Method: bytes of the files are changed between two lives, and operations on them fail on request.
 */
import { describe, expect, test } from 'vitest';
import { replaceManifest } from '../../src/channel/channel-files.js';
import type { Codec } from '../../src/channel/codec.js';
import { decodeManifest } from '../../src/format/manifest.js';
import { worst } from '../../src/testing/choices.js';
import { Lab, payload, readFile, rejection } from '../support/channel-kit.js';
import {
  begun,
  checkpointNames,
  checkpointPath,
  expectTrue,
  logOf,
  ofOtherChannel,
  openFold,
  payloads,
  readCheckpointFile,
  replaceFile,
  SEEN,
  type Seen,
} from '../support/fold-kit.js';

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
      replaceFile(lab, checkpointPath(lab, 'seen@0000000009'), ofOtherChannel(bytes));
    });
    expect([found, messages]).toEqual([5, ['a checkpoint is not used: channel id']]);
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

  test('that is larger than is allowed now', async () => {
    const { lab, channel, fold } = await begun(6);
    await lab.done(fold.close());
    const again = await openFold(lab, channel, { maxCheckpointBytes: 10 });
    expect(again.checkpointSeq).toBe(undefined);
    await expectTrue(lab, channel, again);
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
