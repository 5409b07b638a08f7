/**
 * The contract of the FileSystem port as tests, for whoever implements it: names here, open files
 * in file-handle-contract.ts. Runs in any test runner that has `describe`, `test` and `expect`.
 */
import type { FileSystem } from '../fs/file-system.js';
import {
  bytesOf,
  codeOf,
  contentOf,
  rejectionCodeOf,
  withRoot,
  writeFile,
  type ContractOptions,
  type ContractTest,
  type TestRunner,
} from './contract-support.js';
import { fileHandleContract } from './file-handle-contract.js';

export function fileSystemContract(runner: TestRunner, options: ContractOptions): void {
  const check: ContractTest = (name, body) => {
    runner.test(name, () => withRoot(options, body));
  };
  runner.describe(`FileSystem contract: ${options.name}`, () => {
    runner.describe('open modes', () => openModes(runner, check));
    runner.describe('directories', () => directories(runner, check));
    runner.describe('stat and realpath', () => lookups(runner, check));
    runner.describe('rename', () => renames(runner, check));
    runner.describe('rename onto something else', () => refusedRenames(runner, check));
    runner.describe('link and unlink', () => links(runner, check));
    runner.describe('asynchronous names', () => asynchronousNames(runner, check));
    fileHandleContract(runner, check);
  });
}

function openModes({ expect }: TestRunner, check: ContractTest): void {
  check('create makes an empty file that reads and writes', (fs, root) => {
    const handle = fs.openSync(`${root}/a`, 'create');
    expect(handle.path).toBe(`${root}/a`);
    expect(handle.sizeSync()).toBe(0);
    handle.writeSync(bytesOf('text'), 0, 4, 0);
    expect(contentOf(handle)).toEqual(bytesOf('text'));
    handle.closeSync();
  });
  check('create refuses whatever exists', (fs, root) => {
    writeFile(fs, `${root}/a`, 'kept');
    fs.mkdirSync(`${root}/d`);
    expect(codeOf(() => fs.openSync(`${root}/a`, 'create'))).toBe('EEXIST');
    expect(codeOf(() => fs.openSync(`${root}/d`, 'create'))).toBe('EEXIST');
    expect(readFile(fs, `${root}/a`)).toEqual(bytesOf('kept'));
  });
  check('read and write need an existing file and keep its bytes', (fs, root) => {
    expect(codeOf(() => fs.openSync(`${root}/a`, 'read'))).toBe('ENOENT');
    expect(codeOf(() => fs.openSync(`${root}/a`, 'write'))).toBe('ENOENT');
    expect(fs.statSync(`${root}/a`)).toBe(undefined);
    writeFile(fs, `${root}/a`, 'kept');
    const handle = fs.openSync(`${root}/a`, 'write');
    expect(contentOf(handle)).toEqual(bytesOf('kept'));
    handle.closeSync();
  });
  check('a missing directory is ENOENT, a file in its place ENOTDIR', (fs, root) => {
    writeFile(fs, `${root}/a`, '');
    expect(codeOf(() => fs.openSync(`${root}/none/x`, 'create'))).toBe('ENOENT');
    expect(codeOf(() => fs.openSync(`${root}/none/x`, 'read'))).toBe('ENOENT');
    expect(codeOf(() => fs.openSync(`${root}/a/x`, 'create'))).toBe('ENOTDIR');
    expect(codeOf(() => fs.openSync(`${root}/a/x`, 'read'))).toBe('ENOTDIR');
  });
  check('a directory cannot be written, nor read as a file', (fs, root) => {
    fs.mkdirSync(`${root}/d`);
    expect(codeOf(() => fs.openSync(`${root}/d`, 'write'))).toBe('EISDIR');
    const read = (): void => {
      const handle = fs.openSync(`${root}/d`, 'read');
      try {
        handle.readSync(new Uint8Array(1), 0, 1, 0);
      } finally {
        handle.closeSync();
      }
    };
    expect(codeOf(read)).toBe('EISDIR');
  });
}

