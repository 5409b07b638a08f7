/** FaultFs: transparent without rules, precise with them, and what it notices about syncs. */
import { describe, expect, test } from 'vitest';
import { MemoryFs } from '../../src/fs/memory-fs.js';
import { benign, worst } from '../../src/testing/choices.js';
import { bytesOf, codeOf, contentOf, rejectionCodeOf } from '../../src/testing/contract-support.js';
import { CrashFs } from '../../src/testing/crash-fs.js';
import { FaultFs } from '../../src/testing/fault-fs.js';
import { fileSystemContract } from '../../src/testing/file-system-contract.js';
import { ManualRuntime } from '../../src/testing/manual-runtime.js';

for (const [name, make] of [
  ['FaultFs over MemoryFs', () => new MemoryFs()],
  ['FaultFs over CrashFs', () => new CrashFs()],
] as const) {
  fileSystemContract(
    { describe, test, expect },
    {
      name,
      make: () => {
        const fs = new FaultFs(make());
        fs.mkdirSync('/root');
        return { fs, root: '/root' };
      },
    },
  );
}

const abc = bytesOf('abc');

describe('rules', () => {
  test('fail the n-th operation that matches, once or as often as they say', () => {
    const fs = new FaultFs(new MemoryFs());
    const handle = fs.openSync('/dat', 'create');
    const other = fs.openSync('/idx', 'create');
    const effect = { error: 'ENOSPC' };
    const fault = fs.inject({ operation: 'writeSync', path: /dat$/, nth: 2, times: 2, effect });
    other.writeSync(abc, 0, 3, 0);
    const codes = [0, 1, 2, 3].map(() => codeOf(() => handle.writeSync(abc, 0, 3, 0)));
    expect(codes).toEqual(['no error', 'ENOSPC', 'ENOSPC', 'no error']);
    expect([fault.matched, fault.fired]).toEqual([4, 2]);
    expect(fs.calls.of('writeSync')).toBe(5);
    expect(fs.calls.at('/dat')).toBe(5);
  });

  test('have groups, last for good, and can be taken back', async () => {
    const fs = new FaultFs(new MemoryFs());
    const handle = fs.openSync('/f', 'create');
    const effect = { error: 'EROFS' };
    const fault = fs.inject({ operation: 'anyMutation', nth: 1, times: Infinity, effect });
    expect(codeOf(() => fs.mkdirSync('/d'))).toBe('EROFS');
    expect(codeOf(() => fs.openSync('/g', 'create'))).toBe('EROFS');
    expect(codeOf(() => handle.truncateSync(1))).toBe('EROFS');
    expect(await rejectionCodeOf(handle.write(abc, 0, 3, 0))).toBe('EROFS');
    expect(await rejectionCodeOf(fs.unlink('/f'))).toBe('EROFS');
    expect(fs.statSync('/f')).toEqual({ kind: 'file', size: 0 });
    fault.remove();
    fs.mkdirSync('/d');
  });

  test('match either path of a rename, by pattern or function', () => {
    const fs = new FaultFs(new MemoryFs());
    fs.openSync('/m.tmp', 'create').closeSync();
    const effect = { error: 'EACCES' };
    fs.inject({ operation: 'renameSync', path: (path) => path === '/m', nth: 1, effect });
    expect(codeOf(() => fs.renameSync('/m.tmp', '/m'))).toBe('EACCES');
    fs.renameSync('/m.tmp', '/m');
    expect(fs.statSync('/m')?.kind).toBe('file');
  });

  test('make a write short, and the attempt at the rest fail', async () => {
    const fs = new FaultFs(new MemoryFs());
    const handle = fs.openSync('/f', 'create');
    fs.inject({ operation: 'anyWrite', nth: 1, effect: { short: 2 } });
    expect(handle.writeSync(abc, 0, 3, 0)).toBe(2);
    expect(codeOf(() => handle.writeSync(abc, 2, 1, 2))).toBe('ENOSPC');
    expect(contentOf(handle)).toEqual(bytesOf('ab'));
    expect(handle.writeSync(abc, 2, 1, 2)).toBe(1);
    fs.inject({ operation: 'anyWrite', nth: 1, effect: { short: 0, thenError: 'EDQUOT' } });
    expect(await handle.write(abc, 0, 3, 3)).toBe(0);
    expect(await rejectionCodeOf(handle.write(abc, 0, 3, 3))).toBe('EDQUOT');
    expect(contentOf(handle)).toEqual(abc);
  });

  test('make a read short, and the next one fail if they say so', async () => {
    const fs = new FaultFs(new MemoryFs());
    const handle = fs.openSync('/f', 'create');
    handle.writeSync(abc, 0, 3, 0);
    const buffer = new Uint8Array(3);
    fs.inject({ operation: 'anyRead', nth: 1, times: 2, effect: { short: 2 } });
    expect(handle.readSync(buffer, 0, 3, 0)).toBe(2);
    expect(buffer).toEqual(Uint8Array.of(97, 98, 0));
    expect(await handle.read(buffer, 0, 3, 0)).toBe(2);
    expect(handle.readSync(buffer, 2, 1, 2)).toBe(1);
    expect(buffer).toEqual(abc);
    fs.inject({ operation: 'anyRead', nth: 1, effect: { short: 0, thenError: 'EIO' } });
    expect(await handle.read(buffer, 0, 3, 0)).toBe(0);
    handle.writeSync(abc, 0, 3, 3);
    expect(await rejectionCodeOf(handle.read(buffer, 0, 3, 0))).toBe('EIO');
    expect(handle.readSync(buffer, 0, 3, 3)).toBe(3);
  });

  test('let a close fail, after which the descriptor is gone', () => {
    const fs = new FaultFs(new MemoryFs());
    const handle = fs.openSync('/f', 'create');
    handle.writeSync(abc, 0, 3, 0);
    expect(handle.tryLockSync()).toBe(true);
    fs.inject({ operation: 'closeSync', nth: 1, effect: { error: 'EIO' } });
    expect(codeOf(() => handle.closeSync())).toBe('EIO');
    expect(codeOf(() => handle.sizeSync())).toBe('EBADF');
    expect(codeOf(() => handle.closeSync())).toBe('EBADF');
    expect(fs.openPaths).toEqual([]);
    expect(fs.closedUnsynced).toEqual(['/f']);
    expect(fs.openSync('/f', 'write').tryLockSync()).toBe(true);
  });

  test('let a lock fail, which is then still free', () => {
    const fs = new FaultFs(new MemoryFs());
    const handle = fs.openSync('/LOCK', 'create');
    fs.inject({ operation: 'tryLockSync', nth: 1, effect: { error: 'ENOLCK' } });
    expect(codeOf(() => handle.tryLockSync())).toBe('ENOLCK');
    expect(fs.openSync('/LOCK', 'write').tryLockSync()).toBe(true);
    expect(handle.tryLockSync()).toBe(false);
    expect(fs.calls.of('tryLockSync')).toBe(3);
  });

  test('refuse effects that their operation cannot have', () => {
    const fs = new FaultFs(new MemoryFs());
    const short = { operation: 'statSync', nth: 1, effect: { short: 1 } } as const;
    const lie = { operation: 'writeSync', nth: 1, effect: { lie: true } } as const;
    expect(() => fs.inject(short)).toThrow(TypeError);
    expect(() => fs.inject(lie)).toThrow(TypeError);
  });
});

