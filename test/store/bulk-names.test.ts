/**
 * Goal: ten thousand channels are created, or deleted, for a handful of syncs: what they wait for
 * is the journal, which takes them together (RULES N1). After a power cut at the acknowledgement
 * all of them are there, or gone.
 * Method: every call of a sync on a FaultFs is counted until the last one is acknowledged; the
 * checkpoint that follows is counted apart and printed. The power cut leaves only what was synced.
 */
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';
import { worst } from '../../src/testing/choices.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { DATA, fill, idsIn, listed, StoreLab } from '../support/store-kit.js';

const COUNT = 10_000;
const MOST_SYNCS = 20;
/** Of the tests with a power cut, whose disk remembers everything. */
const FEW = 300;
const TIMEOUT_MS = 120_000;

function nameOf(index: number): string {
  return `stream/${index}`;
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => nameOf(index));
}

class Bulk {
  readonly runtime = new ManualRuntime({ ioOrder: 'immediate' });
  readonly fs = new FaultFs(new MemoryFs());

  open(): Promise<Redex> {
    return Redex.open(DATA, { fs: this.fs, runtime: this.runtime });
  }

  get syncs(): number {
    return this.fs.calls.in('anySync');
  }

  /** How many syncs it takes until `work` has resolved. */
  async cost(what: string, work: () => Promise<unknown>): Promise<number> {
    const before = this.syncs;
    await work();
    const cost = this.syncs - before;
    process.stdout.write(`${what}: ${cost} syncs\n`);
    return cost;
  }
}

function create(redex: Redex, count: number): Promise<Channel[]> {
  return Promise.all(names(count).map((name) => redex.channel(name)));
}

function remove(redex: Redex, count: number): Promise<boolean[]> {
  return Promise.all(names(count).map((name) => redex.deleteChannel(name)));
}

describe('ten thousand at once', { timeout: TIMEOUT_MS }, () => {
  test('are created for a few syncs', async () => {
    const bulk = new Bulk();
    const redex = await bulk.open();
    const cost = await bulk.cost('creating', () => create(redex, COUNT));
    expect(cost).toBeLessThanOrEqual(MOST_SYNCS);
    expect(await redex.stats()).toMatchObject({ channels: COUNT, openChannels: COUNT });
    await bulk.cost('and closing', () => redex.close());
  });

  test('are deleted for a few syncs, while they are open', async () => {
    const bulk = new Bulk();
    const redex = await bulk.open();
    const channels = await create(redex, COUNT);
    const [first, last] = [channels[0], channels[COUNT - 1]];
    if (first === undefined || last === undefined) throw new Error('nothing was created');
    await fill(first, 1);
    await fill(last, 2);
    const cost = await bulk.cost('deleting open ones', () => remove(redex, COUNT));
    expect(cost).toBeLessThanOrEqual(MOST_SYNCS);
    expect(await listed(redex)).toEqual([]);
    await expect(last.append('x')).rejects.toMatchObject({ code: 'CLOSED' });
    await bulk.cost('and closing', () => redex.close());
  });

  test('are deleted for a few syncs, when they are closed', async () => {
    const bulk = new Bulk();
    const before = await bulk.open();
    await create(before, COUNT);
    await bulk.cost('closing', () => before.close());
    const redex = await bulk.open();
    const cost = await bulk.cost('deleting closed ones', () => remove(redex, COUNT));
    expect(cost).toBeLessThanOrEqual(MOST_SYNCS);
    expect(await listed(redex)).toEqual([]);
    await redex.close();
    const after = await bulk.open();
    expect(await listed(after)).toEqual([]);
    await after.close();
  });
});

/** What is redone takes more turns than a lab waits for. */
function openLater({ lab }: StoreLab): Promise<Redex> {
  return Redex.open(DATA, { fs: lab.watch, runtime: lab.runtime });
}

describe('after a power cut at the acknowledgement', { timeout: TIMEOUT_MS }, () => {
  test('what was created is there', async () => {
    const store = new StoreLab();
    await create(await store.open(), FEW);
    const cut = new StoreLab(store.lab.cut(worst));
    const redex = await openLater(cut);
    const found = await listed(redex);
    expect(found.map(({ name }) => name).toSorted()).toEqual(names(FEW).toSorted());
    for (const name of names(FEW)) {
      const channel = await redex.channel(name, { createIfMissing: false });
      await fill(channel, 7);
      expect(await idsIn(channel)).toEqual([7]);
    }
    await redex.close();
    expect(cut.violations).toEqual([]);
  });

  test.each(['open', 'closed'])('what was deleted is gone, %s', async (state) => {
    const store = new StoreLab();
    let redex = await store.open();
    const channels = await create(redex, FEW + 1);
    if (state === 'closed') {
      await redex.close();
      redex = await store.open();
    }
    if (state === 'open') await Promise.all(channels.map((channel) => fill(channel, 1)));
    await remove(redex, FEW);
    const cut = new StoreLab(store.lab.cut(worst));
    const next = await openLater(cut);
    expect((await listed(next)).map(({ name }) => name)).toEqual([nameOf(FEW)]);
    await next.close();
  });

  test('what was deleted and created again is the new one', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    const channels = await create(redex, FEW);
    await Promise.all(channels.map((channel) => fill(channel, 1)));
    await remove(redex, FEW);
    const again = await create(redex, FEW);
    await Promise.all(again.map((channel) => fill(channel, 2)));
    const cut = new StoreLab(store.lab.cut(worst));
    const next = await openLater(cut);
    for (const name of names(FEW)) {
      const channel = await next.channel(name, { createIfMissing: false });
      expect(await idsIn(channel)).toEqual([2]);
    }
    await next.close();
  });
});