function readFile(fs: FileSystem, path: string): Uint8Array {
  const handle = fs.openSync(path, 'read');
  try {
    return contentOf(handle);
  } finally {
    handle.closeSync();
  }
}

function namesIn(fs: FileSystem, path: string): string[] {
  return fs
    .readDirectorySync(path)
    .map((entry) => `${entry.kind} ${entry.name}`)
    .toSorted();
}

function directories({ expect }: TestRunner, check: ContractTest): void {
  check('mkdir makes one empty directory', (fs, root) => {
    fs.mkdirSync(`${root}/d`);
    expect(fs.statSync(`${root}/d`)).toEqual({ kind: 'directory', size: 0 });
    expect(fs.readDirectorySync(`${root}/d`)).toEqual([]);
  });
  check('mkdir fails over anything and without its parent', (fs, root) => {
    writeFile(fs, `${root}/a`, '');
    fs.mkdirSync(`${root}/d`);
    expect(codeOf(() => fs.mkdirSync(`${root}/a`))).toBe('EEXIST');
    expect(codeOf(() => fs.mkdirSync(`${root}/d`))).toBe('EEXIST');
    expect(codeOf(() => fs.mkdirSync(`${root}/none/d`))).toBe('ENOENT');
    expect(codeOf(() => fs.mkdirSync(`${root}/a/d`))).toBe('ENOTDIR');
  });
  check('readDirectory lists names and kinds', (fs, root) => {
    writeFile(fs, `${root}/a`, '');
    writeFile(fs, `${root}/.b c%\u00e9`, '');
    fs.mkdirSync(`${root}/d`);
    writeFile(fs, `${root}/d/inner`, '');
    expect(namesIn(fs, root)).toEqual(['directory d', 'file .b c%\u00e9', 'file a']);
    expect(codeOf(() => fs.readDirectorySync(`${root}/none`))).toBe('ENOENT');
    expect(codeOf(() => fs.readDirectorySync(`${root}/a`))).toBe('ENOTDIR');
  });
  check('rmdir removes an empty directory alone', (fs, root) => {
    fs.mkdirSync(`${root}/d`);
    writeFile(fs, `${root}/d/a`, '');
    expect(codeOf(() => fs.rmdirSync(`${root}/d`))).toBe('ENOTEMPTY');
    expect(codeOf(() => fs.rmdirSync(`${root}/d/a`))).toBe('ENOTDIR');
    expect(codeOf(() => fs.rmdirSync(`${root}/none`))).toBe('ENOENT');
    fs.unlinkSync(`${root}/d/a`);
    fs.rmdirSync(`${root}/d`);
    expect(fs.statSync(`${root}/d`)).toBe(undefined);
  });
  check('syncDirectory wants a directory', (fs, root) => {
    writeFile(fs, `${root}/a`, '');
    fs.syncDirectorySync(root);
    expect(codeOf(() => fs.syncDirectorySync(`${root}/none`))).toBe('ENOENT');
    expect(codeOf(() => fs.syncDirectorySync(`${root}/a`))).toBe('ENOTDIR');
  });
}

function lookups({ expect }: TestRunner, check: ContractTest): void {
  check('stat tells kind and size', (fs, root) => {
    writeFile(fs, `${root}/a`, 'seven b');
    expect(fs.statSync(`${root}/a`)).toEqual({ kind: 'file', size: 7 });
    expect(fs.statSync(root)).toEqual({ kind: 'directory', size: 0 });
  });
  check('stat is undefined for ENOENT alone', (fs, root) => {
    writeFile(fs, `${root}/a`, '');
    expect(fs.statSync(`${root}/none`)).toBe(undefined);
    expect(fs.statSync(`${root}/none/x`)).toBe(undefined);
    expect(codeOf(() => fs.statSync(`${root}/a/x`))).toBe('ENOTDIR');
  });
  check('realpath is absolute and normal', (fs, root) => {
    fs.mkdirSync(`${root}/d`);
    const real = fs.realpathSync(`${root}/d`);
    expect(real.startsWith('/') || real.includes(':')).toBe(true);
    expect(fs.realpathSync(`${root}/d/../d/.`)).toBe(real);
    expect(codeOf(() => fs.realpathSync(`${root}/none`))).toBe('ENOENT');
  });
}

