/**
 * The contract of open files as tests; part of the suite in file-system-contract.ts.
 */
import type { FileHandle, FileSystem } from '../fs/file-system.js';
import {
  bytesOf,
  codeOf,
  contentOf,
  difference,
  rejectionCodeOf,
  writeFile,
  type ContractTest,
  type TestRunner,
} from './contract-support.js';

export function fileHandleContract(runner: TestRunner, check: ContractTest): void {
  runner.describe('reads and writes', () => readsAndWrites(runner, check));
  runner.describe('places', () => places(runner, check));
  runner.describe('truncate', () => truncations(runner, check));
  runner.describe('several handles', () => severalHandles(runner, check));
  runner.describe('read-only handles', () => readOnlyHandles(runner, check));
  runner.describe('asynchronous forms', () => asynchronousForms(runner, check));
  runner.describe('locks', () => locks(runner, check));
  runner.describe('after close', () => afterClose(runner, check));
}

/** Every byte value, and no period that a chunk or sector size divides. */
function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >>> 8) * 7 + seed) & 0xff);
}

function create(fs: FileSystem, root: string, bytes: Uint8Array = new Uint8Array(0)): FileHandle {
  const handle = fs.openSync(`${root}/file`, 'create');
  handle.writeSync(bytes, 0, bytes.length, 0);
  return handle;
}

function readsAndWrites({ expect }: TestRunner, check: ContractTest): void {
  check('bytes come back as they were written', (fs, root) => {
    const bytes = pattern(70_000);
    const handle = create(fs, root);
    expect(handle.writeSync(bytes, 0, bytes.length, 0)).toBe(bytes.length);
    expect(handle.sizeSync()).toBe(bytes.length);
    expect(difference(contentOf(handle), bytes)).toBe('none');
    handle.closeSync();
  });
  check('a write takes `length` bytes at `offset` of the buffer, and copies them', (fs, root) => {
    const bytes = pattern(100);
    const expected = bytes.slice(10, 30);
    const handle = create(fs, root);
    expect(handle.writeSync(bytes, 10, 20, 0)).toBe(20);
    bytes.fill(0);
    expect(difference(contentOf(handle), expected)).toBe('none');
    handle.closeSync();
  });
  check('a view of a larger buffer is read and written within its bounds', (fs, root) => {
    const memory = pattern(64);
    const handle = create(fs, root, memory.subarray(16, 32));
    expect(contentOf(handle)).toEqual(memory.slice(16, 32));
    const target = new Uint8Array(64);
    expect(handle.readSync(target.subarray(8, 40), 4, 16, 0)).toBe(16);
    expect(target.slice(12, 28)).toEqual(memory.slice(16, 32));
    expect(target.slice(0, 12)).toEqual(new Uint8Array(12));
    expect(target.slice(28)).toEqual(new Uint8Array(36));
    handle.closeSync();
  });
  check('a read is short at the end of the file alone', (fs, root) => {
    const bytes = pattern(50_000);
    const handle = create(fs, root, bytes);
    const target = new Uint8Array(60_000);
    expect(handle.readSync(target, 0, 60_000, 0)).toBe(50_000);
    expect(handle.readSync(target, 0, 49_999, 1)).toBe(49_999);
    expect(handle.readSync(target, 0, 100, 49_990)).toBe(10);
    expect(target.slice(0, 10)).toEqual(bytes.slice(49_990));
    expect(handle.readSync(target, 0, 100, 50_000)).toBe(0);
    expect(handle.readSync(target, 0, 100, 90_000)).toBe(0);
    handle.closeSync();
  });
  check('zero bytes are read and written anywhere without effect', (fs, root) => {
    const handle = create(fs, root, bytesOf('abc'));
    expect(handle.readSync(new Uint8Array(4), 4, 0, 1)).toBe(0);
    expect(handle.readSync(new Uint8Array(0), 0, 0, 0)).toBe(0);
    expect(handle.writeSync(new Uint8Array(4), 4, 0, 1)).toBe(0);
    expect(handle.writeSync(new Uint8Array(0), 0, 0, 9)).toBe(0);
    expect(contentOf(handle)).toEqual(bytesOf('abc'));
    handle.closeSync();
  });
}

