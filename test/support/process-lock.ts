/**
 * A program, or a worker thread, that asks for the lock of a file, tells what it got, and then
 * holds on until it is killed. Usage: node process-lock.js FILE, with a channel to its parent.
 */
import process from 'node:process';
import { parentPort } from 'node:worker_threads';
import { checksumOf } from '../../src/format/checksum.js';
import { nodeFs } from '../../src/fs/node-fs.js';

export interface LockReport {
  readonly locked?: boolean;
  /** Why there was no answer. */
  readonly error?: { readonly code: string; readonly message: string };
  /** Of three bytes, 1, 2 and 3: that the other native dependency works as well. */
  readonly checksum: ReturnType<typeof checksumOf>;
}

function askFor(path: string): LockReport {
  const checksum = checksumOf(Uint8Array.of(1, 2, 3), 0, 3);
  const handle = nodeFs.openSync(path, 'write');
  try {
    return { locked: handle.tryLockSync(), checksum };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { error: { code: code ?? 'none', message }, checksum };
  }
}

const report = askFor(process.argv[2] ?? '');
if (parentPort !== null) {
  parentPort.postMessage(report, []);
  // Keeps the thread.
  parentPort.on('message', () => undefined);
} else {
  process.send?.(report);
  // Keeps the process, as long as it has a parent.
  process.on('message', () => undefined);
}
