/**
 * Goal: a compaction whose functions throw anything, or answer with what they may not, or whose
 * source is damaged, ends with just that; the channel is as it was and goes on.
 * Method: values that are no errors, at the first and at a late record, in both looks of `key`;
 * every kind of answer; a damaged block in each of the first segments.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { CompactOptions } from '../../src/channel/survivors.js';
import { worst } from '../../src/testing/choices.js';
import { Lab, payload, payloadId, readFile, rejection } from '../support/channel-kit.js';
import { filled, finish, generationsIn, idsOf, odd, SMALL, upTo } from '../support/compact-lab.js';
import { put } from '../support/seed-damage.js';

const COUNT = 40;

/** The channel is as before and goes on. */
async function expectUntouched(lab: Lab, channel: Channel): Promise<void> {
  expect(await idsOf(lab, channel)).toEqual(upTo(COUNT));
  expect((await channel.stats()).generation).toBe(1);
  await finish(lab, channel.append(payload(COUNT + 1), { durability: 'synced' }));
  expect(await idsOf(lab, channel)).toEqual(upTo(COUNT + 1));
}

describe('what a function throws', () => {
  const values: unknown[] = [undefined, null, 0, 'a text', Symbol('s'), { code: 'EIO' }];
  const options: [string, (thrower: () => never) => CompactOptions][] = [
    ['keep', (thrower) => ({ keep: thrower })],
    ['key', (thrower) => ({ key: thrower })],
    ['key, at the second look', (thrower) => ({ key: once(thrower) })],
    ['keep, at a late record', (thrower) => ({ keep: ({ seq }) => seq < COUNT - 3 || thrower() })],
  ];

  /** Gives every record a key of its own, until each was asked for. */
  function once(thrower: () => never): CompactOptions['key'] {
    const seen = new Set<number>();
    return ({ seq }) => {
      if (seen.has(seq)) thrower();
      seen.add(seq);
      return String(seq % 7);
    };
  }

  test.each(options)(
    '%s: it is what the compaction rejects with, whatever it is',
    async (_name, make) => {
      for (const value of values) {
        const lab = new Lab();
        const channel = await filled(lab);
        const error: unknown = await finish(lab, channel.compact(make(throwing(value)))).then(
          () => 'resolved',
          (reason: unknown) => reason,
        );
        expect(error).toBe(value);
        await lab.drain();
        expect(generationsIn(lab.disk, lab.directory)).toEqual([1]);
        await expectUntouched(lab, channel);
        await finish(lab, channel.close());
        expect(lab.faults.openPaths).toEqual([]);
      }
    },
  );

  function throwing(value: unknown): () => never {
    return () => {
      throw value;
    };
  }
});

test('no function may answer with anything but what it is asked for', async () => {
  const answers: unknown[] = [Promise.resolve(true), 1, 0, '', 'yes', null, undefined, {}, []];
  const noKeys: unknown[] = [Promise.resolve('k'), 1, 0, null, {}, [], Symbol('k'), false];
  const lab = new Lab();
  const channel = await filled(lab);
  const options = [
    ...answers.map((answer) => ({ keep: () => answer })),
    ...noKeys.map((answer) => ({ key: () => answer })),
  ] as CompactOptions[];
  for (const each of options) {
    await expect(finish(lab, channel.compact(each))).rejects.toThrow(TypeError);
  }
  expect(generationsIn(lab.disk, lab.directory)).toEqual([1]);
  await expectUntouched(lab, channel);
});

test('a damaged block ends each way to compact, and nothing is left open', async () => {
  const byKey: CompactOptions = { key: ({ seq }) => String(seq % 5) };
  for (const [index, options] of [odd, byKey, odd, byKey].entries()) {
    const lab = new Lab();
    const channel = await filled(lab);
    const path = lab.datPaths[index] ?? '';
    const byte = readFile(lab.disk, path)[700] ?? 0;
    put(lab.disk, path, 700, Uint8Array.of(byte ^ 4));
    const error = await rejection(finish(lab, channel.compact(options)), 'CORRUPT');
    expect(error.path).toBe(path);
    await lab.drain();
    expect(generationsIn(lab.disk, lab.directory)).toEqual([1]);
    await finish(lab, channel.append(payload(99), { durability: 'synced' }));
    await finish(lab, channel.close());
    expect(lab.faults.openPaths).toEqual([]);
    const next = lab.cut(worst);
    const reopened = await finish(next, next.open(SMALL));
    expect(payloadId((await finish(next, reopened.get(COUNT)))?.payload ?? new Uint8Array())).toBe(
      99,
    );
    expect(generationsIn(next.disk, next.directory)).toEqual([1]);
  }
});
