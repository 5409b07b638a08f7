/**
 * Goal: a failed sync is not forgotten by the next process, which reads the same page cache, nor
 * is a name that nobody has synced (rule S4).
 * Method: `kill` keeps the page cache with all that failed syncs lost below it; then the worst cut.
 */
import { expect, test } from 'vitest';
import type { SyncPolicy } from '../../src/channel/options.js';
import { worst } from '../../src/testing/choices.js';
import {
  DIRECTORY,
  GENERATION,
  idsOf,
  Lab,
  payload,
  rejection,
  type LabOptions,
} from '../support/channel-kit.js';

const DAT = /\.dat$/;

async function leftAfterCut(lab: Lab): Promise<(number | undefined)[]> {
  const cut = lab.cut(worst);
  return idsOf(cut, await cut.open());
}

/** One synced record, then records whose sync fails; the process is killed. */
async function killedAfterFailedSync(
  sync: SyncPolicy,
  sizes: readonly number[],
  options: LabOptions = {},
): Promise<Lab> {
  const lab = new Lab(options);
  const channel = await lab.open({ sync, segmentBytes: 4096 });
  await lab.done(channel.append(payload(1), { durability: 'synced' }));
  lab.fail('datasync', DAT, 'EIO', { times: Infinity });
  const appends = sizes.map((size, i) =>
    channel.append(payload(2 + i, size), { durability: 'written' }).catch(() => undefined),
  );
  await lab.done(Promise.all(appends));
  await lab.done(rejection(channel.sync(), 'POISONED'));
  return lab.kill();
}

test("S4: written, sync fails, kill, open: under 'always' open has written it again", async () => {
  const lab = await killedAfterFailedSync('always', [50, 60]);
  const channel = await lab.open();
  expect(channel.durableSeq).toBe(3);
  expect(await leftAfterCut(lab)).toEqual([1, 2, 3]);
});

test('S4: written, sync fails, kill, open, synced, cut: nothing below it is lost', async () => {
  const lab = await killedAfterFailedSync('never', [50, 60]);
  const channel = await lab.open();
  expect(await idsOf(lab, channel)).toEqual([1, 2, 3]);
  expect(channel.durableSeq).toBeLessThanOrEqual(1);
  await channel.append(payload(4), { durability: 'synced' });
  expect(await leftAfterCut(lab)).toEqual([1, 2, 3, 4]);
});

test('S4: the same by a synchronous append', async () => {
  const lab = await killedAfterFailedSync('never', [50, 60]);
  const channel = await lab.open();
  channel.appendSync(payload(4), { durability: 'synced' });
  expect(await leftAfterCut(lab)).toEqual([1, 2, 3, 4]);
});

test('S4: the same by sync() and by close()', async () => {
  for (const end of ['sync', 'close'] as const) {
    const lab = await killedAfterFailedSync('never', [50, 60]);
    const channel = await lab.open();
    await channel[end]();
    expect(await leftAfterCut(lab), end).toEqual([1, 2, 3]);
  }
});

test('S4: the same over two unfinished segments', async () => {
  for (const sync of ['never', 'always'] as const) {
    const lab = await killedAfterFailedSync(sync, [3000, 3000]);
    expect(lab.datPaths).toHaveLength(2);
    const channel = await lab.open();
    await channel.append(payload(9), { durability: 'synced' });
    const [first, ...rest] = await leftAfterCut(lab);
    expect([first, rest.at(-1)], sync).toEqual([1, 9]);
    expect(rest.length).toBeGreaterThanOrEqual(2);
  }
});

test('S4: the same when the next append begins a new segment', async () => {
  const lab = await killedAfterFailedSync('never', [2000]);
  const channel = await lab.open();
  await channel.append(payload(3, 3000));
  await channel.append(payload(4, 3000), { durability: 'synced' });
  expect(await leftAfterCut(lab)).toEqual([1, 2, 3, 4]);
});

test('S4: killed twice after a failed sync, nothing acknowledged since is lost', async () => {
  const once = await killedAfterFailedSync('never', [50, 60]);
  await once.open();
  const lab = once.kill();
  const channel = await lab.open();
  await channel.append(payload(4), { durability: 'synced' });
  expect(await leftAfterCut(lab)).toEqual([1, 2, 3, 4]);
});

test('S4: the inherited is written again through the descriptor that is synced', async () => {
  const lab = await killedAfterFailedSync('never', [50, 60]);
  const channel = await lab.open();
  const { length } = lab.watch.calls;
  await channel.sync();
  const calls = lab.watch.datCalls(length);
  const write = calls.find(({ call }) => call === 'write');
  expect(write).toBeDefined();
  const sync = calls.find(({ call, handle }) => call === 'sync' && handle === write?.handle);
  expect(sync?.ok).toBe(true);
});

test('S4: generation, channel and parent are synced before the first ack', async () => {
  const first = new Lab();
  await (await first.open({ sync: 'never' })).append(payload(1));
  const lab = first.kill({ io: 'oldest' });
  const channel = await lab.open();
  await lab.done(channel.append(payload(2), { durability: 'synced' }));
  const synced = lab.watch.calls.filter(({ call, ok }) => call === 'syncDirectory' && ok);
  expect(synced.map(({ path }) => path)).toEqual(
    expect.arrayContaining([GENERATION, DIRECTORY, '/']),
  );
});

/** Killed before each operation of `create and append`, opened, appended synced, cut. */
async function lostAfterKilledCreation(directory: string): Promise<string[]> {
  const lab = new Lab({ directory });
  const killed: { readonly before: string; readonly next: Lab }[] = [];
  lab.disk.onOperation = ({ operation, path }) => {
    killed.push({ before: `${operation} ${path}`, next: lab.kill() });
  };
  await (await lab.open()).append(payload(1));
  lab.disk.onOperation = undefined;
  const lost: string[] = [];
  for (const { before, next } of killed) {
    const channel = await next.open();
    await channel.append(payload(2));
    const cut = next.cut(worst);
    const ids = await idsOf(cut, await cut.open());
    if (ids.at(-1) !== 2) lost.push(`killed before ${before}`);
  }
  expect(killed.length).toBeGreaterThan(20);
  return lost;
}

test('S4: create, kill, open, synced, cut: the channel is there', async () => {
  expect(await lostAfterKilledCreation('/log')).toEqual([]);
});

test('S4: the same when the directories above the channel are created with it', async () => {
  expect(await lostAfterKilledCreation('/data/deep/log')).toEqual([]);
});
