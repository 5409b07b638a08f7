/**
 * Goal: a disk that is full, or that fails, under the journal: nothing that was acknowledged is
 * lost, appends go on as long as the journal has room, and all goes on when there is space again;
 * what cannot be redone stays readable (RULES J7-J9). A failed sync ends the promises of what it
 * was for: of the store, or of one channel.
 * Method: each place is made to fail by a FaultFs, then the power goes. The last test fills a real
 * file system in memory.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import type { Channel } from '../../src/channel/channel.js';
import { RedexError } from '../../src/core/errors.js';
import { Redex } from '../../src/store/redex.js';
import { worst } from '../../src/testing/choices.js';
import type { Operation, OperationGroup } from '../../src/testing/operations.js';
import { payload, rejection, type Lab } from '../support/channel-kit.js';
import { commandExists, requires } from '../support/requirements.js';
import { DATA, fill, idsIn, idsOfName, StoreLab } from '../support/store-kit.js';

const SEGMENTS = /\/journal\/[^/]+\.journal$/;
const DATS = /\.dat$/;
const SMALL = { journalBytes: 256 * 1024 };
const RECORD_BYTES = 8 * 1024;

/** The next process. What is redone takes more turns than a lab waits for. */
function reopened({ watch: fs, runtime }: Lab): Promise<Redex> {
  return Redex.open(DATA, { fs, runtime, ...SMALL });
}

function full({ lab }: StoreLab, operation: Operation | OperationGroup, path: RegExp): void {
  lab.fail(operation, path, 'ENOSPC', { times: Infinity });
}

/** Appends records, of 8 KiB unless told, and returns the error of the first one that fails. */
async function appendUntilFull(
  channel: Channel,
  ids: number[],
  most: number,
  bytes: number = RECORD_BYTES,
): Promise<RedexError | undefined> {
  for (let count = 0; count < most; count++) {
    const id = ids.length + 1;
    try {
      await channel.append(payload(id, bytes));
      ids.push(id);
    } catch (error) {
      if (RedexError.is(error)) return error;
      throw error;
    }
  }
  return undefined;
}

describe('no space for the journal', () => {
  test.each<[Operation | OperationGroup, RegExp]>([
    ['mkdirSync', /\/journal$/],
    ['createSync', SEGMENTS],
    ['anyWrite', SEGMENTS],
    ['createSync', /\/journal\/control\.tmp$/],
    ['anyWrite', /\/journal\/control\.tmp$/],
  ])('when it is made: %s of %s', async (operation, path) => {
    const store = new StoreLab();
    const redex = await store.open();
    full(store, operation, path);
    const error = await rejection(redex.channel('a'), 'IO');
    expect(error).toMatchObject({ systemCode: 'ENOSPC', outcome: 'absent' });
    store.lab.faults.clearFaults();
    await fill(await redex.channel('a'), 1);
    await redex.commit([{ channel: 'b', create: {}, records: [payload(2)] }]);
    const next = await reopened(store.lab.cut(worst));
    expect([await idsOfName(next, 'a'), await idsOfName(next, 'b')]).toEqual([[1], [2]]);
    await next.close();
  });

  test('when it is to grow, it goes round in what it has', async () => {
    const store = new StoreLab();
    const redex = await store.open({ journalBytes: 1024 * 1024 });
    const channel = await redex.channel('a');
    await fill(channel, 1);
    full(store, 'createSync', SEGMENTS);
    const ids = [1];
    const error = await appendUntilFull(channel, ids, 100);
    // There is one segment: whoever comes when it is full may be told, but nothing is lost.
    if (error !== undefined) expect(error).toMatchObject({ code: 'IO', systemCode: 'ENOSPC' });
    store.lab.faults.clearFaults();
    expect(await appendUntilFull(channel, ids, 100)).toBeUndefined();
    expect(await idsIn(channel)).toEqual(ids);
    const next = await reopened(store.lab.cut(worst));
    expect(await idsOfName(next, 'a')).toEqual(ids);
    await next.close();
  });
});

