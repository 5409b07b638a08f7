/** What a data directory is made of, for `redex inspect`, as far as it can be read. */
import { RedexError } from '../core/errors.js';
import { CHANNELS_NAME, NEW_NAME, RENAME_NAME, TRASH_NAME } from '../format/file-name.js';
import type { FileSystem } from '../fs/file-system.js';
import { systemCodeOf } from '../fs/system-error.js';
import type { ChannelInfo } from '../index.js';
import { messageOf } from './failure.js';
import { journalOf, lockHolderOf, storeManifestOf } from './inspect-files.js';
import type { JournalLook, LockHolder } from './inspect-files.js';
import { notAStore, reading } from './store.js';

export interface StoreView {
  readonly directory: string;
  readonly storeId: string | undefined;
  /** Unix milliseconds. */
  readonly created: number | undefined;
  readonly holder: LockHolder | undefined;
  readonly journal: JournalLook;
  /** Sorted by name. */
  readonly channels: readonly ChannelInfo[];
  /** False when the engine cannot open the store: there may be channels all the same. */
  readonly isListed: boolean;
  /** Directories that creations, renames and deletions have left. */
  readonly leftovers: number;
  /** What could not be read. */
  readonly problems: readonly string[];
}

/** Throws Problem for what is no store at all. */
export async function inspectStore(
  fs: FileSystem,
  directory: string,
  prefix: string,
): Promise<StoreView> {
  requireStore(fs, directory);
  const problems: string[] = [];
  const manifest = storeManifestOf(fs, directory);
  if (manifest.problem !== undefined) problems.push(`redex.json: ${manifest.problem}`);
  const journal = journalOf(fs, directory);
  if (journal.problem !== undefined) problems.push(`journal: ${journal.problem}`);
  const channels: ChannelInfo[] = [];
  let isListed = true;
  try {
    await reading(directory, async (redex) => {
      for await (const info of redex.channels({ prefix })) channels.push(info);
    });
  } catch (error) {
    if (!RedexError.is(error)) throw error;
    isListed = false;
    problems.push(`it cannot be opened: ${messageOf(error)}`);
  }
  for (const { name, error } of channels) {
    if (error !== undefined) problems.push(`channel '${name}': ${messageOf(error)}`);
  }
  return {
    directory: fs.realpathSync(directory),
    storeId: manifest.value?.storeId,
    created: manifest.value?.created,
    holder: lockHolderOf(fs, directory),
    journal,
    channels,
    isListed,
    leftovers: leftoversOf(fs, directory),
    problems,
  };
}

/** A directory with `channels` in it was a store, whatever has become of it. */
export function requireStore(fs: FileSystem, directory: string): void {
  if (!isDirectory(fs, directory)) throw notAStore(directory);
  const isStore = isDirectory(fs, `${directory}/${CHANNELS_NAME}`);
  if (!isStore && storeManifestOf(fs, directory).problem === 'missing') throw notAStore(directory);
}

/** A link to one counts. */
function isDirectory(fs: FileSystem, path: string): boolean {
  return isThere(fs, path) && fs.statSync(fs.realpathSync(path))?.kind === 'directory';
}

/** Nothing is what a link to nothing leads to. */
function isThere(fs: FileSystem, path: string): boolean {
  try {
    fs.realpathSync(path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

function leftoversOf(fs: FileSystem, directory: string): number {
  let count = 0;
  for (const name of [NEW_NAME, RENAME_NAME, TRASH_NAME]) {
    const path = `${directory}/${CHANNELS_NAME}/${name}`;
    if (fs.statSync(path) !== undefined) count += fs.readDirectorySync(path).length;
  }
  return count;
}
