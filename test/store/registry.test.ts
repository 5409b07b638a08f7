/**
 * Goal: a store gives everybody the same Channel while it is open, keeps the options that it was
 * given, and does what concerns a channel as a whole one after the other, whatever is in flight.
 * Method: one store on a disk whose operations are held or fail, or on a plain one.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import type { ChannelOptions, ConfigureOptions } from '../../src/channel/options.js';
import type { RecoveryReport } from '../../src/channel/recovery-report.js';
import type { Redex } from '../../src/store/redex.js';
import { worst } from '../../src/testing/choices.js';
import { LARGE, outcomeOf, payload, rejection, requireCode } from '../support/channel-kit.js';
import { channelPath, DATA, fill, idsIn, idsOfName, StoreLab } from '../support/store-kit.js';

describe('the same channel', () => {
  test('is given to everybody while it is open, and a new one after its close', async () => {
    const redex = await new StoreLab().open();
    const together = await Promise.all([1, 2, 3].map(() => redex.channel('a')));
    const first = await redex.channel('a');
    for (const channel of together) expect(channel).toBe(first);
    expect(await redex.channel('b')).not.toBe(first);
    await first.append('x');
    await first.close();
    const second = await redex.channel('a');
    expect(second).not.toBe(first);
    expect(second.nextSeq).toBe(1);
    await redex.close();
  });

  test('is created once by those who ask at once, whatever each of them gives', async () => {
    const { lab, open } = labOf({ io: 'oldest' });
    const redex = await open();
    const asked = [
      outcomeOf(redex.channel('a', { sync: 'never', firstSeq: 7 })),
      outcomeOf(redex.channel('a', { firstSeq: 9 })),
      outcomeOf(redex.channel('a', { sync: 'always' })),
      outcomeOf(redex.hasChannel('a')),
      outcomeOf(redex.channel('a', { createIfMissing: false })),
    ];
    await lab.drain();
    const states = asked.map(({ state }) => state);
    expect(states).toEqual(['resolved', 'resolved', 'rejected', 'resolved', 'resolved']);
    expect(requireCode(asked[2]?.error, 'OPTIONS_CONFLICT')).toMatchObject({ option: 'sync' });
    expect(asked[1]?.value).toHaveProperty('firstSeq', 7);
    expect(asked[3]?.value).toBe(true);
  });

  test('that is being closed is opened again when it is closed', async () => {
    const store = new StoreLab({ io: 'oldest' });
    const { lab } = store;
    const redex = await store.open();
    const first = await lab.done(redex.channel('a', { sync: 'never' }));
    const large = outcomeOf(first.append(payload(1, LARGE)));
    await lab.runtime.settle();
    const closing = outcomeOf(first.close());
    const again = outcomeOf(redex.channel('a'));
    await lab.runtime.settle();
    expect([large.state, closing.state, again.state]).toEqual(['pending', 'pending', 'pending']);
    await lab.drain();
    expect([large.state, closing.state]).toEqual(['resolved', 'resolved']);
    expect(again.value).not.toBe(first);
    expect(again.value?.nextSeq).toBe(1);
    expect(store.violations).toEqual([]);
  });
});

describe('options', () => {
  const CASES: readonly [keyof ConfigureOptions, ChannelOptions, ChannelOptions][] = [
    ['sync', { sync: 'never' }, { sync: 'always' }],
    ['sync', { sync: { everyN: 3 } }, { sync: { everyN: 4 } }],
    ['sync', { sync: { everyN: 3 } }, { sync: { everyN: 3, intervalMs: 5 } }],
    ['segmentBytes', { segmentBytes: 8192 }, { segmentBytes: 4096, sync: 'always' }],
    ['segmentMs', { segmentMs: 1000 }, { segmentMs: 0 }],
  ];

  test.each(CASES)('that are given and differ in %s are a conflict', async (option, had, other) => {
    const redex = await new StoreLab().open();
    const expected = { option, stored: had[option], given: other[option] };
    const channel = await redex.channel('a', had);
    expect(await rejection(redex.channel('a', other), 'OPTIONS_CONFLICT')).toMatchObject(expected);
    await channel.close();
    expect(await rejection(redex.channel('a', other), 'OPTIONS_CONFLICT')).toMatchObject(expected);
    // A conflict leaves nothing behind it, and what is the same is none.
    expect((await redex.channel('a', had)).options).toMatchObject(had);
    await redex.close();
  });

  test('are those of the store for a channel that is created without its own', async () => {
    const store = new StoreLab();
    const before = await store.open({ sync: 'never', segmentMs: 5000 });
    await before.channel('old');
    await before.close();
    const redex = await store.open({ sync: { everyN: 2 }, segmentBytes: 8192 });
    expect((await redex.channel('old')).options).toEqual({
      sync: 'never',
      segmentBytes: 64 * 1024 * 1024,
      segmentMs: 5000,
    });
    const { options } = await redex.channel('new', { segmentMs: 7 });
    expect(options).toEqual({ sync: { everyN: 2 }, segmentBytes: 8192, segmentMs: 7 });
    await redex.close();
  });

  test('that are misspelt or cannot be meant are refused before anything is done', async () => {
    const { lab, open } = labOf();
    const redex = await open();
    const { total } = lab.faults.calls;
    const wrong = [{ sink: 'never' }, { sync: 'sometimes' }, { sync: { every: 1 } }] as object[];
    for (const options of wrong) {
      await expect(redex.channel('a', options)).rejects.toThrow(TypeError);
    }
    for (const options of [{ segmentBytes: 1 }, { firstSeq: -1 }, { sync: {} }]) {
      await expect(redex.channel('a', options)).rejects.toThrow(RangeError);
    }
    expect(lab.faults.calls.total).toBe(total);
    await redex.close();
  });

  test('createIfMissing: false creates nothing, for a channel and for a store', async () => {
    const store = new StoreLab();
    const error = await rejection(store.open({ createIfMissing: false }), 'NOT_FOUND');
    expect(error.kind).toBe('store');
    expect(store.lab.disk.readDirectorySync('/')).toEqual([]);
    const redex = await store.open();
    const before = store.tree;
    const missing = redex.channel('a', { createIfMissing: false });
    expect(await rejection(missing, 'NOT_FOUND')).toMatchObject({ kind: 'channel', resource: 'a' });
    expect(store.tree).toEqual(before);
    await redex.close();
    await (await store.open({ createIfMissing: false })).close();
  });

  test('firstSeq is the first seq of a new channel and nothing to an old one', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    const channel = await redex.channel('a', { firstSeq: 1000 });
    expect([channel.firstSeq, channel.nextSeq, channel.count]).toEqual([1000, 1000, 0]);
    expect(await channel.append(payload(1))).toBe(1000);
    await rejection(channel.get(999), 'OUT_OF_RANGE');
    await redex.close();
    const again = await store.open();
    const same = await again.channel('a', { firstSeq: 5 });
    expect([same.firstSeq, same.nextSeq]).toEqual([1000, 1001]);
    await again.close();
  });
});

describe('configure', () => {
  test('stores options durably; the others stay', async () => {
    const { lab, open } = labOf();
    const channel = await (await open()).channel('a', { sync: 'never', segmentMs: 9 });
    await channel.configure({ segmentBytes: 8192 });
    const expected = { sync: 'never', segmentBytes: 8192, segmentMs: 9 };
    expect(channel.options).toEqual(expected);
    const cut = new StoreLab(lab.cut(worst));
    expect((await (await cut.open()).channel('a')).options).toEqual(expected);
  });

  test('takes effect at once: the sync policy, and the size of segments', async () => {
    const { lab, open } = labOf();
    const channel = await (await open()).channel('a', { sync: 'never' });
    await fill(channel, 1, 2);
    expect(channel.durableSeq).toBe(0);
    await channel.configure({ sync: { everyN: 1 } });
    await lab.runtime.settle();
    // What was put off under the old policy is synced as well.
    expect(channel.durableSeq).toBe(2);
    await fill(channel, 3);
    await lab.runtime.settle();
    expect(channel.durableSeq).toBe(3);
    await channel.configure({ segmentBytes: 4096, sync: 'always' });
    await channel.append(payload(4, 4000));
    await channel.append(payload(5, 4000));
    expect(channel.durableSeq).toBe(5);
    expect((await channel.stats()).segments).toBeGreaterThanOrEqual(3);
    expect(await idsIn(channel)).toEqual([1, 2, 3, 4, 5]);
  });

  test.each(['createSync', 'anyWrite', 'datasyncSync', 'renameSync'] as const)(
    'that fails at %s changes nothing',
    async (operation) => {
      const { lab, open } = labOf();
      const redex = await open();
      const channel = await redex.channel('a', { sync: 'never' });
      const fault = lab.fail(operation, /config\.next$/, 'ENOSPC');
      const error = await rejection(channel.configure({ sync: 'always' }), 'IO');
      expect([error.systemCode, error.outcome, fault.fired]).toEqual(['ENOSPC', 'absent', 1]);
      expect(channel.options.sync).toBe('never');
      await fill(channel, 1);
      expect(channel.durableSeq).toBe(0);
      await redex.close();
      const next = await open();
      expect((await next.channel('a')).options.sync).toBe('never');
      await (await next.channel('a')).configure({ sync: 'always' });
      expect((await next.channel('a')).options.sync).toBe('always');
      await next.close();
    },
  );

  test('that cannot write what waits in the journal changes nothing', async () => {
    const { lab, open } = labOf();
    const redex = await open();
    const channel = await redex.channel('a');
    await fill(channel, 1);
    const fault = lab.fail('openSync', /\.dat$/, 'EMFILE');
    const error = await rejection(channel.configure({ sync: 'never' }), 'IO');
    expect([error.systemCode, error.outcome, fault.fired]).toEqual(['EMFILE', 'absent', 1]);
    expect(channel.options.sync).toBe('always');
    await fill(channel, 2);
    expect(channel.durableSeq).toBe(2);
    // Of two at once neither takes back what the other has changed.
    await Promise.all([
      channel.configure({ sync: 'never' }),
      channel.configure({ segmentBytes: 5000 }),
    ]);
    await fill(channel, 3);
    expect(channel.durableSeq).toBe(2);
    await redex.close();
    const next = await open();
    const { options } = await next.channel('a');
    expect(options).toMatchObject({ sync: 'never', segmentBytes: 5000 });
    expect(await idsIn(await next.channel('a'))).toEqual([1, 2, 3]);
    await next.close();
  });

  test('whose name may not last poisons the channel, and no other', async () => {
    const { lab, open } = labOf();
    const redex = await open();
    const channel = await redex.channel('a', { sync: 'never' });
    const other = await redex.channel('b');
    lab.fail('syncDirectorySync', /channels\/a$/, 'EIO');
    await rejection(channel.configure({ sync: 'always' }), 'POISONED');
    await rejection(channel.append('x'), 'POISONED');
    await rejection(channel.configure({ sync: 'never' }), 'POISONED');
    await fill(other, 1);
    await rejection(channel.close(), 'POISONED');
    const again = await redex.channel('a');
    await fill(again, 2);
    expect(await idsIn(again)).toEqual([2]);
  });
});

describe('a store', () => {
  test('tells of recoveries, and a listener that throws does no harm', async () => {
    const store = new StoreLab();
    const before = await store.open();
    await fill(await before.channel('a'), 1, 2);
    await (await before.channel('b')).close();
    const told: RecoveryReport[] = [];
    const logged: string[] = [];
    const log = (message: string): void => {
      logged.push(message);
      throw new Error('a full disk');
    };
    const redex = await store.kill().open({
      onRecovery: (report) => {
        told.push(report);
        throw new Error('of its own');
      },
      logger: { debug: log, info: log, warn: log, error: log },
    });
    expect(await idsOfName(redex, 'a')).toEqual([1, 2]);
    await redex.channel('b');
    expect(told).toMatchObject([{ channel: 'a', directory: channelPath('a'), nextSeq: 2 }]);
    expect(logged).toEqual(['onRecovery threw']);
    await redex.close();
  });

  test('is disposed of by await using, and a channel too', async () => {
    const store = new StoreLab();
    let kept: Channel | undefined;
    {
      await using redex = await store.open();
      await using channel = await redex.channel('a');
      kept = channel;
      await fill(channel, 1);
    }
    await rejection(kept.append('x'), 'CLOSED');
    await (await store.open()).close();
    expect(store.lab.faults.openPaths).toEqual([]);
  });

  test('says what it is made of', async () => {
    const redex = await new StoreLab().open({ maxOpenFiles: 40 });
    await (await redex.channel('a')).append('x');
    await (await redex.channel('b')).close();
    const stats = await redex.stats();
    expect(stats).toMatchObject({ channels: 2, openChannels: 1, openFiles: 0, maxOpenFiles: 40 });
    // Through the journal nothing of the channel itself is open; else dat twice, idx and ts.
    await (await redex.channel('c', { sync: 'never' })).append('x');
    expect((await redex.stats()).openFiles).toBe(4);
    expect(stats).toMatchObject({ directory: DATA, readOnly: false, created: 1_700_000_000_000 });
    expect(stats.storeId).toMatch(/^[0-9a-f]{32}$/);
    await redex.close();
  });

  test('syncs all of its channels', async () => {
    const redex = await new StoreLab().open({ sync: 'never' });
    const channels = await Promise.all(['a', 'b', 'c'].map((name) => redex.channel(name)));
    for (const channel of channels) await fill(channel, 1);
    await redex.sync();
    expect(channels.map(({ durableSeq }) => durableSeq)).toEqual([1, 1, 1]);
    await redex.close();
  });
});

function labOf(options: ConstructorParameters<typeof StoreLab>[0] = {}): {
  readonly lab: StoreLab['lab'];
  readonly open: () => Promise<Redex>;
} {
  const store = new StoreLab(options);
  return { lab: store.lab, open: () => store.open() };
}
