/**
 * A copy of a data directory while it goes on being written to. It becomes a store with its
 * redex.json, which comes last: a backup that was interrupted is never taken for a whole one.
 */
import { RedexError, redexError } from '../core/errors.js';
import { backUpChannel } from '../channel/channel-backup.js';
import { ioError } from '../channel/io-error.js';
import { copyTree, type CopiedBytes } from '../fs/copy-file.js';
import type { FileSystem } from '../fs/file-system.js';
import { parentOf } from '../fs/whole-file.js';
import { finishStore, makeStoreDirectories, resolvedPath } from './data-directory.js';
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

interface Progress {
  channels: number;
  linkedBytes: number;
  copiedBytes: number;
  readonly damaged: DamagedChannel[];
}

/** See Redex.backup. */
export async function backUpStore(parts: StoreParts, directory: string): Promise<BackupReport> {
  const { settings, place } = parts;
  const { fs } = settings;
  let target = directory;
  try {
    target = resolvedPath(fs, directory);
    if (target === place.path || target.startsWith(`${place.path}/`)) {
      throw new RangeError('a backup cannot be inside of the data directory');
    }
    requireEmpty(fs, target);
    makeStoreDirectories(fs, target);
    const progress: Progress = { channels: 0, linkedBytes: 0, copiedBytes: 0, damaged: [] };
    await backUpChannels(parts, target, progress);
    finishStore(fs, target, place.manifest);
    return { directory: target, ...progress };
  } catch (error) {
    if (error instanceof RangeError) throw error;
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

/**
 * Copies all channels that are there. When one is gone at its turn it may have another name by
 * now, so that those which no pass has met are looked for again.
 */
async function backUpChannels(
  parts: StoreParts,
  target: string,
  progress: Progress,
): Promise<void> {
  const done = new Set<string>();
  const ids = new Set<string>();
  for (let isAgain = true; isAgain;) {
    isAgain = false;
    for (const found of parts.directories.list()) {
      if (done.has(found.path)) continue;
      const copied = await backUpOne(parts, found, target, ids, progress);
      if (copied === undefined) {
        isAgain = true;
        continue;
      }
      done.add(found.path);
      progress.linkedBytes += copied.linkedBytes;
      progress.copiedBytes += copied.copiedBytes;
    }
  }
}

/** Undefined for a channel that has been deleted or renamed. */
async function backUpOne(
  parts: StoreParts,
  found: ChannelDirectory,
  target: string,
  ids: Set<string>,
  progress: Progress,
): Promise<CopiedBytes | undefined> {
  const { registry, directories, place } = parts;
  const to = `${target}${found.path.slice(place.path.length)}`;
  let name = found.name;
  if (found.error !== undefined) {
    const damaged = { channel: name ?? found.path, error: found.error };
    return copyDamaged(parts, found, damaged, to, progress);
  }
  try {
    name ??= directories.nameOf(found);
    return await registry.use(name, async (channel) => {
      const refusal = channel.health.writeError();
      if (refusal !== undefined) throw refusal;
      const id = Buffer.from(channel.context.channelId).toString('hex');
      // It was copied already, under the name that it had then.
      if (ids.has(id)) return { linkedBytes: 0, copiedBytes: 0 };
      const copied = await backUpChannel(channel, to);
      ids.add(id);
      progress.channels++;
      return copied;
    });
  } catch (error) {
    if (RedexError.is(error, 'NOT_FOUND')) return undefined;
    if (!RedexError.is(error, 'CORRUPT') && !RedexError.is(error, 'FORMAT_VERSION')) throw error;
    return copyDamaged(parts, found, { channel: name ?? found.path, error }, to, progress);
  }
}

/** Copies a channel that cannot be opened as it is. */
async function copyDamaged(
  { registry, settings: { fs } }: StoreParts,
  { path }: ChannelDirectory,
  damaged: DamagedChannel,
  to: string,
  progress: Progress,
): Promise<CopiedBytes | undefined> {
  return registry.exclusively(damaged.channel, async () => {
    if (fs.statSync(path) === undefined) return undefined;
    const copiedBytes = await copyTree(fs, path, to);
    await fs.syncDirectory(parentOf(to));
    progress.channels++;
    progress.damaged.push(damaged);
    return { linkedBytes: 0, copiedBytes };
  });
}
