/**
 * Goal: a backup is a store of its own that opens without a scan, and has all of its source, which
 * it does not change or hold up; what of it is linked stays as it is, whatever the two stores do.
 * Method: stores in memory, whose files are compared, and inodes of real files.
 */
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { Redex } from '../../src/store/redex.js';
import {
  COPY,
  expectCopy,
  IDS,
  LONG,
  openCopy,
  scanned,
  sourceStore,
} from '../support/backup-kit.js';
import { outcomeOf, payload, rejection } from '../support/channel-kit.js';
import { editFile, flipBit, putFile } from '../support/recovery-lab.js';
import {
  channelPath,
  CHANNELS,
  DATA,
  fill,
  idsIn,
  idsOfName,
  RealStore,
  StoreLab,
  treeOf,
} from '../support/store-kit.js';

/** A copy is made without one: what it has of a channel is in the files of that channel first. */
const JOURNAL = `${DATA}/journal`;

let real: RealStore | undefined;

afterEach(() => {
  expect(scanned.splice(0), 'channels of copies that were scanned').toEqual([]);
  real?.remove();
  real = undefined;
});

describe('a backup', () => {
  test('opens without a scan and has all of the source, which is as it was', async () => {
    const store = new StoreLab();
    const redex = await sourceStore(store);
    await redex.sync();
    // What waits in the journal is written to its dat files first; nothing else changes.
    const waiting = Object.entries(store.tree);
    await redex.backup('/copies/first');
    const before = store.tree;
    const written = waiting.filter(([path, bytes]) => before[path] !== bytes);
    expect(written.length).toBeGreaterThan(5);
    expect(written.filter(([path]) => !path.endsWith('.dat'))).toEqual([]);
    expect(Object.keys(before)).toEqual(waiting.map(([path]) => path));
    const report = await redex.backup(COPY);
    expect(store.tree).toEqual(before);
    expect(report).toMatchObject({ directory: COPY, channels: 4, damaged: [] });
    await expectCopy(store.lab);
    const copy = await openCopy(store.lab);
    for (const name of Object.keys(IDS)) {
      const [one, other] = [await redex.channel(name), await copy.channel(name)];
      const { firstSeq, nextSeq, count, sizeBytes, options, recoveryEpoch } = one;
      expect(other).toMatchObject({ firstSeq, nextSeq, count, sizeBytes, options, recoveryEpoch });
      expect((await other.stats()).created).toBe((await one.stats()).created);
    }
    expect((await copy.stats()).storeId).toBe((await redex.stats()).storeId);
    await copy.close();
    await redex.close();
    expect(store.violations).toEqual([]);
    expect(store.lab.faults.openPaths).toEqual([]);
  });

  test('of channels that are not open, also unclean ones, opens and closes them', async () => {
    const store = new StoreLab();
    await sourceStore(store);
    const killed = store.kill();
    const redex = await killed.open();
    await redex.backup(COPY);
    expect((await redex.stats()).openChannels).toBe(0);
    expect(killed.lab.faults.openPaths).toEqual([`${DATA}/LOCK`]);
    await expectCopy(killed.lab);
    await redex.close();
  });

  test('of a backup is the same again', async () => {
    const store = new StoreLab();
    await (await sourceStore(store)).backup(COPY);
    const copy = await openCopy(store.lab);
    await copy.backup('/second');
    await copy.close();
    await expectCopy(store.lab, '/second');
    const [first, second] = [COPY, '/second'].map((at) => treeOf(store.lab.disk, at));
    expect(Object.values(second ?? {})).toEqual(Object.values(first ?? {}));
  });

  test('does not hold up who asks for the channel that is being copied', async () => {
    const store = new StoreLab({ io: 'oldest' });
    const { lab } = store;
    const redex = await sourceStore(store);
    await lab.done(redex.channel(LONG).then((channel) => channel.close()));
    const backup = outcomeOf(redex.backup(COPY));
    const given = new Map<string, Channel | undefined>();
    for (const name of Object.keys(IDS)) {
      const target = `${COPY}${channelPath(name).slice(DATA.length)}`;
      while (lab.disk.statSync(target) === undefined) {
        await lab.runtime.settle();
        if (lab.disk.statSync(target) === undefined) expect(lab.runtime.runIo()).toBe(true);
      }
      const asked = outcomeOf(redex.channel(name));
      await lab.runtime.settle();
      expect([asked.state, backup.state], name.slice(0, 9)).toEqual(['resolved', 'pending']);
      asked.value?.appendSync(payload(50));
      given.set(name, asked.value);
    }
    await lab.drain();
    expect(backup.state).toBe('resolved');
    // One that was only opened for the backup belongs to whom it was given meanwhile.
    const kept = await redex.channel(LONG);
    expect(kept).toBe(given.get(LONG));
    expect(await lab.done(idsIn(kept))).toEqual([3, 50]);
    await lab.done(fill(kept, 51));
    await lab.done(redex.close());
  });

  test('copies in pieces of at most a mebibyte', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    const channel = await redex.channel('a', { sync: 'never' });
    for (let id = 0; id < 10; id += 1) await channel.append(payload(id, 500_000));
    const from = store.lab.watch.calls.length;
    const { copiedBytes } = await redex.backup(COPY);
    expect(copiedBytes).toBe(channel.sizeBytes);
    const writes = store.lab.watch.calls.slice(from).filter(({ call }) => call === 'write');
    const sizes = writes
      .filter(({ path }) => path.endsWith('.dat'))
      .map(({ bytes }) => bytes.length);
    expect(Math.max(...sizes)).toBe(1024 * 1024);
    const copy = await openCopy(store.lab);
    expect(await idsOfName(copy, 'a')).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('has what recoveries have cut off and kept', async () => {
    const store = new StoreLab();
    const before = await store.open();
    await fill(await before.channel('a'), 1, 2);
    const killed = store.kill();
    const dat = `${channelPath('a')}/v0000000001/00000000000000000000.dat`;
    editFile(killed.lab.disk, dat, (bytes) => Buffer.concat([bytes, payload(9, 300)]));
    const redex = await killed.open();
    expect(await idsOfName(redex, 'a')).toEqual([1, 2]);
    await redex.backup(COPY);
    const cuts = (at: string): string[] =>
      Object.entries(treeOf(killed.lab.disk, at)).flatMap(([path, bytes]) =>
        path.includes('/cut-') ? [path.slice(at.length), bytes] : [],
      );
    expect(cuts(COPY)).toHaveLength(2);
    expect(cuts(COPY)).toEqual(cuts(DATA));
    await redex.close();
  });
});

describe('links', () => {
  /** Names and inodes of the files below a directory of this machine. */
  function inodesIn(directory: string): Map<string, number> {
    const found = new Map<string, number>();
    for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
      const stat = statSync(join(directory, name));
      if (stat.isFile()) found.set(name, stat.ino);
    }
    return found;
  }

  test('are made for finished segments, on files of this machine', async () => {
    real = new RealStore();
    const redex = await Redex.open(real.directory, { sync: 'never' });
    const channel = await redex.channel('a', { segmentBytes: 4096 });
    for (let id = 0; id < 9; id += 1) await channel.append(payload(id, 1500));
    const target = join(real.scratch, 'copy');
    const report = await redex.backup(target);
    const [from, to] = [inodesIn(real.directory), inodesIn(target)];
    const linked = [...to.keys()].filter((name) => from.get(name) === to.get(name));
    const finished = [...from.keys()].filter((name) => /\.(dat|idx|ts)$/.test(name)).toSorted();
    const last = finished.findLast((name) => name.endsWith('.dat')) ?? '';
    const base = last.slice(0, -4);
    expect(finished.length).toBeGreaterThan(9);
    expect(linked.toSorted()).toEqual(finished.filter((name) => !name.startsWith(base)));
    const sizeOf = (name: string): number => statSync(join(target, name)).size;
    expect(report.linkedBytes).toBe(linked.reduce((sum, name) => sum + sizeOf(name), 0));
    expect(report.copiedBytes).toBe(sizeOf(last));
    await redex.close();
    const copy = await Redex.open(target, { createIfMissing: false });
    expect(await idsOfName(copy, 'a')).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    await copy.close();
  });

  test.each(['EXDEV', 'EPERM', 'EMLINK'])('that end in %s become copies', async (code) => {
    const store = new StoreLab();
    const redex = await sourceStore(store);
    const linked = await redex.backup('/linked');
    store.lab.fail('linkSync', /./, code, { times: Infinity });
    const report = await redex.backup(COPY);
    expect(linked.linkedBytes).toBeGreaterThan(12_000);
    expect(report.linkedBytes).toBe(0);
    expect(report.copiedBytes).toBe(linked.linkedBytes + linked.copiedBytes);
    expect(Object.values(treeOf(store.lab.disk, COPY))).toEqual(
      Object.values(treeOf(store.lab.disk, '/linked')),
    );
    await expectCopy(store.lab);
  });

  /** Appends, rolls, is killed and recovered, closes. */
  async function live(lab: StoreLab['lab'], directory: string): Promise<StoreLab['lab']> {
    let now = lab;
    for (let life = 0; life < 3; life += 1) {
      const { watch: fs, runtime } = now;
      const redex = await Redex.open(directory, { fs, runtime });
      for (const name of ['rolled', 'small', LONG]) {
        const channel = await redex.channel(name);
        for (let id = 0; id < 6; id += 1) await channel.append(payload(100 + id, 1400));
      }
      if (life === 1) await redex.deleteChannel('small');
      now = now.kill();
    }
    return now;
  }

  test('let neither store change a byte of the other', async () => {
    const store = new StoreLab();
    const redex = await sourceStore(store);
    await redex.backup(COPY);
    await redex.close();
    const source = store.tree;
    const lab = await live(store.lab, COPY);
    expect(treeOf(lab.disk, DATA)).toEqual(source);
    const copy = treeOf(lab.disk, COPY);
    const after = await live(lab, DATA);
    expect(treeOf(after.disk, COPY)).toEqual(copy);
    const { watch: fs, runtime } = after;
    const opened = await Redex.open(COPY, { fs, runtime });
    expect((await idsOfName(opened, 'rolled')).slice(0, 9)).toEqual(IDS['rolled']);
    await opened.close();
  });
});

