/**
 * Goal: the list of channels is sorted and whole, has the numbers that opening each of them would
 * show, changes nothing, and says of a damaged one what is wrong with it.
 * Method: stores in memory, closed, open and killed; files made bad by hand.
 */
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { encodeChannelName } from '../../src/format/channel-name.js';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import type { ChannelInfo, ChannelListOptions } from '../../src/store/channel-list.js';
import { Redex } from '../../src/store/redex.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';
import { payload, rejection } from '../support/channel-kit.js';
import { NASTY_NAMES } from '../support/nasty-names.js';
import { editFile, flipBit, putFile, readFile } from '../support/recovery-lab.js';
import {
  channelPath,
  CHANNELS,
  DATA,
  fill,
  idsOfName,
  inOrder,
  listed,
  StoreLab,
} from '../support/store-kit.js';

async function namesIn(redex: Redex, options?: ChannelListOptions): Promise<string[]> {
  return (await listed(redex, options)).map(({ name }) => name);
}

/** What a list says of a channel that is open. */
function infoOf(channel: Channel, created: number): ChannelInfo {
  const { name, firstSeq, nextSeq, count, sizeBytes, options } = channel;
  return { name, firstSeq, nextSeq, count, sizeBytes, options, created, isOpen: true };
}

describe('names', () => {
  test('are sorted as JavaScript compares strings, whatever they are', async () => {
    const redex = await new StoreLab().open();
    for (const name of NASTY_NAMES) await redex.channel(name);
    expect(await namesIn(redex)).toEqual(inOrder(NASTY_NAMES));
    // Surrogates sort below what stands behind them in Unicode: code units are compared.
    await redex.channel('\u{1f600}');
    await redex.channel('\uffee');
    const names = await namesIn(redex);
    expect(names.indexOf('\u{1f600}')).toBeLessThan(names.indexOf('\uffee'));
    await redex.close();
  });

  test('are chosen by the prefix of the name, not of its directory', async () => {
    const long = 'x/'.repeat(300);
    const names = ['a', 'a%2fb', 'a/', 'a/b', 'a/b/c', 'A', 'é', 'éa', 'e', '%', `${long}1`];
    names.push(`${long}2`, `y${long}`, '.hidden', 'con', '日本', '日曜');
    const redex = await new StoreLab().open();
    for (const name of names) await redex.channel(name);
    // Some end inside of an escape (%2f), or inside of what a cut entry does not show any more.
    const prefixes = ['', 'a', 'a/', 'a%', 'a%2', 'a%2f', 'a/b', 'é', '日', '.', 'c', '%', 'z'];
    prefixes.push('x', long, `${long}1`, long.slice(0, 400), `y${long.slice(0, 500)}`, 'aa');
    for (const prefix of prefixes) {
      const expected = inOrder(names.filter((name) => name.startsWith(prefix)));
      expect(await namesIn(redex, { prefix }), prefix.slice(0, 20)).toEqual(expected);
    }
    expect(await namesIn(redex, { prefix: undefined })).toHaveLength(names.length);
    await redex.close();
  });

  test('of what is no channel are not listed', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    await redex.channel('a');
    const { disk } = store.lab;
    for (const entry of ['B', 'c%2F', 'é', '.d', 'e.', '.new/f', 'con', 'g%', 'h~1', '%61']) {
      disk.mkdirSync(`${CHANNELS}/${entry}`);
    }
    putFile(disk, `${CHANNELS}/file`, payload(1));
    putFile(disk, `${CHANNELS}/notes.txt`, payload(1));
    expect(await namesIn(redex)).toEqual(['a']);
    expect((await redex.stats()).channels).toBe(1);
    await redex.close();
  });
});