describe('no space for a checkpoint', () => {
  test('appends go on until the journal is full of it, and again when there is space', async () => {
    const store = new StoreLab();
    const redex = await store.open(SMALL);
    const channel = await redex.channel('a');
    await fill(channel, 1);
    await store.lab.runtime.elapse(3000);
    full(store, 'anyWrite', DATS);
    const ids = [1];
    const error = await appendUntilFull(channel, ids, 200);
    expect(error).toMatchObject({ code: 'LIMIT', what: 'journalBytes' });
    // Half of the journal at the least was used for it.
    expect(ids.length).toBeGreaterThan(256 / 8 / 2);
    expect(await idsIn(channel)).toEqual(ids);
    const cut = await reopened(store.lab.cut(worst));
    expect(await idsOfName(cut, 'a')).toEqual(ids);
    await cut.close();
    store.lab.faults.clearFaults();
    expect(await appendUntilFull(channel, ids, 100)).toBeUndefined();
    expect(await idsIn(channel)).toEqual(ids);
    await redex.close();
    const next = await reopened(store.lab.cut(worst));
    expect(await idsOfName(next, 'a')).toEqual(ids);
    await next.close();
  });

  test('what fills it can be deleted', async () => {
    const store = new StoreLab();
    const redex = await store.open(SMALL);
    const [a, b] = [await redex.channel('a'), await redex.channel('b')];
    await fill(b, 1);
    const others = Array.from({ length: 20 }, (_, index) => `other/${index}`);
    for (const name of others) await redex.channel(name);
    full(store, 'anyWrite', /channels\/a\/.*\.dat$/);
    expect(await appendUntilFull(a, [], 200)).toMatchObject({ code: 'LIMIT' });
    // To the last byte that appends may have.
    expect(await appendUntilFull(a, [], 1000, 8)).toMatchObject({ code: 'LIMIT' });
    for (const name of others) expect(await redex.deleteChannel(name)).toBe(true);
    expect(await redex.deleteChannel('a')).toBe(true);
    const ids = [1];
    expect(await appendUntilFull(b, ids, 100)).toBeUndefined();
    const next = await reopened(store.lab.cut(worst));
    expect([await next.hasChannel('a'), await idsOfName(next, 'b')]).toEqual([false, ids]);
    await next.close();
  });
});

describe('no space for a redo', () => {
  test('the channel is readable, refuses appends, and is well when there is space', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    for (const name of ['a', 'b']) await fill(await redex.channel(name), 1, 2);
    const next = new StoreLab(store.lab.cut(worst));
    next.lab.fail('anyWrite', /channels\/a\/.*\.dat/, 'ENOSPC', { times: Infinity });
    const without = await reopened(next.lab);
    const a = await without.channel('a');
    expect(await idsIn(a)).toEqual([1, 2]);
    expect(await rejection(a.append('x'), 'IO')).toMatchObject({ systemCode: 'ENOSPC' });
    await rejection(without.commit([{ channel: 'a', records: ['x'] }]), 'IO');
    await fill(await without.channel('b'), 3);
    await without.close();
    next.lab.faults.clearFaults();
    const again = await reopened(next.lab.cut(worst));
    const channel = await again.channel('a');
    await fill(channel, 3);
    expect([await idsIn(channel), await idsOfName(again, 'b')]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    await again.close();
  });

  test('what only a page cache may hold behind it is not taken for synced', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    const options = { sync: 'never' } as const;
    await redex.commit([{ channel: 'a', create: options, records: [payload(1)] }]);
    await (await redex.channel('a')).append(payload(2));
    const next = new StoreLab(store.lab.kill());
    next.lab.fail('anyWrite', /channels\/a\/.*\.dat/, 'ENOSPC', { times: Infinity });
    const without = await reopened(next.lab);
    const a = await without.channel('a');
    expect(await idsIn(a)).toEqual([1, 2]);
    expect([a.durableSeq, a.nextSeq]).toEqual([1, 2]);
    for (const sync of [a.sync(), without.sync()]) {
      expect(await rejection(sync, 'IO')).toMatchObject({ systemCode: 'ENOSPC' });
    }
    await without.close();
    const again = await reopened(next.lab.cut(worst));
    expect(await idsOfName(again, 'a')).toEqual([1]);
    await again.close();
  });

  test.each<[Operation | OperationGroup, RegExp]>([
    ['mkdirSync', /\/channels\/b$/],
    ['createSync', /\/channels\/b\/config/],
    ['createSync', /\/channels\/b\/manifest/],
    ['anyWrite', /\/channels\/b\/manifest/],
    ['mkdirSync', /\/channels\/b\/v/],
    ['createSync', /\/channels\/b\/clean/],
  ])('to make a channel: %s of %s', async (operation, path) => {
    const store = new StoreLab();
    const redex = await store.open();
    for (const name of ['a', 'b']) await fill(await redex.channel(name), 1, 2);
    const next = new StoreLab(store.lab.cut(worst));
    full(next, operation, path);
    const without = await reopened(next.lab);
    await fill(await without.channel('a'), 3);
    // Nobody gets another channel of the name meanwhile, and nobody is told that it is damaged.
    const told = await without.channel('b').then(
      (channel) => rejection(channel.append('x'), 'IO'),
      (error: unknown) => error,
    );
    expect(told).toMatchObject({ code: 'IO', systemCode: 'ENOSPC' });
    const names: string[] = [];
    for await (const { name } of without.channels()) names.push(name);
    expect(names).toEqual(['a', 'b']);
    await without.close();
    next.lab.faults.clearFaults();
    const again = await reopened(next.lab.cut(worst));
    expect([await idsOfName(again, 'a'), await idsOfName(again, 'b')]).toEqual([
      [1, 2, 3],
      [1, 2],
    ]);
    await again.close();
  });
});

