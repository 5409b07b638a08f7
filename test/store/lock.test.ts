/**
 * Goal: one writer for a data directory, on the whole machine, whatever path it comes by; the
 * lock is free as soon as its holder is gone, closed, failed or killed (rule N3).
 * Method: a real directory, with children and worker threads that open it and are killed; faults
 * for what a real disk does not do on demand.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, relative } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Redex } from '../../src/store/redex.js';
import { rejection } from '../support/channel-kit.js';
import { buildProcessPackage, type ProcessPackage } from '../support/process-package.js';
import type { StoreReport } from '../support/process-store.js';
import { DATA, RealStore, StoreLab } from '../support/store-kit.js';

/** What an open does, but for closing. */
const OPERATIONS = [
  'openSync',
  'createSync',
  'statSync',
  'realpathSync',
  'readDirectorySync',
  'tryLockSync',
  'sizeSync',
  'anyRead',
  'anyWrite',
  'anySync',
  'unlinkSync',
] as const;
const PROGRAM = 'test/support/process-store.ts';

let built: ProcessPackage;
let real: RealStore;
let opened: Redex[];
let children: ChildProcess[];
let workers: Worker[];

beforeAll(async () => {
  built = await buildProcessPackage();
});

afterAll(() => built.remove());

beforeEach(() => {
  real = new RealStore();
  [opened, children, workers] = [[], [], []];
});

afterEach(async () => {
  await Promise.all(opened.map((redex) => redex.close()));
  await Promise.all([...children.map(killed), ...workers.map((worker) => worker.terminate())]);
  real.remove();
});

async function open(directory: string = real.directory): Promise<Redex> {
  const redex = await Redex.open(directory);
  opened.push(redex);
  return redex;
}

function startChild(name: string | undefined, cwd?: string, path?: string): ChildProcess {
  const args = [path ?? real.directory, ...(name === undefined ? [] : [name])];
  const child = fork(built.path(PROGRAM), args, { execArgv: [], ...(cwd && { cwd }) });
  children.push(child);
  return child;
}

