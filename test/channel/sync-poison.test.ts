/**
 * Goal: the first failed sync ends all promises and is never retried (rule S3).
 * Method: a CrashFs loses what a failed sync was to make durable, and lets the next sync of the
 * same file succeed, as Linux does.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { worst } from '../../src/testing/choices.js';
import {
  GENERATION,
  idsOf,
  Lab,
  LARGE,
  outcomeOf,
  payload,
  rejection,
  requireCode,
  thrown,
} from '../support/channel-kit.js';

const DAT = /\.dat$/;

/** Two synced records, then two that are written, then a sync that fails. */
async function poisoned(code = 'EIO'): Promise<{ lab: Lab; channel: Channel }> {
  const lab = new Lab();
  const channel = await lab.open();
  await channel.append(payload(1));
  await channel.append(payload(2));
  lab.fail('datasync', DAT, code);
  const failed = [channel.append(payload(3)), channel.append(payload(4))];
  for (const append of failed) await rejection(append, 'POISONED');
  return { lab, channel };
}

test.each(['EIO', 'ENOSPC', 'EDQUOT'])(
  'S3: a failed sync (%s) rejects all who wait',
  async (code) => {
    const lab = new Lab();
    const channel = await lab.open();
    await channel.append(payload(1));
    lab.fail('datasync', DAT, code);
    const waiting = [
      outcomeOf(channel.append(payload(2))),
      outcomeOf(channel.append(payload(3))),
      outcomeOf(channel.sync()),
      outcomeOf(channel.append(payload(4))),
    ];
    await lab.runtime.settle();
    for (const { error } of waiting) {
      const poison = requireCode(error, 'POISONED');
      expect(poison.message).toMatch(/^a sync of \S+dat failed: /);
      expect(poison).toMatchObject({ outcome: 'unknown', path: lab.datPaths[0] });
      expect(poison.cause).toMatchObject({ code });
    }
  },
);

test('S3: a failed sync refuses every later append and sync', async () => {
  const { lab, channel } = await poisoned();
  const later = [
    channel.append(payload(5)),
    channel.append(payload(5), { durability: 'written' }),
    channel.appendBatch([payload(5), payload(6)]),
    channel.sync(),
  ];
  for (const call of later) {
    const error = await rejection(call, 'POISONED');
    expect(error).toMatchObject({ outcome: 'unknown', cause: { code: 'EIO' } });
  }
  expect(thrown(() => channel.appendSync(payload(5)), 'POISONED')).toMatchObject({
    outcome: 'unknown',
    cause: { code: 'EIO' },
  });
  expect(lab.runtime.pending).toEqual([]);
});

test('S3: a failed sync is not tried again, because the second would succeed and lie', async () => {
  const { lab, channel } = await poisoned();
  const { length } = lab.watch.calls;
  await rejection(channel.sync(), 'POISONED');
  await lab.runtime.elapse(5000);
  await rejection(channel.close(), 'POISONED');
  const later = lab.watch.calls.slice(length).filter(({ path }) => !/\.(idx|ts)$/.test(path));
  expect(later.map(({ call }) => call).filter((call) => call !== 'close')).toEqual([]);
  const cut = lab.cut(worst);
  expect(await idsOf(cut, await cut.open())).toEqual([1, 2]);
});

test('S3: reads below durableSeq go on, at and above it they are refused', async () => {
  const { channel } = await poisoned();
  expect([channel.nextSeq, channel.durableSeq]).toEqual([2, 2]);
  expect((await channel.get(1))?.payload).toEqual(payload(2));
  expect(await channel.readBatch({ to: 2 })).toHaveLength(2);
  await rejection(channel.get(2), 'POISONED');
  await rejection(channel.get(9), 'POISONED');
  await rejection(channel.readBatch({ from: 2 }), 'POISONED');
  const seen: number[] = [];
  const reading = (async (): Promise<void> => {
    for await (const { seq } of channel.read()) seen.push(seq);
  })();
  await rejection(reading, 'POISONED');
  expect(seen).toEqual([0, 1]);
});

test('S3: what is asked from the end of a poisoned log is refused', async () => {
  const { lab, channel } = await poisoned();
  const asked = [
    channel.last(1),
    channel.read({ reverse: true, limit: 1 }).next(),
    channel.seqAt(new Date('2100-01-01')),
  ].map((read: Promise<unknown>) => outcomeOf(read));
  await lab.runtime.settle();
  for (const { error } of asked) requireCode(error, 'POISONED');
});

test('S3: a read that began before the poison goes no further than what is durable', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: 'never' });
  await channel.append(payload(0, LARGE), { durability: 'synced' });
  for (const id of [1, 2, 3, 4]) await channel.append(payload(id, LARGE));
  const forward = channel.readBatches();
  const backward = channel.readBatches({ reverse: true });
  expect((await forward.next()).done).toBe(false);
  lab.fail('datasync', DAT, 'EIO');
  await rejection(channel.sync(), 'POISONED');
  await rejection(forward.next(), 'POISONED');
  await rejection(backward.next(), 'POISONED');
});

