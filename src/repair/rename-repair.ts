/**
 * Renames of channels that were interrupted: finished as by every open, and where the config on its
 * way cannot be read, with one that is made from what is there.
 */
import { finishRename } from '../channel/channel-names.js';
import { writeNextConfig } from '../channel/channel-files.js';
import { RedexError } from '../core/errors.js';
import { decodeChannelEntry } from '../format/channel-name.js';
import { CHANNELS_NAME, CONFIG_NAME, NEXT_CONFIG_NAME, RENAME_NAME } from '../format/file-name.js';
import { configIn } from './config-repair.js';
import type { RepairRun } from './repair-run.js';

export async function finishRenames(run: RepairRun): Promise<void> {
  const { fs, directory, notes } = run;
  const channels = `${directory}/${CHANNELS_NAME}`;
  const renaming = `${channels}/${RENAME_NAME}`;
  if (fs.statSync(renaming)?.kind !== 'directory') return;
  for (const { name: entry, kind } of fs.readDirectorySync(renaming)) {
    if (kind !== 'directory' || decodeChannelEntry(entry) === undefined) continue;
    const path = `${renaming}/${entry}`;
    const target = `${channels}/${entry}`;
    if (fs.statSync(target) !== undefined) {
      const reason = `${path} cannot get its place: there is another channel of this name`;
      notes.losses.push({ channel: entry, path, reason });
      continue;
    }
    if (!(await finish(run, path, entry))) continue;
    fs.renameSync(path, target);
    fs.syncDirectorySync(channels);
    fs.syncDirectorySync(renaming);
  }
}

/** Puts the config with the new name in its place. */
async function finish(run: RepairRun, path: string, entry: string): Promise<boolean> {
  const { fs } = run;
  try {
    finishRename(fs, path, entry);
    return true;
  } catch (error) {
    // One of a newer version is left alone, with everything else.
    if (!RedexError.is(error, 'CORRUPT')) throw error;
    return replaceNext(run, path, entry, error);
  }
}

/** Another config with the new name, from the one with the old name. */
async function replaceNext(
  { fs, notes, damaged }: RepairRun,
  path: string,
  entry: string,
  cause: RedexError,
): Promise<boolean> {
  const decoded = decodeChannelEntry(entry);
  const before = configIn(fs, path);
  const next = `${path}/${NEXT_CONFIG_NAME}`;
  await damaged.copy(next);
  const action = 'the rename is finished with a config that is made from what is there';
  notes.steps.push({ kind: 'config', channel: entry, path: next, reason: cause.message, action });
  if (before === undefined || decoded?.kind !== 'name') {
    // The repair of configs finds what there is to be found once it is in its place.
    if (fs.statSync(next) !== undefined) fs.unlinkSync(next);
    fs.syncDirectorySync(path);
    return true;
  }
  const { name } = decoded;
  writeNextConfig(fs, path, { ...before, body: { ...before.body, name } });
  fs.renameSync(next, `${path}/${CONFIG_NAME}`);
  fs.syncDirectorySync(path);
  return true;
}
