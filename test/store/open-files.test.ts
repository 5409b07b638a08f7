/**
 * Goal: however many channels are open, their descriptors stay within `maxOpenFiles`, and nothing
 * is lost or held up by it: no dat is closed over a byte that no sync covers (rule S6), no attempt
 * number comes twice (rule W2), what has to wait is woken.
 * Method: a file system that counts descriptors; held and failing syncs; the manual clock.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { SyncPolicy } from '../../src/channel/options.js';
import { IDLE_WITNESS_MS } from '../../src/channel/sync-schedule.js';
import type { LogRecord } from '../../src/core/record.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { Redex } from '../../src/store/redex.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import {
  outcomeOf,
  parseDat,
  payload,
  payloadId,
  readFile,
  rejection,
} from '../support/channel-kit.js';
import { WatchFs } from '../support/channel-watch.js';
import { channelPath, CountingFs, DATA, fill, idsIn, StoreLab } from '../support/store-kit.js';

/**
 * What may be open beyond `maxOpenFiles`: LOCK, while channels are opened or created one file of
 * each of the four that are opened at once, and the journal's: two of its segment, one of its
 * control block.
 */
const ALLOWANCE = 8;
/** The segment that the journal is written to is open twice. */
const JOURNAL: readonly string[] = Array.from({ length: 2 }, () => {
  return `${DATA}/journal/0000000001.journal`;
});
const DAT = /\.dat$/;
/**
 * After which nothing is open and no timer runs: a witness is written, and, when it went through
 * the journal, a checkpoint brings it to dat once nothing has come for a second again.
 */
const QUIET_MS = 5 * IDLE_WITNESS_MS;

const POLICIES: readonly [string, SyncPolicy][] = [
  ['always', 'always'],
  ['never', 'never'],
  ['everyN', { everyN: 2 }],
  ['maxBytes', { maxBytes: 100 }],
  ['intervalMs', { intervalMs: 20 }],
];

interface Counted {
  readonly fs: CountingFs;
  /** What no descriptor may ever do, closing one over unsynced bytes among it. */
  readonly violations: () => string[];
  readonly runtime: ManualRuntime;
  readonly redex: Redex;
}

async function counted(
  maxOpenFiles: number,
  sync: SyncPolicy,
  before?: MemoryFs,
): Promise<Counted> {
  const runtime = new ManualRuntime({ ioOrder: 'immediate' });
  const fs = new CountingFs(before ?? new MemoryFs());
  const watch = new WatchFs(fs);
  const redex = await Redex.open(DATA, { fs: watch, runtime, maxOpenFiles, sync });
  const violations = (): string[] => watch.violations.filter((what) => !what.includes('LOCK'));
  return { fs, violations, runtime, redex };
}

const namesOf = (count: number): string[] => Array.from({ length: count }, (_, i) => `c${i}`);

function openAll(redex: Redex, count: number): Promise<Channel[]> {
  return Promise.all(namesOf(count).map((name) => redex.channel(name)));
}

/** The number of a record that is whole. */
function idOf(record: LogRecord | undefined): number | undefined {
  return record === undefined ? undefined : payloadId(record.payload);
}

function datOf(name: string, baseSeq = 0): string {
  return `${channelPath(name)}/v0000000001/${String(baseSeq).padStart(20, '0')}.dat`;
}

describe.each(POLICIES)('1,000 channels with 64 descriptors, %s', (_name, sync) => {
  test('are opened, appended to, read, closed and opened again', async () => {
    const { fs, violations, redex } = await counted(64, sync);
    const channels = await openAll(redex, 1000);
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(channels.map((channel, i) => channel.append(payload(3 * i + round))));
    }
    channels[7]?.appendSync(payload(3 * 7 + 3));
    for (const [i, channel] of channels.entries()) {
      const last = i === 7 ? [3 * i + 3] : [];
      expect(await idsIn(channel)).toEqual([3 * i, 3 * i + 1, 3 * i + 2, ...last]);
    }
    expect((await redex.stats()).openChannels).toBe(1000);
    await redex.close();
    expect([fs.openPaths, violations()]).toEqual([[], []]);
    // What the journal has is read from memory; it is in files when the store is opened again.
    if (sync !== 'always') expect(fs.peak).toBeGreaterThan(32);
    expect(fs.peak).toBeLessThanOrEqual(64 + ALLOWANCE);
    const next = await counted(64, 'always', fs.inner as MemoryFs);
    for (const [i, channel] of (await openAll(next.redex, 1000)).entries()) {
      const { length } = await idsIn(channel);
      expect([channel.count, length]).toEqual(i === 7 ? [4, 4] : [3, 3]);
    }
    await next.redex.close();
    expect(next.fs.peak).toBeGreaterThan(32);
    expect(next.fs.peak).toBeLessThanOrEqual(64 + ALLOWANCE);
  });

  test('stay within them while all of them roll over', async () => {
    const { fs, violations, redex } = await counted(64, sync);
    const options = { segmentBytes: 4096 };
    const channels = await Promise.all(namesOf(100).map((name) => redex.channel(name, options)));
    for (let round = 0; round < 5; round += 1) {
      const bytes = payload(round, 3000);
      await Promise.all(channels.map((channel) => channel.append(bytes)));
    }
    expect((await channels[0]?.stats())?.segments).toBe(5);
    await redex.close();
    expect(violations()).toEqual([]);
    expect(fs.peak).toBeLessThanOrEqual(64 + ALLOWANCE);
  });
});