/** Channels of many kinds, in a store that nobody closes. */
async function storeOfMany(): Promise<{ store: StoreLab; redex: Redex; channels: Channel[] }> {
  const store = new StoreLab();
  const redex = await store.open();
  const channels: Channel[] = [];
  const open = async (...given: Parameters<Redex['channel']>): Promise<Channel> => {
    store.lab.runtime.advance(1000);
    const channel = await redex.channel(...given);
    channels.push(channel);
    return channel;
  };
  await open('empty');
  await open('empty/later', { firstSeq: 1000, sync: 'never', segmentMs: 5 });
  await fill(await open('one'), 1);
  await fill(await open('started', { firstSeq: 77, sync: { everyN: 100 } }), 1, 2, 3);
  const rolled = await open('rolled', { segmentBytes: 4096, sync: 'never' });
  for (let id = 0; id < 9; id += 1) await rolled.append(payload(id, 1500));
  await fill(await open('long/'.repeat(60)), 1, 2);
  channels.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { store, redex, channels };
}

const FIRST_CREATED = 1_700_000_001_000;

describe('numbers', () => {
  test('are those of the channel, while it is open and when it is closed', async () => {
    const { store, redex, channels } = await storeOfMany();
    const created = await Promise.all(channels.map(async (each) => (await each.stats()).created));
    expect(Math.min(...created)).toBe(FIRST_CREATED);
    const open = channels.map((channel, i) => infoOf(channel, created[i] ?? 0));
    expect(await listed(redex)).toEqual(open);
    const rolled = channels.find(({ name }) => name === 'rolled');
    expect((await rolled?.stats())?.segments).toBeGreaterThan(3);

    const closed = open.map((info) => ({ ...info, isOpen: false }));
    await rolled?.close();
    expect(await listed(redex)).toMatchObject(
      open.map(({ name }) => ({ name, isOpen: name !== 'rolled' })),
    );
    await redex.close();
    const next = await store.open();
    const { tree } = store;
    expect(await listed(next)).toEqual(closed);
    expect(store.tree).toEqual(tree);
    await next.close();
  });

  test('are the same before the recovery, which the list does not begin', async () => {
    const { store, channels } = await storeOfMany();
    const killed = store.kill();
    const { disk, faults } = killed.lab;
    // A frame that was not written to its end is not counted.
    for (const path of ['one', 'started'].map((name) => `${channelPath(name)}/v0000000001`)) {
      const dat = disk.readDirectorySync(path).find(({ name }) => name.endsWith('.dat'));
      editFile(disk, `${path}/${dat?.name}`, (bytes) => Buffer.concat([bytes, payload(5, 50)]));
    }
    const redex = await killed.open();
    const before = [killed.tree, faults.openPaths, faults.calls.in('anyMutation')];
    const found = await listed(redex);
    expect([killed.tree, faults.openPaths, faults.calls.in('anyMutation')]).toEqual(before);
    expect(faults.openPaths).toEqual([`${DATA}/LOCK`]);
    expect((await redex.stats()).openFiles).toBe(0);
    expect(found).toEqual(
      channels.map((channel, i) => ({
        ...infoOf(channel, found[i]?.created ?? 0),
        isOpen: false,
      })),
    );
    for (const { name } of channels) await redex.channel(name);
    expect(await listed(redex)).toEqual(
      found.map((info) => Object.assign({}, info, { isOpen: true })),
    );
    expect(killed.lab.watch.violations.filter((what) => !what.includes('LOCK'))).toEqual([]);
    await redex.close();
  });

  test.each(['always', 'never'] as const)(
    'of a channel with damage (%s) are as readers see',
    async (sync) => {
      const store = new StoreLab();
      const before = await store.open({ sync });
      const channel = await before.channel('a');
      for (const id of [1, 2, 3, 4]) {
        await fill(channel, id);
        await channel.sync();
      }
      // Until a checkpoint has brought them to the dat file, the journal would mend the damage.
      await store.lab.runtime.elapse(5000);
      const killed = store.kill();
      const dat = `${channelPath('a')}/v0000000001/00000000000000000000.dat`;
      flipBit(killed.lab.disk, dat, 8 * 200);
      const redex = await killed.open();
      const [closed] = await listed(redex);
      const { damage } = await (await redex.channel('a')).stats();
      expect(damage?.check).toBe('checksum');
      const [open] = await listed(redex);
      expect(closed).toEqual({ ...open, isOpen: false });
      expect(closed?.error).toBeUndefined();
    },
  );

  test('of a channel with damage to what the journal has are those of the mended one', async () => {
    const store = new StoreLab();
    const before = await store.open();
    const channel = await before.channel('a');
    for (const id of [1, 2, 3, 4]) await fill(channel, id);
    // A backup brings it to the dat file, and leaves it in the journal.
    await before.backup('/copy');
    const killed = store.kill();
    const dat = `${channelPath('a')}/v0000000001/00000000000000000000.dat`;
    flipBit(killed.lab.disk, dat, 8 * 200);
    const redex = await killed.open();
    expect(await listed(redex)).toMatchObject([{ name: 'a', count: 4 }]);
    expect((await (await redex.channel('a')).stats()).damage).toBeUndefined();
    expect(await idsOfName(redex, 'a')).toEqual([1, 2, 3, 4]);
    await redex.close();
  });
});