describe('the target', () => {
  test('may be missing with its parents, empty, relative, or behind a link', async () => {
    real = new RealStore();
    const redex = await Redex.open(real.directory);
    await fill(await redex.channel('a'), 1);
    const deep = join(real.scratch, 'not/there/yet');
    expect((await redex.backup(deep)).directory).toBe(deep);
    const before = process.cwd();
    const relative = `./${'../'.repeat(before.split('/').length - 1)}${real.scratch.slice(1)}/rel`;
    expect((await redex.backup(relative)).directory).toBe(join(real.scratch, 'rel'));
    mkdirSync(join(real.scratch, 'empty'));
    await redex.backup(join(real.scratch, 'empty'));
    await redex.close();
    for (const name of ['not/there/yet', 'rel', 'empty']) {
      const copy = await Redex.open(join(real.scratch, name), { createIfMissing: false });
      expect(await idsOfName(copy, 'a')).toEqual([1]);
      await copy.close();
    }
  });

  test('that is something already is EXISTS and stays as it is', async () => {
    const store = new StoreLab();
    const { disk } = store.lab;
    const redex = await sourceStore(store);
    putFile(disk, '/file', payload(1));
    disk.mkdirSync('/full');
    putFile(disk, '/full/letter', payload(1));
    await redex.backup(COPY);
    const before = treeOf(disk, '/');
    const kinds: string[] = [];
    for (const target of ['/file', '/full', COPY, '/full/', '/']) {
      kinds.push((await rejection(redex.backup(target), 'EXISTS')).kind);
    }
    expect(kinds).toEqual(['file', 'directory', 'directory', 'directory', 'directory']);
    const error = await rejection(redex.backup('/file/below'), 'IO');
    expect([error.systemCode, error.outcome]).toEqual(['ENOTDIR', 'absent']);
    expect(treeOf(disk, '/')).toEqual(before);
    // Two at once: one of them is first.
    const both = [outcomeOf(redex.backup('/both')), outcomeOf(redex.backup('/both'))];
    await redex.close();
    await store.lab.drain();
    expect(both[1]?.error).toHaveProperty('code', 'EXISTS');
  });

  test('inside of the data directory is a RangeError, also through a link', async () => {
    real = new RealStore();
    const redex = await Redex.open(real.directory);
    await redex.channel('a');
    const link = join(real.scratch, 'link');
    symlinkSync(real.directory, link);
    const before = real.tree;
    const inside = ['', '/', '/copy', '/channels/copy', '/channels/a/deep/er', '/./x/../copy'];
    for (const path of [real.directory, link].flatMap((at) => inside.map((to) => at + to))) {
      await expect(redex.backup(path), path).rejects.toThrow(RangeError);
    }
    for (const path of [1, null, undefined, {}] as unknown[]) {
      await expect(redex.backup(path as string)).rejects.toThrow(TypeError);
    }
    expect(real.tree).toEqual(before);
    await redex.backup(`${real.directory}-copy`);
    await redex.close();
    expect(existsSync(`${real.directory}-copy/redex.json`)).toBe(true);
  });
});

