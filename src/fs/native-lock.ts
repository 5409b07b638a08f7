/**
 * Locks of the operating system, which Node.js does not offer: by the package fs-native-extensions,
 * with F_OFD_SETLK on Linux, flock(2) on macOS and LockFileEx on Windows. All three belong to the
 * open file and not to the process, so that a second open in the same process conflicts, and the
 * system frees them when the last descriptor is gone, however the process ended.
 *
 * The binary is loaded when the first lock is asked for: where it is missing, whatever needs no
 * lock works. `require`, because `import()` would make locking asynchronous, and an `await` at the
 * top level would keep CommonJS programs from loading this package.
 */
import { createRequire } from 'node:module';
import { systemError } from './system-error.js';

/** What is used of the package, which has no types. */
interface NativeLocks {
  /** False when another descriptor holds a lock; every other failure is thrown. */
  tryLock(descriptor: number): boolean;
}

const require = createRequire(import.meta.url);

function nativeLocks(path: string): NativeLocks {
  try {
    return require('fs-native-extensions') as NativeLocks;
  } catch (cause) {
    const platform = `${process.platform}-${process.arch}`;
    const detail = `the native part of fs-native-extensions cannot be loaded on ${platform}`;
    throw systemError('ENOSYS', 'tryLockSync', path, detail, { cause });
  }
}

/**
 * Locks the whole file for the open file behind `descriptor`, which may write. False means that
 * another one holds it: the addon says so for EAGAIN (Linux, macOS), EBUSY (what libuv makes of the
 * lock violation of Windows) and EACCES, which POSIX allows instead of EAGAIN. No supported system
 * uses that for a lock that is held, but one may refuse with it (a security module of Linux, say);
 * the addon hides the difference, and the file then looks locked.
 */
export function tryLockDescriptor(descriptor: number, path: string): boolean {
  return nativeLocks(path).tryLock(descriptor);
}