function places({ expect }: TestRunner, check: ContractTest): void {
  check('a write replaces what is there and keeps the rest', (fs, root) => {
    const bytes = pattern(40_000);
    const handle = create(fs, root, bytes);
    const change = pattern(20_000, 99);
    handle.writeSync(change, 0, change.length, 10_001);
    bytes.set(change, 10_001);
    expect(difference(contentOf(handle), bytes)).toBe('none');
    handle.closeSync();
  });
  check('a gap reads as zeros', (fs, root) => {
    const handle = create(fs, root, bytesOf('abc'));
    handle.writeSync(bytesOf('xyz'), 0, 3, 40_000);
    expect(handle.sizeSync()).toBe(40_003);
    const expected = new Uint8Array(40_003);
    expected.set(bytesOf('abc'), 0);
    expected.set(bytesOf('xyz'), 40_000);
    const target = new Uint8Array(40_003).fill(1);
    expect(handle.readSync(target, 0, target.length, 0)).toBe(40_003);
    expect(difference(target, expected)).toBe('none');
    handle.closeSync();
  });
  check('there is no file pointer', (fs, root) => {
    const handle = create(fs, root, bytesOf('abcdef'));
    const target = new Uint8Array(2);
    handle.readSync(target, 0, 2, 4);
    handle.writeSync(bytesOf('X'), 0, 1, 1);
    handle.readSync(target, 0, 2, 0);
    expect(target).toEqual(bytesOf('aX'));
    handle.closeSync();
  });
}

function truncations({ expect }: TestRunner, check: ContractTest): void {
  check('truncate cuts', (fs, root) => {
    const bytes = pattern(40_000);
    const handle = create(fs, root, bytes);
    handle.truncateSync(20_001);
    expect(difference(contentOf(handle), bytes.slice(0, 20_001))).toBe('none');
    handle.truncateSync(0);
    expect(handle.sizeSync()).toBe(0);
    handle.closeSync();
  });
  check('truncate extends with zeros', (fs, root) => {
    const handle = create(fs, root, bytesOf('abc'));
    handle.truncateSync(40_000);
    const expected = new Uint8Array(40_000);
    expected.set(bytesOf('abc'));
    expect(difference(contentOf(handle), expected)).toBe('none');
    handle.closeSync();
  });
  check('what was cut off does not come back', (fs, root) => {
    const bytes = pattern(40_000);
    const handle = create(fs, root, bytes);
    handle.truncateSync(100);
    handle.truncateSync(30_000);
    const expected = new Uint8Array(30_000);
    expected.set(bytes.subarray(0, 100));
    expect(difference(contentOf(handle), expected)).toBe('none');
    handle.truncateSync(50);
    handle.writeSync(bytesOf('x'), 0, 1, 200);
    const shorter = new Uint8Array(201);
    shorter.set(bytes.subarray(0, 50));
    shorter.set(bytesOf('x'), 200);
    expect(difference(contentOf(handle), shorter)).toBe('none');
    handle.closeSync();
  });
}

function severalHandles({ expect }: TestRunner, check: ContractTest): void {
  check('handles of one file see writes and sizes at once', (fs, root) => {
    const writer = create(fs, root);
    const other = fs.openSync(`${root}/file`, 'write');
    const reader = fs.openSync(`${root}/file`, 'read');
    writer.writeSync(bytesOf('abc'), 0, 3, 0);
    other.writeSync(bytesOf('def'), 0, 3, 3);
    for (const handle of [writer, other, reader]) {
      expect(contentOf(handle)).toEqual(bytesOf('abcdef'));
    }
    other.truncateSync(2);
    expect(reader.sizeSync()).toBe(2);
    expect(contentOf(writer)).toEqual(bytesOf('ab'));
    for (const handle of [writer, other, reader]) handle.closeSync();
  });
  check('closing one handle leaves the others alone', (fs, root) => {
    const writer = create(fs, root, bytesOf('abc'));
    const reader = fs.openSync(`${root}/file`, 'read');
    writer.closeSync();
    expect(contentOf(reader)).toEqual(bytesOf('abc'));
    reader.closeSync();
  });
}

