/**
 * Goal: a backup has the checkpoints of the moment that it holds, so that a fold whose records are
 * gone is not lost with it; none of them states more than the copied log has (RULES N5).
 * Method: a channel that has let go of what its fold has seen, backed up at rest, while the fold
 * goes on at every step of the copy, and on a disk that fails; copies are opened after a power cut.
 */
import { expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { Fold } from '../../src/channel/fold.js';
import type { Redex } from '../../src/store/redex.js';
import { worst } from '../../src/testing/choices.js';
import { COPY, openCopy } from '../support/backup-kit.js';
import { outcomeOf } from '../support/channel-kit.js';
import { SEEN, type Seen } from '../support/fold-kit.js';
import { editFile, putFile } from '../support/recovery-lab.js';
import { channelPath, DATA, StoreLab } from '../support/store-kit.js';
import { grow, range, SEGMENT_MS } from '../support/trim-kit.js';

const CHECKPOINTS = `${channelPath('c')}/checkpoints`;
const COPIED = `${COPY}${CHECKPOINTS.slice(DATA.length)}`;

interface Source {
  readonly store: StoreLab;
  readonly redex: Redex;
  readonly channel: Channel;
  readonly fold: Fold<Seen>;
}

/** Two checkpoints, at 9 and at 12, of a log of 15 whose first records are gone. */
async function source(): Promise<Source> {
  const store = new StoreLab();
  const { lab } = store;
  const redex = await store.open();
  const retention = { maxRecords: 1, waitFor: ['seen'] };
  const channel = await lab.done(redex.channel('c', { segmentMs: SEGMENT_MS, retention }));
  const fold = await lab.done(channel.fold(SEEN));
  for (const segments of [3, 1, 1]) {
    await grow(lab, channel, segments);
    await lab.done(fold.caughtUp());
    if (channel.nextSeq < 15) await lab.done(fold.checkpoint());
  }
  await lab.drain();
  expect([channel.firstSeq, channel.nextSeq, fold.checkpointSeq]).toEqual([12, 15, 12]);
  return { store, redex, channel, fold };
}

const namesIn = (lab: StoreLab['lab'], directory: string): string[] =>
  lab.disk.statSync(directory) === undefined
    ? []
    : lab.disk.readDirectorySync(directory).map(({ name }) => name);

/** The fold of a copy has every record that was ever there; returns its checkpoint and its end. */
async function restored(lab: StoreLab['lab']): Promise<{ saved: number; end: number }> {
  const copy = await openCopy(lab);
  const channel = await lab.done(copy.channel('c'));
  expect((await lab.done(channel.stats())).damage).toBe(undefined);
  const fold = await lab.done(channel.fold(SEEN));
  const { checkpointSeq: saved = -1 } = fold;
  await lab.done(fold.caughtUp());
  const { nextSeq: end } = channel;
  expect(fold.value).toEqual(range(0, end).map((seq) => `${seq}:${seq}`));
  await lab.done(copy.close());
  return { saved, end };
}

test('a fold goes on in a copy, though its records are gone', async () => {
  const { store, redex } = await source();
  const { copiedBytes } = await redex.backup(COPY);
  const names = namesIn(store.lab, CHECKPOINTS);
  expect(namesIn(store.lab, COPIED)).toEqual(names);
  const sizes = names.map((name) => store.lab.disk.statSync(`${CHECKPOINTS}/${name}`)?.size ?? 0);
  expect(copiedBytes).toBeGreaterThan(sizes.reduce((sum, size) => sum + size, 0));
  expect(await restored(store.lab.cut(worst))).toEqual({ saved: 12, end: 15 });
  await redex.close();
});

test('the one before is there too, for when the newest is damaged', async () => {
  const { store, redex, channel } = await source();
  await channel.configure({ retention: null });
  await redex.backup(COPY);
  const names = namesIn(store.lab, COPIED).toSorted();
  expect(names).toHaveLength(2);
  editFile(store.lab.disk, `${COPIED}/${names[1] ?? ''}`, (bytes) => bytes.fill(0, 70));
  const copy = await openCopy(store.lab);
  const again = await copy.channel('c');
  // It is told that the records behind the one before are gone, and not that it has no state.
  const error = await again.fold(SEEN).then(
    (fold) => fold.caughtUp(),
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ code: 'OUT_OF_RANGE', seq: 9 });
  await copy.close();
  await redex.close();
});

test('what is no checkpoint of the channel, or was not finished, stays behind', async () => {
  const { store, redex } = await source();
  const { disk } = store.lab;
  const before = namesIn(store.lab, CHECKPOINTS);
  const good = before[0] ?? '';
  const bytes = (): Uint8Array => {
    const file = disk.openSync(`${CHECKPOINTS}/${good}`, 'read');
    const all = new Uint8Array(file.sizeSync());
    file.readSync(all, 0, all.byteLength, 0);
    file.closeSync();
    return all;
  };
  for (const name of ['notes.txt', 'other@0000000001', 'seen@0000000009+new', 'x@0000000003']) {
    putFile(disk, `${CHECKPOINTS}/${name}`, name.startsWith('x') ? new Uint8Array(3) : bytes());
  }
  // Of another channel.
  editFile(disk, `${CHECKPOINTS}/other@0000000001`, (all) => all.fill(7, 8, 24));
  await redex.backup(COPY);
  expect(namesIn(store.lab, COPIED)).toEqual(before);
  await restored(store.lab);
  await redex.close();
});

test('none states more than the copied log has, however far the fold gets meanwhile', async () => {
  let newer = 0;
  for (let steps = 0; steps < 60; steps += 3) {
    const { store, redex, channel } = await source();
    const { lab } = store;
    await lab.done(redex.close());
    const killed = new StoreLab(lab.kill({ io: 'oldest' }));
    const again = await killed.open();
    const live = await killed.lab.done(again.channel('c'));
    const fold = await killed.lab.done(live.fold(SEEN));
    const backup = outcomeOf(again.backup(COPY));
    for (let i = 0; i < steps && backup.state === 'pending'; i += 1) {
      await killed.lab.runtime.settle();
      killed.lab.runtime.runIo();
    }
    const isBeside = backup.state === 'pending';
    for (let round = 0; round < 3; round += 1) {
      const from = live.nextSeq;
      await grow(killed.lab, live, 1);
      await killed.lab.done(fold.caughtUp());
      await killed.lab.done(fold.checkpoint());
      expect(live.nextSeq).toBe(from + 3);
    }
    await killed.lab.drain();
    expect(backup.error).toBe(undefined);
    const { end, saved } = await restored(killed.lab.cut(worst));
    expect(saved).toBeLessThanOrEqual(end);
    if (isBeside && end < live.nextSeq) newer += 1;
    expect(channel.nextSeq).toBe(15);
  }
  expect(newer).toBeGreaterThan(3);
});

test.each([
  'openSync',
  'createSync',
  'anyWrite',
  'datasync',
  'syncDirectory',
  'mkdirSync',
] as const)('a checkpoint that cannot be copied ends the backup: %s', async (operation) => {
  const { store, redex } = await source();
  const place = operation === 'openSync' ? /channels\/c\/checkpoints/ : /\/copies\/.*checkpoints/;
  store.lab.fail(operation, place, 'EIO');
  await expect(redex.backup(COPY)).rejects.toMatchObject({ code: 'IO', systemCode: 'EIO' });
  expect(store.lab.disk.statSync(`${COPY}/redex.json`)).toBe(undefined);
  await redex.backup('/second');
  await redex.close();
});