test('S3: a read that is under way ends POISONED where the durable part ends', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never' });
  await lab.done(channel.append(payload(1), { durability: 'synced' }));
  await channel.append(payload(2));
  const reading = channel.read({ copy: true });
  lab.fail('datasync', DAT, 'EIO');
  await lab.done(rejection(channel.sync(), 'POISONED'));
  expect(await lab.done(reading.next())).toMatchObject({ done: false, value: { seq: 0 } });
  await lab.done(rejection(reading.next(), 'POISONED'));
});

test('S3: no seal, witness or clean mark is written after a failed sync', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ segmentBytes: 4096 });
  await lab.done(channel.append(payload(1, 3000)));
  const second = outcomeOf(channel.append(payload(2, 100)));
  await lab.runtime.settle();
  lab.disk.failSync(lab.datPaths[0] ?? '');
  // Goes into a new segment, for which the old one would be sealed.
  const third = outcomeOf(channel.append(payload(3, 3000)));
  lab.fail('datasync', DAT, 'EIO', { times: Infinity });
  await lab.drain();
  const { length } = lab.watch.calls;
  expect([second.state, third.state]).toEqual(['resolved', 'rejected']);
  const fourth = outcomeOf(channel.append(payload(4, 3000)));
  await lab.runtime.elapse(5000);
  await lab.drain();
  await lab.done(rejection(channel.close(), 'POISONED'));
  requireCode(fourth.error, 'POISONED');
  const written = lab.watch.calls.slice(length).filter(({ call }) => call === 'write');
  const paths = written.map(({ path }) => path);
  expect(paths.filter((path) => !/\.(idx|ts)$/.test(path))).toEqual([]);
});

test('S3: a poisoned channel does not begin a queued segment', async () => {
  const lab = new Lab({ io: 'oldest' });
  const channel = await lab.open({ sync: 'never', segmentBytes: 4096 });
  await channel.append(payload(1, 3000));
  // The third segment waits until the first is synced, and that fails.
  lab.disk.failSync(lab.datPaths[0] ?? '');
  await channel.append(payload(2, 3000));
  const parked = outcomeOf(channel.append(payload(3, 3000)));
  lab.fail('datasync', DAT, 'ENOSPC', { times: Infinity });
  await lab.drain();
  requireCode(parked.error, 'POISONED');
  expect(lab.datPaths).toHaveLength(2);
});

test('S3: closing a poisoned channel rejects and gives handles and timers back', async () => {
  const { lab, channel } = await poisoned();
  const error = await rejection(channel.close(), 'POISONED');
  expect(error.cause).toMatchObject({ code: 'EIO' });
  expect(lab.faults.openPaths).toEqual([]);
  expect(lab.runtime.pending).toEqual([]);
  await rejection(channel.append('x'), 'CLOSED');
});

test('S3: a channel whose last sync fails in close is not marked clean', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: 'never' });
  await channel.append(payload(1));
  lab.fail('datasync', DAT, 'EIO');
  const { length } = lab.watch.calls;
  await rejection(channel.close(), 'POISONED');
  const paths = lab.watch.calls.slice(length).map(({ path }) => path);
  expect(paths.filter((path) => path.endsWith('clean'))).toEqual([]);
  expect(lab.faults.openPaths).toEqual([]);
});

test('S3: opening again ends the poison', async () => {
  const { lab, channel } = await poisoned();
  await rejection(channel.close(), 'POISONED');
  const again = await lab.open();
  expect(await idsOf(lab, again)).toEqual([1, 2, 3, 4]);
  expect(await again.append(payload(5))).toBe(4);
  const cut = lab.cut(worst);
  expect(await idsOf(cut, await cut.open())).toEqual([1, 2, 3, 4, 5]);
});

test('S3: a failed sync of the directory of the segments poisons', async () => {
  const lab = new Lab();
  const channel = await lab.open();
  lab.fail('syncDirectory', /v0000000001$/, 'EIO');
  const error = await rejection(channel.append(payload(1)), 'POISONED');
  expect(error).toMatchObject({ path: GENERATION, cause: { code: 'EIO' } });
  await rejection(channel.append(payload(2)), 'POISONED');
});

test('S3: a failed sync of an inherited directory poisons and acknowledges nothing', async () => {
  const before = new Lab();
  const first = await before.open({ sync: 'never' });
  await first.append(payload(1));
  const lab = before.kill();
  const channel = await lab.open();
  lab.fail('syncDirectory', /^\/$/, 'EIO');
  await rejection(channel.append(payload(2), { durability: 'synced' }), 'POISONED');
  await rejection(channel.append(payload(3)), 'POISONED');
});

test('S3: a failed sync of a sealed segment poisons whatever the policy', async () => {
  const lab = new Lab();
  const channel = await lab.open({ sync: 'never', segmentBytes: 4096 });
  await channel.append(payload(1, 3000));
  lab.fail('datasync', DAT, 'EIO');
  await channel.append(payload(2, 3000));
  await lab.runtime.settle();
  await rejection(channel.append(payload(3)), 'POISONED');
  expect(channel.durableSeq).toBe(0);
});