async function reportOf(child: ChildProcess): Promise<StoreReport> {
  const ended = once(child, 'exit').then(() => {
    throw new Error('the child ended before it reported');
  });
  const [report] = (await Promise.race([once(child, 'message'), ended])) as [StoreReport];
  return report;
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

async function workerOpens(): Promise<StoreReport> {
  const argv = [real.directory];
  const worker = new Worker(built.path(PROGRAM), { argv, execArgv: [] });
  workers.push(worker);
  const [report] = (await once(worker, 'message')) as [StoreReport];
  return report;
}

const lockFile = (): string => join(real.directory, 'LOCK');
const infoFile = (): string => join(real.directory, 'LOCK.info');

describe('a second open', () => {
  test('in this process is LOCKED, and says by whom and what to do', async () => {
    await open();
    const error = await rejection(Redex.open(real.directory), 'LOCKED');
    const holder = { path: real.directory, pid: process.pid, host: hostname() };
    expect(error).toMatchObject(holder);
    expect(error.message).toMatch(/in this process already: open it once and pass the Redex on/);
    expect(JSON.parse(readFileSync(infoFile(), 'utf8'))).toMatchObject({
      pid: process.pid,
      host: hostname(),
    });
  });

  test('by another path is LOCKED', async () => {
    await open();
    const link = join(real.scratch, 'link');
    symlinkSync(real.directory, link);
    symlinkSync(link, join(real.scratch, 'link to a link'));
    mkdirSync(join(real.scratch, 'inner'));
    for (const path of [
      link,
      join(real.scratch, 'link to a link'),
      `${real.directory}/`,
      `${link}//`,
      `${real.scratch}/inner/../data/.`,
      relative(process.cwd(), real.directory),
      `./${relative(process.cwd(), link)}`,
    ]) {
      expect(await rejection(Redex.open(path), 'LOCKED'), path).toMatchObject({
        path: real.directory,
        pid: process.pid,
      });
    }
  });

  test('by a path through a parent that is a link is LOCKED', async () => {
    const link = join(real.scratch, '..', `${real.scratch.split('/').at(-1)}-link`);
    symlinkSync(real.scratch, link);
    try {
      const redex = await open(`${link}/data`);
      expect(redex.directory).toBe(real.directory);
      await rejection(Redex.open(real.directory), 'LOCKED');
    } finally {
      rmSync(link);
    }
  });

  test('in another process is LOCKED with our pid, whatever its working directory', async () => {
    await open();
    for (const [cwd, path] of [
      [undefined, real.directory],
      [real.scratch, 'data'],
      [real.directory, '.'],
    ]) {
      const report = await reportOf(startChild(undefined, cwd, path));
      expect(report).toMatchObject({ opened: false, code: 'LOCKED', holder: process.pid });
      expect(report.message).toContain(`open in process ${process.pid} on ${hostname()}`);
      expect(report.message).toContain('readOnly beside the writer');
    }
  });

  test('in a worker thread is LOCKED, and the other way round', async () => {
    const redex = await open();
    expect(await workerOpens()).toMatchObject({ opened: false, code: 'LOCKED' });
    await redex.close();
    expect(await workerOpens()).toMatchObject({ opened: true });
    const error = await rejection(Redex.open(real.directory), 'LOCKED');
    expect(error.pid).toBe(process.pid);
    await workers[1]?.terminate();
    await open();
  });

  test('of several at the same moment gets it: exactly one process', async () => {
    await (await open()).close();
    const started = Array.from({ length: 6 }, () => startChild(undefined));
    const reports = await Promise.all(started.map(reportOf));
    const winners = reports.filter((report) => report.opened);
    expect(winners).toHaveLength(1);
    for (const report of reports) if (!report.opened) expect(report.code).toBe('LOCKED');
  });

  test('of several that find nothing there: one creates the store, the others see it', async () => {
    const started = Array.from({ length: 6 }, () => startChild(undefined));
    const reports = await Promise.all(started.map(reportOf));
    expect(reports.filter((report) => report.opened)).toHaveLength(1);
    for (const report of reports) if (!report.opened) expect(report.code).toBe('LOCKED');
    await Promise.all(children.map(killed));
    await open();
  });
});

describe('the lock', () => {
  test('is free at once after close, and after kill -9 with the records there', async () => {
    const child = startChild('a');
    const report = await reportOf(child);
    expect(report.opened).toBe(true);
    const error = await rejection(Redex.open(real.directory), 'LOCKED');
    expect(error.pid).toBe(child.pid);
    await killed(child);
    const redex = await open();
    const channel = await redex.channel('a', { createIfMissing: false });
    const texts = (await channel.readBatch()).map(({ payload }) => Buffer.from(payload).toString());
    expect(texts).toEqual(Array.from({ length: 10 }, (_, i) => `record ${i}`));
    await redex.close();
    expect((await reportOf(startChild(undefined))).opened).toBe(true);
  });

  test('file is never replaced: the same inode over many opens', async () => {
    await (await open()).close();
    const { ino, birthtimeMs } = statSync(lockFile());
    for (let i = 0; i < 20; i += 1) {
      const redex = await open();
      await rejection(Redex.open(real.directory), 'LOCKED');
      await redex.close();
    }
    const child = startChild(undefined);
    await reportOf(child);
    await killed(child);
    await (await open()).close();
    expect(statSync(lockFile())).toMatchObject({ ino, birthtimeMs, size: 0 });
  });

  test.each([
    ['missing', undefined],
    ['empty', ''],
    ['garbage', '\0\u0001{{{'],
    ['other JSON', '[1,2]'],
    ['of a wrong type', '{"pid":"1","host":7}'],
    ['null', 'null'],
    ['too long', `{"pid":1,"host":"${'x'.repeat(10_000)}"}`],
    ['stale', '{"pid":4000000,"host":"elsewhere","since":1}'],
  ])('info that is %s decides nothing', async (_what, text) => {
    const redex = await open();
    if (text === undefined) rmSync(infoFile());
    else writeFileSync(infoFile(), text);
    const error = await rejection(Redex.open(real.directory), 'LOCKED');
    if (text?.includes('elsewhere') === true) expect(error.pid).toBe(4_000_000);
    else expect([error.pid, error.host]).toEqual([undefined, undefined]);
    await redex.close();
    if (text !== undefined) writeFileSync(infoFile(), text);
    const next = await open();
    const info = JSON.parse(readFileSync(infoFile(), 'utf8')) as unknown;
    expect(info).toMatchObject({ pid: process.pid, host: hostname() });
    await (await next.channel('a')).append('x');
  });

  test('info that cannot be written, or is a directory, is only a worse message', async () => {
    await (await open()).close();
    mkdirSync(infoFile());
    const redex = await open();
    const error = await rejection(Redex.open(real.directory), 'LOCKED');
    expect(error.pid).toBe(undefined);
    await redex.close();
  });

  test('is given back by an open that fails after it was taken', async () => {
    const store = new StoreLab();
    await (await store.open()).close();
    let failed = 0;
    // Each operation of an open fails in turn, until an open has as many that none does.
    for (const operation of OPERATIONS) {
      for (let nth = 1, fired = 1; fired > 0; nth += 1) {
        const fault = store.lab.fail(operation, /./, 'EIO', { nth });
        const redex = await store.open().catch(() => undefined);
        ({ fired } = fault);
        fault.remove();
        if (redex === undefined) failed += 1;
        const count = redex === undefined ? 0 : 1;
        expect(store.lab.faults.openPaths, `${operation} ${nth}`).toHaveLength(count);
        await redex?.close();
        await (await store.open()).close();
      }
    }
    expect(failed).toBeGreaterThan(10);
  });

  test.each(['ENOLCK', 'ENOSYS', 'EOPNOTSUPP'])('that cannot be had (%s) is IO', async (code) => {
    const store = new StoreLab();
    store.lab.fail('tryLockSync', /LOCK$/, code, { times: Infinity });
    const error = await rejection(store.open(), 'IO');
    expect([error.systemCode, error.outcome]).toEqual([code, 'absent']);
    // Nothing but the file that was to be locked.
    expect(store.lab.disk.readDirectorySync(DATA)).toEqual([{ name: 'LOCK', kind: 'file' }]);
    expect(store.lab.faults.openPaths).toEqual([]);
    store.lab.faults.clearFaults();
    await (await store.open()).close();
    const { tree } = store;
    store.lab.fail('tryLockSync', /LOCK$/, code);
    await rejection(store.open(), 'IO');
    expect(store.tree).toEqual(tree);
  });
});