describe('syncs that are made to fail', () => {
  test('lose what they captured on a CrashFs, synchronous or not', async () => {
    const runtime = new ManualRuntime();
    const crash = new CrashFs({ defer: runtime.deferIo });
    const fs = new FaultFs(crash, { defer: runtime.deferIo });
    const handle = fs.openSync('/f', 'create');
    fs.inject({ operation: 'anySync', path: /^.f$/, nth: 1, times: 2, effect: { error: 'EIO' } });
    fs.syncDirectorySync('/');
    handle.writeSync(abc, 0, 3, 0);
    expect(codeOf(() => handle.datasyncSync())).toBe('EIO');
    handle.writeSync(abc, 0, 3, 3);
    const failing = rejectionCodeOf(handle.datasync());
    runtime.runIo();
    expect(await failing).toBe('EIO');
    handle.datasyncSync();
    expect(crash.crash(worst).statSync('/f')?.size).toBe(0);
    expect(crash.crash(benign).statSync('/f')?.size).toBe(6);
  });

  test('or to lie', async () => {
    const crash = new CrashFs();
    const fs = new FaultFs(crash);
    fs.openSync('/f', 'create').closeSync();
    fs.inject({ operation: 'anySync', nth: 1, times: 2, effect: { lie: true } });
    fs.syncDirectorySync('/');
    await fs.syncDirectory('/');
    expect(crash.crash(worst).statSync('/f')).toBe(undefined);
    fs.syncDirectorySync('/');
    expect(crash.crash(worst).statSync('/f')?.kind).toBe('file');
  });

  test('fail or lie elsewhere too, without reaching the file system below', async () => {
    const runtime = new ManualRuntime();
    const fs = new FaultFs(new MemoryFs(), { defer: runtime.deferIo });
    const handle = fs.openSync('/f', 'create');
    fs.inject({ operation: 'datasync', nth: 1, effect: { error: 'EIO' } });
    fs.inject({ operation: 'datasyncSync', nth: 1, effect: { lie: true } });
    const failing = rejectionCodeOf(handle.datasync());
    expect(runtime.heldIo).toBe(1);
    runtime.runIo();
    expect(await failing).toBe('EIO');
    handle.datasyncSync();
    expect(fs.events.map(({ kind, ok }) => `${kind} ${ok ?? ''}`.trim())).toEqual([
      'syncBegin',
      'syncEnd false',
      'syncBegin',
      'syncEnd true',
    ]);
  });
});

