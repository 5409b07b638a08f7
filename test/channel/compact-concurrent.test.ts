/**
 * Goal: while a compaction runs everything else goes on: appends wait for the exchange and are
 * never lost, reads go on in what they began with, tails see every survivor and every new record
 * once, and whatever else changes the channel in the middle neither breaks it nor is broken by it.
 * Method: file operations are held and let through one by one, in a given or a random order.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { RecordIterator } from '../../src/channel/read-iterator.js';
import { RedexError } from '../../src/core/errors.js';
import { Redex } from '../../src/store/redex.js';
import type { RedexOptions } from '../../src/store/store-options.js';
import { worst } from '../../src/testing/choices.js';
import { Lab, LARGE, outcomeOf, payload, payloadId, thrown } from '../support/channel-kit.js';
import {
  SMALL,
  filled,
  finish,
  generationsIn,
  holdAt,
  idsOf,
  odd,
  odds,
  upTo,
} from '../support/compact-lab.js';
import { FollowerLab } from '../support/follower-lab.js';
import { DATA, StoreLab } from '../support/store-kit.js';
import { readToEnd, seqsOf, tailOf } from '../support/tail-kit.js';

describe('appends', () => {
  test('wait during the exchange; synchronous ones are BUSY; none is lost', async () => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await filled(lab);
    const compacting = channel.compact(odd);
    // The manifest is being replaced: the lock is held.
    await holdAt(lab, /manifest\.tmp$/);
    const written = outcomeOf(channel.append(payload(41)));
    const synced = outcomeOf(channel.append(payload(42), { durability: 'synced' }));
    const large = outcomeOf(channel.append(payload(43, LARGE)));
    const before = channel.nextSeq;
    thrown(() => channel.appendSync(payload(99)), 'BUSY');
    expect(channel.nextSeq).toBe(before);
    await lab.runtime.settle();
    expect([written.state, synced.state, large.state]).toEqual(['pending', 'pending', 'pending']);
    await finish(lab, compacting);
    await lab.drain();
    expect([written.value, synced.value, large.value]).toEqual([40, 41, 42]);
    expect(channel.appendSync(payload(44))).toBe(43);
    expect(await idsOf(lab, channel)).toEqual([...odds, 41, 42, 43, 44]);
    await finish(lab, channel.sync());
    const cut = lab.cut(worst);
    expect(await idsOf(cut, await finish(cut, cut.open(SMALL)))).toEqual([...odds, 41, 42, 43, 44]);
  });

  test('that roll while it runs are in the new generation', async () => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await filled(lab);
    const compacting = channel.compact(odd);
    let id = 41;
    const appends: Promise<number>[] = [];
    for (let i = 0; i < 60; i++) {
      await lab.runtime.settle();
      lab.runtime.runIo();
      appends.push(channel.append(payload(id++, 700)));
    }
    await finish(lab, compacting);
    await finish(lab, Promise.all(appends));
    await finish(lab, channel.sync());
    expect(await idsOf(lab, channel)).toEqual([...odds, ...upTo(60, 41)]);
    const cut = lab.cut(worst);
    const reopened = await finish(cut, cut.open(SMALL));
    expect(await idsOf(cut, reopened)).toEqual([...odds, ...upTo(60, 41)]);
  });

  test('in flight when the exchange begins are waited for', async () => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await filled(lab);
    const compacting = channel.compact(odd);
    // Nothing but the exchange is left to do.
    await holdAt(lab, /v0000000002$/);
    const appending = channel.append(payload(41, LARGE));
    await finish(lab, compacting);
    await finish(lab, appending);
    await finish(lab, channel.append(payload(42), { durability: 'synced' }));
    expect(await idsOf(lab, channel)).toEqual([...odds, 41, 42]);
  });

  test('S6: nothing unsynced is closed', async () => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await filled(lab);
    const compacting = channel.compact(odd);
    await finish(lab, channel.append(payload(41)));
    await finish(lab, compacting);
    await finish(lab, channel.close());
    expect(lab.watch.violations).toEqual([]);
    expect(lab.faults.openPaths).toEqual([]);
  });
});

describe('reads', () => {
  test.each([false, true])(
    'that are under way go on in the old one, reverse %s',
    async (reverse) => {
      const lab = new Lab({ io: 'oldest' });
      const channel = await filled(lab, 200);
      const iterator = channel.read({ reverse });
      const ids: (number | undefined)[] = [];
      const first = await finish(lab, iterator.next());
      if (first.done !== true) ids.push(payloadId(first.value.payload));
      await finish(lab, channel.compact(odd));
      await lab.drain();
      // What it holds stays for as long.
      expect(generationsIn(lab.disk, lab.directory)).toEqual([1, 2]);
      for (;;) {
        const step = await finish(lab, iterator.next());
        if (step.done === true) break;
        ids.push(payloadId(step.value.payload));
      }
      expect(ids).toEqual(reverse ? upTo(200).toReversed() : upTo(200));
      await lab.drain();
      expect(generationsIn(lab.disk, lab.directory)).toEqual([2]);
    },
  );

  test('single look-ups at every moment find every survivor', async () => {
    const lab = new Lab({ io: 'random', seed: 5 });
    const channel = await filled(lab);
    const compacting = outcomeOf(channel.compact(odd));
    const looks: Promise<unknown>[] = [];
    for (let i = 0; compacting.state === 'pending' && i < 1000; i++) {
      const seq = (2 * i) % 40;
      looks.push(
        channel.get(seq).then((record) => {
          expect(payloadId(record?.payload ?? new Uint8Array(0))).toBe(seq + 1);
        }),
        channel.last(3).then((records) => expect(records.at(-1)?.seq).toBeGreaterThanOrEqual(38)),
        channel.seqAt(0).then((found) => expect(found).toBe(0)),
      );
      await lab.runtime.settle();
      for (let run = 0; run < 6; run++) lab.runtime.runIo();
    }
    await finish(lab, Promise.all(looks));
    expect(compacting.state).toBe('resolved');
  });
});

describe('tails', () => {
  test.each([0, 10, 39])('from %i: every survivor and every new record once', async (from) => {
    const lab = new Lab({ io: 'oldest' });
    const channel = await filled(lab);
    const tail = tailOf(channel, { from });
    tail.ask(3);
    await lab.drain();
    const compacting = channel.compact(odd);
    for (let i = 0; i < 12; i++) {
      await lab.runtime.settle();
      lab.runtime.runIo();
      if (i % 3 === 0) void channel.append(payload(41 + i / 3));
    }
    await finish(lab, compacting);
    await readToEnd(lab, tail);
    expect(tail.error).toBeUndefined();
    const seqs = seqsOf(tail);
    expect(seqs).toEqual([...new Set(seqs)].toSorted((a, b) => a - b));
    const wanted = [...odds.map((id) => id - 1), 40, 41, 42, 43].filter((seq) => seq >= from);
    expect(seqs.filter((seq) => wanted.includes(seq))).toEqual(wanted);
  });
});

describe('other changes in the middle', () => {
  /** Begins `change` after each number of operations of a compaction. */
  async function atEachStep(
    change: (channel: Channel, lab: Lab) => Promise<unknown>,
    check: (channel: Channel, lab: Lab, step: number) => Promise<void>,
  ): Promise<void> {
    for (let step = 0; step < 60; step += 1) {
      const lab = new Lab({ io: 'oldest', seed: step + 1 });
      const channel = await filled(lab);
      const compacting = outcomeOf(channel.compact(odd));
      for (let i = 0; i < step; i++) {
        await lab.runtime.settle();
        lab.runtime.runIo();
      }
      await finish(lab, change(channel, lab));
      await lab.drain();
      expect(compacting.error, `step ${step}`).toBeUndefined();
      await check(channel, lab, step);
    }
  }

  test('a trim is not taken back, and frees its files', async () => {
    await atEachStep(
      (channel) => channel.trim({ beforeSeq: 21 }),
      async (channel, lab, step) => {
        expect(channel.firstSeq, `step ${step}`).toBe(21);
        expect(await idsOf(lab, channel)).toEqual(odds.filter((id) => id > 21));
        expect(generationsIn(lab.disk, lab.directory)).toEqual([2]);
        const cut = lab.cut(worst);
        const reopened = await finish(cut, cut.open(SMALL));
        expect(reopened.firstSeq).toBe(21);
        expect(await idsOf(cut, reopened)).toEqual(odds.filter((id) => id > 21));
      },
    );
  });

  test('trims with rolls, up to what was appended meanwhile', async () => {
    await atEachStep(
      async (channel) => {
        for (const id of upTo(40, 41)) await channel.append(payload(id, 700));
        await channel.trim({ beforeSeq: 70 });
        for (const id of upTo(20, 81)) await channel.append(payload(id, 700));
        await channel.trim({ beforeSeq: 90 });
      },
      async (channel, lab) => {
        expect(await idsOf(lab, channel)).toEqual(upTo(10, 91));
        const next = lab.kill();
        expect(await idsOf(next, await finish(next, next.open(SMALL)))).toEqual(upTo(10, 91));
      },
    );
  });

  test('retention and configure', async () => {
    await atEachStep(
      async (channel) => {
        await channel.configure({ retention: { maxRecords: 10 }, segmentBytes: 8192 });
        await channel.applyRetention();
      },
      async (channel, lab) => {
        expect(channel.options.segmentBytes).toBe(8192);
        const ids = await idsOf(lab, channel);
        expect(ids).toEqual(odds.slice(-ids.length));
        expect(ids.length).toBeGreaterThanOrEqual(5);
      },
    );
  });

  test('a second compaction comes after the first', async () => {
    await atEachStep(
      (channel) => channel.compact({ keep: ({ seq }) => seq % 4 === 0 }),
      async (channel, lab) => {
        expect(await idsOf(lab, channel)).toEqual(odds.filter((id) => id % 4 === 1));
        expect((await channel.stats()).generation).toBe(3);
        expect(generationsIn(lab.disk, lab.directory)).toEqual([3]);
      },
    );
  });

  test('a close ends it with CLOSED or after it is done', async () => {
    let ended = 0;
    for (let step = 0; step < 60; step++) {
      const lab = new Lab({ io: 'oldest', seed: step + 1 });
      const channel = await filled(lab);
      const compacting = outcomeOf(channel.compact(odd));
      for (let i = 0; i < step; i++) {
        await lab.runtime.settle();
        lab.runtime.runIo();
      }
      await finish(lab, channel.close());
      await lab.drain();
      if (compacting.state === 'rejected') {
        ended += 1;
        expect(compacting.error).toSatisfy((error) => RedexError.is(error, 'CLOSED'));
      }
      expect(lab.faults.openPaths).toEqual([]);
      const next = lab.cut(worst);
      const found = await idsOf(next, await finish(next, next.open(SMALL)));
      expect(found).toEqual(compacting.state === 'rejected' ? upTo(40) : odds);
      await next.drain();
      expect(generationsIn(next.disk, next.directory).length).toBe(1);
    }
    expect(ended).toBeGreaterThan(5);
  });
});

