/**
 * A copy of a data directory while it goes on being written to. It becomes a store with its
 * redex.json, which comes last: a backup that was interrupted is never taken for a whole one.
 */
import { RedexError, redexError } from '../core/errors.js';
import { backUpChannel } from '../channel/channel-backup.js';
import { ioError } from '../channel/io-error.js';
import { copyTree } from '../fs/copy-file.js';
import type { FileSystem } from '../fs/file-system.js';
import { absolutePath, finishStore, makeStoreDirectories } from './data-directory.js';
import type { ChannelDirectory } from './channel-directories.js';
import type { StoreParts } from './store-parts.js';

export interface DamagedChannel {
  /** Its name, or the path of its directory when not even the name can be read. */
  readonly channel: string;
  readonly error: RedexError;
}

export interface BackupReport {
  /** Absolute. */
  readonly directory: string;
  readonly channels: number;
  /** Bytes of finished segments that have a second name in the backup, and cost no space. */
  readonly linkedBytes: number;
  readonly copiedBytes: number;
  /** Channels that are damaged. Their files were copied as they are. */
  readonly damaged: readonly DamagedChannel[];
}

/** See Redex.backup. */
export async function backUpStore(parts: StoreParts, directory: string): Promise<BackupReport> {
  const { settings, place, directories } = parts;
  const { fs } = settings;
  const target = absolutePath(directory);
  if (target === place.path || target.startsWith(`${place.path}/`)) {
    throw new RangeError('a backup cannot be inside of the data directory');
  }
  try {
    requireEmpty(fs, target);
    const channels = makeStoreDirectories(fs, target);
    const report = { linkedBytes: 0, copiedBytes: 0 };
    const damaged: DamagedChannel[] = [];
    let count = 0;
    for (const found of directories.list()) {
      const name = found.path.slice(found.path.lastIndexOf('/') + 1);
      const copied = await backUpOne(parts, found, `${channels}/${name}`, damaged);
      if (copied === undefined) continue;
      count++;
      report.linkedBytes += copied.linkedBytes;
      report.copiedBytes += copied.copiedBytes;
    }
    finishStore(fs, target, place.manifest);
    return { directory: target, channels: count, ...report, damaged };
  } catch (error) {
    throw ioError('back up', target, error, 'absent');
  }
}

function requireEmpty(fs: FileSystem, directory: string): void {
  const present = fs.statSync(directory);
  if (present === undefined) return;
  const isEmpty = present.kind === 'directory' && fs.readDirectorySync(directory).length === 0;
  if (isEmpty) return;
  const message = `${directory} is there already, and it is not an empty directory`;
  throw redexError('EXISTS', message, { kind: present.kind, resource: directory });
}

/** Undefined for a channel that was deleted meanwhile. */
async function backUpOne(
  parts: StoreParts,
  found: ChannelDirectory,
  target: string,
  damaged: DamagedChannel[],
): Promise<{ readonly linkedBytes: number; readonly copiedBytes: number } | undefined> {
  const { registry, settings, directories } = parts;
  const { fs } = settings;
  let name = found.name;
  try {
    name ??= directories.nameOf(found);
    return await registry.use(name, (channel) => {
      const refusal = channel.health.writeError();
      if (refusal !== undefined) throw refusal;
      return backUpChannel(channel, target);
    });
  } catch (error) {
    if (fs.statSync(found.path) === undefined) return undefined;
    if (!RedexError.is(error, 'CORRUPT') && !RedexError.is(error, 'FORMAT_VERSION')) throw error;
    damaged.push({ channel: name ?? found.path, error });
    return { linkedBytes: 0, copiedBytes: await copyTree(fs, found.path, target) };
  }
}