function readOnlyHandles({ expect }: TestRunner, check: ContractTest): void {
  check('writing through one fails with EBADF and changes nothing', async (fs, root) => {
    writeFile(fs, `${root}/file`, 'abc');
    const handle = fs.openSync(`${root}/file`, 'read');
    expect(codeOf(() => handle.writeSync(bytesOf('x'), 0, 1, 0))).toBe('EBADF');
    expect(await rejectionCodeOf(handle.write(bytesOf('x'), 0, 1, 0))).toBe('EBADF');
    expect(codeOf(() => handle.truncateSync(0))).toBe('EBADF');
    expect(codeOf(() => handle.tryLockSync())).toBe('EBADF');
    expect(contentOf(handle)).toEqual(bytesOf('abc'));
    handle.closeSync();
  });
}

function asynchronousForms({ expect }: TestRunner, check: ContractTest): void {
  check('write and read', async (fs, root) => {
    const bytes = pattern(70_000);
    const handle = create(fs, root);
    expect(await handle.write(bytes, 1, 69_000, 500)).toBe(69_000);
    const target = new Uint8Array(80_000);
    expect(await handle.read(target, 10, 69_990, 500)).toBe(69_000);
    expect(difference(target.slice(10, 69_010), bytes.slice(1, 69_001))).toBe('none');
    expect(await handle.read(target, 0, 100, 90_000)).toBe(0);
    expect(await handle.read(target, 0, 0, 0)).toBe(0);
    expect(await handle.write(bytes, 0, 0, 99_000)).toBe(0);
    expect(handle.sizeSync()).toBe(69_500);
    handle.closeSync();
  });
  check('several at once', async (fs, root) => {
    const handle = create(fs, root);
    const parts = [0, 1, 2, 3].map((index) => pattern(5000, index));
    const writes = parts.map((part, index) => handle.write(part, 0, 5000, index * 5000));
    expect(await Promise.all(writes)).toEqual([5000, 5000, 5000, 5000]);
    await Promise.all([handle.datasync(), handle.datasync()]);
    const target = new Uint8Array(20_000);
    const reads = parts.map((_, index) => handle.read(target, index * 5000, 5000, index * 5000));
    expect(await Promise.all(reads)).toEqual([5000, 5000, 5000, 5000]);
    for (const [index, part] of parts.entries()) {
      expect(difference(target.slice(index * 5000, index * 5000 + 5000), part)).toBe('none');
    }
    handle.closeSync();
  });
  check('syncs succeed on any open file', async (fs, root) => {
    const handle = create(fs, root, bytesOf('abc'));
    handle.datasyncSync();
    await handle.datasync();
    expect(contentOf(handle)).toEqual(bytesOf('abc'));
    handle.closeSync();
  });
}