describe('in a store', () => {
  interface Opened {
    readonly lab: Lab;
    readonly redex: Redex;
    readonly channel: Channel;
    /** Lets so many operations through. */
    readonly run: (steps: number) => Promise<void>;
  }

  async function openedWith(options: RedexOptions = {}, seed = 1): Promise<Opened> {
    const store = new StoreLab({ io: 'oldest', seed });
    const { lab } = store;
    const redex = await store.open(options);
    const channel = await finish(lab, redex.channel('a', SMALL));
    for (const id of upTo(40)) await finish(lab, channel.append(payload(id, 300)));
    await finish(lab, channel.sync());
    const run = async (steps: number): Promise<void> => {
      for (let i = 0; i < steps; i++) {
        await lab.runtime.settle();
        lab.runtime.runIo();
      }
    };
    return { lab, redex, channel, run };
  }

  test('a backup is one of the two generations, whole', async () => {
    for (let step = 0; step < 50; step++) {
      const { lab, redex, channel, run } = await openedWith({}, step + 1);
      const backing = step % 2 === 0 ? undefined : redex.backup('/copy');
      const compacting = outcomeOf(channel.compact(odd));
      await run(step);
      await finish(lab, backing ?? redex.backup('/copy'));
      await lab.drain();
      expect(compacting.error, `step ${step}`).toBeUndefined();
      const copy = await finish(lab, Redex.open('/copy', { fs: lab.watch, runtime: lab.runtime }));
      const ids = (await idsOf(lab, await finish(lab, copy.channel('a')))).join();
      expect([upTo(40).join(), odds.join()], `step ${step}`).toContain(ids);
    }
  });

  test.each(['delete', 'rename'] as const)('%s in the middle', async (what) => {
    for (let step = 0; step < 50; step += 3) {
      const { lab, redex, channel, run } = await openedWith({}, step + 1);
      const compacting = outcomeOf(channel.compact(odd));
      await run(step);
      if (what === 'delete') expect(await finish(lab, redex.deleteChannel('a'))).toBe(true);
      else await finish(lab, redex.renameChannel('a', 'b'));
      await lab.drain();
      expect(compacting.state).not.toBe('pending');
      if (compacting.state === 'rejected') {
        expect(compacting.error).toSatisfy((error) => RedexError.is(error, 'CLOSED'));
      }
      expect(await finish(lab, redex.hasChannel('a'))).toBe(false);
      if (what === 'delete') continue;
      const renamed = await finish(lab, redex.channel('b'));
      const ids = await idsOf(lab, renamed);
      expect(ids).toEqual(compacting.state === 'rejected' ? upTo(40) : odds);
      await lab.drain();
      expect(generationsIn(lab.disk, `${DATA}/channels/b`).length).toBe(1);
    }
  });

  test('with 16 descriptors for several channels at once', async () => {
    const { lab, redex } = await openedWith({ maxOpenFiles: 16 });
    const channels: Channel[] = [];
    for (const name of ['b', 'c', 'd', 'e', 'f']) {
      const channel = await finish(lab, redex.channel(name, SMALL));
      for (const id of upTo(40)) await finish(lab, channel.append(payload(id, 300)));
      channels.push(channel);
    }
    let peak = 0;
    lab.disk.onOperation = () => {
      peak = Math.max(peak, lab.faults.openPaths.length);
    };
    const work = channels.map(async (channel) => {
      await channel.compact(odd);
      await channel.append(payload(41), { durability: 'synced' });
    });
    await finish(lab, Promise.all(work));
    for (const channel of channels) expect(await idsOf(lab, channel)).toEqual([...odds, 41]);
    // Beyond the limit each compaction may have a segment that it writes and one that it reads.
    expect(peak).toBeLessThanOrEqual(16 + 8 * channels.length);
    await finish(lab, redex.close());
    expect(lab.faults.openPaths).toEqual([]);
  });
});