function renames({ expect }: TestRunner, check: ContractTest): void {
  check('rename moves a file, its bytes and its open handles', (fs, root) => {
    fs.mkdirSync(`${root}/d`);
    writeFile(fs, `${root}/a`, 'text');
    const handle = fs.openSync(`${root}/a`, 'write');
    fs.renameSync(`${root}/a`, `${root}/d/b`);
    handle.writeSync(bytesOf('T'), 0, 1, 0);
    handle.closeSync();
    expect(fs.statSync(`${root}/a`)).toBe(undefined);
    expect(readFile(fs, `${root}/d/b`)).toEqual(bytesOf('Text'));
  });
  check('rename replaces a file, whose open handles go on working', (fs, root) => {
    writeFile(fs, `${root}/a`, 'new');
    writeFile(fs, `${root}/b`, 'old');
    const old = fs.openSync(`${root}/b`, 'read');
    fs.renameSync(`${root}/a`, `${root}/b`);
    expect(readFile(fs, `${root}/b`)).toEqual(bytesOf('new'));
    expect(contentOf(old)).toEqual(bytesOf('old'));
    old.closeSync();
    expect(namesIn(fs, root)).toEqual(['file b']);
  });
  check('rename moves a directory with its content', (fs, root) => {
    fs.mkdirSync(`${root}/d`);
    fs.mkdirSync(`${root}/d/e`);
    writeFile(fs, `${root}/d/e/a`, 'deep');
    fs.mkdirSync(`${root}/f`);
    fs.renameSync(`${root}/d`, `${root}/f/g`);
    expect(readFile(fs, `${root}/f/g/e/a`)).toEqual(bytesOf('deep'));
    expect(namesIn(fs, root)).toEqual(['directory f']);
  });
  check('rename to the same name changes nothing', (fs, root) => {
    writeFile(fs, `${root}/a`, 'text');
    fs.renameSync(`${root}/a`, `${root}/a`);
    expect(readFile(fs, `${root}/a`)).toEqual(bytesOf('text'));
  });
}

function refusedRenames({ expect }: TestRunner, check: ContractTest): void {
  check('rename never replaces a directory', (fs, root) => {
    fs.mkdirSync(`${root}/empty`);
    fs.mkdirSync(`${root}/full`);
    writeFile(fs, `${root}/full/a`, 'kept');
    fs.mkdirSync(`${root}/d`);
    writeFile(fs, `${root}/a`, 'kept');
    expect(codeOf(() => fs.renameSync(`${root}/a`, `${root}/empty`))).toBe('EISDIR');
    expect(codeOf(() => fs.renameSync(`${root}/a`, `${root}/full`))).toBe('EISDIR');
    expect(codeOf(() => fs.renameSync(`${root}/d`, `${root}/empty`))).toBe('EEXIST');
    expect(codeOf(() => fs.renameSync(`${root}/d`, `${root}/full`))).toBe('EEXIST');
    const kept = ['directory d', 'directory empty', 'directory full', 'file a'];
    expect(namesIn(fs, root)).toEqual(kept);
    expect(readFile(fs, `${root}/full/a`)).toEqual(bytesOf('kept'));
  });
  check('rename of a directory replaces no file and goes not into itself', (fs, root) => {
    fs.mkdirSync(`${root}/d`);
    writeFile(fs, `${root}/a`, 'kept');
    expect(codeOf(() => fs.renameSync(`${root}/d`, `${root}/a`))).toBe('ENOTDIR');
    expect(codeOf(() => fs.renameSync(`${root}/d`, `${root}/d/e`))).toBe('EINVAL');
    expect(readFile(fs, `${root}/a`)).toEqual(bytesOf('kept'));
  });
  check('rename needs its source and the directory of its target', (fs, root) => {
    writeFile(fs, `${root}/a`, '');
    writeFile(fs, `${root}/b`, '');
    fs.mkdirSync(`${root}/d`);
    expect(codeOf(() => fs.renameSync(`${root}/none`, `${root}/a`))).toBe('ENOENT');
    expect(codeOf(() => fs.renameSync(`${root}/none`, `${root}/d`))).toBe('ENOENT');
    expect(codeOf(() => fs.renameSync(`${root}/a`, `${root}/none/a`))).toBe('ENOENT');
    expect(codeOf(() => fs.renameSync(`${root}/a`, `${root}/b/a`))).toBe('ENOTDIR');
    expect(namesIn(fs, root)).toEqual(['directory d', 'file a', 'file b']);
  });
}

