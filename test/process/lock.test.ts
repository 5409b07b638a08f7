/**
 * Goal: a lock holds off other processes and other threads of this one, is free as soon as its
 * holder is gone, killed or not, and is inherited by nobody.
 * Method: the file system of the port, with a child and a worker that hold the lock or are refused.
 * Nothing is waited for but their messages and their ends.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { checksumOf } from '../../src/format/checksum.js';
import type { FileHandle } from '../../src/fs/file-system.js';
import { nodeFs } from '../../src/fs/node-fs.js';
import type { LockReport } from '../support/process-lock.js';
import {
  buildProcessPackage,
  repository,
  type ProcessPackage,
} from '../support/process-package.js';

const PROGRAM = 'test/support/process-lock.ts';

let built: ProcessPackage;
let scratch: string;
let file: string;
let children: ChildProcess[];
let workers: Worker[];
let handles: FileHandle[];

beforeAll(async () => {
  built = await buildProcessPackage();
});

afterAll(() => built.remove());

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'redex-lock-'));
  file = join(scratch, 'LOCK');
  [children, workers, handles] = [[], [], []];
  nodeFs.openSync(file, 'create').closeSync();
});

afterEach(async () => {
  for (const handle of handles) handle.closeSync();
  await Promise.all([...children.map(killed), ...workers.map((worker) => worker.terminate())]);
  rmSync(scratch, { recursive: true });
});

function opened(path: string = file): FileHandle {
  const handle = nodeFs.openSync(path, 'write');
  handles.push(handle);
  return handle;
}

/** A child that has asked for the lock; its report. */
async function childAsks(
  path: string = file,
  program: string = built.path(PROGRAM),
): Promise<readonly [ChildProcess, LockReport]> {
  const child = fork(program, [path], { execArgv: [] });
  children.push(child);
  const ended = once(child, 'exit').then(() => {
    throw new Error('the child ended before it reported');
  });
  const [report] = (await Promise.race([once(child, 'message'), ended])) as [LockReport];
  return [child, report];
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** The same in a thread of this process. */
async function workerAsks(path: string = file): Promise<readonly [Worker, LockReport]> {
  const worker = new Worker(built.path(PROGRAM), { argv: [path], execArgv: [] });
  workers.push(worker);
  // Rejects when the thread fails.
  const [report] = (await once(worker, 'message')) as [LockReport];
  return [worker, report];
}

describe('another process', () => {
  test('that holds the lock holds it off here, until it is killed', async () => {
    const handle = opened();
    const [child, report] = await childAsks();
    expect(report.locked).toBe(true);
    expect(handle.tryLockSync()).toBe(false);
    await killed(child);
    expect(handle.tryLockSync()).toBe(true);
  });

  test('is refused while it is held here, and gets it after the close', async () => {
    const handle = nodeFs.openSync(file, 'write');
    expect(handle.tryLockSync()).toBe(true);
    const [, refused] = await childAsks();
    expect(refused.locked).toBe(false);
    handle.closeSync();
    const [, report] = await childAsks();
    expect(report.locked).toBe(true);
  });

  test('does not inherit the lock of its parent', async () => {
    const handle = nodeFs.openSync(file, 'write');
    expect(handle.tryLockSync()).toBe(true);
    const other = join(scratch, 'OTHER');
    nodeFs.openSync(other, 'create').closeSync();
    const [child] = await childAsks(other);
    handle.closeSync();
    expect(opened().tryLockSync()).toBe(true);
    expect(opened(other).tryLockSync()).toBe(false);
    expect(child.exitCode).toBe(null);
  });
});

describe('another thread of this process', () => {
  test('that holds the lock holds it off here, until it is terminated', async () => {
    const handle = opened();
    const [worker, report] = await workerAsks();
    expect(report.locked).toBe(true);
    expect(handle.tryLockSync()).toBe(false);
    await worker.terminate();
    expect(handle.tryLockSync()).toBe(true);
  });

  test('is refused while it is held here or in a third one', async () => {
    const handle = nodeFs.openSync(file, 'write');
    expect(handle.tryLockSync()).toBe(true);
    const [, refused] = await workerAsks();
    expect(refused.locked).toBe(false);
    handle.closeSync();
    const reports = (await Promise.all([workerAsks(), workerAsks()])).map(([, each]) => each);
    expect(reports.map(({ locked }) => String(locked)).toSorted()).toEqual(['false', 'true']);
    // Every thread loads both native dependencies.
    const checksum = checksumOf(Uint8Array.of(1, 2, 3), 0, 3);
    for (const report of reports) expect(report.checksum).toEqual(checksum);
  });
});

/** The package where fs-native-extensions is installed, but has no binary for the platform. */
function withoutBinary(): string {
  const directory = join(scratch, 'package');
  const modules = join(repository, 'node_modules');
  mkdirSync(join(directory, 'node_modules'), { recursive: true });
  for (const name of ['src', 'test', 'package.json']) {
    cpSync(join(built.directory, name), join(directory, name), { recursive: true });
  }
  for (const name of ['xxhash-addon', 'require-addon', 'which-runtime']) {
    symlinkSync(join(modules, name), join(directory, 'node_modules', name));
  }
  const native = join('node_modules', 'fs-native-extensions');
  cpSync(join(repository, native), join(directory, native), {
    recursive: true,
    filter: (path) => !path.endsWith('prebuilds'),
  });
  return join(directory, PROGRAM.replace(/\.ts$/, '.js'));
}

test('without a binary for the platform only locking fails, with ENOSYS', async () => {
  const [, report] = await childAsks(file, withoutBinary());
  const what = `ENOSYS: tryLockSync '${file}': the native part of fs-native-extensions`;
  expect(report.error?.code).toBe('ENOSYS');
  expect(report.error?.message).toBe(
    `${what} cannot be loaded on ${process.platform}-${process.arch}`,
  );
});