test('a read-only process beside it sees one of the two, and what is appended after', async () => {
  for (let step = 0; step < 60; step += 2) {
    const lab = new FollowerLab(step + 1, 'random');
    const channel = await lab.openWriter(SMALL);
    for (const id of upTo(40)) await lab.done(channel.append(payload(id, 300)));
    await lab.done(channel.sync());
    const follower = await lab.follow();
    const compacting = outcomeOf(channel.compact(odd));
    const before: number[] = [];
    const reading = (async () => {
      for await (const record of new RecordIterator(follower.reader, {})) before.push(record.seq);
    })();
    for (let i = 0; i < step; i++) {
      await lab.runtime.settle();
      lab.runtime.runIo();
    }
    await lab.done(follower.look());
    await lab.done(reading);
    // It may change over in the middle of a read; what survives is there in any case.
    expect(before.filter((seq) => seq % 2 === 0)).toEqual(odds.map((id) => id - 1));
    await lab.runtime.drainIo();
    expect(compacting.error).toBeUndefined();
    await lab.done(channel.append(payload(41)));
    await lab.done(follower.look());
    const after: number[] = [];
    const again = (async () => {
      for await (const record of new RecordIterator(follower.reader, {})) after.push(record.seq);
    })();
    await lab.done(again);
    expect(after, `step ${step}`).toEqual([...odds.map((id) => id - 1), 40]);
    lab.expectOnlyReads();
    follower.close();
  }
});