function links({ expect }: TestRunner, check: ContractTest): void {
  check('link gives the same file a second name', (fs, root) => {
    writeFile(fs, `${root}/a`, 'text');
    fs.linkSync(`${root}/a`, `${root}/b`);
    const handle = fs.openSync(`${root}/a`, 'write');
    handle.writeSync(bytesOf('T'), 0, 1, 0);
    handle.closeSync();
    expect(readFile(fs, `${root}/b`)).toEqual(bytesOf('Text'));
    fs.unlinkSync(`${root}/a`);
    expect(readFile(fs, `${root}/b`)).toEqual(bytesOf('Text'));
  });
  check('link refuses an existing target and a missing source', (fs, root) => {
    writeFile(fs, `${root}/a`, '');
    writeFile(fs, `${root}/b`, 'kept');
    expect(codeOf(() => fs.linkSync(`${root}/a`, `${root}/b`))).toBe('EEXIST');
    expect(codeOf(() => fs.linkSync(`${root}/none`, `${root}/c`))).toBe('ENOENT');
    expect(codeOf(() => fs.linkSync(`${root}/a`, `${root}/none/c`))).toBe('ENOENT');
    expect(readFile(fs, `${root}/b`)).toEqual(bytesOf('kept'));
  });
  check('unlink removes a name, open handles go on working', (fs, root) => {
    const handle = fs.openSync(`${root}/a`, 'create');
    handle.writeSync(bytesOf('before'), 0, 6, 0);
    fs.unlinkSync(`${root}/a`);
    expect(fs.statSync(`${root}/a`)).toBe(undefined);
    handle.writeSync(bytesOf('after'), 0, 5, 6);
    handle.datasyncSync();
    expect(contentOf(handle)).toEqual(bytesOf('beforeafter'));
    writeFile(fs, `${root}/a`, 'another');
    expect(contentOf(handle)).toEqual(bytesOf('beforeafter'));
    handle.closeSync();
  });
  check('unlink is for names of files that exist', (fs, root) => {
    fs.mkdirSync(`${root}/d`);
    expect(codeOf(() => fs.unlinkSync(`${root}/none`))).toBe('ENOENT');
    // EPERM where the system is not Linux.
    expect(['EISDIR', 'EPERM'].includes(codeOf(() => fs.unlinkSync(`${root}/d`)))).toBe(true);
    expect(namesIn(fs, root)).toEqual(['directory d']);
  });
}

function asynchronousNames({ expect }: TestRunner, check: ContractTest): void {
  check('unlink', async (fs, root) => {
    writeFile(fs, `${root}/a`, '');
    await fs.unlink(`${root}/a`);
    expect(fs.statSync(`${root}/a`)).toBe(undefined);
    expect(await rejectionCodeOf(fs.unlink(`${root}/a`))).toBe('ENOENT');
  });
  check('syncDirectory', async (fs, root) => {
    writeFile(fs, `${root}/a`, '');
    await fs.syncDirectory(root);
    expect(await rejectionCodeOf(fs.syncDirectory(`${root}/none`))).toBe('ENOENT');
    expect(await rejectionCodeOf(fs.syncDirectory(`${root}/a`))).toBe('ENOTDIR');
  });
}