describe('with every descriptor busy', () => {
  test('an append that begins a segment waits for a sync, too', async () => {
    const store = new StoreLab({ io: 'oldest' });
    const { lab } = store;
    const redex = await store.open({ maxOpenFiles: 16, sync: 'never' });
    const open = (i: number): Promise<Channel> =>
      lab.done(redex.channel(`busy${i}`, { segmentBytes: 4096 }));
    const channels = [await open(0), await open(1), await open(2), await open(3)];
    for (const channel of channels) await channel.append(payload(0, 3000));
    const waiting = channels.map((channel) => outcomeOf(channel.append(payload(1, 3000))));
    await lab.runtime.settle();
    expect(waiting.map(({ state }) => state)).toEqual(Array(4).fill('pending'));
    expect(lab.runtime.heldIo).toBeGreaterThan(0);
    await lab.drain();
    expect(waiting.map(({ state }) => state)).toEqual(Array(4).fill('resolved'));
    expect((await redex.stats()).openFiles).toBeLessThanOrEqual(16);
    // Who cannot wait syncs, and then has the room.
    for (const channel of channels) expect(channel.appendSync(payload(2, 3000))).toBe(2);
    await lab.drain();
    for (const channel of channels) expect(await lab.done(idsIn(channel))).toEqual([0, 1, 2]);
    expect(lab.faults.openPaths.length).toBeLessThanOrEqual(16 + 1);
    expect(store.violations).toEqual([]);
    await lab.done(redex.close());
  });

  test('an append waits for the sync that frees some, and appendSync makes one', async () => {
    const store = new StoreLab({ io: 'oldest' });
    const { lab } = store;
    const redex = await store.open({ maxOpenFiles: 16, sync: 'never' });
    const open = (name: string): Promise<Channel> => lab.done(redex.channel(name));
    for (let i = 0; i < 4; i += 1) await fill(await open(`busy${i}`), i);
    const [late, sync] = [await open('late'), await open('sync')];
    const waiting = outcomeOf(late.append(payload(7)));
    await lab.runtime.settle();
    // Exactly one sync was begun for it.
    expect([waiting.state, lab.runtime.heldIo]).toEqual(['pending', 1]);
    expect(sync.appendSync(payload(8))).toBe(0);
    await lab.drain();
    expect(waiting.state).toBe('resolved');
    expect(lab.faults.openPaths.length).toBeLessThanOrEqual(16 + 1);
    expect(store.violations).toEqual([]);
    await lab.done(redex.close());
    const next = await store.open();
    for (const [name, id] of [
      ['late', 7],
      ['sync', 8],
      ['busy3', 3],
    ] as const) {
      const channel = await lab.done(next.channel(name));
      expect(await lab.done(idsIn(channel)), name).toEqual([id]);
    }
    expect(store.violations).toEqual([]);
  });

  test('many that wait are all served, in their order', async () => {
    const store = new StoreLab({ io: 'oldest' });
    const { lab } = store;
    const redex = await store.open({ maxOpenFiles: 16, sync: 'never' });
    const channels: Channel[] = [];
    for (const name of namesOf(40)) channels.push(await lab.done(redex.channel(name)));
    const order: number[] = [];
    const appends = channels.map((channel, i) =>
      channel.append(payload(i)).then(() => order.push(i)),
    );
    await lab.done(Promise.all(appends));
    expect(order).toEqual(channels.map((_, i) => i));
    expect(store.violations).toEqual([]);
    await lab.done(redex.close());
  });

  test('a poisoned channel is in nobody’s way', async () => {
    const store = new StoreLab();
    const { lab } = store;
    const redex = await store.open({ maxOpenFiles: 16, sync: 'never' });
    const busy = await openAll(redex, 4);
    for (const [i, channel] of busy.entries()) await fill(channel, i);
    lab.fail('datasync', DAT, 'EIO', { times: 3 });
    const late = await redex.channel('late');
    for (const id of [5, 6]) await fill(late, id);
    const more = await redex.channel('more');
    await fill(more, 7);
    expect([await idsIn(late), await idsIn(more)]).toEqual([[5, 6], [7]]);
    const poisoned = await Promise.all(busy.map((channel) => channel.stats()));
    expect(poisoned.filter(({ isPoisoned }) => isPoisoned).length).toBeGreaterThan(0);
    await redex.close().catch(() => undefined);
    expect(lab.faults.openPaths).toEqual([]);
  });

  test('the only one that could give room and is poisoned by its sync gives it', async () => {
    const store = new StoreLab();
    const { lab } = store;
    const redex = await store.open({ maxOpenFiles: 16, sync: 'never' });
    const read = await openAll(redex, 4);
    for (const [i, channel] of read.entries()) await fill(channel, i, i + 1);
    // Readers half way keep three of the four; they are synced, and not to be closed.
    for (const channel of read.slice(1)) await channel.sync();
    const half = read.slice(1).map((channel) => channel.read());
    for (const each of half) await each.next();
    lab.fail('datasync', DAT, 'EIO');
    const late = outcomeOf((await redex.channel('late')).append(payload(9)));
    await lab.runtime.settle();
    expect(late.state).toBe('resolved');
    for (const each of half) await each.return?.();
  });
});