describe('a channel that is damaged', () => {
  const config = (name: string): string => `${channelPath(name)}/config`;
  const long = 'long/'.repeat(60);
  const KINDS: readonly [string, string, string, (store: StoreLab, path: string) => void][] = [
    ['its config is missing', 'CORRUPT', 'missing', ({ lab }, path) => lab.disk.unlinkSync(path)],
    [
      'its config is zeros',
      'CORRUPT',
      'magic',
      ({ lab }, path) => editFile(lab.disk, path, (bytes) => bytes.fill(0)),
    ],
    ['a bit of its config is another', 'CORRUPT', 'checksum', flipMiddle],
    [
      'its config is of a newer version',
      'FORMAT_VERSION',
      '',
      ({ lab }, path) => editFile(lab.disk, path, (bytes) => bytes.fill(9, 4, 5)),
    ],
    [
      'its config has the name of another one',
      'CORRUPT',
      'identity',
      ({ lab }, path) => putFile(lab.disk, path, readFile(lab.disk, config('sound'))),
    ],
    [
      'its config cannot be read',
      'IO',
      '',
      ({ lab }, path) => {
        const isIt = (other: string): boolean => other === path;
        const effect = { error: 'EIO' };
        lab.faults.inject({ operation: 'openSync', path: isIt, nth: 1, times: 9, effect });
      },
    ],
  ];

  function flipMiddle({ lab }: StoreLab, path: string): void {
    flipBit(lab.disk, path, 8 * 40);
  }

  test.each(KINDS)('because %s is listed with %s %s and hides nothing', async (...kind) => {
    const [, code, check, harm] = kind;
    const store = new StoreLab();
    const before = await store.open();
    for (const name of ['broken', long, 'sound', 'a']) await fill(await before.channel(name), 1);
    await before.close();
    const redex = await store.open();
    harm(store, config('broken'));
    harm(store, config(long));
    const found = await listed(redex);
    // Of one whose name is only in its config there is nothing but the path.
    const path = channelPath(long);
    expect(found.map(({ name }) => name)).toEqual(inOrder([path, 'a', 'broken', 'sound']));
    for (const info of found) {
      if (['a', 'sound'].includes(info.name)) {
        expect(info).toMatchObject({ count: 1, nextSeq: 1, isOpen: false });
        continue;
      }
      expect(Object.keys(info).toSorted()).toEqual(['error', 'isOpen', 'name']);
      expect(info.error).toMatchObject(check === '' ? { code } : { code, check });
    }
    await rejection(redex.channel('broken'), code as 'CORRUPT');
    // A prefix leaves out what has another name, and nothing that may have this one.
    expect(await namesIn(redex, { prefix: 'so' })).toEqual(inOrder([path, 'sound']));
    expect(await namesIn(redex, { prefix: 'br' })).toEqual(inOrder([path, 'broken']));
    await redex.close();
  });

  test('because its manifest is zeros is listed under its name, however long', async () => {
    const store = new StoreLab();
    const before = await store.open();
    for (const name of [long, 'sound']) await fill(await before.channel(name), 1);
    await before.close();
    editFile(store.lab.disk, `${channelPath(long)}/manifest`, (bytes) => bytes.fill(0));
    const redex = await store.open();
    const found = await listed(redex);
    expect(found.map(({ name, error }) => [name, error?.code])).toEqual([
      [long, 'CORRUPT'],
      ['sound', undefined],
    ]);
    await redex.close();
  });

  test('because its rename could not be finished is listed once, with the reason', async () => {
    const store = new StoreLab();
    const before = await store.open();
    for (const name of ['a', 'b', 'c']) await fill(await before.channel(name), 1);
    await before.close();
    const { disk } = store.lab;
    // One that nobody can read, and one whose new name is taken.
    disk.renameSync(channelPath('a'), `${CHANNELS}/.rename/a`);
    disk.unlinkSync(`${CHANNELS}/.rename/a/config`);
    disk.renameSync(channelPath('b'), `${CHANNELS}/.rename/c`);
    const redex = await store.open();
    const found = await listed(redex);
    expect(found.map(({ name, error }) => [name, error?.code])).toEqual([
      ['a', 'CORRUPT'],
      ['c', 'CORRUPT'],
    ]);
    for (const { name, error } of found) {
      expect(await rejection(redex.channel(name), 'CORRUPT')).toBe(error);
    }
    await redex.close();
  });
});