function locks({ expect }: TestRunner, check: ContractTest): void {
  check('one handle of a file has the lock, and has it when it asks again', (fs, root) => {
    const first = create(fs, root);
    const second = fs.openSync(`${root}/file`, 'write');
    expect(first.tryLockSync()).toBe(true);
    expect(second.tryLockSync()).toBe(false);
    expect(first.tryLockSync()).toBe(true);
    expect(second.tryLockSync()).toBe(false);
    for (const handle of [first, second]) handle.closeSync();
  });
  check('closing its handle frees it, closing any other handle does not', (fs, root) => {
    const holder = create(fs, root);
    expect(holder.tryLockSync()).toBe(true);
    const refused = fs.openSync(`${root}/file`, 'write');
    expect(refused.tryLockSync()).toBe(false);
    const reader = fs.openSync(`${root}/file`, 'read');
    for (const handle of [refused, reader]) handle.closeSync();
    const other = fs.openSync(`${root}/file`, 'write');
    expect(other.tryLockSync()).toBe(false);
    holder.closeSync();
    expect(other.tryLockSync()).toBe(true);
    other.closeSync();
  });
  check('it belongs to the file and not to a name', (fs, root) => {
    const holder = create(fs, root);
    expect(holder.tryLockSync()).toBe(true);
    fs.linkSync(`${root}/file`, `${root}/second`);
    const second = fs.openSync(`${root}/second`, 'write');
    expect(second.tryLockSync()).toBe(false);
    fs.unlinkSync(`${root}/file`);
    const another = fs.openSync(`${root}/file`, 'create');
    expect(another.tryLockSync()).toBe(true);
    expect(second.tryLockSync()).toBe(false);
    for (const handle of [holder, second, another]) handle.closeSync();
  });
  check('a reader holds nobody off, and its holder reads and writes', (fs, root) => {
    const holder = create(fs, root);
    const reader = fs.openSync(`${root}/file`, 'read');
    expect(codeOf(() => reader.tryLockSync())).toBe('EBADF');
    expect(holder.tryLockSync()).toBe(true);
    holder.writeSync(bytesOf('abc'), 0, 3, 0);
    expect(contentOf(holder)).toEqual(bytesOf('abc'));
    for (const handle of [reader, holder]) handle.closeSync();
  });
}

function afterClose({ expect }: TestRunner, check: ContractTest): void {
  check('every use fails with EBADF, closing again too', async (fs, root) => {
    const handle = create(fs, root, bytesOf('abc'));
    handle.closeSync();
    // Takes the descriptor number that was given back, where there are such numbers.
    const another = fs.openSync(`${root}/another`, 'create');
    const bytes = new Uint8Array(1);
    expect(codeOf(() => handle.readSync(bytes, 0, 1, 0))).toBe('EBADF');
    expect(codeOf(() => handle.readSync(bytes, 0, 0, 0))).toBe('EBADF');
    expect(codeOf(() => handle.writeSync(bytes, 0, 1, 0))).toBe('EBADF');
    expect(codeOf(() => handle.truncateSync(1))).toBe('EBADF');
    expect(codeOf(() => handle.sizeSync())).toBe('EBADF');
    expect(codeOf(() => handle.datasyncSync())).toBe('EBADF');
    expect(codeOf(() => handle.tryLockSync())).toBe('EBADF');
    expect(codeOf(() => handle.closeSync())).toBe('EBADF');
    expect(await rejectionCodeOf(handle.read(bytes, 0, 1, 0))).toBe('EBADF');
    expect(await rejectionCodeOf(handle.read(bytes, 0, 0, 0))).toBe('EBADF');
    expect(await rejectionCodeOf(handle.write(bytes, 0, 1, 0))).toBe('EBADF');
    expect(await rejectionCodeOf(handle.datasync())).toBe('EBADF');
    expect(another.sizeSync()).toBe(0);
    another.closeSync();
  });
  check('what is in flight at the close is carried out on its own file', async (fs, root) => {
    const handle = create(fs, root);
    const bytes = pattern(100_000);
    const write = handle.write(bytes, 0, bytes.length, 0);
    handle.closeSync();
    const another = fs.openSync(`${root}/another`, 'create');
    expect(await write).toBe(bytes.length);
    expect(another.sizeSync()).toBe(0);
    another.closeSync();
    const reader = fs.openSync(`${root}/file`, 'read');
    expect(difference(contentOf(reader), bytes)).toBe('none');
    reader.closeSync();
  });
}