describe('what it notices', () => {
  test('handles that are closed with bytes that no sync through them covers', async () => {
    const runtime = new ManualRuntime();
    const fs = new FaultFs(new CrashFs({ defer: runtime.deferIo }));
    const synced = fs.openSync('/synced', 'create');
    synced.writeSync(abc, 0, 3, 0);
    synced.datasyncSync();
    synced.closeSync();
    const unsynced = fs.openSync('/unsynced', 'create');
    const other = fs.openSync('/unsynced', 'write');
    unsynced.writeSync(abc, 0, 3, 0);
    other.datasyncSync();
    unsynced.closeSync();
    other.closeSync();
    const late = fs.openSync('/late', 'create');
    late.writeSync(abc, 0, 3, 0);
    const sync = late.datasync();
    late.writeSync(abc, 0, 3, 3);
    runtime.runAllIo();
    await sync;
    expect(fs.openPaths).toEqual(['/late']);
    late.closeSync();
    expect(fs.closedUnsynced).toEqual(['/unsynced', '/late']);
    expect(fs.openPaths).toEqual([]);
  });

  test('a sync that fails, a short write and a truncation leave unsynced bytes', () => {
    const fs = new FaultFs(new CrashFs());
    const failed = fs.openSync('/failed', 'create');
    failed.writeSync(abc, 0, 3, 0);
    fs.inject({ operation: 'anySync', nth: 1, effect: { error: 'EIO' } });
    expect(codeOf(() => failed.datasyncSync())).toBe('EIO');
    failed.closeSync();
    const short = fs.openSync('/short', 'create');
    fs.inject({ operation: 'anyWrite', nth: 1, effect: { short: 1 } });
    short.writeSync(abc, 0, 3, 0);
    short.closeSync();
    const cut = fs.openSync('/short', 'write');
    cut.truncateSync(0);
    cut.closeSync();
    fs.openSync('/short', 'write').closeSync();
    expect(fs.closedUnsynced).toEqual(['/failed', '/short', '/short']);
  });

  test('in which order writes, syncs and marks of the test happen', async () => {
    const fs = new FaultFs(new MemoryFs());
    const handle = fs.openSync('/f', 'create');
    const write = handle.write(abc, 0, 3, 7);
    await write;
    await handle.datasync();
    fs.mark('acknowledged');
    fs.syncDirectorySync('/');
    expect(fs.events).toEqual([
      { kind: 'writeBegin', path: '/f', position: 7, length: 3 },
      { kind: 'writeEnd', path: '/f', ok: true, position: 7, length: 3 },
      { kind: 'syncBegin', path: '/f' },
      { kind: 'syncEnd', path: '/f', ok: true },
      { kind: 'mark', path: 'acknowledged' },
      { kind: 'syncBegin', path: '/' },
      { kind: 'syncEnd', path: '/', ok: true },
    ]);
  });
});
