/**
 * Goal: a name that a process before has changed and not synced is durable before anything is
 * acknowledged that rests on it, also where appends go through the journal (RULES S4, C6).
 * Method: a process is killed between a rename and its sync; the next goes on from what it finds
 * and the power goes. It cannot replace the manifest, and lets the journal go, or has none yet.
 */
import { expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import { worst } from '../../src/testing/choices.js';
import { payload } from '../support/channel-kit.js';
import { channelPath, fill, idsOfName, listed, StoreLab } from '../support/store-kit.js';

const COPY = '/copy';
const OPTIONS = { sync: 'always', segmentBytes: 4096, journalBytes: 256 * 1024 } as const;

/** A compaction has put its manifest in place; the process is killed before it is synced. */
async function killedInASwap(): Promise<StoreLab> {
  const store = new StoreLab();
  const redex = await store.open(OPTIONS);
  const channel = await redex.channel('a');
  for (let id = 1; id <= 20; id += 1) await channel.append(payload(id, 600));
  // The journal has nothing of the channel any more that would be redone.
  await store.lab.runtime.elapse(5000);
  let left: StoreLab | undefined;
  let isRenamed = false;
  store.lab.disk.onOperation = ({ operation, path }) => {
    if (isRenamed && operation === 'syncDirectory' && path === channelPath('a')) {
      left ??= store.kill();
    }
    if (operation === 'renameSync' && path.endsWith('manifest.tmp')) isRenamed = true;
  };
  await channel.compact({ keep: ({ seq }) => seq % 2 === 0 });
  return left ?? expect.fail('there was no swap');
}

test('S4: the generation that a killed process has swapped in is there after a cut', async () => {
  const store = await killedInASwap();
  store.lab.fail('createSync', /manifest\.tmp$/, 'ENOSPC', { times: Infinity });
  const redex = await store.open(OPTIONS);
  const channel = await redex.channel('a');
  const before = await idsOfName(redex, 'a');
  expect(before).toHaveLength(10);
  const added = Array.from({ length: 20 }, (_, i) => 101 + i);
  for (const id of added) await channel.append(payload(id, 600));
  await store.lab.runtime.elapse(5000);
  expect(store.lab.disk.statSync(`${channelPath('a')}/v0000000001`)).toBeDefined();
  const next = new StoreLab(store.lab.cut(worst));
  expect(await idsOfName(await next.open(OPTIONS), 'a')).toEqual([...before, ...added]);
});

/** A store that never had a journal; a deletion in it has moved the channel, and is killed then. */
async function killedInADeletion(): Promise<StoreLab> {
  const store = new StoreLab();
  const first = await store.open(OPTIONS);
  await fill(await first.channel('a'), 1);
  await first.backup(COPY);
  await first.close();
  const { watch: fs, runtime, disk } = store.lab;
  const redex = await Redex.open(COPY, { fs, runtime });
  let left: StoreLab | undefined;
  disk.onOperation = ({ operation, path }) => {
    if (operation === 'syncDirectory' && path === `${COPY}/channels/.trash`) left ??= store.kill();
  };
  expect(await redex.deleteChannel('a')).toBe(true);
  return left ?? expect.fail('the deletion has synced nothing');
}

test('S4: a deletion that a killed process has not synced leaves the name free', async () => {
  const { lab } = await killedInADeletion();
  const redex = await Redex.open(COPY, { fs: lab.watch, runtime: lab.runtime, ...OPTIONS });
  const channel = await redex.channel('a');
  expect(channel.nextSeq).toBe(0);
  await fill(channel, 2);
  const { watch: fs, runtime } = lab.cut(worst);
  const next = await Redex.open(COPY, { fs, runtime, ...OPTIONS });
  expect(await idsOfName(next, 'a')).toEqual([2]);
});

test('N1: a deletion in a store that never had a journal is durable when it resolves', async () => {
  const store = new StoreLab();
  const first = await store.open(OPTIONS);
  for (const name of ['a', 'b']) await fill(await first.channel(name), 1);
  await first.backup(COPY);
  await first.close();
  const redex = await Redex.open(COPY, { fs: store.lab.watch, runtime: store.lab.runtime });
  const begun = store.lab.disk.operations.length;
  expect(await redex.deleteChannel('a')).toBe(true);
  // To the disk of a test a rename is one change; elsewhere both directories need a sync.
  const done = store.lab.disk.operations.slice(begun);
  const renamed = done.findIndex(({ operation }) => operation === 'renameSync');
  const synced = done
    .slice(renamed)
    .flatMap(({ operation, path }) => (operation.startsWith('syncDirectory') ? [path] : []));
  expect(synced).toEqual([`${COPY}/channels/.trash`, `${COPY}/channels`]);
  const { watch: fs, runtime } = store.lab.cut(worst);
  const next = await Redex.open(COPY, { fs, runtime, ...OPTIONS });
  expect([await next.hasChannel('a'), await next.hasChannel('b')]).toEqual([false, true]);
  expect((await listed(next)).map(({ name }) => name)).toEqual(['b']);
});
