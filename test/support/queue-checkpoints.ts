/** Queues without their checkpoints: the next process finds the log alone. */
import type { CrashFs } from '../../src/testing/crash-fs.js';

export function removeCheckpoints(disk: CrashFs, path = '/data/channels'): void {
  for (const { name, kind } of disk.readDirectorySync(path)) {
    const each = `${path}/${name}`;
    if (kind === 'directory') removeCheckpoints(disk, each);
    else if (path.endsWith('/checkpoints')) disk.unlinkSync(each);
  }
}
