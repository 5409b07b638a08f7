/**
 * Goal: what a redo writes to the files of one channel is durable only when the group of the
 * journal that says it is, so that a power cut in the middle leaves no half of a commit (RULES J3).
 * Method: a process is killed between the write of a group and its sync; the power goes before each
 * write and sync of the next open, and takes everything that no sync covers.
 */
import { expect, test } from 'vitest';
import { worst } from '../../src/testing/choices.js';
import { outcomeOf, payload } from '../support/channel-kit.js';
import { fill, idsOfName, StoreLab } from '../support/store-kit.js';

const SMALL = { journalBytes: 256 * 1024 } as const;

/** A commit over both channels is in the page cache; no sync of the journal has covered it. */
async function killedBeforeTheSync(): Promise<StoreLab> {
  const store = new StoreLab({ io: 'oldest' });
  const redex = await store.open(SMALL);
  const { lab } = store;
  for (const [at, name] of ['a', 'b'].entries()) {
    const channel = await lab.done(redex.channel(name, { sync: 'always' }));
    await lab.done(fill(channel, 1 + at));
  }
  const records = [{ payload: payload(9) }];
  const committed = outcomeOf(
    redex.commit([
      { channel: 'a', records },
      { channel: 'b', records },
    ]),
  );
  await lab.runtime.settle();
  expect(committed.state).toBe('pending');
  return store.kill();
}

test('J3: a power cut in the middle of a redo leaves all of a commit, or nothing', async () => {
  const { lab } = await killedBeforeTheSync();
  const cuts: { readonly before: string; readonly left: StoreLab }[] = [];
  lab.disk.onOperation = ({ operation, path }) => {
    if (!/^(?:data)?sync|^write/.test(operation)) return;
    cuts.push({ before: `${operation} ${path}`, left: new StoreLab(lab.cut(worst)) });
  };
  const redex = await new StoreLab(lab).open(SMALL);
  lab.disk.onOperation = undefined;
  expect(await lab.done(idsOfName(redex, 'a'))).toEqual([1, 9]);
  expect(await lab.done(idsOfName(redex, 'b'))).toEqual([2, 9]);
  expect(cuts.map(({ before }) => before)).toContainEqual(
    expect.stringMatching(/datasync .*\.dat/),
  );
  const seen = new Set<string>();
  for (const { before, left } of cuts) {
    const next = await left.open(SMALL);
    const a = await left.lab.done(idsOfName(next, 'a'));
    const b = await left.lab.done(idsOfName(next, 'b'));
    expect([...a.slice(1), ...b.slice(1)].join(), `before ${before}`).toMatch(/^(?:9,9)?$/);
    seen.add(a.join());
    await left.lab.done(next.close());
  }
  expect([...seen].toSorted()).toEqual(['1', '1,9']);
});

test('a redo writes what belongs together at once, and syncs each file once', async () => {
  const store = new StoreLab();
  const redex = await store.open(SMALL);
  const channel = await redex.channel('a', { sync: 'always' });
  for (let id = 1; id <= 8; id++) await fill(channel, id);
  const { lab } = new StoreLab(store.lab.cut(worst));
  const synced: string[] = [];
  let written = 0;
  lab.disk.onOperation = ({ operation, path }) => {
    if (!path.startsWith('/data/channels/a/')) return;
    if (operation.startsWith('datasync')) synced.push(path.replace(/\.tmp$/, ''));
    if (operation.startsWith('write') && path.endsWith('.dat')) written++;
  };
  const next = await new StoreLab(lab).open(SMALL);
  lab.disk.onOperation = undefined;
  expect(synced).toHaveLength(4);
  expect(new Set(synced).size).toBe(4);
  expect(written).toBe(1);
  expect(await lab.done(idsOfName(next, 'a'))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});
