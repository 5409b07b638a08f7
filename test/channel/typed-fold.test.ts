/**
 * Goal: a fold and an index of a typed channel are given values, are shared like any other, and
 * stop at a record that does not decode, which they name: no record is passed over in silence.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { DecodeError, jsonCodec, utf8Codec } from '../../src/channel/codec.js';
import type { FoldOptions } from '../../src/channel/fold-options.js';
import type { TypedRecord } from '../../src/channel/typed-record.js';
import { Lab, rejection } from '../support/channel-kit.js';

interface Entry {
  readonly who: string;
  readonly amount: number;
}

const TOTAL: FoldOptions<number, TypedRecord<Entry>> = {
  name: 'total',
  version: 1,
  initial: 0,
  apply: (sum, { value }) => sum + value.amount,
};

const entriesOf = (channel: Channel): ReturnType<typeof channel.typed<Entry>> =>
  channel.typed<Entry>(jsonCodec);

test('a fold is given values, and goes on from its checkpoint', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  const entries = entriesOf(channel);
  await lab.done(entries.appendBatch([{ who: 'a', amount: 5 }]));
  const seen: unknown[] = [];
  const options = {
    ...TOTAL,
    apply: (sum: number, { value, seq, type, record }: TypedRecord<Entry>): number => {
      seen.push([seq, type, record.byteLength]);
      return sum + value.amount;
    },
  };
  const fold = await lab.done(entries.fold(options));
  await lab.done(entries.append({ who: 'b', amount: 2 }, { type: 3 }));
  await lab.done(fold.caughtUp());
  expect([fold.value, fold.seq]).toEqual([7, 2]);
  expect(seen).toEqual([
    [0, 0, 22],
    [1, 3, 22],
  ]);
  await lab.done(channel.close());
  const next = await lab.open();
  const again = await lab.done(entriesOf(next).fold(TOTAL));
  expect([again.value, again.seq, again.checkpointSeq]).toEqual([7, 2, 2]);
});

test('the same codec and options give the same fold, others a conflict', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  const fold = await lab.done(entriesOf(channel).fold(TOTAL));
  expect(await lab.done(entriesOf(channel).fold(TOTAL))).toBe(fold);
  const { apply } = TOTAL;
  const other = entriesOf(channel).fold({ ...TOTAL, apply: (sum, record) => apply(sum, record) });
  expect(await rejection(other, 'OPTIONS_CONFLICT')).toMatchObject({ option: 'apply' });
  const codec = { ...jsonCodec };
  const values = channel.typed<Entry>(codec).fold(TOTAL);
  expect(await rejection(values, 'OPTIONS_CONFLICT')).toMatchObject({ option: 'values' });
  await rejection(
    channel.fold({ name: 'total', version: 1, initial: 0, apply: () => 0 }),
    'OPTIONS_CONFLICT',
  );
});

test('a record that does not decode stops a fold there, and is named', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  const entries = entriesOf(channel);
  await lab.done(entries.appendBatch([{ who: 'a', amount: 5 }]));
  await lab.done(channel.append('no JSON'));
  await lab.done(entries.append({ who: 'b', amount: 2 }));
  const fold = await lab.done(entries.fold(TOTAL));
  const error = await lab.done(fold.caughtUp().catch((reason: unknown) => reason));
  expect(error).toBeInstanceOf(DecodeError);
  expect(error).toMatchObject({ seq: 1, cause: expect.any(SyntaxError) as unknown });
  expect(fold.error).toBe(error);
  expect([fold.value, fold.seq]).toEqual([5, 1]);
  await expect(lab.done(fold.checkpoint())).rejects.toBe(error);
  await lab.done(fold.close());
  // It is told again, and not passed over, by the next one that does not know it either.
  const again = await lab.done(entries.fold(TOTAL));
  await expect(lab.done(again.caughtUp())).rejects.toMatchObject({ name: 'DecodeError', seq: 1 });
});

test('what cannot be meant is refused as by a channel', async () => {
  const entries = entriesOf(await new Lab().open());
  const apply = async (sum: number): Promise<number> => Promise.resolve(sum);
  const wrong: unknown[] = [
    { ...TOTAL, apply },
    { ...TOTAL, apply: undefined },
    { ...TOTAL, values: 1 },
    undefined,
  ];
  for (const options of wrong) {
    await expect(entries.fold(options as typeof TOTAL)).rejects.toThrow(TypeError);
    await expect(entries.index(options as { name: string; key: () => '' })).rejects.toThrow(
      TypeError,
    );
  }
});

test('an index is given values, and gives them', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  const entries = entriesOf(channel);
  let decoded = 0;
  const options = {
    name: 'by-who',
    key: ({ value }: TypedRecord<Entry>): string => value.who,
    deleted: ({ value }: TypedRecord<Entry>): boolean => value.amount === 0,
  };
  await lab.done(
    entries.appendBatch([
      { who: 'a', amount: 1 },
      { who: 'b', amount: 2 },
      { who: 'a', amount: 3 },
      { who: 'b', amount: 0 },
    ]),
  );
  const index = await lab.done(entries.index(options));
  await lab.done(index.caughtUp());
  expect([...index.keys()]).toEqual(['a']);
  expect([index.size, index.has('b'), index.seqOf('a'), index.seq]).toEqual([1, false, 2, 4]);
  expect((await lab.done(index.get('a')))?.value).toEqual({ who: 'a', amount: 3 });
  expect(await index.get('b')).toBe(undefined);
  expect([index.name, index.isClosed, index.error]).toEqual(['by-who', false, undefined]);
  await lab.done(index.checkpoint());
  expect([index.checkpointSeq, index.checkpointError]).toEqual([4, undefined]);
  const counting = {
    ...utf8Codec,
    decode: (bytes: Uint8Array): string => {
      decoded += 1;
      return utf8Codec.decode(bytes);
    },
  };
  const texts = channel.typed(counting);
  const whole = await lab.done(
    texts.index({ name: 'text', key: ({ value }) => value, deleted: () => false }),
  );
  await lab.done(whole.caughtUp());
  // Once for both functions.
  expect([whole.size, decoded]).toEqual([4, 4]);
  await lab.done(index.close());
  expect(index.isClosed).toBe(true);
});

test('a record that does not decode stops an index there, and is told by get', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  await lab.done(channel.appendBatch(['{"who":"a","amount":1}', 'no JSON']));
  const byWho = { name: 'by-who', key: ({ value }: TypedRecord<Entry>): string => value.who };
  const index = await lab.done(entriesOf(channel).index(byWho));
  await expect(lab.done(index.caughtUp())).rejects.toMatchObject({ name: 'DecodeError', seq: 1 });
  expect([index.size, index.seq]).toEqual([1, 1]);
  await lab.done(index.close());
  // A codec that comes later may not know what is in the index.
  const plain = await lab.done(channel.index({ name: 'last', key: () => 'k' }));
  await lab.done(plain.caughtUp());
  await lab.done(plain.close());
  const typed = await lab.done(entriesOf(channel).index({ name: 'last', key: () => 'k' }));
  expect([typed.size, typed.seqOf('k')]).toEqual([1, 1]);
  await expect(lab.done(typed.get('k'))).rejects.toMatchObject({ name: 'DecodeError', seq: 1 });
});