describe('readers', () => {
  test('of more channels than there are descriptors read on, and none is left open', async () => {
    const { fs, violations, redex } = await counted(16, 'never');
    const channels = await openAll(redex, 20);
    for (const [i, channel] of channels.entries()) {
      for (let n = 0; n < 3; n += 1) await channel.append(payload(3 * i + n, 400_000));
    }
    const iterators = channels.map((channel) => channel.read());
    for (let n = 0; n < 3; n += 1) {
      for (const [i, iterator] of iterators.entries()) {
        const step = await iterator.next();
        expect(step.done === true ? undefined : idOf(step.value)).toBe(3 * i + n);
      }
      for (const [i, channel] of channels.entries()) {
        expect(idOf(await channel.get(n))).toBe(3 * i + n);
      }
    }
    for (const iterator of iterators) expect((await iterator.next()).done).toBe(true);
    // Readers never wait, so half way they may go over the limit; nothing of it stays.
    await channels[0]?.get(0);
    await channels[1]?.get(0);
    expect((await redex.stats()).openFiles).toBeLessThanOrEqual(16);
    expect(fs.openPaths.length).toBeLessThanOrEqual(16 + 1);
    await redex.close();
    expect(violations()).toEqual([]);
  });
});

describe('a parked segment', () => {
  test('that cannot be opened again (EMFILE) fails that append only', async () => {
    const store = new StoreLab();
    const { lab } = store;
    const redex = await store.open();
    const channel = await redex.channel('a', { sync: { everyN: 1 } });
    await fill(channel, 1);
    await lab.runtime.elapse(2 * IDLE_WITNESS_MS);
    for (const nth of [1, 2]) {
      const fault = lab.fail('openSync', DAT, 'EMFILE', { nth });
      const error = await rejection(channel.append(payload(2)), 'IO');
      expect([error.systemCode, error.outcome, fault.fired]).toEqual(['EMFILE', 'absent', 1]);
      fault.remove();
      expect(lab.faults.openPaths.filter((path) => DAT.test(path))).toEqual([]);
    }
    const fault = lab.fail('openSync', DAT, 'EMFILE');
    const read = await rejection(channel.get(0), 'IO');
    expect([read.systemCode, fault.fired]).toEqual(['EMFILE', 1]);
    expect(await channel.append(payload(3))).toBe(1);
    // Where only idx or ts cannot be opened, nothing fails at all.
    await lab.runtime.elapse(2 * IDLE_WITNESS_MS);
    const other = lab.fail('openSync', /\.(idx|ts)$/, 'EMFILE', { times: 2 });
    expect(await channel.append(payload(4))).toBe(2);
    expect(other.fired).toBe(2);
    expect(await idsIn(channel)).toEqual([1, 3, 4]);
    await redex.close();
    const next = await store.open();
    expect(await idsIn(await next.channel('a'))).toEqual([1, 3, 4]);
  });

  test('with a journal is opened for no append after the first (EMFILE)', async () => {
    const store = new StoreLab();
    const { lab } = store;
    const redex = await store.open();
    const channel = await redex.channel('a');
    await fill(channel, 1);
    await lab.runtime.elapse(QUIET_MS);
    // But to see, once, that it is what it was.
    const once = lab.fail('openSync', DAT, 'EMFILE');
    const error = await rejection(channel.append(payload(2)), 'IO');
    expect([error.systemCode, error.outcome, once.fired]).toEqual(['EMFILE', 'absent', 1]);
    expect(await channel.append(payload(2))).toBe(1);
    const fault = lab.fail('openSync', /\.(dat|idx|ts)$/, 'EMFILE', { times: Infinity });
    expect(channel.appendSync(payload(3))).toBe(2);
    expect(channel.durableSeq).toBe(3);
    // What waits is read from memory; the checkpoint cannot be written, and is tried again.
    expect((await channel.get(1))?.payload).toEqual(payload(2));
    await lab.runtime.elapse(QUIET_MS);
    expect(fault.fired).toBeGreaterThan(0);
    expect(parseDat(readFile(lab.disk, datOf('a'))).units.length).toBeLessThan(3);
    fault.remove();
    expect(await channel.append(payload(4))).toBe(3);
    await lab.runtime.elapse(QUIET_MS);
    expect(parseDat(readFile(lab.disk, datOf('a'))).units.length).toBeGreaterThan(3);
    await redex.close();
    const next = await store.open();
    expect(await idsIn(await next.channel('a'))).toEqual([1, 2, 3, 4]);
  });

  test('costs no descriptor and no timer, a witness after its last append', async () => {
    for (const [, sync] of POLICIES.filter(([name]) => name !== 'never')) {
      const { fs, runtime, redex } = await counted(64, sync);
      const channels = await openAll(redex, 10);
      for (const channel of channels) await fill(channel, 1, 2);
      await runtime.elapse(100);
      if (typeof sync === 'object' && sync.maxBytes !== undefined) await redex.sync();
      await runtime.elapse(QUIET_MS);
      expect(fs.openPaths).toEqual([`${DATA}/LOCK`, ...JOURNAL]);
      expect(runtime.pending).toEqual([]);
      expect((await redex.stats()).openFiles).toBe(0);
      for (const name of namesOf(10)) {
        const units = parseDat(readFile(fs.inner, datOf(name))).units;
        expect(units.at(-1)).toMatchObject({ recordCount: 0, durableSeq: 2 });
      }
      await redex.close();
    }
  });

  test.each<SyncPolicy>(['always', { everyN: 1 }])('goes on where it was, %o', async (sync) => {
    const { fs, runtime, redex } = await counted(16, sync);
    const channel = await redex.channel('a');
    const options = { timestamp: runtime.now() };
    for (let id = 1; id <= 12; id += 1) {
      await channel.append(payload(id), { timestamp: options.timestamp + 1000 * id });
      if (id % 2 === 0) await runtime.elapse(QUIET_MS);
      if (id % 3 === 0) await channel.get(0);
    }
    const attempts = parseDat(readFile(fs.inner, datOf('a'))).units.map(({ attempt }) => attempt);
    expect(new Set(attempts).size).toBe(attempts.length);
    expect(attempts).toEqual(attempts.map((_, i) => ((attempts[0] ?? 0) + i) >>> 0));
    const { calls } = fs;
    const created = calls.of('createSync');
    for (let seq = 0; seq < 12; seq += 1) {
      expect((await channel.get(seq))?.payload).toEqual(payload(seq + 1));
      expect(await channel.seqAt(options.timestamp + 1000 * (seq + 1))).toBe(seq);
    }
    await redex.close();
    // Nothing had to be rebuilt: every entry stood where it belongs.
    const next = await counted(16, 'always', fs.inner as MemoryFs);
    const again = await next.redex.channel('a');
    expect(again.count).toBe(12);
    for (let seq = 0; seq < 12; seq += 1) {
      expect((await again.get(seq))?.payload).toEqual(payload(seq + 1));
      expect(await again.seqAt(options.timestamp + 1000 * (seq + 1))).toBe(seq);
    }
    expect(calls.of('createSync')).toBe(created);
    expect(next.fs.calls.paths.filter((path) => /\.(idx|ts)\.tmp$/.test(path))).toEqual([]);
    await next.redex.close();
  });
});
