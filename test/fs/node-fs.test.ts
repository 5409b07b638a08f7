/** The operating system's file system: the contract, and what only it has: modes and numbers. */
import { mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requires } from '../support/requirements.js';
import { nodeFs } from '../../src/fs/node-fs.js';
import { bytesOf, codeOf } from '../../src/testing/contract-support.js';
import { fileSystemContract } from '../../src/testing/file-system-contract.js';

function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'redexlog-fs-'));
}

fileSystemContract(
  { describe, test, expect },
  {
    name: 'nodeFs',
    make: () => {
      const root = temporaryDirectory();
      return { fs: nodeFs, root, cleanup: () => rmSync(root, { recursive: true }) };
    },
  },
);

describe('nodeFs', () => {
  let root: string;
  beforeEach(() => {
    root = temporaryDirectory();
  });
  afterEach(() => {
    rmSync(root, { recursive: true });
  });

  test('keeps others out of files and directories', (context) => {
    requires(context, process.platform !== 'win32', 'Windows has neither modes nor symbolic links');
    nodeFs.openSync(`${root}/file`, 'create').closeSync();
    nodeFs.mkdirSync(`${root}/directory`);
    expect(statSync(`${root}/file`).mode & 0o777).toBe(0o600);
    expect(statSync(`${root}/directory`).mode & 0o777).toBe(0o700);
  });

  test('stat does not follow links, realpath does', (context) => {
    requires(context, process.platform !== 'win32', 'Windows has neither modes nor symbolic links');
    nodeFs.mkdirSync(`${root}/directory`);
    symlinkSync(`${root}/directory`, `${root}/link`);
    expect(nodeFs.statSync(`${root}/link`)).toEqual({ kind: 'other', size: 0 });
    const link = nodeFs.readDirectorySync(root).find((entry) => entry.name === 'link');
    expect(link).toEqual({ name: 'link', kind: 'other' });
    expect(nodeFs.realpathSync(`${root}/link`)).toBe(nodeFs.realpathSync(`${root}/directory`));
  });

  test('tells of writes to what is in a directory, until it is ended', async (context) => {
    const canWatch = process.platform !== 'win32';
    requires(context, canWatch, 'a watched directory could not be removed');
    const file = nodeFs.openSync(`${root}/file`, 'create');
    let ends: (() => void) | undefined;
    let count = 0;
    await new Promise<void>((resolve) => {
      ends = nodeFs.watch?.(root, () => {
        count++;
        resolve();
      });
      file.writeSync(bytesOf('x'), 0, 1, 0);
    });
    ends?.();
    const before = count;
    file.writeSync(bytesOf('y'), 0, 1, 1);
    await new Promise(setImmediate);
    expect(count).toBe(before);
    file.closeSync();
    expect(codeOf(() => nodeFs.watch?.(`${root}/nothing`, () => undefined))).toBe('ENOENT');
  });

  test('a closed handle never touches the file that got its number', async () => {
    const first = nodeFs.openSync(`${root}/first`, 'create');
    const inFlight = first.datasync();
    first.closeSync();
    expect(codeOf(() => first.writeSync(bytesOf('x'), 0, 1, 0))).toBe('EBADF');
    const second = nodeFs.openSync(`${root}/second`, 'create');
    await inFlight;
    expect(codeOf(() => first.closeSync())).toBe('EBADF');
    second.writeSync(bytesOf('kept'), 0, 4, 0);
    expect(second.sizeSync()).toBe(4);
    second.closeSync();
  });
});
