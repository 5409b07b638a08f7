/**
 * Goal: what the functions of a fold do to the fold itself, while they run, costs no record.
 * Method: `apply` and the codec ask for checkpoints and closes; then the process is killed.
 */
import { describe, expect, test } from 'vitest';
import type { Codec } from '../../src/channel/codec.js';
import type { Fold } from '../../src/channel/fold.js';
import { Lab, payload } from '../support/channel-kit.js';
import {
  begun,
  checkpointNames,
  expectTrue,
  openFold,
  payloads,
  see,
} from '../support/fold-kit.js';
import type { Seen } from '../support/fold-kit.js';

/** A fold over a batch of ten whose `apply` does something to it at record 4. */
async function during(
  act: (fold: Fold<Seen>) => void,
): Promise<{ lab: Lab; fold: Fold<Seen>; told: [number, number][] }> {
  const lab = new Lab();
  const channel = await lab.open();
  const told: [number, number][] = [];
  const fold: Fold<Seen> = await openFold(lab, channel, {
    apply: (state, record) => {
      told.push([fold.seq, fold.value.length]);
      const next = see([...state], record);
      if (record.seq === 4) act(fold);
      return next;
    },
  });
  await lab.done(channel.appendBatch(payloads(1, 10)));
  await lab.drain();
  return { lab, fold, told };
}

/** That a fold of the next process has seen each record once. */
async function expectWhole(lab: Lab): Promise<number | undefined> {
  const next = lab.kill();
  const channel = await next.open();
  const fold = await openFold(next, channel);
  const { checkpointSeq } = fold;
  await expectTrue(next, channel, fold);
  return checkpointSeq;
}

describe('within apply', () => {
  test('value and seq belong together', async () => {
    const { told } = await during(() => {});
    expect(told).toEqual(Array.from({ length: 10 }, (_, i) => [i, i]));
  });

  test('a checkpoint holds the state of its seq', async () => {
    let asked: Promise<void> | undefined;
    const { lab, fold } = await during((open) => {
      asked = open.checkpoint();
    });
    await lab.done(asked ?? Promise.reject(new Error('apply was not called')));
    expect(fold.checkpointSeq).toBeGreaterThan(4);
    expect(await expectWhole(lab)).toBe(fold.checkpointSeq);
  });

  test('a close stops behind the record, with a checkpoint of it', async () => {
    const { lab, fold } = await during((open) => void open.close());
    await lab.done(fold.close());
    expect([fold.seq, fold.value.length, fold.error]).toEqual([5, 5, undefined]);
    expect(await expectWhole(lab)).toBe(5);
  });

  test('what changes the state and then throws is never in a checkpoint', async () => {
    const { lab, fold } = await during((open) => {
      open.checkpoint().catch(() => undefined);
      open.value.push('half-way');
      throw new Error('refused');
    });
    await lab.done(fold.close());
    expect([fold.seq, checkpointNames(lab)]).toEqual([4, []]);
    expect(fold.error).toMatchObject({ message: 'refused' });
    expect(await expectWhole(lab)).toBe(undefined);
  });
});

test('a codec that asks for a checkpoint gets the one that it is asked for', async () => {
  let encodes = 0;
  const asked: Promise<void>[] = [];
  const codec: Codec<Seen> = {
    encode: (state) => {
      encodes++;
      if (encodes < 50) asked.push(fold.checkpoint());
      return JSON.stringify(state);
    },
    decode: (bytes) => JSON.parse(Buffer.from(bytes).toString()) as Seen,
  };
  const { lab, fold } = await begun(3, { codec });
  await lab.done(fold.checkpoint());
  await lab.done(Promise.all(asked));
  expect([encodes, fold.checkpointSeq]).toEqual([1, 3]);
});

test('a fold that begins above the end has nothing to save before it gets there', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await lab.done(channel.append(payload(1)));
  const fold = await openFold(lab, channel, { from: 5 });
  await lab.done(fold.checkpoint());
  expect([fold.checkpointSeq, fold.checkpointError, checkpointNames(lab)]).toEqual([
    undefined,
    undefined,
    [],
  ]);
  await lab.done(channel.appendBatch(payloads(2, 6)));
  await lab.done(fold.caughtUp());
  await lab.done(fold.checkpoint());
  expect([fold.checkpointSeq, fold.value.length]).toEqual([7, 2]);
});