describe('a sync that fails', () => {
  test.each<[string, RegExp]>([
    ['of the journal', SEGMENTS],
    ['of the control block', /\/journal\/control$/],
  ])('%s poisons the store', async (_what, path) => {
    const store = new StoreLab();
    const redex = await store.open();
    const [a, b] = [await redex.channel('a'), await redex.channel('b')];
    await fill(a, 1);
    const fault = store.lab.fail('datasync', path, 'EIO');
    const appended = a.append(payload(2)).catch((error: unknown) => error);
    await store.lab.runtime.elapse(3000);
    await appended;
    expect(fault.fired).toBe(1);
    await rejection(a.append('x'), 'POISONED');
    await rejection(b.append('x'), 'POISONED');
    await rejection(redex.channel('c'), 'POISONED');
    await rejection(redex.close(), 'POISONED');
    const next = await reopened(store.lab.cut(worst));
    expect((await idsOfName(next, 'a'))[0]).toBe(1);
    await next.close();
  });

  test('of a dat file in a checkpoint poisons that channel, and loses nothing', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    const [a, b] = [await redex.channel('a'), await redex.channel('b')];
    await fill(a, 1, 2);
    await fill(b, 1);
    const fault = store.lab.fail('datasync', /channels\/a\/.*\.dat$/, 'EIO');
    await store.lab.runtime.elapse(3000);
    expect(fault.fired).toBe(1);
    await rejection(a.append('x'), 'POISONED');
    const again = store.lab.fail('datasync', /channels\/a\/.*\.dat$/, 'EIO', { nth: 1000 });
    await fill(b, 2);
    // What is pinned stays in the journal, however often the others go round.
    const ids = [1, 2];
    expect(await appendUntilFull(b, ids, 100)).toBeUndefined();
    await store.lab.runtime.elapse(3000);
    expect(again.matched).toBe(0);
    const next = await reopened(store.lab.cut(worst));
    expect([await idsOfName(next, 'a'), await idsOfName(next, 'b')]).toEqual([[1, 2], ids]);
    await next.close();
  });

  test('and what stays in the journal by it is not taken for written, opened again', async () => {
    const store = new StoreLab();
    const redex = await store.open();
    await fill(await redex.channel('a', { segmentBytes: 4096 }), 1, 2);
    store.lab.fail('datasync', /channels\/a\/.*\.dat$/, 'EIO');
    await rejection((await redex.channel('a')).close(), 'POISONED');
    const a = await redex.channel('a');
    await a.append(payload(3, 5000));
    expect(await idsIn(a)).toEqual([1, 2, 3]);
    const changes = [
      () => a.compact({ keep: () => false }),
      () => a.trim({ beforeSeq: 1 }),
      () => a.configure({ sync: 'never' }),
      () => redex.backup('/copy'),
    ];
    for (const change of changes) {
      expect(await rejection(change(), 'IO')).toMatchObject({ systemCode: 'EIO' });
    }
    await fill(a, 4);
    await redex.close();
    const next = await reopened(store.lab.cut(worst));
    expect(await idsOfName(next, 'a')).toEqual([1, 2, 3, 4]);
    await (await next.channel('a')).compact({ keep: () => false });
    await next.close();
  });
});

function command(name: string, ...args: readonly string[]): void {
  execFileSync(name, args, { stdio: 'pipe' });
}

describe('on a real file system that is full', () => {
  test('nothing is lost, and it goes on when there is space', async (context) => {
    const isRoot = process.platform === 'linux' && process.getuid?.() === 0;
    requires(context, isRoot && commandExists('mount'), 'needs root on Linux, to mount');
    const scratch = mkdtempSync(join(tmpdir(), 'redex-full-'));
    const disk = join(scratch, 'disk');
    mkdirSync(disk);
    let isMounted = true;
    try {
      command('mount', '-t', 'tmpfs', '-o', 'size=4m', 'none', disk);
    } catch {
      isMounted = false;
      rmSync(scratch, { recursive: true });
    }
    requires(context, isMounted, 'needs the right to mount');
    try {
      await fillDisk(disk);
    } finally {
      command('umount', '--lazy', disk);
      rmSync(scratch, { recursive: true, force: true });
    }
  });
});

async function fillDisk(disk: string): Promise<void> {
  const directory = join(disk, 'data');
  const ballast = join(disk, 'ballast');
  const redex = await Redex.open(directory, SMALL);
  const channel = await redex.channel('a');
  writeFileSync(ballast, new Uint8Array(2 * 1024 * 1024));
  const ids: number[] = [];
  const error = await appendUntilFull(channel, ids, 1000);
  expect(['LIMIT', 'IO']).toContain(error?.code);
  expect(ids.length).toBeGreaterThan(16);
  expect(await idsIn(channel)).toEqual(ids);
  rmSync(ballast);
  expect(await appendUntilFull(channel, ids, 50)).toBeUndefined();
  await redex.close();
  const next = await Redex.open(directory, SMALL);
  expect(await idsOfName(next, 'a')).toEqual(ids);
  await next.close();
}