describe('a list', () => {
  test('that is left early keeps nothing open', async () => {
    const store = new StoreLab();
    const before = await store.open();
    for (const name of ['a', 'b', 'c']) await fill(await before.channel(name), 1);
    const killed = store.kill();
    const redex = await killed.open();
    for await (const { name } of redex.channels()) if (name === 'b') break;
    const list = redex.channels();
    await list.next();
    expect(await list.return?.()).toEqual({ done: true, value: undefined });
    expect(await list.next()).toEqual({ done: true, value: undefined });
    expect(killed.lab.faults.openPaths).toEqual([`${DATA}/LOCK`]);
    // One that is never begun neither.
    redex.channels();
    await redex.close();
    expect(killed.lab.faults.openPaths).toEqual([]);
  });

  test('is refused for wrong arguments before anything is read', async () => {
    const { lab, open } = ((store) => ({ lab: store.lab, open: () => store.open() }))(
      new StoreLab(),
    );
    const redex = await open();
    const { total } = lab.faults.calls;
    const wrong = [{ prefix: 1 }, { prefix: null }, { prefixes: 'a' }, 'a', null] as object[];
    for (const options of wrong) expect(() => redex.channels(options)).toThrow(TypeError);
    expect(lab.faults.calls.total).toBe(total);
    await redex.close();
  });

  test('of 5,000 channels has each of them', { timeout: 60_000 }, async () => {
    const fs = new FaultFs(new MemoryFs());
    const runtime = new ManualRuntime({ ioOrder: 'immediate' });
    const before = await Redex.open(DATA, { fs, runtime, sync: 'never' });
    const names = Array.from({ length: 5000 }, (_, i) => `sensors/${(i * 7919) % 5000}/é`);
    for (const name of names) {
      const channel = await before.channel(name);
      channel.appendSync(name);
      if (name.includes('/1')) await channel.close();
    }
    const expected = inOrder(names);
    expect(await namesIn(before)).toEqual(expected);
    await before.close();
    const redex = await Redex.open(DATA, { fs, runtime });
    let at = 0;
    for await (const { name, count } of redex.channels({ prefix: 'sensors/' })) {
      expect([name, count]).toEqual([expected[at], 1]);
      expect(fs.openPaths.length).toBeLessThanOrEqual(1);
      at += 1;
    }
    expect(at).toBe(5000);
    expect(encodeChannelName(names[0] ?? '')).toContain('%2f');
    await redex.close();
  });
});