describe('damaged channels', () => {
  test('are copied as they are and reported, whatever is wrong with them', async () => {
    const store = new StoreLab();
    const names = ['config', 'manifest', 'newer', 'suffix', 'ok', LONG, 'stuck', 'from', 'taken'];
    // Damage to what the journal has as well would be mended by the next open.
    const first = await store.open();
    for (const name of names) {
      await first.channel(name, name === 'suffix' ? { sync: 'never' } : {});
    }
    await first.close();
    const before = await store.open();
    for (const name of names) {
      const channel = await before.channel(name);
      for (const id of [1, 2, 3, 4]) {
        await fill(channel, id);
        await channel.sync();
      }
    }
    const killed = store.kill();
    const { disk } = killed.lab;
    disk.unlinkSync(`${channelPath('config')}/config`);
    editFile(disk, `${channelPath('manifest')}/manifest`, (bytes) => bytes.fill(0));
    editFile(disk, `${channelPath('newer')}/config`, (bytes) => bytes.fill(9, 4, 5));
    flipBit(disk, `${channelPath('suffix')}/v0000000001/00000000000000000000.dat`, 8 * 200);
    editFile(disk, `${channelPath(LONG)}/config`, (bytes) => bytes.fill(0));
    disk.renameSync(channelPath('stuck'), `${CHANNELS}/.rename/stuck`);
    disk.unlinkSync(`${CHANNELS}/.rename/stuck/config`);
    disk.renameSync(channelPath('from'), `${CHANNELS}/.rename/taken`);
    const redex = await killed.open();
    const source = killed.tree;
    const { damaged, channels } = await redex.backup(COPY);
    const codes = damaged.map(({ channel, error }) => [channel, error.code]);
    expect(new Set(codes.map(String))).toEqual(
      new Set(
        [
          ['config', 'CORRUPT'],
          ['manifest', 'CORRUPT'],
          ['newer', 'FORMAT_VERSION'],
          ['suffix', 'CORRUPT'],
          [channelPath(LONG), 'CORRUPT'],
          ['stuck', 'CORRUPT'],
          ['taken', 'CORRUPT'],
        ].map(String),
      ),
    );
    expect(codes).toHaveLength(8);
    expect(channels).toBe(9);
    const copied = treeOf(disk, COPY);
    for (const [path, bytes] of Object.entries(source)) {
      if (path.startsWith(channelPath('ok')) || path.startsWith(JOURNAL)) continue;
      expect(copied[`${COPY}${path.slice(DATA.length)}`], path).toBe(bytes);
    }
    const copy = await Redex.open(COPY, { fs: killed.lab.watch, runtime: killed.lab.runtime });
    expect(await idsOfName(copy, 'ok')).toEqual([1, 2, 3, 4]);
    expect((await (await copy.channel('suffix')).stats()).damage).toBeDefined();
    await rejection(copy.channel('config'), 'CORRUPT');
    await copy.close();
    await redex.close();
  });
});
